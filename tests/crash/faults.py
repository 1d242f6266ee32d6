"""What happens to a site: states that last for a while, and events that may fall into them."""
import contextlib
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import time

import bodies
from client import RawClient, post_bytes
from deadline import wait_for
from power import lose_power
from resp import RedisError

BEGUN_ANEW = "the journal is begun anew"

# States.


@contextlib.contextmanager
def calm(world):
    yield


@contextlib.contextmanager
def redis_paused(world):
    world.redis.pause()
    try:
        yield
    finally:
        world.redis.resume()


@contextlib.contextmanager
def redis_dead(world):
    world.redis.kill()
    yield
    world.redis.start()


@contextlib.contextmanager
def sqlite_locked(world):
    with contextlib.closing(sqlite3.connect(world.daemon.database, isolation_level=None,
                                            timeout=30)) as db:
        db.execute("begin immediate")
        yield
        db.execute("rollback")


@contextlib.contextmanager
def disk_full(world):
    world.disk.fill(world.rng.choice((0, 30000, 300000)))
    try:
        yield
    finally:
        world.disk.empty()


# Events.


def kill(world, may_fail):
    world.office.choose_moment(world.rng)
    world.kill()
    world.start(may_fail)


def kill_in_start(world, may_fail):
    """Several times, each at another place of the start."""
    began = time.monotonic()
    world.kill()
    world.start(may_fail)
    took = time.monotonic() - began
    for _ in range(world.rng.randrange(1, 4)):
        if world.is_up():
            world.daemon.kill()
        world.spawn()
        moment = time.monotonic() + world.rng.random() * took
        wait_for(lambda end=moment: time.monotonic() > end, "the moment")
        if world.daemon.process.poll() is not None:
            code = world.daemon.wait_exit()
            assert may_fail and code == 74, (code, world.daemon.log())
    if world.is_up():
        world.daemon.kill()
    world.start(may_fail)


def stop(world, may_fail):
    world.daemon.send_signal(world.rng.choice((signal.SIGTERM, signal.SIGINT)))
    code = world.daemon.wait_exit()
    assert code == 0 or may_fail and code == 74, (
        f"a stop ended with {code}:\n{world.daemon.log()}")
    world.wait_a_moment(0.2)
    world.start(may_fail)


def power_loss(world, may_fail):
    if world.daemon.options["journal_fsync"] == "no" and not world.synced.is_known:
        world.kill()
        world.start(may_fail)
        world.told["power losses that were kills only"] += 1
        return
    lose_power(world)
    world.start(may_fail)
    world.touch_cumulative()


@contextlib.contextmanager
def standing_still(world):
    """Else it could have begun another segment meanwhile, and dropped what is taken."""
    world.was_paused = True
    with world.daemon.standing_still():
        yield


def delete_journal(folder):
    for path in folder.glob("*.seg"):
        path.unlink()


def move_journal(folder):
    away = folder.parent / "away"
    folder.rename(away)
    shutil.rmtree(away)


def cut_journal(folder):
    """What it has cut: a flush that is under way may just make all of that needless."""
    in_use = [path for path in folder.glob("*.seg") if path.stat().st_size > 0]
    for path in in_use:
        os.truncate(path, path.stat().st_size // 2)
    return in_use


def take_journal(world, may_fail):
    """What was accepted is in memory, and soon in SQLite: then a kill takes nothing of it."""
    away = world.rng.choice((delete_journal, move_journal, cut_journal))
    n_begun = world.daemon.log().count(BEGUN_ANEW)
    world.say(away.__name__)
    with standing_still(world):
        cut = away(world.daemon.data_dir / "journal")
    wait_for(lambda: (world.daemon.log().count(BEGUN_ANEW) > n_begun
                      or cut and not any(path.exists() for path in cut)) and world.is_ready(),
             "the journal is begun anew")
    world.office.choose_moment(world.rng)
    world.kill()
    world.start(may_fail)


def replace_by_copy(path):
    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    os.replace(copy, path)


def move_away(path):
    path.rename(path.with_suffix(".away"))


def take_wal(world, may_fail):
    """What was committed is in tally.db, whatever becomes of SQLite's write-ahead log."""
    take = world.rng.choice((pathlib.Path.unlink, move_away, replace_by_copy,
                             lambda path: os.truncate(path, 0)))
    with standing_still(world):
        take(world.daemon.data_dir / "tally.db-wal")
    world.wait_a_moment(0.5)
    world.office.choose_moment(world.rng)
    world.kill()
    world.start(may_fail)


def clone(world, may_fail):
    """A copy of the whole directory runs beside it on the same Redis, and nobody reports to it.

    Who comes first may be the one that writes to Redis. Once the copy has gone, and the original
    is started anew, Redis shows what the original has.
    """
    world.kill()
    copy = world.make_clone()
    copy_is_first = world.rng.random() < 0.5
    if copy_is_first:
        copy.start()
    world.start(may_fail)
    if not copy_is_first:
        copy.start()
    world.say(f"two, {'the copy' if copy_is_first else 'the original'} first")
    world.wait_a_moment(1)
    copy.kill()
    shutil.rmtree(copy.directory)
    world.kill()
    world.start(may_fail)


def pause(world, may_fail):
    """Longer than some GOSTs wait for an answer."""
    world.was_paused = True
    world.daemon.send_signal(signal.SIGSTOP)
    world.wait_a_moment(1.2)
    world.daemon.send_signal(signal.SIGCONT)


def reload_tallyd(world, may_fail):
    world.daemon.config_path.write_text(world.rng.choice(("", "log_level = debug\n")))
    world.daemon.send_signal(signal.SIGHUP)


def wipe_redis(world, may_fail):
    world.redis.ask("FLUSHALL")


EDITS = (("HSET", "usedTraffic", "1"), ("HSET", "inputBytes", "99999"), ("HSET", "outputBytes", "x"),
         ("HINCRBY", "usedTraffic", "3"), ("HDEL", "inputBytes"), ("HDEL", "usedTraffic"), ("DEL",),
         ("PEXPIRE", "20"), ("SET", "a string", "PX", "300"))


def edit_redis(world, may_fail):
    """Somebody writes there, now and then while the connection that tells of it is killed."""
    client = world.redis.client()
    keys = [f"user:{user}" for user in client.view()] or ["user:x"]
    for _ in range(world.rng.randrange(1, 60)):
        is_killed = world.rng.random() < 0.1
        verb, *words = world.rng.choice(EDITS)
        kills = [("CLIENT", "KILL", "TYPE", "pubsub")] * is_killed
        edit = (verb, world.rng.choice(keys), *words)
        for command in (("MULTI",), *kills, edit):
            client(*command)
        with contextlib.suppress(RedisError):  # of the edit, which is the last one
            client("EXEC")
    client.close()


def silence_redis(world, may_fail):
    """From the next connection on it may tell of edits, or not."""
    sign = world.rng.choice("+-")
    world.redis.ask("ACL", "SETUSER", "default", f"{sign}client|tracking")
    world.redis.ask("CLIENT", "KILL", "TYPE", "pubsub")


def take_snapshot(world, may_fail):
    world.redis.ask("SAVE")
    shutil.copy(world.redis.directory / "dump.rdb", world.directory / "old.rdb")


def restore_snapshot(world, may_fail):
    """Redis comes back with what it held some time ago."""
    if not (world.directory / "old.rdb").exists():
        take_snapshot(world, may_fail)
    world.redis.kill()
    shutil.copy(world.directory / "old.rdb", world.redis.directory / "dump.rdb")
    world.redis.start()


def restart_gost(world, may_fail):
    gost = world.rng.choice(world.gosts)
    world.say(f"gost {gost.node}")
    world.restart(gost)


def reload_gost(world, may_fail):
    gost = world.rng.choice(world.gosts)
    world.say(f"gost {gost.node}")
    world.reload(gost)


def replace_guest(world, may_fail):
    with world.without_commands():
        world.replace_guest()


def hostile(world, may_fail):
    """Requests that no GOST would make."""
    rng = random.Random(world.rng.random())
    held = []
    broken = list(bodies.broken(rng))
    for _ in range(rng.randrange(2, 10)):
        raw = RawClient(world.daemon.address, timeout=10)
        body = rng.choice(broken)[1]
        request = rng.choice((
            post_bytes("/observer", body), rng.randbytes(rng.randrange(1, 3000)),
            b"POST /observer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
            post_bytes("/observer?node=direct", body)[:-1]))
        raw.send_whatever_it_takes(request)
        (held.append if rng.random() < 0.5 else RawClient.reset)(raw)
    world.wait_a_moment(0.1)
    for raw in held:
        raw.close()


# state: (how often, the longest that it lasts before an event and after it)
STATES = {calm: (10, 0.2), redis_paused: (2, 0.3), redis_dead: (2, 0.3), sqlite_locked: (3, 0.5),
          disk_full: (3, 0.5)}
# In these tallyd may end with 74: a start cannot go on, a stop leaves the rest to the journal.
HINDERING = (sqlite_locked, disk_full)
# event: (how often, what it cannot fall into)
EVENTS = {
    kill: (8, ()), kill_in_start: (4, ()), stop: (4, ()), power_loss: (6, ()), pause: (2, ()),
    take_journal: (4, HINDERING), take_wal: (2, HINDERING),
    clone: (2, (*HINDERING, redis_paused, redis_dead)),
    reload_tallyd: (1, ()), hostile: (2, ()), take_snapshot: (1, (redis_paused, redis_dead)),
    wipe_redis: (2, (redis_paused, redis_dead)), edit_redis: (4, (redis_paused, redis_dead)),
    silence_redis: (1, (redis_paused, redis_dead)), restore_snapshot: (2, (redis_paused, redis_dead)),
    replace_guest: (4, HINDERING), restart_gost: (3, HINDERING), reload_gost: (3, HINDERING)}


def cycle(world):
    """One state and an event in it, or two; then everything goes on."""
    states = [state for state in STATES if state is not disk_full or world.disk]
    state = world.rng.choices(states, [STATES[state][0] for state in states])[0]
    events = [event for event in EVENTS if state not in EVENTS[event][1]]
    chosen = world.rng.choices(events, [EVENTS[event][0] for event in events],
                               k=world.rng.choice((1, 1, 2)))
    if state is not calm:
        world.tell(state.__name__)
    # Each command has the journal synced, so power losses need times without.
    peace = world.without_commands if world.rng.random() < 0.4 else contextlib.nullcontext
    with peace(), state(world):
        for event in chosen:
            world.wait_a_moment(STATES[state][1])
            if not world.is_up() and not world.start(may_fail=state in HINDERING):
                break
            world.note_repeats()
            world.tell(event.__name__, f"in {state.__name__}")
            event(world, state in HINDERING)
        world.wait_a_moment(STATES[state][1])
    world.settle()
