"""The table of the manual's chapter "What can be lost": a test for each line, named after it.

GOSTs report while it happens, and keep books; at the end SQLite, Redis and the ledger must hold
what the books say, to the byte, for every user and service.
"""
import contextlib
import json
import os
import random
import signal
import sqlite3
import time

import pytest

from alarms import false_alarms
from bodies import table
from books import Books
from client import RawClient
from conftest import build_preload
from deadline import wait_for
from gost import Gate, Gost
from lossy import Lossy
from seed import SEED
from tallyd import report, stats
from view import wait_for_state

USERS = [f"user{i}" for i in range(20)]
LOSSES = {"pass": 4, "lose": 2, "half": 2, "torn": 1, "drop": 1, "cut": 1, "slow": 1}


def make_traffic(stream):
    """As a proxy has it: some users, each with other bytes."""
    for user in stream.rng.sample(USERS, 3) if stream.name[1] == "handler" else [None]:
        stream.traffic(user, stream.rng.randrange(1, 5000), stream.rng.randrange(1, 90000))


class Site:
    """Some GOSTs in both modes, one of them with three sub-handlers of the same names."""

    def __init__(self, daemon, address=None):
        print(f"seed {SEED}")
        self.daemon = daemon
        self.books = Books()
        self.gate = Gate()
        shared = {"load": make_traffic, "books": self.books, "gate": self.gate}
        address = address or daemon.address
        self.gosts = [
            Gost(address, "delta", {"s": "socks5"}, has_stats=True, seed=SEED, **shared),
            Gost(address, "auto", {"s": "auto"}, seed=SEED + 1, **shared),
            Gost(address, "sums", {"s": "socks5", "t": "http"}, "cumulative", has_stats=True,
                 seed=SEED + 2, **shared)]

    def start(self):
        for gost in self.gosts:
            gost.start()
        return self

    def has_progressed(self, n=3):
        """Waits until every GOST has had n more reports answered."""
        goals = [gost.n_answered() + n for gost in self.gosts]
        wait_for(lambda: all(gost.n_answered() >= goal for gost, goal in
                             zip(self.gosts, goals)), "every GOST is answered")

    def end(self):
        """No more traffic, and every open report answered."""
        for gost in self.gosts:
            gost.load = lambda stream: None
        wait_for(lambda: all(gost.is_drained() for gost in self.gosts), "all is reported")
        for gost in self.gosts:
            gost.kill()

    def is_right(self, redis=None):
        """Ends it; SQLite, the ledger and Redis hold just what the books say. And tallyd takes
        none of these GOSTs for one that is set up wrong."""
        self.end()
        assert false_alarms(self.daemon.all_logs(), self.gosts) == set()
        self.daemon.force_sync()
        users = self.daemon.users()
        assert self.books.differences("user", {u: row[1:] for u, row in users.items()}) == []
        services = self.daemon.sql("select node, kind, service, input_bytes, output_bytes "
                                   "from services where input_bytes + output_bytes > 0")
        assert self.books.differences(
            "service", {row[:3]: row[3:] for row in services}) == []
        for user, row in users.items():
            found = self.daemon.traffic(user)
            assert (found["usedTraffic"], found["inputBytes"], found["outputBytes"]) == row
            assert row[0] == row[1] + row[2]
        if redis is not None:
            wait_for(lambda: redis.view() == users, "Redis shows the ledger")


@pytest.fixture
def site(tallyd):
    """site(options) starts a daemon with short intervals, and its GOSTs."""
    sites = []

    def make(address=None, **options):
        daemon = tallyd(**{"sync_interval": 100, "retry_delay": 20, **options})
        daemon.start()
        sites.append(Site(daemon, address))
        return sites[-1].start()

    yield make
    for started in sites:
        for gost in started.gosts:
            gost.kill()


def test_kill_9_of_tallyd_at_any_instant(site, redis):
    """... in the middle of anything, and while it starts: nothing lost, nothing twice."""
    rng = random.Random(SEED)
    here = site(redis_url=redis.url)
    for _ in range(8):
        here.has_progressed(rng.randrange(1, 4))
        here.daemon.kill()
        for _ in range(rng.randrange(3)):
            here.daemon.spawn()
            moment = time.monotonic() + rng.random() * 0.05
            wait_for(lambda at=moment: time.monotonic() > at, "the moment")
            here.daemon.kill()
        here.daemon.start()
    here.has_progressed()
    here.is_right(redis)


class PowerLog:
    """How much of each segment was synced. lose(daemon) leaves of its journal only that."""

    def __init__(self, directory):
        library, self.path = build_preload("power_loss", directory), directory / "synced"
        self.environment = {"LD_PRELOAD": str(library), "POWER_LOG": str(self.path)}

    def synced(self):
        found = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            path, size = line.rsplit(" ", 1)
            found[path] = max(int(size), found.get(path, 0))
        return found

    def loose(self, daemon):
        """The segments of which more was written than synced: {path: bytes synced}."""
        synced = self.synced()
        return {path: synced.get(str(path), 0)
                for path in (daemon.data_dir / "journal").glob("*.seg")
                if path.stat().st_size > synced.get(str(path), 0)}

    def lose(self, daemon):
        daemon.kill()
        for path, size in self.loose(daemon).items():
            os.truncate(path, size)


@pytest.fixture
def power_log(tmp_path):
    return PowerLog(tmp_path)


def test_power_loss_fsync_always(site, power_log):
    """Every report that was answered was on the disk before."""
    here = site(journal_fsync="always", sync_interval=2000, env=power_log.environment)
    for _ in range(4):
        here.has_progressed()
        power_log.lose(here.daemon)
        here.daemon.start()
    here.has_progressed()
    here.is_right()


def test_power_loss_fsync_everysec(tallyd, power_log):
    """It is synced without being asked for, and what is there is right."""
    daemon = tallyd(sync_interval="1h", env=power_log.environment).start()
    client, n = daemon.client(), 0

    def post(n_more):
        nonlocal n
        for n in range(n + 1, n + 1 + n_more):
            assert client.post("/observer", report(stats(f"u{n}", n, 0))).status == 200

    for _ in range(3):
        post(50)
        wait_for(lambda: not power_log.loose(daemon), "all that was answered is synced")
        n_safe = n
    post(50)
    client.close()
    power_log.lose(daemon)
    daemon.start()
    kept = len(daemon.users())
    assert daemon.users() == {f"u{i}": (i, i, 0) for i in range(1, kept + 1)}
    print(f"{n} answered, {n_safe} known to be synced, {kept} kept")
    assert kept >= n_safe


def test_answer_lost_gost_repeats(site, tallyd, redis):
    """A network that resets with the answer unread, half read, or before the request."""
    daemon = tallyd(redis_url=redis.url, sync_interval=100).start()
    lossy = Lossy(daemon.address, SEED, LOSSES)
    here = Site(daemon, lossy.address).start()
    here.has_progressed(15)
    for end in (daemon.kill, daemon.stop):
        end()
        daemon.start()
        here.has_progressed(5)
    lossy.weights = {"pass": 1}
    here.is_right(redis)
    lossy.close()
    assert daemon.status()["reports"]["repeats"] > 0
    print(dict(lossy.counts))


def kill_redis(server):
    server.kill()
    server.start()


def restore_old_snapshot(server):
    server.ask("SAVE")
    kept = (server.directory / "dump.rdb").read_bytes()
    yield
    server.kill()
    (server.directory / "dump.rdb").write_bytes(kept)
    server.start()


def pause_redis(server):
    server.pause()
    yield
    server.resume()


def edit_redis(server):
    server.ask("HSET", "user:user1", "usedTraffic", "1")
    server.ask("HINCRBY", "user:user2", "inputBytes", "5")
    server.ask("DEL", "user:user3")


REDIS_FAULTS = {
    "killed": kill_redis, "wiped": lambda server: server.ask("FLUSHALL"),
    "restarted_from_an_old_snapshot": restore_old_snapshot, "paused": pause_redis,
    "slow": lambda server: server.ask("CLIENT", "PAUSE", "300"), "edited_by_others": edit_redis}


@pytest.mark.parametrize("fault", REDIS_FAULTS)
def test_redis_killed_wiped_restarted_paused_slow_edited(fault, site, redis):
    """Accounting goes on, and Redis is repaired after."""
    here = site(redis_url=redis.url, redis_timeout=100)
    here.has_progressed()
    steps = REDIS_FAULTS[fault](redis)
    has_two = hasattr(steps, "__next__")
    if has_two:
        next(steps)
    here.has_progressed()
    if has_two:
        next(steps, None)
    here.has_progressed()
    here.is_right(redis)


def test_a_panels_redis_with_earlier_totals_at_the_first_start(tallyd, redis):
    """Linked once, added, whatever is killed then."""
    for user in USERS:
        redis.ask("HSET", f"user:{user}", "usedTraffic", "1000000", "plan", "gold")
    daemon = tallyd(redis_url=redis.url, sync_interval=100).start()
    for round_ in range(1, 4):
        wait_for_state(daemon, "up")
        daemon.report(*(stats(user, 1, 2) for user in USERS))
        daemon.force_sync()
        assert daemon.users() == {
            user: (1000000 + 3 * round_, round_, 2 * round_) for user in USERS}
        daemon.kill()
        daemon.start()
    shown = {name: str(value) for name, value in zip(
        ("usedTraffic", "inputBytes", "outputBytes"), daemon.users()["user1"])}
    wait_for(lambda: redis.hash("user:user1") == shown | {"plan": "gold"}, "it is shown")


def is_current_in_redis(daemon, redis):
    """Somebody is read in Redis with bytes that SQLite does not have."""
    flushed = daemon.users()
    ahead = [user for user, total in redis.view().items()
             if total[0] > flushed.get(user, (0, 0, 0))[0]]
    return any(daemon.traffic(user)["source"] == "redis" for user in ahead)


def leave_much_to_write(daemon, disk):
    """Rows for which the database has to grow, and no room for that."""
    with contextlib.closing(sqlite3.connect(daemon.database, isolation_level=None)) as other:
        other.execute("begin immediate")
        for i in range(4):
            daemon.report(*(stats(None, 0, 0, kind="service", service=f"new {i} {n}")
                            for n in range(500)))
        disk.fill(leave_bytes=0)
    # Its log is on that disk, too.
    wait_for(lambda: daemon.status()["lastSync"]["error"] in (
        "the disk is full", "the outcome of a commit is not known"), "it is full")


@pytest.mark.parametrize("fault", ["locked", "disk_full"])
def test_sqlite_locked_by_another_program_disk_full_at_flush(fault, small_disk, redis, tallyd):
    """Retried until it can be done; Redis is current meanwhile."""
    disk = small_disk(4 << 20)
    daemon = tallyd(directory=disk.path / "t", redis_url=redis.url, sync_interval=100,
                    busy_timeout=10, retry_delay=20, min_free_bytes=0, wrapper=disk.wrapper)
    daemon.expects_errors = True
    daemon.start()
    here = Site(daemon).start()
    here.has_progressed()
    failed = daemon.status()["stats"]["failedSyncs"]
    with contextlib.ExitStack() as until:
        if fault == "locked":
            other = until.enter_context(contextlib.closing(
                sqlite3.connect(daemon.database, isolation_level=None)))
            other.execute("begin immediate")
        else:
            until.callback(disk.empty)
            leave_much_to_write(daemon, disk)
        wait_for(lambda: daemon.status()["stats"]["failedSyncs"] > failed, "a flush has failed")
        if fault == "locked":
            here.has_progressed()
            wait_for(lambda: is_current_in_redis(daemon, redis), "Redis is ahead of SQLite")
    here.has_progressed()
    here.is_right(redis)


def test_disk_full_at_the_journal(small_disk, tallyd):
    """503: GOST keeps the report; accepting resumes by itself."""
    disk = small_disk(4 << 20)
    daemon = tallyd(directory=disk.path / "t", sync_interval=100, retry_delay=20,
                    min_free_bytes=0, wrapper=disk.wrapper)
    daemon.expects_errors = True
    daemon.start()
    here = Site(daemon).start()
    here.has_progressed()
    refused = daemon.status()["reports"]["refused"]
    disk.fill()
    wait_for(lambda: daemon.status()["reports"]["refused"] > refused + 5, "reports get 503")
    disk.empty()
    here.has_progressed()
    here.is_right()


def forget_to_announce(gost):
    """Its states do not arrive any more: they are sent once."""
    gost.announce = lambda state: None


def test_gost_restarts_cumulative(tallyd):
    """Restarts and reloads, announced or not, below and above what was last reported."""
    daemon = tallyd(sync_interval=100).start()
    gost = Gost(daemon.address, "n", {"s": "socks5"}, "cumulative", has_stats=True).boot()
    total = [0, 0]

    def traffic(input_bytes, output_bytes):
        gost.traffic("alice", input_bytes, output_bytes)
        assert gost.report_once() == ["ok", "ok"]
        total[0] += input_bytes
        total[1] += output_bytes

    def tallyd_restarts(end):
        end()
        daemon.start()

    for restart in (gost.restart, gost.reload):
        traffic(1000, 2000)
        restart()
        traffic(1000, 2000)  # every counter as it was
        restart()
        tallyd_restarts(daemon.stop)
        traffic(9000, 9000)  # bytes above, connections as they were
        tallyd_restarts(daemon.kill)
        traffic(10, 20)
        restart()
        tallyd_restarts(daemon.stop)
        traffic(5, 5)
        gost.reload(lambda: traffic(7, 7))  # the old handler's last
        traffic(8, 8)
    traffic(1000, 1000)
    forget_to_announce(gost)
    gost.restart()
    traffic(999, 2000)
    gost.restart()
    tallyd_restarts(daemon.kill)
    traffic(1, 1)
    daemon.force_sync()
    assert daemon.users() == {"alice": (sum(total), *total)}
    assert daemon.sql("select kind, input_bytes, output_bytes from services order by kind") == [
        ("handler", *total), ("service", *total)]


def test_garbage_huge_slow_or_hostile_requests(site):
    """A clear error for whoever sends them; the others do not notice."""
    here = site(request_timeout=300, max_body_bytes=200_000)
    rng = random.Random(SEED)
    hanging = []
    bad = [body for body in table(SEED) if body.status == 400 and len(body.data) < 100_000]
    for body in rng.sample(bad, 40):
        assert here.daemon.post("/observer?node=hostile", body.data).status == 400, body.name
    huge = here.daemon.post("/observer", report(*(stats(f"x{i}", 1) for i in range(3000))))
    assert huge.status == 413
    for data in (b"POST /observer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
                 b"POST /obs", b"\x16\x03\x01\x02\x00\x01", b"\0" * 100, b"GET / HTTP/1.1\r\n"):
        hanging.append(RawClient(here.daemon.address))
        hanging[-1].send_whatever_it_takes(data)
    here.has_progressed()
    reset = RawClient(here.daemon.address)
    reset.send(b"POST /observer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n"
               + json.dumps({"events": []}).encode())
    reset.reset()
    here.daemon.send_signal(signal.SIGHUP)
    here.has_progressed()
    for raw in hanging:
        raw.file.read()  # to its end: each is answered or cut
        raw.close()
    here.is_right()
