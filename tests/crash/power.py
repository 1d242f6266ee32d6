"""Power loss: tallyd dies, and with it what of its journal was on no disk yet."""
import collections
import json
import time

import journal
import preload
from books import Batch

SYNC_MS = 1000       # journal_fsync=everysec
SYNC_SLACK_MS = 1500 # for a busy machine


class Synced:
    """What of each segment is on disk, as tests/preload/power_loss.c has seen it.

    Only of the life that runs: when it listens, it has moved away every segment of earlier ones.
    Without that library (`is_known` false) the promises themselves are taken for it.
    """

    def __init__(self, directory):
        self.log = directory / "synced"
        self.is_known = preload.is_possible()
        self.library = preload.build("power_loss", directory) if self.is_known else None

    def begin(self, rng):
        """The environment of a new life: its disk may be slow, so that much waits for it."""
        self.log.unlink(missing_ok=True)
        if not self.is_known:
            return {}
        return {"LD_PRELOAD": str(self.library), "POWER_LOG": str(self.log),
                "POWER_SYNC_US": str(rng.choice((0, 5000, 20000, 80000)))}

    def sizes(self):
        """{name of a segment: bytes}."""
        found = collections.Counter()
        for line in self.log.read_text().splitlines() if self.log.exists() else ():
            path, size = line.rsplit(" ", 1)
            name = path.rsplit("/", 1)[1]
            found[name] = max(int(size), found[name])
        return found


def lose_power(world):
    """Ends tallyd, cuts its journal, and takes out of the books what may be lost."""
    fsync = world.daemon.options["journal_fsync"]
    assert fsync != "no" or world.synced.is_known
    world.office.choose_moment(world.rng)
    world.kill()
    died_ms = time.time() * 1000
    world.gate.shut()  # nobody waits for an answer any more
    try:
        found = journal.records(world.daemon.data_dir)
        lines = dump(world.daemon)
        batches, acts = sent_batches(world, lines), sent_acts(world, lines)
        if fsync == "everysec":
            check_age(world, found)
        if world.synced.is_known:
            loose = not_on_disk(world, found, batches, acts, fsync, died_ms)
        if not world.synced.is_known or fsync != "no" and world.rng.random() < 0.5:
            floor = find_floor(world, found, batches, acts, fsync, died_ms)
            loose = [record for record in found if record.seq > floor]
        cut = cut_some(world, loose)
        n_lost = take_out(world, batches, cut)
        world.told["commands that a power loss took before their answer"] += len(
            cut & acts.keys())
        world.say(f"records up to {found[-1].seq if found else None}, "
                  f"not on disk {[record.seq for record in loose][:1]}..., "
                  f"cut {sorted(cut)}, {n_lost} answered batches lost")
    finally:
        world.gate.open()


def sent_batches(world, lines):
    """{seq: the delta batch in this record}; None for records of other kinds."""
    known = {batch.key(): batch for batch in world.known_batches()}
    cumulative = world.cumulative_nodes
    batches, seen = {}, set()
    for line in lines:
        key = key_of(line)
        is_delta = key is not None and line["node"] not in cumulative
        batch = known.get(key, "unknown") if is_delta else None
        assert batch is None or id(batch) not in seen, f"counted a second time: {line}"
        if isinstance(batch, Batch):
            seen.add(id(batch))
        batches[line["seq"]] = batch
    return batches


def sent_acts(world, lines):
    """{seq: the act in this record}, of commands only."""
    return {line["seq"]: world.office.act_of(line["actor"], line.get("key"))
            for line in lines if "verb" in line}


def not_on_disk(world, found, batches, acts, fsync, died_ms):
    """The records that a power loss may take, none of which was promised to be safe."""
    sizes = world.synced.sizes()
    loose = [record for record in found
             if record.offset + record.size > sizes[record.path.name]]
    for record in loose:
        act, batch = acts.get(record.seq), batches[record.seq]
        assert act is None or not act.is_answered, (
            f"answered before it was on disk: {act}, record {record}")
        assert fsync != "always" or batch is None or batch is batch.stream.open, (
            f"answered before it was on disk: record {record}")
        assert (fsync != "everysec" or world.was_paused
                or record.time_ms > died_ms - SYNC_MS - SYNC_SLACK_MS), (
            f"not on disk after {died_ms - record.time_ms} ms: record {record}")
    return loose


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
              for b in line.get("bookings", ()) if "inputBytes" in b]
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


def find_floor(world, found, batches, acts, fsync, died_ms):
    """The last sequence that is on disk if promises are kept."""
    floor = max([record.synced_seq for record in found]
                + [seq for seq, act in acts.items() if act.is_answered]
                + [journal.synced_at_begin(path)
                   for path in journal.segments(world.daemon.data_dir)], default=0)
    for record in found:
        if fsync == "everysec":
            is_safe = record.time_ms < died_ms - SYNC_MS
        else:  # only what was never answered can be missing
            batch, act = batches[record.seq], acts.get(record.seq)
            is_safe = act is None and (batch is None or batch is not batch.stream.open)
        if is_safe:
            floor = max(floor, record.seq)
    return floor


def cut_some(world, loose):
    """Cuts of them, somewhere: the sequences that are gone.

    Several segments may wait for their sync at a time. The disk may have had a later one first.
    """
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
    recent = {id(batch) for batch in world.books.recent}
    lost = [batch for batch in gone if id(batch) in recent]
    for batch in lost:
        world.books.lose(batch)
    return len(lost)
