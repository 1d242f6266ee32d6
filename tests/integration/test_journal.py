"""What the segment files say about durability."""
import journal
from deadline import wait_for
from oracle import Load
from tallyd import stats


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
