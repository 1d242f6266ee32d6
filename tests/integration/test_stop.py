"""Signals, the lock, and coming back with much to fold."""
import contextlib
import os
import signal
import socket
import sqlite3
import threading
import time

import pytest

from client import RawClient, get_bytes, post_bytes
from conftest import build_preload
from deadline import IS_ASAN, VALGRIND, seconds, slowness, wait_for
from oracle import Load
from tallyd import report, stats
from view import SHOWN_SECONDS, start_linked

RECORDS = int(os.environ.get("RESTART_RECORDS", 100000 if slowness() == 1 else 20000))
MUST_BE_FAST = os.environ.get("TALLYD_TIMING") == "1" and not IS_ASAN and not VALGRIND


@pytest.mark.smoke
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_leaves_in_sqlite_just_what_was_answered(redis, tallyd, number):
    daemon = start_linked(tallyd(redis_url=redis.url, redis_timeout="20s"))
    load = Load(daemon.address, 20, repeats=False).start()
    wait_for(lambda: load.n_answered() > 500, "five hundred answers")
    daemon.stop(number=number)
    load.finish()
    counted = daemon.users()
    acked, cut = load.acked(), load.cut()
    assert {user: total[1] for user, total in counted.items() if user not in cut} == {
        user: size for user, size in acked.items() if user not in cut}
    assert load.check(counted) <= len(cut)
    if cut or load.slowest() >= SHOWN_SECONDS:  # that may have been on its way to Redis still
        daemon.start()
        wait_for(lambda: redis.view() == counted, "the next start shows it")
    assert redis.view() == counted


def is_ignored(pid, number):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        ignored = next(line for line in file if line.startswith("SigIgn:"))
    return bool(int(ignored.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGPWR, signal.SIGXCPU])
def test_what_would_end_it_uncleanly_from_outside_stops_it_as_sigterm_does(tallyd, number):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    daemon.stop(number=number)
    assert f"stopping: signal={number.name}" in daemon.log()
    assert daemon.users() == {"alice": (3, 1, 2)}


def test_no_other_signal_ends_it_but_those_of_a_fault(tallyd):
    """SIGSTOP and its kin suspend it; what the kernel drops by default, it may drop."""
    fatal = {signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL,
             signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS}
    stops = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGPWR, signal.SIGXCPU}
    suspends = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    sent = [number for number in signal.valid_signals()
            if number not in fatal | stops | suspends]
    assert {signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF,
            signal.SIGIO, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGRTMIN,
            signal.SIGRTMAX} <= set(sent)
    for number in sent:
        daemon.send_signal(number)
    wait_for(lambda: "configuration reloaded" in daemon.log(), "SIGHUP is heeded")
    daemon.report(stats("alice", 1, 2))
    left = [number for number in sent if number not in
            (signal.SIGHUP, signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH)]
    assert all(is_ignored(daemon.process.pid, number) for number in left)
    daemon.stop()
    assert daemon.users() == {"alice": (6, 2, 4)}


def test_a_reload_that_is_asked_for_during_the_start_is_made_after_it(tallyd):
    daemon = tallyd(busy_timeout=1, max_retries=20, retry_delay=20).start()
    daemon.report(stats("alice", 1, 2))
    daemon.kill()
    with contextlib.closing(sqlite3.connect(daemon.database, isolation_level=None)) as db:
        db.execute("begin immediate")
        daemon.spawn()
        wait_for(lambda: "checkpoint failed: tried again" in daemon.log(), "it is starting")
        daemon.send_signal(signal.SIGHUP)
        daemon.send_signal(signal.SIGUSR1)
        db.execute("rollback")
    wait_for(lambda: "configuration reloaded" in daemon.log(), "the reload")
    assert daemon.users() == {"alice": (3, 1, 2)}


def test_a_stop_that_comes_as_the_door_opens_is_a_clean_one_and_leaves_no_socket(
        tallyd, tmp_path):
    sockets = {f"{name}_socket": tmp_path / name for name in ("admin", "read")}
    daemon = tallyd(env={"LD_PRELOAD": str(build_preload("signal_at_door", tmp_path))}, **sockets)
    assert daemon.spawn().wait_exit() == 0, daemon.log()
    assert "stopping: signal=SIGTERM" in daemon.log() and "stopped" in daemon.log()
    assert not any(path.exists() for path in sockets.values())


def test_a_stop_without_redis_or_load_flushes_too(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    assert daemon.users() == {"alice": (3, 1, 2)}
    assert not list(daemon.data_dir.glob("tally.db-wal"))


def test_idle_and_half_open_connections_do_not_hold_up_a_stop(tallyd):
    daemon = tallyd().start()
    held = []
    for i in range(60):
        raw = RawClient(daemon.address)
        if i % 3 == 1:
            raw.send(get_bytes("/livez"))
            assert raw.read_answer().status == 200
        if i % 3 == 2:
            raw.send(post_bytes("/observer", report(stats("ghost", 1, 2)))[:-3])
        held.append(raw)
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    for raw in held:
        raw.close()
    assert daemon.users() == {"alice": (3, 1, 2)}


def test_a_second_signal_does_not_hurt(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    daemon.send_signal(signal.SIGTERM)
    with contextlib.suppress(ProcessLookupError):
        daemon.send_signal(signal.SIGTERM)
        daemon.send_signal(signal.SIGINT)
    assert daemon.wait_exit() == 0
    assert daemon.users() == {"alice": (3, 1, 2)}


def test_a_stop_that_cannot_flush_says_so_and_loses_nothing(tallyd):
    daemon = tallyd(stop_timeout="1s", busy_timeout=50, retry_delay=100).start()
    daemon.expects_errors = True
    for _ in range(10):
        daemon.report(stats("alice", 1, 2))
    with contextlib.closing(sqlite3.connect(daemon.database, isolation_level=None)) as db:
        db.execute("begin immediate")
        daemon.stop(expect=74)
        db.execute("rollback")
    assert daemon.users() == {}
    daemon.start()
    assert daemon.users() == {"alice": (30, 10, 20)}


def test_a_stop_waits_for_a_lock_that_goes_away(tallyd):
    daemon = tallyd(stop_timeout="20s", busy_timeout=50, retry_delay=50).start()
    daemon.report(stats("alice", 1, 2))
    with contextlib.closing(sqlite3.connect(daemon.database, isolation_level=None)) as db:
        db.execute("begin immediate")
        daemon.send_signal(signal.SIGTERM)
        wait_for(lambda: "flush failed" in daemon.log(), "a first try that failed")
        db.execute("rollback")
    assert daemon.wait_exit() == 0
    assert daemon.users() == {"alice": (3, 1, 2)}


@pytest.mark.smoke
def test_a_second_instance_is_refused_and_the_first_goes_on(tallyd):
    first = tallyd().start()
    first.report(stats("alice", 1, 2))
    second = tallyd(data_dir=first.data_dir)
    code, said = second.start_and_fail()
    assert code == 75 and str(first.data_dir) in said, said
    first.report(stats("alice", 1, 2))
    first.kill()
    first.start()
    assert first.users() == {"alice": (6, 2, 4)}


def test_many_restarts_change_nothing(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    for i in range(10):
        (daemon.stop, daemon.kill)[i % 2]()
        daemon.start()
    assert daemon.users() == {"alice": (3, 1, 2)}
    assert daemon.traffic("alice")["usedTraffic"] == 3
    assert len(list((daemon.data_dir / "journal").iterdir())) <= 3


class Pipe(threading.Thread):
    """Posts one report per user over one pipelined connection."""

    BATCH = 500

    def __init__(self, address, users):
        super().__init__(daemon=True)
        self.raw = RawClient(address)
        self.users = users
        self.n_ok = 0

    def run(self):
        answer = b'{"ok":true}'
        for start in range(0, len(self.users), self.BATCH):
            some = self.users[start:start + self.BATCH]
            self.raw.send(b"".join(post_bytes("/observer", report(stats(user, 1, 2)))
                                   for user in some))
            missing, tail = len(some), b""
            while missing > 0:
                data = self.raw.sock.recv(1 << 20)
                if not data:
                    return
                tail += data
                missing -= tail.count(answer)
                tail = tail[tail.rfind(answer) + len(answer):] if answer in tail else tail
            self.n_ok += len(some)
        self.raw.close()


def test_a_restart_with_much_to_fold_is_ready_at_once(tallyd):
    daemon = tallyd(sync_interval="1h", max_pending_users=10**7,
                    emergency_flush_size=10**7).start()
    users = [f"user-{i:06}" for i in range(RECORDS)]
    began = time.monotonic()
    pipes = [Pipe(daemon.address, users[i::4]) for i in range(4)]
    for pipe in pipes:
        pipe.raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pipe.start()
    for pipe in pipes:
        pipe.join(seconds(120))
    took = time.monotonic() - began
    assert sum(pipe.n_ok for pipe in pipes) == RECORDS
    data = daemon.status()
    assert data["journal"]["records"] == RECORDS
    assert data["stats"]["totalSyncs"] == 0
    for has_records in (True, False):
        daemon.kill()
        began = time.monotonic()
        daemon.start()
        ready = time.monotonic() - began
        print(f"ready {ready:.2f} s after the start with {RECORDS} users and "
              f"{RECORDS if has_records else 0} journal records "
              f"({RECORDS / took:.0f} reports/s before)")
        assert ready < 1 or not MUST_BE_FAST
        assert daemon.sql("select count(*), sum(used_traffic), sum(input_bytes) from users") \
            == [(RECORDS, 3 * RECORDS, RECORDS)]
    assert daemon.traffic(users[RECORDS // 2])["usedTraffic"] == 3
