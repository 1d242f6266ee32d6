"""A data directory beside its copy, moved, or started again, on one Redis."""
import shutil

import pytest

from deadline import wait_for
from tallyd import stats
from view import start_linked, wait_for_state, wait_for_view

TOLD = "another tallyd with a copy of this data directory writes to this Redis"
TOLD_GONE = "has stopped writing to this Redis"


def count_kills(redis):
    """Each connection that begins to write tries to kill itself as well, which Redis leaves out."""
    return redis.calls("client|kill")


def copy_of(original, make, redis, **options):
    """A daemon that is not started, on a copy as of a machine that was cloned."""
    copy = make(redis_url=redis.url, **options)
    shutil.copytree(original.data_dir, copy.data_dir)
    return copy


@pytest.fixture
def original(redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url))
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    return daemon


def test_of_a_data_dir_and_its_copy_one_writes_and_the_other_says_so(original, redis, tallyd):
    copy = copy_of(original, tallyd, redis)
    copy.expects_errors = True
    start_linked(original)
    writes = [original.status()["redis"]["repairs"], count_kills(redis)]
    copy.start()
    wait_for_state(copy, "foreign")
    looks = redis.calls("client|setname")
    copy.report(stats("alice", 100, 200))
    original.report(stats("alice", 1, 2))
    assert redis.view() == {"alice": (6, 2, 4)}
    wait_for(lambda: redis.calls("client|setname") > looks, "it has looked again")
    copy.report(stats("alice", 100, 200))
    original.report(stats("alice", 1, 2))
    assert redis.view() == {"alice": (9, 3, 6)}
    assert copy.status()["redis"]["state"] == "foreign"
    assert copy.traffic("alice")["usedTraffic"] == 603  # its ledger goes on
    assert "process" in copy.status()["redis"]["error"]
    assert copy.log().count(TOLD) == 1
    # The first was not disturbed.
    assert [original.status()["redis"]["repairs"], count_kills(redis)] == writes
    assert original.status()["redis"]["differences"] == 0
    assert "Redis is down" not in original.log()


def test_a_holders_key_of_another_type_is_written_over_and_counted_on(original, redis, tallyd):
    holder = "tallyd:holder"
    start_linked(original)
    redis.ask("EVAL", "redis.call('DEL', KEYS[1]); return redis.call('RPUSH', KEYS[1], 'x')",
              "1", holder)
    wait_for(lambda: redis.ask("TYPE", holder) == "string", "it is written over")
    wait_for_state(original, "up")
    redis.ask("DEL", holder)
    wait_for(lambda: redis.ask("TYPE", holder) == "string", "it is made again")
    original.report(stats("alice", 1, 2))
    copy = copy_of(original, tallyd, redis)
    copy.expects_errors = True
    copy.start()
    wait_for_state(copy, "foreign")
    assert redis.view() == {"alice": (6, 2, 4)}


def test_a_copy_does_not_step_in_by_itself_and_does_once_it_is_restarted(original, redis, tallyd):
    copy = copy_of(original, tallyd, redis)
    copy.expects_errors = True
    start_linked(original)
    copy.start()
    wait_for_state(copy, "foreign")
    looks = redis.calls("client|setname")
    wait_for(lambda: redis.calls("client|setname") > looks, "it has looked again")
    original.report(stats("alice", 1, 2))
    copy.report(stats("bob", 5, 5))
    original.kill()
    wait_for(lambda: TOLD_GONE in copy.log(), "it says that the other has gone")
    assert redis.view() == {"alice": (6, 2, 4)}
    assert copy.status()["redis"]["state"] == "foreign"
    original.start()  # and that one goes on at once, as if there were no copy
    wait_for_state(original, "up")
    original.stop()
    copy.kill()
    copy.start()
    assert copy.status()["redis"]["state"] == "up"
    assert wait_for_view(redis, copy) == {"alice": (3, 1, 2), "bob": (10, 5, 5)}


def test_two_copies_that_meet_a_new_redis_at_once_end_with_one_that_writes(original, redis, tallyd):
    copy = copy_of(original, tallyd, redis)
    both = [original, copy]
    redis.kill()
    for daemon in both:
        daemon.expects_errors = True
        daemon.start()
    redis.start()
    wait_for(lambda: sorted(d.status()["redis"]["state"] for d in both) == ["foreign", "up"],
             "one is up, and one has stepped back")
    kills = count_kills(redis)
    for n in range(3):
        for daemon in both:
            daemon.report(stats("alice", 1, 2))
    first = next(d for d in both if d.status()["redis"]["state"] == "up")
    wait_for(lambda: redis.view() == {"alice": (12, 4, 8)}, "its totals are shown")
    assert first.status()["redis"]["differences"] == 0
    assert count_kills(redis) == kills


def test_a_copy_on_another_database_number_is_no_matter(original, redis, tallyd):
    copy = copy_of(original, tallyd, redis)
    copy.options["redis_url"] = f"redis://127.0.0.1:{redis.port}/5"
    start_linked(original)
    kills = count_kills(redis)
    start_linked(copy)
    copy.report(stats("bob", 1, 2))
    original.report(stats("alice", 1, 2))
    assert redis.view() == {"alice": (6, 2, 4)}
    assert count_kills(redis) == kills + 1
    assert "Redis is down" not in original.log()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_data_dir_that_was_moved_takes_over_at_once(end, original, redis, tallyd):
    start_linked(original)
    getattr(original, end)()
    moved = tallyd(redis_url=redis.url)
    shutil.move(original.data_dir, moved.data_dir)
    lists, kills = redis.calls("client|list"), count_kills(redis)
    moved.start()
    assert moved.status()["redis"]["state"] == "up"
    moved.report(stats("alice", 1, 2))
    assert redis.view() == {"alice": (6, 2, 4)}
    assert redis.calls("client|list") == lists + 1  # one look was enough
    assert count_kills(redis) <= kills + 2


def test_kill_and_restart_takes_over_at_once_each_time(original, redis):
    start_linked(original)
    lists, kills = redis.calls("client|list"), count_kills(redis)
    for _ in range(5):
        original.report(stats("alice", 1, 2))
        original.kill()
        original.start()
        assert original.status()["redis"]["state"] == "up"
    assert redis.calls("client|list") <= lists + 10
    assert count_kills(redis) <= kills + 10
    assert wait_for_view(redis, original) == {"alice": (18, 6, 12)}


def test_without_the_right_to_list_a_copy_is_told_by_the_holders_key(original, redis, tallyd):
    redis.ask("ACL", "SETUSER", "tallyd", "reset", "on", ">secret", "~*", "+@all",
              "-client|list", "-client|kill")
    url = f"redis://tallyd:secret@127.0.0.1:{redis.port}/0"
    original.options["redis_url"] = url
    copy = copy_of(original, tallyd, redis)
    copy.options["redis_url"] = url
    copy.expects_errors = True
    start_linked(original)
    copy.start()
    wait_for_state(copy, "foreign")
    assert TOLD in copy.log()
    copy.report(stats("bob", 5, 5))
    original.report(stats("alice", 1, 2))
    assert redis.view() == {"alice": (6, 2, 4)}


def test_an_acl_of_an_earlier_tallyd_goes_on_to_work(original, redis):
    redis.ask("ACL", "SETUSER", "tallyd", "reset", "on", ">secret", "~user:*",
              "~tallyd:instance", "-@all", "+select", "+get", "+set", "+setrange", "+scan",
              "+hmget", "+hset", "+hincrby", "+info", "+client|setname", "+client|list",
              "+client|kill")
    original.options["redis_url"] = f"redis://tallyd:secret@127.0.0.1:{redis.port}/0"
    for _ in range(3):
        start_linked(original)
        original.report(stats("alice", 1, 2))
        assert "Redis does not let us use a key" in original.log()
        original.kill()
    original.start()
    assert wait_for_view(redis, original) == {"alice": (12, 4, 8)}
