"""SQLite and the disk below it: when flushes happen, and what happens when they cannot."""
import contextlib
import grp
import os
import pathlib
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
import time

import pytest

from client import Client, RawClient, post_bytes
from deadline import BIN, seconds, wait_for
from oracle import Load
from tallyd import report, stats

LOCK_SECONDS = float(os.environ.get("LOCK_SECONDS", 4))


@contextlib.contextmanager
def locked(daemon):
    """Another program in the middle of a transaction."""
    with contextlib.closing(sqlite3.connect(daemon.database, isolation_level=None)) as db:
        db.execute("begin immediate")
        yield
        db.execute("rollback")


def sums(*users):
    return {user: (3 * n, n, 2 * n) for user, n in users}


# When a flush happens.

def test_the_interval_flushes_what_is_dirty(tallyd):
    daemon = tallyd(sync_interval=300).start()
    for n in range(1, 4):
        daemon.report(stats("alice", 1, 2), stats("bob", 1, 2))
        wait_for(lambda: daemon.users() == sums(("alice", n), ("bob", n)), "a flush")
    data = wait_for(lambda: (d := daemon.status())["stats"]["pendingUsers"] == 0 and d, "idle")
    assert data["stats"]["successfulSyncs"] == data["stats"]["totalSyncs"] >= 3
    assert data["lastSync"]["users"] == 2


@pytest.mark.smoke
def test_many_dirty_users_are_flushed_before_the_interval(tallyd):
    daemon = tallyd(max_pending_users=100).start()
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(79)))
    assert daemon.status()["stats"] | {"avgSyncTime": 0} == {
        "totalSyncs": 0, "successfulSyncs": 0, "failedSyncs": 0, "avgSyncTime": 0,
        "pendingUsers": 79, "isSyncing": False}
    daemon.report(stats("u79", 1, 2))
    wait_for(lambda: daemon.users() == sums(*((f"u{i}", 1) for i in range(80))),
             "an emergency flush at 80 % of max_pending_users")


def test_emergency_flushes_are_no_stream(tallyd):
    daemon = tallyd(max_pending_users=20, emergency_flush_size=10).start()
    client = daemon.client()
    for round_ in range(100):
        events = [stats(f"u{i}", 1, 2) for i in range(30)]
        assert client.post("/observer", report(*events)).status == 200
    client.close()
    assert daemon.status()["stats"]["totalSyncs"] <= 3
    daemon.force_sync()
    assert daemon.users() == sums(*((f"u{i}", 100) for i in range(30)))


@pytest.mark.parametrize("batch", [1, 7, 50, 500])
def test_the_batch_size_changes_no_result(tallyd, batch):
    daemon = tallyd(sync_batch_size=batch, emergency_flush_size=10**6,
                    max_pending_users=10**6).start()
    for n in (500, 123):
        daemon.report(*(stats(f"u{i}", 1, 2) for i in range(n)))
        assert daemon.force_sync()["users"] == n
    assert daemon.users() == sums(*((f"u{i}", 1 + (i < 123)) for i in range(500)))
    assert daemon.status()["stats"]["totalSyncs"] == 2


def test_force_sync_covers_all_that_was_answered_before_it(tallyd):
    daemon = tallyd().start()
    load = Load(daemon.address, 4).start()
    for _ in range(10):
        before = wait_for(load.acked, "some reports")
        daemon.force_sync()
        held = daemon.users()
        for user, size in before.items():
            assert held[user][1] >= size, user
    load.finish()
    daemon.stop()
    assert load.check(daemon.users()) == 0


def test_a_flush_drops_the_journal_it_covers(tallyd):
    daemon = tallyd().start()
    for _ in range(50):
        daemon.report(stats("alice", 1, 2))
    full = daemon.status()["journal"]
    assert full["records"] == 50 and full["bytes"] > 50 * 60

    def drops():
        daemon.report(stats("alice", 1, 2))
        daemon.force_sync()
        return daemon.status()["journal"]["records"] == 0

    wait_for(drops, "a flush that drops the journal")
    assert daemon.status()["journal"]["bytes"] < full["bytes"] / 10
    wait_for(lambda: sum(p.stat().st_size for p in (daemon.data_dir / "journal").iterdir())
             < full["bytes"] / 10, "old segments are removed")


# Another program holds the database.

def test_reports_are_answered_while_a_flush_waits_for_the_lock(tallyd):
    """Whoever waits for it is the pool, never the loop."""
    daemon = tallyd(sync_interval="1h", busy_timeout="60s").start()
    daemon.report(stats("alice", 1, 2))
    client = daemon.client(timeout=seconds(60))
    with locked(daemon):
        sync = RawClient(daemon.address)
        sync.send(post_bytes("/force-sync", ""))
        wait_for(lambda: daemon.status()["stats"]["isSyncing"], "the flush waits")
        for _ in range(50):
            assert client.post("/observer", report(stats("alice", 1, 2))).status == 200
        assert daemon.status()["stats"]["isSyncing"]
    assert sync.read_answer().status == 200
    client.close()
    daemon.force_sync()
    assert daemon.users()["alice"] == (153, 51, 102)


def test_a_locked_database_delays_flushes_but_no_report(redis, tallyd):
    daemon = tallyd(redis_url=redis.url, sync_interval=500, retry_delay=200,
                    busy_timeout=100, max_retries=2).start()
    daemon.report(stats("early", 1, 2))
    daemon.force_sync()
    load = Load(daemon.address, 2)
    with locked(daemon):
        end = time.monotonic() + LOCK_SECONDS
        load.start()
        wait_for(lambda: daemon.status()["stats"]["failedSyncs"] >= 2, "two failed flushes")
        data = daemon.status()
        assert data["stats"]["pendingUsers"] >= 2
        assert data["stats"]["successfulSyncs"] == 1
        assert data["lastSync"]["error"]
        answer = daemon.post("/force-sync")
        assert answer.status == 503
        assert answer.body == b"" or answer.json()["ok"] is False
        assert daemon.get("/readyz").status == 200
        wait_for(lambda: time.monotonic() > end, "the other program is done",
                 limit=LOCK_SECONDS + 10)
        assert set(daemon.users()) == {"early"}
    load.finish()
    print(f"slowest of {load.n_answered()} answers under the lock: "
          f"{1000 * load.slowest():.1f} ms")
    wait_for(lambda: daemon.status()["stats"]["pendingUsers"] == 0, "the flush that heals")
    data = daemon.status()
    assert not data["lastSync"]["error"]
    held = daemon.users()
    assert held.pop("early") == (3, 1, 2)
    assert load.check(held) == 0
    wait_for(lambda: redis.view() == daemon.users(), "Redis shows the ledger")


def test_a_kill_under_a_locked_database_loses_nothing(tallyd):
    daemon = tallyd(sync_interval=100, retry_delay=20, busy_timeout=1).start()
    with locked(daemon):
        for _ in range(50):
            daemon.report(stats("alice", 1, 2))
        wait_for(lambda: daemon.status()["stats"]["failedSyncs"] >= 2, "failed flushes")
        daemon.kill()
    daemon.start()
    assert daemon.users() == sums(("alice", 50))


def test_force_sync_is_answered_once_the_lock_is_gone(tallyd):
    daemon = tallyd(retry_delay=50, busy_timeout=1).start()
    daemon.report(stats("alice", 1, 2))
    with locked(daemon):
        assert daemon.post("/force-sync").status == 503
    daemon.force_sync()
    assert daemon.users() == sums(("alice", 1))
    assert daemon.status()["stats"]["failedSyncs"] >= 1


def test_a_start_against_a_locked_database_waits_or_says_so(tallyd):
    daemon = tallyd(retry_delay=20, busy_timeout=10, max_retries=1).start()
    daemon.report(stats("alice", 1, 2))
    daemon.kill()
    with locked(daemon):
        code, said = daemon.start_and_fail()
        assert code == 74 and "lock" in said, said
    daemon.start()
    assert daemon.users() == sums(("alice", 1))


# A database that cannot be used.

@pytest.fixture
def open_directory():
    """A directory that every user can enter."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="tallyd-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave files that others cannot open")
def test_root_leaves_nothing_in_a_data_dir_of_somebody_else(tmp_path, tallyd):
    for owner, name in ((65534, "nobody"), (54321, "54321")):
        data_dir = tmp_path / name
        data_dir.mkdir()
        os.chown(data_dir, owner, owner)
        code, said = tallyd(directory=tmp_path / f"run-{name}", data_dir=data_dir).start_and_fail()
        assert code == 74 and f"{data_dir} belongs to" in said and name in said, said
        assert list(data_dir.iterdir()) == []


@pytest.fixture
def somebody(open_directory, tallyd):
    """A tallyd that runs as another user than root, in a data_dir of its own."""
    data_dir = open_directory / "data"
    data_dir.mkdir()
    os.chown(data_dir, 65534, 65534)
    daemon = tallyd(directory=open_directory / "run", data_dir=data_dir,
                    wrapper=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
                    binary=shutil.copy(BIN, open_directory / "tallyd"))
    daemon.data_dir = data_dir
    daemon.user = pwd.getpwuid(65534).pw_name
    return daemon


def give_data_dir_away(daemon):
    os.chown(daemon.data_dir, 0, 0)
    daemon.data_dir.chmod(0o750)
    return daemon.data_dir, f"chown -R {daemon.user} {daemon.data_dir}"


def give_database_away(daemon):
    os.chown(daemon.database, 0, 0)
    daemon.database.chmod(0o640)
    return daemon.database, f"chown -R {daemon.user} {daemon.data_dir}"


def give_key_away(daemon):
    os.chown(daemon.data_dir / "key", 0, 0)
    return daemon.data_dir / "key", f"chown -R {daemon.user} {daemon.data_dir}"


def take_journal_rights(daemon):
    (daemon.data_dir / "journal").chmod(0o500)
    return daemon.data_dir / "journal", f"chmod -R u+rwX {daemon.data_dir / 'journal'}"


def give_segments_away(daemon):
    for path in (daemon.data_dir / "journal").iterdir():
        os.chown(path, 0, 0)
        path.chmod(0o640)
    return daemon.data_dir / "journal", f"chown -R {daemon.user} {daemon.data_dir / 'journal'}"


def delete_data_dir(daemon):
    shutil.rmtree(daemon.data_dir)
    return daemon.data_dir, f"install -d -o {daemon.user} -m 0750 {daemon.data_dir}"


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@needs_root
@pytest.mark.parametrize("take", [
    give_data_dir_away, give_database_away, give_key_away, take_journal_rights,
    give_segments_away, delete_data_dir])
def test_a_start_for_which_rights_are_missing_says_who_runs_who_owns_and_the_line_that_mends_it(
        somebody, take):
    somebody.start()
    somebody.report(stats("alice", 1, 2))
    somebody.kill()
    path, mend = take(somebody)
    code, said = somebody.start_and_fail()
    assert code == 74 and str(path) in said and f"tallyd runs as {somebody.user}" in said, said
    assert mend in said, said
    subprocess.run(mend.split(), check=True, timeout=seconds(60))
    somebody.start()


@needs_root
def test_a_configuration_file_that_cannot_be_read_says_who_runs_and_who_owns_it(
        somebody, open_directory):
    for name in ("tallyd.conf", "token"):
        config = open_directory / "tallyd.conf"
        config.write_text(f"data_dir = {somebody.data_dir}\napi_token_file = "
                          f"{open_directory}/token\n")
        (open_directory / "token").write_text("x" * 40 + "\n")
        for each in ("tallyd.conf", "token"):
            (open_directory / each).chmod(0o644 if each != name else 0o600)
        done = subprocess.run(
            [*somebody.wrapper, somebody.binary, "--config", config], check=False, text=True,
            capture_output=True, timeout=seconds(60))
        said = done.stderr
        group = grp.getgrgid(65534).gr_name
        assert done.returncode == 78 and f"tallyd runs as {somebody.user}" in said, said
        assert f"{open_directory / name} belongs to root with mode 0600" in said, said
        assert f"chgrp {group} {open_directory / name}; chmod g+rX" in said, said


@needs_root
def test_rights_that_are_taken_from_a_running_tallyd_are_not_called_a_deleted_database(somebody):
    somebody.expects_errors = True
    somebody.start()
    somebody.report(stats("alice", 1, 2))
    path, mend = give_data_dir_away(somebody)
    wait_for(lambda: somebody.status()["lastSync"]["whatToDo"], "it is noticed")
    wait_for(lambda: "out of reach" in somebody.log(), "it is said")
    data = somebody.status()["lastSync"]
    assert data["error"] == "the database file cannot be reached for want of rights"
    assert "chown" in data["whatToDo"]
    assert mend in somebody.log() and f"{path} belongs to root" in somebody.log()
    assert "moved or deleted" not in somebody.log()
    os.chown(path, 65534, 65534)
    wait_for(lambda: somebody.status()["lastSync"]["failingSince"] is None, "it heals")
    wait_for(lambda: somebody.get("/readyz").status == 200, "reports are accepted again")
    somebody.stop()
    assert somebody.users() == sums(("alice", 1))


def test_a_read_only_database_is_said_to_be_so(open_directory, tallyd):
    wrapper, binary = (), BIN
    data_dir = open_directory / "data"
    data_dir.mkdir()
    if os.geteuid() == 0:
        wrapper = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        binary = shutil.copy(BIN, open_directory / "tallyd")
        os.chown(data_dir, 65534, 65534)
    daemon = tallyd(directory=open_directory / "run", data_dir=data_dir, wrapper=wrapper,
                    binary=binary)
    daemon.data_dir = data_dir
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    os.chown(daemon.database, os.geteuid(), os.getegid())
    daemon.database.chmod(0o444)
    code, said = daemon.start_and_fail()
    assert code == 74 and "tally.db" in said, said
    assert any(word in said.lower() for word in ("readonly", "read-only", "permission")), said
    for path in data_dir.glob("tally.db*"):
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        path.chmod(0o644)
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    assert daemon.users() == sums(("alice", 2))


def test_a_corrupt_database_is_refused_and_left_as_it_is(tallyd):
    daemon = tallyd(max_pending_users=10**6, emergency_flush_size=10**6).start()
    daemon.report(*(stats(f"user-{i}", 1, 2) for i in range(3000)))
    daemon.stop()
    sound = daemon.database.read_bytes()
    for broken in (b"garbage " * 2048, sound[:len(sound) // 2],
                   sound[:8192] + b"\xff" * (len(sound) - 8192)):
        daemon.database.write_bytes(broken)
        code, said = daemon.start_and_fail()
        assert code == 74 and "tally.db" in said, said
        assert daemon.database.read_bytes() == broken
    daemon.database.write_bytes(sound)
    daemon.start()
    assert len(daemon.users()) == 3000


def test_the_database_of_a_newer_tallyd_is_refused(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    daemon.sql("pragma user_version = 99")
    code, said = daemon.start_and_fail()
    assert code == 74 and "99" in said and "newer" in said, said
    assert daemon.sql("pragma user_version") == [(99,)]


def test_somebody_who_moves_applied_seq_stops_the_daemon(tallyd):
    daemon = tallyd().start()
    daemon.expects_errors = True
    daemon.report(stats("alice", 1, 2))
    daemon.force_sync()
    daemon.report(stats("alice", 1, 2))
    daemon.sql("update meta set value = '1000' where key = 'applied_seq'")
    with contextlib.suppress(OSError):
        daemon.post("/force-sync")
    assert daemon.wait_exit() in (70, 74)
    assert daemon.users() == sums(("alice", 1))


def test_an_operators_edit_while_stopped_is_kept(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(stats("alice", 1, 2), stats("bob", 1, 2), stats("carol", 1, 2))
    daemon.stop()
    daemon.sql("update users set used_traffic = 0 where id = 'alice'")
    daemon.sql("delete from users where id = 'bob'")
    daemon.sql("insert into users(id, used_traffic) values ('dave', 1000)")
    daemon.start()
    assert daemon.traffic("alice")["usedTraffic"] == 0
    daemon.report(stats("alice", 1, 2), stats("bob", 1, 2), stats("dave", 1, 2))
    daemon.force_sync()
    expected = {"alice": (3, 2, 4), "bob": (3, 1, 2), "carol": (3, 1, 2), "dave": (1003, 1, 2)}
    assert daemon.users() == expected
    wait_for(lambda: redis.view() == expected, "Redis shows the edit")


def test_an_operators_edit_after_a_kill_is_kept_under_the_journal(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    daemon.force_sync()
    daemon.report(stats("alice", 1, 2))
    daemon.kill()
    daemon.sql("update users set used_traffic = 1000 where id = 'alice'")
    daemon.start()
    assert daemon.users() == {"alice": (1003, 2, 4)}


# Full disks.

def on_disk(tallyd, disk, **options):
    daemon = tallyd(data_dir=disk.path / "data", wrapper=disk.wrapper, **options)
    daemon.data_dir = disk.outside / "data"
    daemon.expects_errors = True
    return daemon


def post_until(daemon, status, limit=20000):
    """Posts one-event reports until one is answered so; the bytes that were answered ok."""
    client = Client(daemon.address)
    for n in range(limit):
        answer = client.post("/observer", report(stats("alice", 1, 2), stats("x" * 200, 1, 2)))
        if answer.status == status:
            client.close()
            return n, answer
        assert answer.status == 200, answer
    raise AssertionError(f"never answered {status}")


def wait_until_accepted(daemon):
    wait_for(lambda: daemon.post("/observer", report(stats("alice", 1, 2), stats(
        "x" * 200, 1, 2))).status == 200, "reports are accepted again")
    return 1


def test_a_full_disk_refuses_reports_until_there_is_room(small_disk, tallyd):
    disk = small_disk(4 << 20)
    daemon = on_disk(tallyd, disk, min_free_bytes=0).start()
    count = 0
    for _ in range(2):
        disk.fill(leave_bytes=100000)
        n, answer = post_until(daemon, 503)
        count += n
        assert answer.body == b"" and answer.headers["content-length"] == "0"
        assert daemon.get("/livez").status == 200
        assert daemon.get("/readyz").status == 503
        assert daemon.traffic("alice")["inputBytes"] == count
        assert daemon.status()["reports"]["refused"] > 0
        disk.empty()
        count += wait_until_accepted(daemon)
        assert daemon.get("/readyz").status == 200
    daemon.force_sync()
    assert daemon.users() == sums(("alice", count), ("x" * 200, count))


def test_a_daemon_killed_on_a_full_disk_has_lost_nothing(small_disk, tallyd):
    disk = small_disk(4 << 20)
    daemon = on_disk(tallyd, disk, min_free_bytes=0).start()
    disk.fill(leave_bytes=50000)
    count, _ = post_until(daemon, 503)
    daemon.kill()
    disk.empty()
    daemon.start()
    assert daemon.users() == sums(("alice", count), ("x" * 200, count))


def test_a_flush_onto_a_full_disk_fails_and_loses_nothing(small_disk, tallyd):
    disk = small_disk(8 << 20)
    daemon = on_disk(tallyd, disk, min_free_bytes=0, retry_delay=50, max_pending_users=10**6,
                     emergency_flush_size=10**6).start()
    names = [f"{i}-".ljust(250, "x") for i in range(6000)]
    for start in range(0, 6000, 1000):
        daemon.report(*(stats(name, 1, 2) for name in names[start:start + 1000]))
    disk.fill(leave_bytes=400000)
    assert daemon.post("/force-sync").status == 503
    data = daemon.status()
    assert data["stats"]["pendingUsers"] == 6000
    assert data["stats"]["failedSyncs"] >= 1
    assert data["lastSync"]["error"]
    daemon.report(stats(names[0], 1, 2))
    disk.empty()
    daemon.force_sync()
    assert daemon.users() == sums(*((name, 1) for name in names[1:]), (names[0], 2))
    assert not daemon.status()["lastSync"]["error"]
    daemon.report(stats(names[0], 1, 2))
    daemon.stop()
    assert daemon.users()[names[0]] == (9, 3, 6)


def test_little_free_space_refuses_reports_before_the_disk_is_full(small_disk, tallyd):
    disk = small_disk(8 << 20)
    daemon = on_disk(tallyd, disk, min_free_bytes="2MiB").start()
    daemon.report(stats("alice", 1, 2), stats("x" * 200, 1, 2))
    count = 1
    disk.fill(leave_bytes=1 << 20)
    wait_for(lambda: daemon.get("/readyz").status == 503, "the little room is noticed")
    answer = daemon.post("/observer", report(stats("alice", 1, 2)))
    assert (answer.status, answer.body) == (503, b"")
    daemon.force_sync()
    assert daemon.users() == sums(("alice", count), ("x" * 200, count))
    assert daemon.post("/observer", report(stats("alice", 1, 2))).status == 503
    disk.empty()
    count += wait_until_accepted(daemon)
    daemon.stop()
    assert daemon.users() == sums(("alice", count), ("x" * 200, count))


def test_a_journal_at_its_limit_refuses_reports_until_a_flush(tallyd):
    daemon = tallyd(journal_max_bytes="1MiB", sync_interval="1h", retry_delay=50,
                    busy_timeout=1)
    daemon.expects_errors = True
    daemon.start()
    with locked(daemon):
        count, answer = post_until(daemon, 503)
        assert answer.body == b""
        assert daemon.status()["journal"]["bytes"] <= 1 << 20
    daemon.force_sync()
    count += wait_until_accepted(daemon)
    daemon.stop()
    assert daemon.users() == sums(("alice", count), ("x" * 200, count))


def test_readyz_tells_of_a_journal_at_its_limit(tallyd):
    daemon = tallyd(journal_max_bytes="64KiB", sync_interval="1h", retry_delay=50,
                    busy_timeout=1)
    daemon.expects_errors = True
    daemon.start()
    with locked(daemon):
        post_until(daemon, 503)
        assert daemon.get("/readyz").status == 503
    daemon.force_sync()
    wait_for(lambda: daemon.get("/readyz").status == 200, "it accepts again")


# Durability of the journal.

@pytest.mark.smoke
@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_every_fsync_policy_answers_and_keeps_what_it_answered(tallyd, policy):
    daemon = tallyd(journal_fsync=policy).start()
    load = Load(daemon.address, 4).start()
    wait_for(lambda: load.n_answered() >= 100, "a hundred answers")
    load.finish()
    daemon.kill()
    daemon.start()
    assert load.check(daemon.users()) == 0


def test_a_database_that_was_deleted_while_in_use_costs_no_byte(tallyd):
    daemon = tallyd(sync_interval="1h", retry_delay=50, stop_timeout=100).start()
    daemon.report(stats("alice", 1, 2))
    for path in daemon.data_dir.glob("tally.db*"):
        path.unlink()
    assert daemon.post("/force-sync").status == 503
    daemon.expects_errors = True
    daemon.stop(expect=74)
    daemon.start()
    assert daemon.users() == {"alice": (3, 1, 2)}
