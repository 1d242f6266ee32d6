"""What it costs while nobody reports, and how soon an edit in Redis is mended."""
import contextlib
import pathlib
import shutil
import tempfile
import time

from proc import cpu_us, wakeups
from spread import Spread, spreads
from tables import Table

from deadline import wait_for
from redis_server import RedisServer

LIMIT_MS = 10_000  # an edit that was not mended by then
ALONE = "the same Redis alone"
SETTLE_S = 3


@contextlib.contextmanager
def alone(redis):
    """Another Redis with the same keys, and without a client."""
    with tempfile.TemporaryDirectory(prefix="tallyd-bench-") as name:
        redis.ask("SAVE")
        shutil.copy(redis.directory / "dump.rdb", name)
        with contextlib.closing(RedisServer(pathlib.Path(name))) as server:
            server.start()
            wait_for(lambda: server.ask("DBSIZE") > 0, "Redis has loaded its keys", limit=120)
            yield server


def settle(server):
    """All is in Redis and in SQLite."""
    server.flush()
    wait_for(lambda: server.ask("GET", "/throttle-sync-status")["data"]["redis"]["unsentUsers"]
             == 0, "Redis shows all", limit=600)
    time.sleep(SETTLE_S)


def window(pids, seconds):
    """{who: {figure: value}} of {who: {name: pid}}, all in the same time."""
    each = [(who, name, pid) for who, named in pids.items() for name, pid in named.items()]
    before = [(cpu_us(pid), wakeups(pid)) for *_, pid in each]
    began = time.monotonic()
    time.sleep(seconds)
    after = [(cpu_us(pid), wakeups(pid)) for *_, pid in each]
    passed = time.monotonic() - began
    found = {who: {} for who in pids}
    for (who, name, _), (cpu0, wakes0), (cpu1, wakes1) in zip(each, before, after):
        of = "" if name == "server" else f", {name}"
        found[who][f"% of a core{of}"] = (cpu1 - cpu0) / passed / 1e4
        if name == "server":
            found[who]["wakeups/s"] = (wakes1 - wakes0) / passed
    return found


def mended_ms(redis, user):
    """How long it takes until what another client has set is what it was before."""
    key = f"user:{user}"
    before = redis.ask("HGET", key, "usedTraffic")
    redis.ask("HSET", key, "usedTraffic", 1)
    began = time.monotonic()
    while (time.monotonic() - began) * 1e3 < LIMIT_MS:
        if redis.ask("HGET", key, "usedTraffic") == before:
            return (time.monotonic() - began) * 1e3
        time.sleep(0.001)
    return LIMIT_MS


def table(bench, name, users, digits=None, n_edits=None):
    shape = {"id_digits": digits} if digits else {"id_digits": len(str(users))}
    title = f"At rest with {users:,} users"
    with contextlib.ExitStack() as stack:
        servers = {one.name: stack.enter_context(one.running(users=users))
                   for one in bench.tallyds}
        for server in servers.values():
            server.fill(users, **shape)
            settle(server)
        redis = next(server.redis for server in servers.values() if server.redis)
        pids = {who: server.pids for who, server in servers.items()}
        pids[ALONE] = {"Redis": stack.enter_context(alone(redis)).process.pid}
        rounds = []
        for i in range(bench.rounds):
            bench.say(f"{title}: round {i + 1} of {bench.rounds}")
            rounds.append(window(pids, 4 * bench.seconds))
        rows = {who: spreads([one[who] for one in rounds]) for who in pids}
        for who, server in servers.items():
            if server.redis:
                edited = [str(1 + i * users // bench.rounds).zfill(shape["id_digits"])
                          for i in range(n_edits or bench.rounds)]
                rows[who]["edit mended after ms"] = Spread(tuple(
                    mended_ms(server.redis, user) for user in edited))
    return Table(name, title, rows, note=(
        f"An edit is what another client sets in Redis; one that is not mended in 10 s counts as "
        f"{LIMIT_MS:,} ms."))


def measure(bench):
    return [table(bench, "rest", 10_000)]
