"""What more users cost: each report, memory, flush, start, rest."""
import shutil
import time

import rest
from candidates import TALLYD
from flush import OPTIONS
from proc import resident_bytes
from spread import Spread, spreads
from tables import Table

from deadline import wait_for
from tallyd import Daemon

USERS = (10**3, 10**4, 10**5, 10**6)
ID_DIGITS = 12


def costs(bench, server, users):
    """{figure: Spread} of reports that name all users in turn."""
    rows = {}
    for events in (1, 100):
        rounds = [server.measure(events=events, users=users, id_digits=ID_DIGITS, connections=16,
                                 seconds=bench.seconds)[0] for _ in range(bench.rounds)]
        rows |= {f"{figure.replace('report', f'report of {events}')}": spread
                 for figure, spread in spreads(rounds).items() if figure.startswith("CPU")}
    return rows


def flushes(bench, server, users):
    """Of users that SQLite knows; the first one, of new ones, is apart."""
    new_ms = server.flush()
    known_ms = []
    for _ in range(bench.rounds):
        server.fill(users, id_digits=ID_DIGITS)
        known_ms.append(server.flush())
    return {"flush ms, new users": Spread((new_ms,)), "flush ms": Spread(tuple(known_ms))}


def start(daemon):
    daemon.spawn()
    wait_for(daemon.is_ready, "tallyd has folded its journal", limit=300)


def start_ms(daemon, data_dir):
    """Of another tallyd, on a copy of a directory that a kill has left."""
    copy = daemon.directory / "copy"
    shutil.copytree(data_dir, copy)
    other = Daemon(daemon.directory / "other", binary=daemon.binary, log_level="warn",
                   **{**OPTIONS, "data_dir": copy})
    began = time.monotonic()
    start(other)
    ms = (time.monotonic() - began) * 1e3
    other.kill()
    shutil.rmtree(copy)
    return ms


def starts(bench, server, users):
    """With a journal of as many records as there are users, after a kill."""
    server.send(users=users, reports=users, id_digits=ID_DIGITS, connections=16)
    server.daemon.kill()
    spread = Spread(tuple(start_ms(server.daemon, server.daemon.data_dir)
                          for _ in range(bench.rounds)))
    start(server.daemon)
    server.note_process()
    return {"start ms": spread}


def grown(server, before, users):
    return Spread(((resident_bytes(server.pids["server"]) - before) / users,))


def without_redis(bench, users):
    with TALLYD[1].running(users=users, journal_max_bytes="8GiB", **OPTIONS) as server:
        empty = resident_bytes(server.pids["server"])
        server.fill(users, id_digits=ID_DIGITS)
        row = {"bytes per user, unflushed": grown(server, empty, users)}
        row |= flushes(bench, server, users)
        row["bytes per user, flushed"] = grown(server, empty, users)
        row |= costs(bench, server, users)
        row |= starts(bench, server, users)
    return row


def with_redis(bench, users):
    with TALLYD[0].running(users=users, journal_max_bytes="8GiB", **OPTIONS) as server:
        server.fill(users, id_digits=ID_DIGITS)
        rest.settle(server)
        return costs(bench, server, users)


def table(bench, name, title, measure):
    rows = {}
    for users in USERS:
        bench.say(f"{title}: {users:,} users")
        rows[f"{users:,} users"] = measure(bench, users)
    return Table(name, title, rows)


def measure(bench):
    return [table(bench, "scale", f"By users, ids of {ID_DIGITS} bytes, redis_url = none",
                  without_redis),
            table(bench, "scale-redis", "By users, with Redis", with_redis),
            *(rest.table(bench, f"rest-{users}", users, ID_DIGITS) for users in USERS)]
