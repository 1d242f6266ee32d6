"""kill -9, torn and broken journals: no acknowledged byte is lost, none is counted twice."""
import contextlib
import json
import os
import random
import shutil
import sqlite3
import time

import pytest

import journal
from admin import with_socket
from deadline import wait_for
from oracle import Load, shared_sums
from seed import SEED
from tallyd import report, stats

KILLS = int(os.environ.get("CRASH_KILLS", 50))
START_KILLS = int(os.environ.get("CRASH_START_KILLS", 12))


def agrees(redis, daemon):
    """The view in Redis equals SQLite, user by user."""
    return redis.view() == daemon.users()


def ledger(daemon, users):
    """What the daemon itself says of `users`."""
    client = daemon.client()
    found = {}
    for user in users:
        answer = client.get(f"/users/{user}/traffic").json()
        found[user] = (answer["usedTraffic"], answer["inputBytes"], answer["outputBytes"])
    client.close()
    return found


def test_a_daemon_killed_again_and_again_has_lost_no_acknowledged_byte(redis, tallyd):
    rng = random.Random(SEED)
    print(f"seed {SEED}, {KILLS} kills")
    daemon = tallyd(redis_url=redis.url, sync_interval=100, retry_delay=20,
                    emergency_flush_size=100, max_pending_users=200).start()
    load = Load(daemon.address, 8).start()
    for _ in range(KILLS):
        enough = load.n_answered() + rng.randrange(1, 400)
        moment = time.monotonic() + rng.random() * 0.15
        wait_for(lambda: time.monotonic() > moment or load.n_answered() > enough, "the moment")
        daemon.kill()
        acked = load.acked()
        daemon.start()
        some = [u for u in acked if u.startswith("shared-")] + rng.sample(
            sorted(acked), min(10, len(acked)))
        for user, (_, input_bytes, _) in ledger(daemon, some).items():
            assert input_bytes >= acked[user], user
    goal = load.n_answered() + 50
    wait_for(lambda: load.n_answered() > goal, "every sender is answered again")
    load.finish()
    daemon.force_sync()
    counted = daemon.users()
    twice = load.check(counted)
    assert load.acked().keys() == counted.keys()
    own, shared = shared_sums(counted)
    assert own == shared
    sample = rng.sample(sorted(counted), min(300, len(counted)))
    assert ledger(daemon, sample) == {user: counted[user] for user in sample}
    wait_for(lambda: agrees(redis, daemon), "Redis equals SQLite")
    print(f"{load.n_answered()} reports acknowledged, {twice} counted twice by a repeat")


def test_a_daemon_killed_while_it_starts_has_lost_nothing(tallyd):
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    daemon = tallyd(retry_delay=20).start()
    expected = {}
    for round_ in range(START_KILLS):
        for i in range(50):
            user = f"u{(round_ * 7 + i) % 80}"
            daemon.report(stats(user, 1, 2))
            used, input_bytes, output_bytes = expected.get(user, (0, 0, 0))
            expected[user] = (used + 3, input_bytes + 1, output_bytes + 2)
        began = time.monotonic()
        daemon.kill()
        daemon.start()
        takes = time.monotonic() - began
        for _ in range(3):
            daemon.kill()
            daemon.spawn()
            moment = time.monotonic() + rng.random() * takes
            wait_for(lambda: time.monotonic() > moment, "the moment")
        daemon.kill()
        daemon.start()
    daemon.stop()
    assert daemon.users() == expected


@pytest.mark.smoke
def test_a_killed_daemon_has_everything_without_any_flush(tallyd):
    daemon = tallyd().start()
    for _ in range(20):
        daemon.report(stats("alice", 1, 2), stats("bob", 10, 20), query="?node=hk1")
    assert daemon.status()["stats"]["totalSyncs"] == 0
    daemon.kill()
    daemon.start()
    assert daemon.traffic("alice")["usedTraffic"] == 60
    assert daemon.users() == {"alice": (60, 20, 40), "bob": (600, 200, 400)}
    assert daemon.sql("select node, input_bytes from services") == [("hk1", 220)]


# Between the commit and the end of the segments.

@pytest.mark.smoke
def test_segments_that_outlived_their_flush_are_not_counted_again(tallyd, tmp_path):
    daemon = tallyd().start()
    for i in range(30):
        daemon.report(stats(f"u{i % 3}", i, 2 * i))
    before = tmp_path / "before"
    shutil.copytree(daemon.data_dir / "journal", before)
    old = daemon.data_dir / "journal" / sorted(os.listdir(before))[0]
    fillers = 0

    def is_dropped():
        nonlocal fillers
        daemon.force_sync()
        if old.exists():
            daemon.report(stats("filler", 1, 2))
            fillers += 1
        return not old.exists()

    wait_for(is_dropped, "the old segment is dropped")
    for i in range(30, 40):
        daemon.report(stats(f"u{i % 3}", i, 2 * i))
    daemon.kill()
    for path in before.iterdir():
        if not (daemon.data_dir / "journal" / path.name).exists():
            shutil.copy(path, daemon.data_dir / "journal")
    assert old.exists()
    sums = {f"u{k}": sum(range(k, 40, 3)) for k in range(3)}
    if fillers:
        sums["filler"] = fillers
    for _ in range(2):
        daemon.start()
        assert daemon.users() == {user: (3 * s, s, 2 * s) for user, s in sums.items()}
        daemon.kill()


# Torn tails.

def garbage(rng, daemon):
    """What a crash may leave behind the last whole record."""
    last = journal.records(daemon.data_dir)[-1]
    record = last.path.read_bytes()[last.offset:last.offset + last.size]
    return [b"\x07" * 33, b"\x00" * 4096, b"\xff" * 100, rng.randbytes(1), rng.randbytes(7),
            rng.randbytes(56), rng.randbytes(5000), record[:-1], record[:20], record[:56]]


def test_a_torn_tail_is_cut_and_whole_records_are_kept(tallyd):
    daemon = tallyd().start()
    rng = random.Random(SEED)
    count = 0
    for case in range(10):
        for _ in range(5):
            daemon.report(stats("alice", 1, 2))
            count += 1
        daemon.kill()
        tail = garbage(rng, daemon)[case]
        path = journal.records(daemon.data_dir)[-1].path
        with open(path, "ab") as file:
            file.write(tail)
        daemon.start()
        assert daemon.users() == {"alice": (3 * count, count, 2 * count)}, (case, SEED)
        assert any(path.name in line and " warn" in line
                   for line in daemon.log().splitlines()), (case, daemon.log())
        kept = [p.read_bytes() for p in (daemon.data_dir / "journal").glob("kept-*/*")]
        assert any(data.endswith(tail) for data in kept), case


def test_a_hole_in_the_journal_of_a_full_disk_is_no_fault_of_the_memory(small_disk, tallyd):
    """A loss of power can leave a length without its data."""
    disk = small_disk(4 << 20)
    daemon = tallyd(directory=disk.path / "t", wrapper=disk.wrapper, min_free_bytes=0).start()
    daemon.report(stats("alice", 1, 2))
    daemon.kill()
    last = journal.records(daemon.data_dir)[-1].path
    os.truncate(last, last.stat().st_size + 500_000)
    disk.fill()
    code, _ = daemon.start_and_fail()
    assert code == 74
    disk.empty()
    daemon.start()
    assert daemon.users() == {"alice": (3, 1, 2)}


def test_a_last_segment_that_was_never_begun_is_no_obstacle(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    for content in (b"", b"TALL", b"TALLYJ1\n" + b"\0" * 20):
        daemon.kill()
        last = journal.segments(daemon.data_dir)[-1]
        (last.parent / f"{int(last.stem) + 1:010}.seg").write_bytes(content)
        daemon.start()
        daemon.report(stats("alice", 1, 2))
    daemon.stop()
    assert daemon.users() == {"alice": (12, 4, 8)}


# Corruption.

def killed_with_records(daemon, n):
    """A dead daemon whose journal holds n records of one user each, all but the last synced."""
    daemon.options["journal_fsync"] = "always"
    daemon.start()
    for i in range(n):
        daemon.report(stats(f"u{i}", i + 1, 0))
    daemon.kill()
    found = journal.records(daemon.data_dir)
    assert len(found) == n
    assert found[-1].synced_seq == found[-2].seq
    return found


def snapshot(directory):
    return {path: path.read_bytes() for path in sorted(directory.rglob("*.seg"))}


def totals(n, missing=()):
    return {f"u{i}": (i + 1, i + 1, 0) for i in range(n) if i not in missing}


@pytest.mark.parametrize("where", [8, 60, -1])
def test_a_synced_record_that_is_broken_stops_the_start_until_salvaged(tallyd, where):
    daemon = tallyd()
    found = killed_with_records(daemon, 20)
    record = found[5]
    journal.flip_byte(record.path, record.offset + (where if where >= 0 else record.size - 1))
    before = snapshot(daemon.data_dir / "journal")
    for _ in range(2):
        code, said = daemon.start_and_fail()
        assert code == 74
        assert record.path.name in said and str(record.offset) in said, said
        assert "--salvage" in said, said
    assert snapshot(daemon.data_dir / "journal") == before
    done = daemon.run("--salvage")
    assert done.returncode == 0, done.stderr
    daemon.start()
    assert daemon.users() == totals(20, missing=[5])
    daemon.report(stats("u5", 1, 1))
    daemon.stop()
    assert daemon.users() == totals(20, missing=[5]) | {"u5": (2, 1, 1)}
    kept = [p.read_bytes() for p in (daemon.data_dir / "journal").glob("kept-*/*")]
    assert any(data in before.values() for data in kept), "salvage threw the broken file away"


@pytest.mark.parametrize("is_open", [True, False])
def test_a_damaged_first_record_is_named_and_salvage_says_what_may_be_lost(tallyd, is_open):
    daemon = tallyd(journal_fsync="always", sync_interval="1h")
    admin = with_socket(daemon)
    daemon.start()
    if not is_open:
        admin.do("POST", "/nodes/close")
        admin.flush()
    admin.create("hk1")
    admin.create("hk2")
    daemon.kill()
    first = journal.records(daemon.data_dir)[0]
    journal.flip_byte(first.path, first.offset + 60)
    code, said = daemon.start_and_fail()
    assert code == 74 and "the journal is corrupt" in said, said
    assert f"{first.path.name}, offset {first.offset}" in said, said
    assert "older than its journal" not in said, said
    said = daemon.run("--salvage").stderr
    assert "records are lost" in said and "node's secret" in said, said
    assert "places=1 records_at_least=1" in said, said
    assert f"names without a secret may {'' if is_open else 'not '}report" in said, said
    daemon.start()
    assert daemon.sql("select name from nodes") == [("hk2",)]


def test_a_broken_segment_head_hides_no_record(tallyd):
    daemon = tallyd()
    found = killed_with_records(daemon, 10)
    journal.flip_byte(found[0].path, 10)
    daemon.start()
    assert daemon.users() == totals(10)


def test_synced_records_cut_off_stop_the_start(tallyd):
    daemon = tallyd()
    found = killed_with_records(daemon, 10)
    with open(found[0].path, "r+b") as file:
        file.seek(found[4].offset)
        file.write(b"\0" * (found[9].offset - found[4].offset))
    code, said = daemon.start_and_fail()
    assert code == 74 and str(found[4].offset) in said, said
    assert daemon.run("--salvage").returncode == 0
    daemon.start()
    assert daemon.users() == totals(10, missing=range(4, 9))


def killed_with_segments(daemon, n):
    """A dead daemon whose journal is spread over n segments, none of them in SQLite yet."""
    daemon.options |= {"journal_fsync": "always"}
    daemon.start()
    before = daemon.directory / "before.db"
    daemon.sql("vacuum into ?", str(before))
    # As long as somebody reads, what is flushed stays in the journal, too.
    with contextlib.closing(sqlite3.connect(daemon.database, isolation_level=None)) as db:
        db.execute("begin")
        db.execute("select count(*) from users").fetchall()
        sent = 0

        def has_segments():
            nonlocal sent
            daemon.report(stats("alice", 1, 2))
            sent += 1
            daemon.force_sync()
            return len({r.path for r in journal.records(daemon.data_dir)}) >= n

        wait_for(has_segments, f"{n} segments")
        daemon.kill()
    for beside in daemon.data_dir.glob("tally.db-*"):
        beside.unlink()
    shutil.copy(before, daemon.database)
    return sent, sorted({r.path for r in journal.records(daemon.data_dir)})


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_segment_stops_the_start(tallyd, which):
    daemon = tallyd()
    sent, paths = killed_with_segments(daemon, 3)
    gone = sum(record.path == paths[which] for record in journal.records(daemon.data_dir))
    hidden = paths[which].with_suffix(".hidden")
    paths[which].rename(hidden)
    code, said = daemon.start_and_fail()
    assert code == 74 and ".seg" in said and "--salvage" in said, said
    hidden.rename(paths[which])
    daemon.start()
    assert daemon.users() == {"alice": (3 * sent, sent, 2 * sent)}
    assert 0 < gone < sent


def test_salvage_of_a_missing_segment_keeps_all_others(tallyd):
    daemon = tallyd()
    sent, paths = killed_with_segments(daemon, 3)
    sent -= sum(record.path == paths[1] for record in journal.records(daemon.data_dir))
    paths[1].unlink()
    assert daemon.start_and_fail()[0] == 74
    assert daemon.run("--salvage").returncode == 0
    daemon.start()
    assert daemon.users() == {"alice": (3 * sent, sent, 2 * sent)}


def test_salvage_of_a_sound_journal_changes_no_total(tallyd):
    daemon = tallyd()
    killed_with_records(daemon, 10)
    assert daemon.run("--salvage").returncode == 0
    daemon.start()
    assert daemon.users() == totals(10)


def test_salvage_does_not_touch_the_data_of_a_running_daemon(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    done = daemon.run("--salvage")
    assert done.returncode == 75, done.stderr
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    assert daemon.users() == {"alice": (6, 2, 4)}


# Looking into it.

@pytest.mark.smoke
def test_the_dumped_journal_is_what_was_sent(tallyd):
    daemon = tallyd().start()
    for i in range(25):
        daemon.report(stats(f"ü{i % 4}", i, 2 * i), stats(None, 5, 6, kind="service"),
                      query=f"?node=n{i % 2}")
    daemon.kill()
    before = snapshot(daemon.data_dir / "journal")
    done = daemon.run("--dump-journal")
    assert done.returncode == 0, done.stderr
    assert snapshot(daemon.data_dir / "journal") == before
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["seq"] for line in lines] == list(
        range(lines[0]["seq"], lines[0]["seq"] + 25))
    for i, line in enumerate(lines):
        assert line["node"] == f"n{i % 2}"
        user, service = line["bookings"]
        assert (user["client"], user["inputBytes"], user["outputBytes"]) == (
            f"ü{i % 4}", i, 2 * i)
        assert (service["kind"], service["inputBytes"]) == ("service", 5)
    daemon.start()


def test_a_broken_journal_can_be_dumped_around_the_break(tallyd):
    daemon = tallyd()
    found = killed_with_records(daemon, 10)
    journal.flip_byte(found[3].path, found[3].offset + 60)
    done = daemon.run("--dump-journal")
    seqs = [json.loads(line)["seq"] for line in done.stdout.splitlines()]
    assert seqs == [record.seq for record in found if record is not found[3]]


def test_a_report_of_only_bad_events_leaves_a_journal_that_can_be_read(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2))
    daemon.post("/observer", report(stats("bob", -1, 2)))
    daemon.post("/observer", report())
    daemon.report(stats("alice", 1, 2))
    daemon.kill()
    daemon.start()
    assert daemon.users() == {"alice": (6, 2, 4)}
