"""Two thousand GOSTs, each with a report of five events a second."""
import time

from load import latencies
from proc import resident_bytes
from spread import spreads
from tables import Table

GOSTS, EVENTS, USERS = 2000, 5, 10_000
SECOND = 10**9


def share(before, after, seconds):
    return {f"% of a core{'' if name == 'server' else f', {name}'}":
            (after[name] - us) / seconds / 1e4 for name, us in before.items()}


def run(bench, tallyd, is_at_once):
    """[{figure: value}] of each second but the first."""
    with tallyd.running(users=USERS, max_connections=2 * GOSTS) as server:
        sender = server.begin(connections=GOSTS, events=EVENTS, users=USERS, every=1,
                              at_once=is_at_once, seconds=bench.rounds + 1)
        cpu = []
        for i in range(1, bench.rounds + 2):
            time.sleep(max(0, sender.began + i * SECOND - time.monotonic_ns()) / SECOND)
            cpu.append((time.monotonic(), server.cpu_us()))
        mib = resident_bytes(server.pids["server"]) / 2**20
        load = server.note(sender.result())
    return [{**latencies(load.took_ms(sender.began + i * SECOND, sender.began + (i + 1) * SECOND)),
             **share(cpu[i - 1][1], cpu[i][1], cpu[i][0] - cpu[i - 1][0]), "resident MiB": mib}
            for i in range(1, bench.rounds + 1)]


def table(bench, name, is_at_once):
    title = f"{GOSTS:,} connections, {EVENTS} events each a second, " + (
        "all at one instant" if is_at_once else "spread over the second")
    rows = {}
    for tallyd in bench.tallyds:
        bench.say(f"{title}: {tallyd.name}")
        rows[tallyd.name] = spreads(run(bench, tallyd, is_at_once))
    return Table(name, title, rows)


def measure(bench):
    return [table(bench, "gosts-spread", False), table(bench, "crowd-at-once", True)]
