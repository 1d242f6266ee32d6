"""A flush: how long it takes, and what reports feel of it. Beside it, a bare transaction."""
import contextlib
import sqlite3
import time

from load import latencies, said_by
from tables import Table

# No flush but those that are asked for.
OPTIONS = {"sync_interval": "1h", "emergency_flush_size": 10**7, "max_pending_users": 10**7}
BARE = "bare SQLite transaction"


def one(server, users, seconds):
    """All users are dirty; reports come evenly before the flush and while it runs."""
    server.fill(users)
    sender = server.begin(connections=4, every=0.004, users=users)
    time.sleep(seconds)
    began = time.monotonic_ns()
    ms = server.flush()
    load = server.note(sender.stop())
    without = latencies(load.took_ms(until=began))
    during = load.took_ms(since=began, until=began + int(ms * 1e6))
    figures = {"flush ms": ms, "p50 ms without": without["p50 ms"],
               "p99 ms without": without["p99 ms"]}
    if len(during) >= 100:  # else there is no such percentile
        figures |= {f"{name} during": value for name, value in latencies(during).items()}
    return figures


def copy(database, to):
    with contextlib.closing(sqlite3.connect(database)) as source, \
            contextlib.closing(sqlite3.connect(to)) as target:
        source.backup(target)


def bare(database):
    return {"flush ms": float(said_by("transaction", database))}


def table(bench, users):
    title = f"A flush of {users:,} users"
    with contextlib.ExitStack() as stack:
        servers = {tallyd.name: stack.enter_context(tallyd.running(users=users, **OPTIONS))
                   for tallyd in bench.tallyds}
        for server in servers.values():
            server.fill(users)
            server.flush()
        last = list(servers.values())[-1].daemon
        database = last.directory / "bare.db"
        copy(last.database, database)
        rows = bench.alternate(title, [*servers, BARE], lambda who: (
            bare(database) if who == BARE else one(servers[who], users, bench.seconds)))
    for who in servers:
        rows[who]["times bare"] = rows[who]["flush ms"].over(rows[BARE]["flush ms"])
    return Table(f"flush-{users}", title, rows)


def measure(bench):
    return [table(bench, users) for users in (100, 100_000)]
