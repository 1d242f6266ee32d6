"""The view in Redis, and Redis being away, slow, empty or somebody else's."""
import signal
import time

import pytest

from deadline import seconds, wait_for
from fake_redis import FakeRedis, Free, bulk
from oracle import Load
from tallyd import report, stats


def wait_for_view(redis, daemon, prefix="user:", limit=30, missing=None):
    """Flushes, and waits until Redis shows just what SQLite holds, and `missing` besides."""
    daemon.force_sync()
    held = daemon.users()
    shown = held | (missing or {})
    wait_for(lambda: redis.view(prefix) == shown, "Redis shows the ledger", limit=limit)
    return held


def wait_for_state(daemon, *states):
    return wait_for(lambda: daemon.status()["redis"]["state"] in states, f"redis is {states}")


@pytest.mark.smoke
def test_what_was_answered_can_be_read_in_redis(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    client, reader = daemon.client(), redis.client()
    for n in range(1, 201):
        assert client.post("/observer", report(stats("alice", n, 1))).status == 200
        used = n * (n + 1) // 2 + n
        assert reader("HGET", "user:alice", "usedTraffic") == str(used)
    client.close()
    reader.close()
    assert daemon.traffic("alice") == {
        "id": "alice", "usedTraffic": 20300, "inputBytes": 20100, "outputBytes": 200,
        "source": "redis"}


def test_what_many_were_answered_can_be_read_in_redis(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    load = Load(daemon.address, 8).start()
    for _ in range(10):
        acked = load.acked()
        view = redis.view()
        for user, size in acked.items():
            assert view[user][1] >= size, user
    load.finish()
    assert load.check(wait_for_view(redis, daemon)) == 0


def test_without_redis_the_ledger_answers(tallyd):
    daemon = tallyd(redis_url="none").start()
    daemon.report(stats("alice", 1, 2))
    assert daemon.traffic("alice")["source"] == "ledger"
    data = daemon.status()["redis"]
    assert (data["state"], data["unsentUsers"]) == ("none", 0)


def test_redis_may_be_absent_at_start_and_come_later(make_redis, tallyd):
    redis = make_redis()
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(500)))
    assert daemon.status()["redis"]["state"] != "up"
    assert daemon.status()["redis"]["unsentUsers"] == 500
    assert daemon.traffic("u7")["source"] == "ledger"
    redis.start()
    wait_for_state(daemon, "up")
    daemon.report(stats("u7", 1, 2))
    assert wait_for_view(redis, daemon)["u7"] == (6, 2, 4)
    wait_for(lambda: daemon.status()["redis"]["unsentUsers"] == 0, "nothing unsent")
    assert daemon.traffic("u7")["source"] == "redis"


def test_a_killed_redis_that_comes_back_empty_is_filled_again(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    load = Load(daemon.address, 4).start()
    for _ in range(3):
        goal = load.n_answered() + 100
        wait_for(lambda: load.n_answered() > goal, "reports with Redis")
        redis.kill()
        wait_for(lambda: daemon.status()["redis"]["state"] != "up", "the loss is noticed")
        goal = load.n_answered() + 100
        wait_for(lambda: load.n_answered() > goal, "reports without Redis")
        assert daemon.get("/readyz").status == 200
        redis.start()
        wait_for_state(daemon, "up")
    load.finish()
    print(f"slowest answer: {1000 * load.slowest():.1f} ms")
    held = wait_for_view(redis, daemon)
    assert load.check(held) == 0
    assert daemon.status()["redis"]["repairs"] > 0
    assert daemon.status()["reports"]["refused"] == 0


def test_a_redis_of_an_old_snapshot_is_brought_to_the_ledger(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(100)))
    redis.ask("SAVE")
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(50, 150)))
    redis.kill()
    redis.start()
    assert redis.hash("user:u70")["usedTraffic"] == "3"
    held = wait_for_view(redis, daemon)
    assert held["u70"] == (6, 2, 4) and len(held) == 150


def test_a_paused_redis_delays_answers_by_its_timeout_at_most(redis, tallyd):
    daemon = tallyd(redis_url=redis.url, redis_timeout=300).start()
    daemon.report(stats("alice", 1, 2))
    load = Load(daemon.address, 4)
    redis.pause()
    began = time.monotonic()
    load.start()
    wait_for(lambda: time.monotonic() - began > 2 and load.n_answered() > 200,
             "two seconds of reports without an answer from Redis")
    assert daemon.status()["redis"]["state"] != "up"
    assert daemon.traffic("alice")["source"] == "ledger"
    redis.resume()
    wait_for_state(daemon, "up")
    load.finish()
    print(f"slowest answer: {1000 * load.slowest():.1f} ms")
    assert load.slowest() < 0.3 + seconds(1.5)
    held = wait_for_view(redis, daemon)
    assert held.pop("alice") == (3, 1, 2)
    assert load.check(held) == 0


def test_what_was_queued_for_a_paused_redis_is_not_counted_twice(redis, tallyd):
    daemon = tallyd(redis_url=redis.url, redis_timeout=200).start()
    names = [f"user-{i}" for i in range(5000)]
    for _ in range(3):
        redis.pause()
        assert daemon.post("/observer", report(*(
            stats(name, 1, 2) for name in names))).status == 200
        wait_for_state(daemon, "down", "checking")
        redis.resume()
        wait_for_state(daemon, "up")
    assert daemon.post("/observer", report(*(stats(n, 1, 2) for n in names))).status == 200
    assert wait_for_view(redis, daemon) == {name: (12, 4, 8) for name in names}


def test_a_restart_sets_redis_to_the_ledger(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(300)))
    daemon.kill()
    redis.ask("HSET", "user:u3", "usedTraffic", "999999", "inputBytes", "0")
    redis.ask("DEL", "user:u4")
    daemon.start()
    held = wait_for_view(redis, daemon)
    assert held == {f"u{i}": (3, 1, 2) for i in range(300)}
    daemon.report(stats("u3", 1, 2))
    assert redis.hash("user:u3")["usedTraffic"] == "6"


def test_a_stop_with_a_paused_redis_is_a_clean_stop(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(stats("alice", 1, 2))
    redis.pause()
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    redis.resume()
    assert daemon.users() == {"alice": (6, 2, 4)}
    daemon.start()
    assert wait_for_view(redis, daemon) == {"alice": (6, 2, 4)}


def test_a_key_of_another_type_concerns_its_user_only(redis, tallyd):
    daemon = tallyd(redis_url=redis.url)
    daemon.expects_errors = True
    daemon.start()
    redis.ask("SET", "user:odd", "a string")
    for _ in range(3):
        daemon.report(stats("odd", 1, 2), stats("alice", 1, 2))
    assert redis.hash("user:alice")["usedTraffic"] == "9"
    assert redis.ask("GET", "user:odd") == "a string"
    assert daemon.traffic("odd")["usedTraffic"] == 9
    daemon.force_sync()
    assert daemon.users() == {"alice": (9, 3, 6), "odd": (9, 3, 6)}
    assert daemon.status()["redis"]["state"] == "up"
    redis.ask("DEL", "user:odd")
    assert wait_for_view(redis, daemon)["odd"] == (9, 3, 6)


def test_a_redis_without_memory_is_brought_to_the_ledger_when_it_has_some(redis, tallyd):
    daemon = tallyd(redis_url=redis.url)
    daemon.expects_errors = True
    daemon.start()
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(20)))
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(10, 30)))
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    daemon.report(stats("u0", 1, 2))
    held = wait_for_view(redis, daemon)
    assert held["u15"] == (6, 2, 4) and len(held) == 30


def test_the_key_prefix_is_an_option(redis, tallyd):
    redis.ask("HSET", "user:panel", "usedTraffic", "5")
    daemon = tallyd(redis_url=redis.url, redis_key_prefix="gost:u:").start()
    daemon.report(stats("alice", 1, 2))
    assert redis.view("gost:u:") == {"alice": (3, 1, 2)}
    assert redis.hash("user:panel") == {"usedTraffic": "5"}


# Ways to connect.

def test_a_unix_socket_and_a_database_number_are_used(redis, tallyd):
    daemon = tallyd(redis_url=f"unix://{redis.socket_path}?db=3").start()
    daemon.report(stats("alice", 1, 2))
    assert redis.view() == {}
    client = redis.client()
    client("SELECT", 3)
    assert client.view() == {"alice": (3, 1, 2)}
    client.close()
    other = tallyd(redis_url=f"redis://127.0.0.1:{redis.port}/5").start()
    other.report(stats("bob", 1, 2))
    client = redis.client()
    client("SELECT", 5)
    assert client.view() == {"bob": (3, 1, 2)}
    client.close()


def test_passwords_work_and_are_never_shown(make_redis, tallyd):
    redis = make_redis("--requirepass", "hunter2")
    redis.password = "hunter2"
    redis.start()
    daemon = tallyd(redis_url=f"redis://:hunter2@127.0.0.1:{redis.port}/0",
                    log_level="debug").start()
    wait_for_state(daemon, "up")
    daemon.report(stats("alice", 1, 2))
    assert redis.view() == {"alice": (3, 1, 2)}
    redis.kill()
    wait_for(lambda: daemon.status()["redis"]["state"] != "up", "the loss is noticed")
    assert "hunter2" not in daemon.get("/throttle-sync-status").body.decode()
    assert "hunter2" not in daemon.get("/readyz").body.decode()
    assert "hunter2" not in daemon.all_logs()


def test_a_user_of_an_acl_is_logged_in(redis, tallyd):
    redis.ask("ACL", "SETUSER", "tally", "on", ">p:w/d@%", "~*", "+@all")
    daemon = tallyd(redis_url=f"redis://tally:p%3Aw%2Fd%40%25@127.0.0.1:{redis.port}").start()
    daemon.report(stats("alice", 1, 2))
    assert redis.view() == {"alice": (3, 1, 2)}
    assert "p:w/d@%" not in daemon.all_logs() and "p%3Aw" not in daemon.all_logs()


def test_a_wrong_password_is_a_redis_that_is_down(make_redis, tallyd):
    redis = make_redis("--requirepass", "hunter2")
    redis.password = "hunter2"
    redis.start()
    daemon = tallyd(redis_url=f"redis://:wrong-one@127.0.0.1:{redis.port}/0")
    daemon.expects_errors = True
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    assert daemon.status()["redis"]["state"] != "up"
    assert redis.view() == {}
    wait_for(lambda: "WRONGPASS" in daemon.log() or "password" in daemon.log(),
             "the reason is said")
    assert "wrong-one" not in daemon.log()


# Linking, and somebody else's Redis.

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


def test_what_is_no_total_is_left_and_reported(redis, tallyd):
    odd = {"float": "1.5", "text": "abc", "empty": "", "signed": "+5", "negative": "-5",
           "blank": " 5", "huge": "9223372036854775808", "long": "1" * 400}
    for user, value in odd.items():
        redis.ask("HSET", f"user:{user}", "usedTraffic", value)
    redis.ask("HSET", "user:half", "usedTraffic", "7", "inputBytes", "x")
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
    assert len(rejects) == len(odd) + 5, events
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
    first = tallyd(redis_url=redis.url).start()
    first.report(stats("alice", 1, 2))
    second = tallyd(redis_url=redis.url)
    second.expects_errors = True
    second.start()
    before = redis.view()
    second.report(stats("alice", 100, 200), stats("bob", 1, 2))
    assert second.traffic("alice") == {"id": "alice", "usedTraffic": 300, "inputBytes": 100,
                                       "outputBytes": 200, "source": "ledger"}
    data = second.status()["redis"]
    assert data["state"] == "foreign" and "tallyd:instance" in data["error"], data
    assert "belongs to another tallyd" in second.log()
    assert second.get("/readyz").json()["redis"] == "foreign"
    assert redis.view() == before
    first.report(stats("alice", 1, 2))
    assert redis.view() == {"alice": (6, 2, 4)}


@pytest.mark.parametrize("how, alice", [("adopt", (309, 103, 206)), ("overwrite", (300, 100, 200))])
def test_another_ones_redis_is_taken_over_when_asked_to(how, alice, redis, tallyd):
    first = tallyd(redis_url=redis.url).start()
    first.report(stats("alice", 3, 6), stats("bob", 1, 2))
    second = tallyd(redis_url="none").start()
    second.report(stats("alice", 100, 200))
    second.stop()
    second.options["redis_url"] = redis.url
    second.options["take_over_redis"] = how
    for _ in range(3):  # asked for more than once, it is done once
        second.start()
        wait_for_state(second, "up")
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


@pytest.mark.parametrize("value", ["", "x" * 500, "a\nb"])
def test_an_owner_that_is_no_id_is_somebody_else(value, redis, tallyd):
    redis.ask("SET", "tallyd:instance", value)
    daemon = tallyd(redis_url=redis.url)
    daemon.expects_errors = True
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    assert daemon.status()["redis"]["state"] == "foreign"
    assert redis.ask("GET", "tallyd:instance") == value and redis.ask("DBSIZE") == 1
    daemon.stop()
    daemon.options["take_over_redis"] = "overwrite"
    daemon.start()
    wait_for_state(daemon, "up")
    assert wait_for_view(redis, daemon) == {"alice": (3, 1, 2)}


def test_the_instance_knows_its_own_redis_again(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(stats("alice", 1, 2))
    owner = redis.ask("GET", "tallyd:instance")
    assert owner and owner == daemon.sql(
        "select value from meta where key = 'instance_id'")[0][0]
    for end in (daemon.stop, daemon.kill):
        end()
        daemon.start()
        daemon.report(stats("alice", 1, 2))
    assert redis.view() == {"alice": (9, 3, 6)}


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
    redis.ask("DEL", "tallyd:instance")  # nobody's any more: looked at again, and adopted
    wait_for_state(daemon, "up")
    assert wait_for_view(redis, daemon) == {"alice": (6, 2, 4), "panel": (8, 1, 2)}


def test_other_keys_do_not_make_a_redis_foreign(redis, tallyd):
    client = redis.client()
    for i in range(2000):
        client("SET", f"session:{i}", "x")
    client("SET", "users", "x")
    client.close()
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(stats("alice", 1, 2))
    assert redis.view() == {"alice": (3, 1, 2)}
    assert redis.ask("DBSIZE") == 2003


# A peer that is no Redis.

@pytest.mark.parametrize("reply", [
    Free(b":3\r\n" * 40), Free(b"+OK\r\n$5\r\nab"), Free(b"*-1\r\n" * 3),
    Free(b"HTTP/1.1 400 Bad Request\r\n\r\n"), lambda words: b"\x15\x03\x01\x00\x02\x02\x28",
    lambda words: b"*1\r\n" * 500, lambda words: b"-ERR max number of clients reached\r\n" * 2,
], ids=["too many", "one and a half", "nil arrays", "http", "tls", "nested", "errors"])
def test_a_peer_that_is_no_redis_costs_no_report(reply, tallyd):
    peer = FakeRedis(reply)
    daemon = tallyd(redis_url=peer.url).start()
    for _ in range(20):
        daemon.report(stats("alice", 1, 2))
    assert daemon.traffic("alice")["usedTraffic"] == 60
    wait_for(lambda: daemon.status()["redis"]["error"], "the error is shown")
    daemon.report(stats("alice", 1, 2))
    peer.close()


def test_a_redis_that_takes_long_to_look_through_does_not_hold_up_the_start(tallyd):
    free = Free(b"")
    peer = FakeRedis(lambda words: b"*2\r\n$1\r\n7\r\n*0\r\n" if words[0] == b"SCAN" else free(words))
    daemon = tallyd(redis_url=peer.url).spawn()
    wait_for(lambda: "journal folded" in daemon.log(), "the start is under way")
    daemon.send_signal(signal.SIGHUP)  # too early to be heeded, and not deadly either
    wait_for(daemon.is_ready, "it is ready")
    assert daemon.status()["redis"]["state"] == "linking"
    daemon.report(stats("alice", 1, 2))
    peer.close()
