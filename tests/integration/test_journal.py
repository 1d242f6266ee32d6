"""What the segment files say about durability."""
import pathlib
import socket

import pytest

import journal
from conftest import build_preload
from deadline import ROOT, wait_for
from oracle import Load
from tallyd import report, stats


def test_with_fsync_always_no_answer_comes_before_its_record_is_synced(tallyd):
    daemon = tallyd(journal_fsync="always").start()
    for _ in range(30):
        daemon.report(stats("alice", 1, 2))
    found = journal.records(daemon.data_dir)
    assert len(found) == 30
    for before, record in zip(found, found[1:]):
        assert record.synced_seq == before.seq


def test_concurrent_reports_share_their_syncs(tallyd):
    daemon = tallyd(journal_fsync="always").start()
    load = Load(daemon.address, 8).start()
    wait_for(lambda: load.n_answered() >= 300, "three hundred answers")
    load.finish()
    found = journal.records(daemon.data_dir)
    assert [record.seq for record in found] == list(range(1, len(found) + 1))
    for record in found:
        assert record.synced_seq < record.seq
        assert record.synced_seq >= record.seq - 8
    daemon.stop()
    assert load.check(daemon.users()) == 0


@pytest.fixture
def on_held_disk(tallyd, tmp_path):
    """(a daemon whose answers wait for a disk, the file that says what of it stands still)."""
    hold = tmp_path / "hold"
    env = {"LD_PRELOAD": str(build_preload("hold_disk", tmp_path)), "HOLD": str(hold)}
    daemon = tallyd(journal_fsync="always", env=env).start()
    yield daemon, hold
    hold.unlink(missing_ok=True)


def post_and_wait_for_nothing(daemon, body):
    client = socket.create_connection(daemon.address)
    client.sendall(f"POST /observer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}"
                   f"\r\n\r\n{body}".encode())
    return client


def test_a_report_is_refused_before_the_write_while_a_sync_is_overdue(on_held_disk):
    daemon, hold = on_held_disk
    daemon.expects_errors = True
    daemon.report(stats("alice", 1, 2))
    hold.write_text("sync")
    with post_and_wait_for_nothing(daemon, report(stats("alice", 10))):
        wait_for(lambda: daemon.get("/readyz").status == 503, "it is not ready")
        before = len(journal.records(daemon.data_dir))
        for _ in range(3):
            assert daemon.post("/observer", report(stats("alice", 100))).status == 503
        assert daemon.status()["journal"]["error"] == (
            "the disk takes too long to sync the journal")
        assert daemon.get("/readyz").json()["journal"] == daemon.status()["journal"]["error"]
        assert len(journal.records(daemon.data_dir)) == before == 2
    assert daemon.log().count("reports are refused until it is quicker") == 1
    hold.unlink()
    wait_for(lambda: daemon.get("/readyz").status == 200, "it is ready again")
    daemon.report(stats("alice", 4))
    assert "in time again" in daemon.log()
    daemon.stop()
    assert daemon.users() == {"alice": (17, 15, 2)}


def test_no_answer_waits_until_the_next_segment_is_made(on_held_disk):
    daemon, hold = on_held_disk
    daemon.report(stats("alice", 1))
    hold.write_text("files")
    daemon.force_sync()
    daemon.report(stats("alice", 1))
    made = {path.name for path in (daemon.data_dir / "journal").glob("*.seg")}
    for _ in range(10):
        daemon.report(stats("alice", 1))
        daemon.force_sync()
    now = {path.name for path in (daemon.data_dir / "journal").glob("*.seg")}
    assert now == made
    hold.unlink()
    wait_for(lambda: made.isdisjoint(path.name for path in
                                     (daemon.data_dir / "journal").glob("*.seg")),
             "old segments go, and new ones come")
    daemon.report(stats("alice", 1))
    daemon.stop()
    assert daemon.users() == {"alice": (13, 13, 0)}


def test_no_job_of_the_pool_waits_for_one_of_another_kind(tallyd):
    """Each is handed to it in one place of the source, and one at a time."""
    kinds = sum(source.read_text().count(call) for source in (ROOT / "src").glob("*/*.c")
                for call in ("uv_queue_work(", "uv_getaddrinfo("))
    daemon = tallyd().start()
    daemon.report(stats("alice", 1))
    threads = [path.name for path in
               pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir()]
    assert len(threads) >= 1 + kinds > 5


def test_sequences_have_no_gaps_over_flushes_and_restarts(tallyd):
    daemon = tallyd().start()
    seen, sent = [], 0

    def report_and_look():
        nonlocal sent
        daemon.report(stats("alice", 1, 2))
        sent += 1
        seen.extend(record.seq for record in journal.records(daemon.data_dir)
                    if record.seq not in seen)

    def drops():
        report_and_look()
        daemon.force_sync()
        return not journal.records(daemon.data_dir)

    for _ in range(3):
        wait_for(drops, "a flush that drops the journal")
        for _ in range(5):
            report_and_look()
        daemon.kill()
        daemon.start()
        assert not journal.records(daemon.data_dir)
    assert seen == list(range(1, sent + 1))
    assert daemon.sql("select value from meta where key = 'applied_seq'") == [(str(sent),)]
    assert daemon.users() == {"alice": (3 * sent, sent, 2 * sent)}


@pytest.mark.parametrize("name", ["18446744073709551615.seg", "18446744073709551616.seg",
                                  "9223372036854775808.seg"])
def test_a_stray_segment_with_an_impossible_number_ends_the_start_and_costs_no_report(
        tallyd, name):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    daemon.kill()
    stray = daemon.data_dir / "journal" / name
    stray.touch()
    before = journal.records(daemon.data_dir)
    code, said = daemon.start_and_fail()
    assert code == 74
    assert name in said and "move that file out of the folder" in said
    assert journal.records(daemon.data_dir) == before
    stray.unlink()
    daemon.start()
    daemon.report(stats("alice", 10, 20))  # answered: it is in the journal
    daemon.kill()
    daemon.start()
    assert daemon.traffic("alice")["usedTraffic"] == 33
    assert not (daemon.data_dir / "journal" / "0000000000.seg").exists()


def test_a_report_in_a_segment_of_number_0_is_counted(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    daemon.kill()
    segments = journal.segments(daemon.data_dir)
    segments[0].rename(segments[0].with_name("0000000000.seg"))
    daemon.start()
    assert daemon.traffic("alice")["usedTraffic"] == 3


@pytest.mark.parametrize("statement, place", [
    ("update meta set value = '9223372036854775807' where key = 'applied_seq'", "applied_seq"),
    ("insert into open_reports values ('default', 'handler', 'service-0', zeroblob(16), 1, 1, "
     "9223372036854775807)", "connection"),
    ("update services set epoch = 9223372036854775807", "epoch"),
    ("update services set updated_at = 9223372036854775807", "updated_at"),
    ("update users set last_seen_at = -1", "last_seen_at"),
    ("update users set life = 9223372036854775807", "life"),
    ("insert into meta values ('redis_link', '18446744073709551615')", "redis_link"),
])
def test_a_row_with_an_impossible_number_ends_the_start_with_its_place(
        tallyd, statement, place):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    copy = daemon.database.read_bytes()
    daemon.sql(statement)
    code, said = daemon.start_and_fail()
    assert code == 74
    assert place in said and "never writes" in said and "tally.db, table" in said
    daemon.database.write_bytes(copy)
    daemon.start()
    daemon.report(stats("alice", 10, 20))
    assert daemon.traffic("alice")["usedTraffic"] == 33


def test_times_of_2099_after_which_the_clock_was_set_back_do_no_harm(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    in_2099 = 4070908800000
    daemon.sql("update users set created_at = ?, last_seen_at = ?", in_2099, in_2099)
    daemon.sql("update services set updated_at = ?", in_2099)
    daemon.sql("insert into open_reports values ('default', 'handler', 'service-0', "
               "zeroblob(16), ?, 1, ?)", in_2099, in_2099 * 1000)
    daemon.start()
    daemon.report(stats("alice", 10, 20), stats("bob", 1, 1))
    daemon.kill()
    daemon.start()
    daemon.report(stats("alice", 100, 200))
    connections = {record.conn for record in journal.records(daemon.data_dir)}
    assert min(connections) > in_2099 * 1000  # none is used twice
    daemon.force_sync()
    assert daemon.users() == {"alice": (333, 111, 222), "bob": (2, 1, 1)}
