"""Files that are deleted, moved, replaced or cut under a running tallyd, and what it makes."""
import contextlib
import http.client
import fcntl
import itertools
import os
import pathlib
import shutil
import sqlite3
import subprocess

import pytest

import journal
from admin import with_socket
from deadline import BIN, seconds, wait_for
from tallyd import environment, report, stats
from tallyctl import CTL
from test_store import locked

SOON = {"sync_interval": "1h", "retry_delay": 50, "busy_timeout": 50}


def start(tallyd, **options):
    daemon = tallyd(**SOON | options)
    daemon.expects_errors = True
    return daemon.start()


def is_accepting(daemon):
    return daemon.get("/readyz").status == 200


def wait_until_refused(daemon):
    """Something was noticed that cannot heal yet: what of it is said in the status."""
    wait_for(lambda: not is_accepting(daemon), "it is noticed")
    assert "taken away" in daemon.get("/readyz").json()["journal"]
    data = daemon.status()["journal"]
    assert "taken away" in data["error"]
    answer = daemon.post("/observer", report(stats("bob", 1, 2)))
    assert (answer.status, answer.body) == (503, b"")
    return data["missing"]


def wait_until_healed(daemon, times=1):
    wait_for(lambda: daemon.log().count("the journal is begun anew") >= times and
             is_accepting(daemon), "it is begun anew")
    assert daemon.log().count("the journal was taken away") >= times


def assert_kept(daemon, n):
    """alice has n reports, whether tallyd is killed or goes on."""
    daemon.kill()
    daemon.start()
    assert daemon.users() == {"alice": (3 * n, n, 2 * n)}


# Ways of taking the journal away.

def folder(daemon):
    return daemon.data_dir / "journal"


def delete_files(daemon):
    for path in folder(daemon).iterdir():
        path.unlink()


def delete_current(daemon):
    next(path for path in journal.segments(daemon.data_dir) if path.stat().st_size).unlink()


def delete_folder(daemon):
    shutil.rmtree(folder(daemon))


def move_folder(daemon):
    folder(daemon).rename(daemon.data_dir / "elsewhere")


def replace_folder(daemon):
    move_folder(daemon)
    folder(daemon).mkdir()


def replace_by_a_copy(daemon):
    move_folder(daemon)
    shutil.copytree(daemon.data_dir / "elsewhere", folder(daemon))


def replace_file(daemon):
    path = journal.segments(daemon.data_dir)[0]
    shutil.copy(path, daemon.directory / "copy")
    (daemon.directory / "copy").rename(path)


def cut_file(daemon):
    os.truncate(journal.segments(daemon.data_dir)[0], 45)


WAYS = [delete_files, delete_current, delete_folder, move_folder, replace_folder,
        replace_by_a_copy, replace_file, cut_file]


@pytest.mark.parametrize("take_away", WAYS)
@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_a_journal_that_is_taken_away_is_noticed_and_begun_anew_and_costs_no_byte(
        tallyd, take_away, fsync):
    daemon = start(tallyd, journal_fsync=fsync)
    for n in (1, 2):
        daemon.report(stats("alice", 1, 2))
        take_away(daemon)
        wait_until_healed(daemon, n)
        shutil.rmtree(daemon.data_dir / "elsewhere", ignore_errors=True)
    if "folder" in take_away.__name__ and "replace" not in take_away.__name__:
        assert folder(daemon).stat().st_mode & 0o777 == 0o750
    daemon.report(stats("alice", 1, 2))
    assert_kept(daemon, 3)
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    assert daemon.users() == {"alice": (12, 4, 8)}


def test_a_journal_of_before_that_lies_in_its_place_is_set_aside_and_counts_nothing(tallyd):
    daemon = start(tallyd)
    daemon.report(stats("alice", 1, 2))
    replace_by_a_copy(daemon)
    before = journal.segments(daemon.data_dir)[0].read_bytes()
    wait_until_healed(daemon)
    assert [path.read_bytes() for path in folder(daemon).glob("kept-*/0000000001.seg")] == [
        before]
    assert_kept(daemon, 1)


def test_an_older_segment_that_is_not_committed_is_missed_too(tallyd):
    daemon = start(tallyd)
    with locked(daemon):
        for _ in range(3):
            daemon.report(stats("alice", 1, 2))
            wait_for(lambda: len(journal.segments(daemon.data_dir)) > 1, "a next segment")
            assert daemon.post("/force-sync").status == 503  # its cut began a segment
        journal.segments(daemon.data_dir)[0].unlink()
        assert "0000000001.seg is gone" in wait_until_refused(daemon)
    wait_until_healed(daemon)
    assert_kept(daemon, 3)


def test_while_the_database_is_locked_too_reports_and_commands_get_503_until_it_is_free(tallyd):
    daemon = tallyd(**SOON, max_retries=1)
    daemon.expects_errors = True
    admin = with_socket(daemon)
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    with locked(daemon):
        delete_folder(daemon)
        assert wait_until_refused(daemon) == "journal is gone"
        assert "taken away" in admin.create("hk1", expect=503)["error"]
        wait_for(lambda: "only this process holds" in daemon.log(), "it says what is at stake")
        assert not is_accepting(daemon)
        assert not folder(daemon).exists()
    wait_until_healed(daemon)
    admin.create("hk1")
    assert_kept(daemon, 1)
    assert daemon.sql("select name from nodes") == [("hk1",)]


def test_a_stop_while_journal_and_database_are_out_of_reach_says_what_is_at_stake(tallyd):
    daemon = start(tallyd, stop_timeout=100)
    daemon.report(stats("alice", 1, 2))
    with locked(daemon):
        move_folder(daemon)
        wait_until_refused(daemon)
        daemon.stop(expect=74)
    assert "put it back, or what was accepted since the last flush is lost" in daemon.log()
    assert "the journal holds everything" not in daemon.log()
    (daemon.data_dir / "elsewhere").rename(folder(daemon))
    daemon.start()
    assert daemon.users() == {"alice": (3, 1, 2)}


def test_a_stop_with_the_journal_gone_flushes_and_ends_well(tallyd):
    daemon = start(tallyd)
    daemon.report(stats("alice", 1, 2))
    delete_folder(daemon)
    daemon.stop()
    assert daemon.users() == {"alice": (3, 1, 2)}
    daemon.start()


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_data_dir_that_is_moved_away_refuses_until_it_is_back(tallyd, is_replaced):
    daemon = start(tallyd)
    daemon.report(stats("alice", 1, 2))
    away = daemon.directory / "away"
    daemon.data_dir.rename(away)
    if is_replaced:
        daemon.data_dir.mkdir()
    assert wait_until_refused(daemon) == f"{daemon.data_dir.resolve()} is " + (
        "another folder" if is_replaced else "gone")
    answer = daemon.post("/force-sync")
    assert answer.status == 503 and "moved or deleted" in answer.json()["error"], answer
    if is_replaced:
        assert not list(daemon.data_dir.iterdir())
        daemon.data_dir.rmdir()
    away.rename(daemon.data_dir)
    wait_until_healed(daemon)
    assert_kept(daemon, 1)


def test_a_data_dir_that_was_moved_goes_on_at_its_new_place_with_all_that_was_accepted(tallyd):
    daemon = start(tallyd, stop_timeout=100)
    daemon.report(stats("alice", 1, 2))
    away = daemon.directory / "away"
    daemon.data_dir.rename(away)
    wait_until_refused(daemon)
    daemon.stop(expect=74)
    daemon.data_dir = daemon.options["data_dir"] = away
    daemon.start()
    assert daemon.users() == {"alice": (3, 1, 2)}


# The lock.

@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_deleted_lock_lets_no_second_tallyd_in_and_is_made_again(tallyd, is_replaced):
    daemon = start(tallyd)
    daemon.report(stats("alice", 1, 2))
    lock = daemon.data_dir / "lock"
    for _ in range(2):
        before = lock.stat().st_ino
        if is_replaced:
            (daemon.directory / "copy").write_text("1\n")
            (daemon.directory / "copy").rename(lock)
        else:
            lock.rename(daemon.directory / "old")
        code, said = tallyd(data_dir=daemon.data_dir).start_and_fail()
        assert code == 75 and "in use" in said, said
        wait_for(lambda: lock.exists() and lock.stat().st_ino != before
                 and lock.read_text() == f"{daemon.process.pid}\n", "the lock is made again")
    assert is_accepting(daemon)
    assert "the lock was deleted or replaced" in daemon.log()
    daemon.report(stats("alice", 1, 2))
    assert_kept(daemon, 2)


def test_while_another_program_has_taken_the_lock_nothing_is_accepted(tallyd):
    daemon = start(tallyd)
    daemon.report(stats("alice", 1, 2))
    (daemon.directory / "copy").touch()
    with open(daemon.directory / "copy", encoding="utf-8") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        (daemon.directory / "copy").rename(daemon.data_dir / "lock")
        assert "in use" in wait_until_refused(daemon)
    wait_until_healed(daemon)
    assert_kept(daemon, 1)


# The database.

def test_a_flush_that_cannot_heal_says_what_to_do_and_how_long_the_journal_has_room(tallyd):
    daemon = start(tallyd, max_retries=1, sync_interval=300, journal_max_bytes="1GiB")
    data = daemon.status()
    assert data["lastSync"]["failingSince"] is data["lastSync"]["whatToDo"] is None
    assert data["journal"]["fullInSeconds"] is None
    away = daemon.directory / "tally.db"
    daemon.report(stats("alice", 1, 2))
    daemon.force_sync()
    daemon.database.rename(away)
    daemon.report(stats("alice", 1, 2))
    wait_for(lambda: "flush keeps failing and needs your help" in daemon.log(), "a call for help")
    line = next(line for line in daemon.log().splitlines() if "keeps failing" in line)
    assert 'reason="the database file was moved or deleted"' in line, line
    assert 'what_to_do="put that very file back' in line, line
    assert "has room for" in line, line
    data = daemon.status()
    assert data["lastSync"]["failingSince"] > 1e12
    assert data["lastSync"]["whatToDo"].startswith("put that very file back")
    assert data["lastSync"]["error"] == "the database file was moved or deleted"
    assert data["journal"]["maxBytes"] == 1 << 30
    assert data["journal"]["fullInSeconds"] > 60
    assert is_accepting(daemon)
    wait_for(lambda: daemon.status()["stats"]["failedSyncs"] >= 8, "more failures")
    assert daemon.log().count("flush keeps failing") == 1  # not with each
    assert daemon.log().count("nothing is lost, it is tried again") == 1
    away.rename(daemon.database)
    wait_for(lambda: daemon.status()["lastSync"]["failingSince"] is None, "it heals by itself")
    assert "flush works again" in daemon.log()
    assert daemon.status()["lastSync"]["whatToDo"] is None
    assert daemon.users() == {"alice": (6, 2, 4)}


def unlink_database(daemon):
    daemon.database.unlink()


def move_database(daemon):
    daemon.database.rename(daemon.directory / "elsewhere.db")


def replace_database(daemon):
    shutil.copy(daemon.database, daemon.directory / "copy.db")
    (daemon.directory / "copy.db").rename(daemon.database)


@pytest.mark.parametrize("take_away", [unlink_database, move_database, replace_database])
def test_a_database_that_is_taken_away_is_noticed_before_anything_has_to_be_flushed(
        tallyd, take_away):
    daemon = start(tallyd)
    assert daemon.status()["lastSync"]["failingSince"] is None
    take_away(daemon)
    wait_for(lambda: daemon.status()["lastSync"]["failingSince"], "it is noticed")
    data = daemon.status()
    assert data["stats"]["failedSyncs"] == 0  # no flush was needed for that
    assert data["lastSync"]["error"] == "the database file was moved or deleted"
    assert data["lastSync"]["whatToDo"].startswith("put that very file back")
    assert is_accepting(daemon)
    daemon.report(stats("alice", 1, 2))
    assert data["journal"]["error"] is None
    line = next(line for line in daemon.log().splitlines() if "out of reach" in line)
    assert "do not stop tallyd" in line and str(daemon.database.resolve()) in line, line
    if take_away is move_database:
        (daemon.directory / "elsewhere.db").rename(daemon.database)
        wait_for(lambda: daemon.status()["lastSync"]["failingSince"] is None, "it is back")
        assert "the database file is there again" in daemon.log()
        daemon.force_sync()
        assert daemon.users() == {"alice": (3, 1, 2)}
    assert daemon.log().count("out of reach") == 1
    daemon.kill()


def test_with_the_journal_gone_too_nobody_is_told_that_it_holds_what_was_accepted(tallyd):
    daemon = start(tallyd, stop_timeout=100)
    daemon.report(stats("alice", 1, 2))
    with locked(daemon):
        delete_folder(daemon)
        unlink_database(daemon)
        wait_for(lambda: "out of reach" in daemon.log(), "it is noticed")
        wait_until_refused(daemon)
        daemon.stop(expect=74)
    line = next(line for line in daemon.log().splitlines() if "out of reach" in line)
    assert "only this process holds what was accepted" in line, line
    assert "the journal holds" not in daemon.log()


def readme_block(heading):
    """The indented lines behind a heading of README.md."""
    text = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text()
    lines = text[text.index(heading):].splitlines()
    indented = itertools.dropwhile(lambda line: not line.startswith("    "), lines)
    return list(itertools.takewhile(lambda line: line.startswith("    "), indented))


def test_a_deleted_database_is_saved_as_the_readme_says(tallyd):
    daemon = start(tallyd)
    for _ in range(3):
        daemon.report(stats("alice", 1, 2))
        daemon.force_sync()
    daemon.report(stats("alice", 1, 2))
    for path in daemon.data_dir.glob("tally.db*"):
        path.unlink()
    assert daemon.post("/force-sync").status == 503
    *save, kill = readme_block("**A deleted database")
    assert "systemctl kill -s KILL tallyd" in kill
    save = "\n".join(save).replace("$(systemctl show -P MainPID tallyd)",
                                   str(daemon.process.pid))
    subprocess.run(["sh", "-ec", save.replace("/var/lib/tallyd", str(daemon.data_dir))],
                   check=True, timeout=seconds(60))
    daemon.kill()
    daemon.start()
    assert daemon.users() == {"alice": (12, 4, 8)}


# What it makes, and what it does not follow.

def modes(directory):
    return {path.relative_to(directory).as_posix(): path.stat().st_mode & 0o777
            for path in directory.rglob("*")} | {".": directory.stat().st_mode & 0o777}


@pytest.mark.parametrize("umask", ["000", "022", "077", "0777"])
def test_what_is_made_in_data_dir_has_the_same_rights_whatever_the_umask(tallyd, umask):
    daemon = tallyd(wrapper=("sh", "-c", f'umask {umask}; exec "$@"', "sh"), **SOON)
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    daemon.force_sync()
    wait_for(lambda: len(journal.segments(daemon.data_dir)) == 2, "the next segment")
    found = modes(daemon.data_dir)
    assert found.pop(".") == found.pop("journal") == 0o750
    assert found.pop("key") == 0o600
    assert {"tally.db", "tally.db-wal", "tally.db-shm", "lock"} < set(found)
    assert set(found.values()) == {0o640}, found


def test_rights_that_an_operator_has_set_stay(tallyd):
    daemon = tallyd(**SOON).start()
    daemon.stop()
    daemon.database.chmod(0o664)
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    daemon.force_sync()
    assert daemon.database.stat().st_mode & 0o777 == 0o664


@pytest.mark.parametrize("name", ["lock", "key", "journal", "tally.db", "tally.db-wal",
                                  "journal/0000000001.seg"])
def test_nothing_in_data_dir_may_be_a_symbolic_link(tallyd, name):
    daemon = tallyd(**SOON).start()
    daemon.report(stats("alice", 1, 2))
    daemon.kill()
    path, target = daemon.data_dir / name, daemon.directory / "target"
    path.rename(target)
    path.symlink_to(target)
    before = target.read_bytes() if target.is_file() else None
    code, said = daemon.start_and_fail()
    assert code == 74 and f"{name} is a symbolic link" in said, said
    assert before is None or target.read_bytes() == before
    path.unlink()
    target.rename(path)
    link = daemon.directory / "link"
    link.symlink_to(daemon.data_dir)  # data_dir itself may be one
    daemon.options["data_dir"] = link
    daemon.start()
    assert daemon.users() == {"alice": (3, 1, 2)}


def test_kept_journals_are_bounded_and_the_newest_stay(tallyd):
    daemon = tallyd(**SOON).start()
    daemon.stop()
    for at_ms in range(1000, 1030):
        (folder(daemon) / f"kept-{at_ms}").mkdir()
        (folder(daemon) / f"kept-{at_ms}" / "0000000001.seg").write_bytes(b"x" * 100)
    daemon.start()
    left = sorted(path.name for path in folder(daemon).glob("kept-*"))
    assert left == [f"kept-{at_ms}" for at_ms in range(1014, 1030)]
    assert daemon.log().count("an old kept journal was deleted") == 14


# Descriptors 0, 1 and 2.

def links(pid, *fds):
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in fds]


@pytest.mark.parametrize("closed", [(0, 1, 2), (0,), (1,), (2,), (0, 2)])
def test_descriptors_0_1_and_2_that_are_closed_at_the_start_lead_to_dev_null(tallyd, closed):
    shut = " ".join(f"{fd}>&-" for fd in closed)
    daemon = tallyd(wrapper=("sh", "-c", f'exec "$@" {shut}', "sh"), **SOON).start()
    daemon.report(stats("alice", 1, 2))
    pid = daemon.process.pid
    assert links(pid, *closed) == ["/dev/null"] * len(closed)
    usual = {0: "/dev/null", 1: str(daemon.stdout_path), 2: str(daemon.stderr_path)}
    left = [fd for fd in usual if fd not in closed]
    assert links(pid, *left) == [usual[fd] for fd in left]
    daemon.send_signal(15)
    assert daemon.wait_exit() == 0
    assert daemon.users() == {"alice": (3, 1, 2)}


@pytest.mark.parametrize("command", [[BIN, "--version"], [BIN, "--print-config"],
                                     [str(CTL), "--version"], [str(CTL), "--help"]])
def test_output_that_has_nowhere_to_go_is_a_failure_and_goes_nowhere_else(command):
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], check=False,
                          env=environment(), timeout=seconds(60))
    assert done.returncode == 74


# SQLite's write-ahead log

def replace_wal_by_a_copy(path):
    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    os.replace(copy, path)


TAKE_WAL = {
    "deleted": lambda wal: wal.unlink(),
    "moved": lambda wal: wal.rename(wal.with_suffix(".away")),
    "cut": lambda wal: os.truncate(wal, 0),
    "cut in half": lambda wal: os.truncate(wal, wal.stat().st_size // 2),
    "replaced": replace_wal_by_a_copy,
    "deleted with its index": lambda wal: (wal.unlink(),
                                           wal.with_name("tally.db-shm").unlink()),
    "its index deleted": lambda wal: wal.with_name("tally.db-shm").unlink(),
}
OPENED_AGAIN = "tally.db-wal or tally.db-shm was moved or deleted: nothing is lost"


def report_and_flush(daemon):
    daemon.report(stats("alice", 10, 20))
    daemon.force_sync()


@contextlib.contextmanager
def reading(daemon):
    """Another program in a transaction: what is committed meanwhile stays in the log."""
    with contextlib.closing(sqlite3.connect(daemon.database, isolation_level=None)) as other:
        other.execute("begin")
        other.execute("select * from users").fetchall()
        yield other


@pytest.mark.parametrize("how", TAKE_WAL)
def test_a_write_ahead_log_that_is_taken_away_costs_no_byte(how, tallyd):
    daemon = tallyd(sync_interval="1h").start()
    wal = daemon.data_dir / "tally.db-wal"
    for i in range(4):
        report_and_flush(daemon)
        if i == 1:
            TAKE_WAL[how](wal)
    assert wal.exists()  # before it was needed: a flush that ends in the middle is made good
    assert daemon.log().count(OPENED_AGAIN) == int("cut" not in how)
    daemon.report(stats("alice", 10, 20))
    daemon.kill()
    daemon.start()
    assert daemon.users() == {"alice": (150, 50, 100)}


def test_while_another_program_reads_nothing_depends_on_a_deleted_write_ahead_log(tallyd):
    daemon = tallyd(sync_interval="1h", retry_delay=20).start()
    report_and_flush(daemon)
    with reading(daemon):
        report_and_flush(daemon)  # into the log alone, which is there
        (daemon.data_dir / "tally.db-wal").unlink()
        daemon.report(stats("alice", 10, 20))
        answer = daemon.post("/force-sync")
        assert answer.status == 503 and "another program" in answer.json()["error"], answer
    wait_for(lambda: daemon.post("/force-sync").status == 200, "the other program has ended")
    assert daemon.log().count(OPENED_AGAIN) == 1
    daemon.kill()
    daemon.start()
    assert daemon.users() == {"alice": (90, 30, 60)}


@pytest.mark.parametrize("how", TAKE_WAL)
def test_what_another_program_keeps_in_the_write_ahead_log_is_in_the_journal_as_well(how, tallyd):
    daemon = tallyd(sync_interval="1h").start()
    report_and_flush(daemon)
    with reading(daemon):
        report_and_flush(daemon)
        report_and_flush(daemon)
        assert daemon.status()["journal"]["records"] == 2
        TAKE_WAL[how](daemon.data_dir / "tally.db-wal")
        daemon.kill()
    daemon.start()
    assert daemon.users() == {"alice": (90, 30, 60)}


@pytest.mark.parametrize("left", [0, 32 + 24 + 4096])  # nothing, or the first page of several
def test_a_write_ahead_log_that_is_cut_while_another_program_reads_spoils_no_database(
        left, tallyd):
    daemon = tallyd(sync_interval="1h", emergency_flush_size=10**6, max_pending_users=10**6).start()
    daemon.expects_errors = True
    users = [f"user{i}" for i in range(500)]
    daemon.report(*(stats(user, 100, 0) for user in users))
    daemon.force_sync()
    with reading(daemon):
        daemon.report(*(stats(user, 7, 0) for user in users))
        daemon.force_sync()
        os.truncate(daemon.data_dir / "tally.db-wal", left)
        daemon.report(stats("user1", 1000, 0))
        with contextlib.suppress(OSError, http.client.HTTPException):
            daemon.post("/force-sync")
        assert daemon.wait_exit() == 74
        assert "was cut off" in daemon.log()
    daemon.start()
    assert daemon.users() == {user: (n, n, 0) for user in users
                              for n in (107 + 1000 * (user == "user1"),)}
    assert daemon.sql("pragma integrity_check") == [("ok",)]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_reader_with_an_index_of_its_own_spoils_no_database(end, tallyd):
    """It came behind the deletion, and closes last: then it moves what its index says."""
    daemon = tallyd(sync_interval="1h").start()
    report_and_flush(daemon)
    report_and_flush(daemon)
    (daemon.data_dir / "tally.db-shm").unlink()
    with contextlib.closing(sqlite3.connect(daemon.database, isolation_level=None)) as other:
        assert other.execute("select used_traffic from users").fetchall() == [(60,)]
        report_and_flush(daemon)
        report_and_flush(daemon)
        assert other.execute("select used_traffic from users").fetchall() == [(120,)]
        getattr(daemon, end)()
    daemon.start()
    assert daemon.users() == {"alice": (120, 40, 80)}
    assert daemon.sql("pragma integrity_check") == [("ok",)]


def test_a_database_that_was_emptied_is_told_of(tallyd):
    daemon = tallyd(sync_interval="1h").start()
    daemon.expects_errors = True
    report_and_flush(daemon)
    whole = daemon.database.read_bytes()
    os.truncate(daemon.database, 0)
    wait_for(lambda: "tally.db was emptied" in daemon.log(), "it is noticed")
    daemon.report(stats("alice", 10, 20))
    assert daemon.post("/force-sync").status == 503
    daemon.kill()
    daemon.database.write_bytes(whole)
    daemon.start()
    assert daemon.users() == {"alice": (60, 20, 40)}
