"""Power loss: tallyd dies, and with it what of its journal was on no disk yet."""
import json
import time

import journal

SYNC_MS = 1000       # journal_fsync=everysec
SYNC_SLACK_MS = 1500 # for a busy machine


def lose_power(world):
    """Ends tallyd, cuts its journal, and takes out of the books what may be lost."""
    fsync = world.daemon.options["journal_fsync"]
    assert fsync != "no"
    world.kill()
    died_ms = time.time() * 1000
    world.gate.shut()  # nobody waits for an answer any more
    try:
        found = journal.records(world.daemon.data_dir)
        batches = sent_batches(world)
        if fsync == "everysec":
            check_age(world, found)
        floor = find_floor(world, found, batches, fsync, died_ms)
        cut = cut_above(world, found, floor)
        n_lost = take_out(world, batches, cut)
        world.say(f"records up to {found[-1].seq if found else None}, synced up to {floor}, "
                  f"cut {sorted(cut)}, {n_lost} answered batches lost")
    finally:
        world.gate.open()


def sent_batches(world):
    """{seq: the delta batch in this record}; None for records of other kinds."""
    known = {batch.key(): batch for batch in world.known_batches()}
    cumulative = {gost.node for gost in world.gosts if gost.is_cumulative}
    batches = {}
    for line in dump(world.daemon):
        key = key_of(line)
        is_delta = key is not None and line["node"] not in cumulative
        batch = known.get(key, "unknown") if is_delta else None
        assert batch is None or batch not in batches.values(), f"counted a second time: {line}"
        batches[line["seq"]] = batch
    return batches


def dump(daemon, **options):
    """The records of a journal, as tallyd shows them."""
    usual = daemon.options
    daemon.options = usual | options
    try:
        done = daemon.run("--dump-journal")
    finally:
        daemon.options = usual
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def key_of(line):
    """The key of the batch that a record has counted; None if it added no byte."""
    values = [(b.get("client", ""), b["inputBytes"], b["outputBytes"])
              for b in line["bookings"] if "inputBytes" in b]
    if not sum(i + o for _, i, o in values):
        return None
    first = line["bookings"][0]
    return line["node"], first["kind"], first["service"], tuple(sorted(values))


def check_age(world, found):
    """What a record of everysec says to be synced covers all that was a second old."""
    first = 0
    for record in found if not world.was_paused else ():
        while found[first].seq <= record.synced_seq:
            first += 1
        age = record.time_ms - found[first].time_ms
        world.oldest_unsynced_ms = max(world.oldest_unsynced_ms, age)
        assert age <= SYNC_MS + SYNC_SLACK_MS, (
            f"record {found[first].seq} was not synced {age} ms later", record)


def find_floor(world, found, batches, fsync, died_ms):
    """The last sequence that is surely on disk."""
    floor = max([record.synced_seq for record in found]
                + [journal.synced_at_begin(path)
                   for path in journal.segments(world.daemon.data_dir)], default=0)
    for record in found:
        if fsync == "everysec":
            is_safe = record.time_ms < died_ms - SYNC_MS
        else:  # only what was never answered can be missing
            batch = batches[record.seq]
            is_safe = batch is None or batch is not batch.stream.open
        if is_safe:
            floor = max(floor, record.seq)
    return floor


def cut_above(world, found, floor):
    """Cuts above `floor`, somewhere: the sequences that are gone.

    Two segments may wait for their sync at a time. The disk may have had the second first.
    """
    loose = [record for record in found if record.seq > floor]
    if not loose:
        return set()
    victim = world.rng.choice(loose)
    gone = cut_file(world, victim, loose)
    later = [record for record in loose if record.path > victim.path]
    if later and world.rng.random() < 0.5:
        gone |= cut_file(world, world.rng.choice(later), loose)
    return gone


def cut_file(world, victim, loose):
    """Within a record, or in front of it: all of its file from there."""
    end = victim.offset + world.rng.randrange(victim.size)
    with open(victim.path, "r+b") as file:
        file.truncate(end)
        if world.rng.random() < 0.3:  # the length was on disk, the data was not
            file.truncate(end + world.rng.randrange(1, 5000))
    return {record.seq for record in loose
            if record.path == victim.path and record.seq >= victim.seq}


def take_out(world, batches, cut):
    """Answered, and behind the first record that neither the journal nor SQLite has: lost. How
    many."""
    applied = int(world.daemon.sql("select value from meta where key = 'applied_seq'")[0][0])
    first = min((seq for seq in cut if seq > applied), default=None)
    if first is None:
        return 0
    gone = [batch for seq, batch in batches.items() if batch and seq >= first]
    assert "unknown" not in gone, "the journal held a report that nobody has sent"
    lost = [batch for batch in gone if batch in world.books.recent]
    for batch in lost:
        world.books.lose(batch)
    return len(lost)
