"""Whose Redis it is: a panel's totals, another tallyd's, and our own."""
import contextlib
import sqlite3

import pytest

from deadline import wait_for
from tallyd import stats
from view import start_linked, wait_for_state, wait_for_view


def test_totals_of_a_panel_are_added_to_once(redis, tallyd):
    redis.ask("HSET", "user:panel", "usedTraffic", "5000", "note", "keep me")
    redis.ask("HSET", "user:full", "usedTraffic", "50", "inputBytes", "20", "outputBytes", "30")
    redis.ask("HSET", "user:other", "name", "bob")
    daemon = tallyd(redis_url=redis.url).start()
    wait_for_state(daemon, "up")
    for end in (daemon.kill, daemon.stop, daemon.kill):
        daemon.report(stats("panel", 1, 2), stats("full", 1, 2), stats("new", 1, 2))
        end()
        daemon.start()
    held = wait_for_view(redis, daemon, missing={"other": (0, 0, 0)})
    assert held == {"panel": (5009, 3, 6), "full": (59, 23, 36), "new": (9, 3, 6)}
    assert redis.hash("user:panel")["note"] == "keep me"
    assert redis.hash("user:other") == {"name": "bob"}


def test_totals_are_added_to_what_was_counted_without_redis(make_redis, tallyd):
    redis = make_redis().start()
    redis.ask("HSET", "user:alice", "usedTraffic", "5000")
    redis.ask("SAVE")
    redis.kill()
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(stats("alice", 1, 2), stats("bob", 1, 2))
    redis.start()
    wait_for_state(daemon, "up")
    assert wait_for_view(redis, daemon) == {"alice": (5003, 1, 2), "bob": (3, 1, 2)}


def test_a_database_that_is_locked_for_long_delays_linking_no_further(redis, tallyd):
    redis.ask("HSET", "user:panel", "usedTraffic", "5000")
    daemon = tallyd(redis_url=redis.url, busy_timeout=50, max_retries=1, retry_delay=10)
    redis.pause()
    daemon.start()  # without Redis, so that the database is there
    with contextlib.closing(sqlite3.connect(daemon.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        redis.resume()
        wait_for_state(daemon, "linking")
        wait_for(lambda: "flush keeps failing" in daemon.log(), "no quick retry is left")
        assert redis.view() == {"panel": (5000, 0, 0)}
    wait_for_state(daemon, "up")  # sync_interval is longer than that waits
    assert wait_for_view(redis, daemon) == {"panel": (5000, 0, 0)}


def test_what_is_no_total_is_left_and_reported(redis, tallyd):
    odd = {"float": "1.5", "text": "abc", "empty": "", "signed": "+5", "negative": "-5",
           "blank": " 5", "huge": "9223372036854775808", "long": "1" * 400}
    for user, value in odd.items():
        redis.ask("HSET", f"user:{user}", "usedTraffic", value)
    redis.ask("HSET", "user:half", "usedTraffic", "7", "inputBytes", "x",
              "outputBytes", str(2**63))
    redis.ask("HSET", b"user:a\x01b", "usedTraffic", "7")
    redis.ask("HSET", b"user:\xff", "usedTraffic", "7")
    redis.ask("HSET", "user:" + "n" * 256, "usedTraffic", "7")
    redis.ask("HSET", "user:", "usedTraffic", "7")
    redis.ask("HSET", "user:most", "usedTraffic", str(2**63 - 1))
    redis.ask("SET", "user:string", "x")
    daemon = tallyd(redis_url=redis.url).start()
    wait_for_state(daemon, "up")
    wait_for(lambda: redis.hash("user:half").get("outputBytes") == "0", "users are written")
    daemon.force_sync()
    assert daemon.users() == {"half": (7, 0, 0), "most": (2**63 - 1, 0, 0)}
    for user, value in odd.items():
        assert redis.hash(f"user:{user}") == {"usedTraffic": value}, user
    rejects = daemon.sql("select reason, event from rejects where node = 'redis'")
    events = [event for _, event in rejects]
    for user, value in odd.items():
        assert f"user:{user} usedTraffic={value}" in events, (user, events)
    assert "user:half inputBytes=x" in events
    assert len(rejects) == len(odd) + 6, events
    assert redis.ask("GET", "user:string") == "x"
    assert "total in Redis not taken over" in daemon.log()


def test_users_beyond_max_users_are_left_in_redis(redis, tallyd):
    for i in range(20):
        redis.ask("HSET", f"user:u{i}", "usedTraffic", 100 + i)
    daemon = tallyd(redis_url=redis.url, max_users=12).start()
    wait_for_state(daemon, "up")
    daemon.force_sync()
    assert len(daemon.users()) == 12
    view = redis.view()
    assert sorted(used for used, _, _ in view.values()) == list(range(100, 120))
    assert len(daemon.sql("select * from rejects where reason like '%max_users%'")) == 8


def test_a_second_instance_writes_nothing_and_says_why(redis, tallyd):
    first = start_linked(tallyd(redis_url=redis.url))
    first.report(stats("alice", 1, 2))
    before = wait_for_view(redis, first)
    second = tallyd(redis_url=redis.url)
    second.expects_errors = True
    second.start()
    wait_for_state(second, "foreign")
    second.report(stats("alice", 100, 200), stats("bob", 1, 2))
    assert second.traffic("alice") == {"id": "alice", "usedTraffic": 300, "inputBytes": 100,
                                       "outputBytes": 200, "source": "ledger"}
    data = second.status()["redis"]
    assert "tallyd:instance" in data["error"], data
    assert "belongs to another tallyd" in second.log()
    assert second.get("/readyz").json()["redis"] == "foreign"
    assert redis.view() == before
    first.report(stats("alice", 1, 2))
    wait_for(lambda: redis.view() == {"alice": (6, 2, 4)}, "it is shown")


@pytest.mark.parametrize("how, alice", [("adopt", (309, 103, 206)), ("overwrite", (300, 100, 200))])
def test_another_ones_redis_is_taken_over_when_asked_to(how, alice, redis, tallyd):
    first = tallyd(redis_url=redis.url).start()
    first.report(stats("alice", 3, 6), stats("bob", 1, 2))
    wait_for_view(redis, first)
    second = tallyd(redis_url="none").start()
    second.report(stats("alice", 100, 200))
    second.stop()
    second.options["redis_url"] = redis.url
    second.options["take_over_redis"] = how
    for said in ("taking over this Redis", "nothing to take over", "nothing to take over"):
        second.start()
        wait_for_state(second, "up")
        assert said in second.log()
        second.kill()
    del second.options["take_over_redis"]
    second.start()
    bob = {"bob": (3, 1, 2)}
    held = wait_for_view(redis, second, missing={} if how == "adopt" else bob)
    assert held == {"alice": alice} | (bob if how == "adopt" else {})
    # The first one, which still runs, leaves it alone from now on.
    first.expects_errors = True
    wait_for_state(first, "foreign")
    first.report(stats("alice", 1, 2))
    assert redis.view()["alice"] == alice


def test_taking_over_can_be_asked_for_in_no_other_way(redis, tallyd):
    daemon = tallyd(redis_url=redis.url, take_over_redis="both")
    code, said = daemon.start_and_fail()
    assert code == 64 and "adopt|overwrite" in said, said
    daemon = tallyd(redis_url=redis.url, config="take_over_redis = adopt\n")
    code, said = daemon.start_and_fail()
    assert code == 78 and "no such option" in said, said
    daemon = tallyd(redis_url="none", take_over_redis="adopt")
    code, said = daemon.start_and_fail()
    assert code == 78 and "there is no Redis" in said, said


@pytest.mark.parametrize("value", ["", "x" * 500, "a\nb"])
def test_an_owner_that_is_no_id_is_somebody_else(value, redis, tallyd):
    redis.ask("SET", "tallyd:instance", value)
    daemon = tallyd(redis_url=redis.url)
    daemon.expects_errors = True
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    wait_for_state(daemon, "foreign")
    assert redis.ask("GET", "tallyd:instance") == value and redis.ask("DBSIZE") == 1
    daemon.stop()
    daemon.options["take_over_redis"] = "overwrite"
    daemon.start()
    wait_for_state(daemon, "up")
    assert wait_for_view(redis, daemon) == {"alice": (3, 1, 2)}


def test_the_instance_knows_its_own_redis_again(redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url))
    daemon.report(stats("alice", 1, 2))
    owner = redis.ask("GET", "tallyd:instance")
    assert owner and owner == daemon.sql(
        "select value from meta where key = 'instance_id'")[0][0]
    for end in (daemon.stop, daemon.kill):
        end()
        daemon.start()
        daemon.report(stats("alice", 1, 2))
    wait_for(lambda: redis.view() == {"alice": (9, 3, 6)}, "it is shown")


def test_a_foreign_redis_that_appears_later_is_left_alone(make_redis, tallyd):
    redis = make_redis().start()
    redis.ask("HSET", "user:panel", "usedTraffic", "5")
    redis.ask("SET", "tallyd:instance", "somebody")
    redis.ask("SAVE")
    redis.kill()
    daemon = tallyd(redis_url=redis.url)
    daemon.expects_errors = True
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    redis.start()
    wait_for_state(daemon, "foreign")
    daemon.report(stats("alice", 1, 2), stats("panel", 1, 2))
    assert redis.view() == {"panel": (5, 0, 0)}
    assert redis.ask("DBSIZE") == 2
    assert daemon.traffic("alice") == {"id": "alice", "usedTraffic": 6, "inputBytes": 2,
                                       "outputBytes": 4, "source": "ledger"}
    redis.ask("FLUSHALL")  # nobody's for a moment: the other one may be about to come back
    redis.ask("SAVE")
    redis.kill()
    redis.start()
    wait_for(lambda: "is missing now" in str(daemon.status()["redis"]["error"]), "it is looked at")
    assert daemon.status()["redis"]["state"] == "foreign"
    assert redis.ask("DBSIZE") == 0
    wait_for_state(daemon, "up")  # the next look: nobody has come
    assert wait_for_view(redis, daemon) == {"alice": (6, 2, 4), "panel": (3, 1, 2)}


@pytest.mark.parametrize("how, used", [(None, 3), ("overwrite", 3), ("adopt", 1003)])
def test_a_redis_that_has_lost_its_owner_is_added_only_when_asked_for(how, used, redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    wait_for_state(daemon, "up")
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    redis.ask("FLUSHALL")
    redis.ask("HSET", "user:alice", "usedTraffic", "1000")
    daemon.options["take_over_redis"] = how
    for n in range(3):
        daemon.start()
        wait_for_state(daemon, "up")
        assert wait_for_view(redis, daemon) == {"alice": (used, 1, 2)}
        assert ("taking over this Redis" in daemon.log()) == (how is not None and n == 0)
        assert ("nothing to take over" in daemon.log()) == (how is not None and n > 0)
        assert ("names no owner" in daemon.log()) == (how is None and n == 0)
        daemon.kill()


def test_totals_can_be_adopted_from_the_same_owner_a_second_time(redis, tallyd):
    first = tallyd(redis_url=redis.url)
    second = tallyd(redis_url=redis.url, take_over_redis="adopt")
    expected = 0
    for n in range(1, 4):
        del first.options["redis_url"]
        first.options.update(redis_url=redis.url, take_over_redis="overwrite")
        first.start()
        first.report(stats("alice", 1, 0))
        wait_for_view(redis, first)
        first.stop()
        expected += n
        second.start()
        wait_for_state(second, "up")
        assert wait_for_view(redis, second) == {"alice": (expected, expected, 0)}
        second.stop()


def test_an_idle_owner_notices_that_it_is_the_owner_no_more(redis, tallyd):
    daemon = tallyd(redis_url=redis.url)
    daemon.expects_errors = True
    daemon.start()
    wait_for_state(daemon, "up")
    redis.ask("SET", "tallyd:instance", "somebody")
    wait_for_state(daemon, "foreign")
    daemon.report(stats("alice", 1, 2))
    assert redis.view() == {} and redis.ask("DBSIZE") == 2
    owner = daemon.sql("select value from meta where key = 'instance_id'")[0][0]
    redis.ask("SET", "tallyd:instance", owner)  # and the owner again
    wait_for_state(daemon, "up")
    assert wait_for_view(redis, daemon) == {"alice": (3, 1, 2)}
    redis.kill()
    redis.start()
    assert wait_for_view(redis, daemon) == {"alice": (3, 1, 2)}


def test_other_keys_do_not_make_a_redis_foreign(redis, tallyd):
    client = redis.client()
    for i in range(2000):
        client("SET", f"session:{i}", "x")
    client("SET", "users", "x")
    client.close()
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(stats("alice", 1, 2))
    wait_for(lambda: redis.view() == {"alice": (3, 1, 2)}, "it is shown")
    assert redis.ask("DBSIZE") == 2004
