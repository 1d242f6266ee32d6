"""Honest load for a long time: whether memory stays, and every byte."""
import statistics

from candidates import TALLYD
from load import latencies
from proc import descriptors, resident_bytes
from spread import Spread
from tables import Table

GOSTS, EVENTS, USERS = 200, 10, 10_000
MINUTE_S = 60


def minute(server):
    """{figure: value}; the ledger is right at its end."""
    load = server.send(connections=GOSTS, events=EVENTS, users=USERS, every=1, seconds=MINUTE_S)
    server.flush()
    server.ledger.check(server.daemon.database)
    pid = server.pids["server"]
    return {"reports": load.reports, "tries without answer": load.failed,
            "p99 ms": latencies(load.took_ms())["p99 ms"],
            "resident KiB": resident_bytes(pid) / 1024, "descriptors": descriptors(pid)}


def growth(rows):
    """KiB an hour, by the line of least squares through the minutes behind the first third."""
    kib = [row["resident KiB"] for row in rows][len(rows) // 3:]
    return statistics.linear_regression(range(len(kib)), kib).slope * 60 if len(kib) > 1 else 0


def measure(bench):
    rows = []
    with TALLYD[0].running(users=USERS) as server:
        for i in range(bench.minutes):
            rows.append(minute(server))
            bench.say(f"minute {i + 1} of {bench.minutes}: {rows[-1]}")
    return [Table("soak", f"{GOSTS} GOSTs, {EVENTS} events each a second, {USERS:,} users, Redis",
                  {f"minute {i + 1}": {figure: Spread((value,)) for figure, value in row.items()}
                   for i, row in enumerate(rows)},
                  note=f"The ledger was right after each minute. Behind the first third, resident "
                       f"memory changed by {growth(rows):+.0f} KiB an hour.")]
