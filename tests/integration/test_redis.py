"""The view in Redis, and Redis being away, slow or empty."""
import signal
import time
import urllib.parse

import pytest

from deadline import wait_for
from oracle import Load
from tallyd import report, stats
from view import check_shown, start_linked, wait_for_read, wait_for_state, wait_for_view


@pytest.mark.smoke
def test_what_was_answered_can_be_read_in_redis(redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url, redis_timeout="20s"))
    client, reader = daemon.client(), redis.client()
    for n in range(1, 201):
        began = time.monotonic()
        assert client.post("/observer", report(stats("alice", n, 1))).status == 200
        answered_in = time.monotonic() - began
        used = str(n * (n + 1) // 2 + n)
        check_shown(lambda: {used} - {reader("HGET", "user:alice", "usedTraffic")}, answered_in)
    client.close()
    reader.close()
    assert wait_for_read(daemon, "alice") == {
        "id": "alice", "usedTraffic": 20300, "inputBytes": 20100, "outputBytes": 200,
        "source": "redis"}


def test_what_many_were_answered_can_be_read_in_redis(redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url, redis_timeout="20s"))
    load = Load(daemon.address, 8).start()

    def missing(acked):
        view = redis.view()
        return [user for user, size in acked.items() if view.get(user, (0, 0, 0))[1] < size]

    for _ in range(10):
        acked = load.acked()
        check_shown(lambda: missing(acked), load.slowest())
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
    wait_for_read(daemon, "u7")


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
    wait_for(lambda: redis.hash("user:u70").get("usedTraffic") == "3", "it is shown")
    redis.ask("SET", "snapshot", "old")
    redis.ask("SAVE")
    redis.ask("SET", "snapshot", "none")
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(50, 150)))
    redis.kill()
    redis.start()
    assert redis.ask("GET", "snapshot") == "old"
    held = wait_for_view(redis, daemon)
    assert held["u70"] == (6, 2, 4) and len(held) == 150


def test_a_paused_redis_delays_answers_and_refuses_none(redis, tallyd):
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
    held = wait_for_view(redis, daemon)
    assert held.pop("alice") == (3, 1, 2)
    assert load.check(held) == 0


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
    wait_for(lambda: redis.hash("user:u3")["usedTraffic"] == "6", "it is shown")


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
    start_linked(daemon)
    redis.ask("SET", "user:odd", "a string")
    for _ in range(3):
        daemon.report(stats("odd", 1, 2), stats("alice", 1, 2))
    wait_for(lambda: redis.hash("user:alice").get("usedTraffic") == "9", "alice is shown")
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
    wait_for(lambda: redis.view("gost:u:") == {"alice": (3, 1, 2)}, "it is shown")
    assert redis.hash("user:panel") == {"usedTraffic": "5"}


@pytest.mark.parametrize("prefix, user", [("tallyd:", "instance"), ("", "tallyd:instance"),
                                          ("tallyd:", "holder")])
def test_no_user_can_take_the_place_of_the_owner(prefix, user, redis, tallyd):
    daemon = tallyd(redis_url=redis.url, redis_key_prefix=prefix).start()
    wait_for_state(daemon, "up")
    for _ in range(5):
        daemon.report(stats(user, 1, 2), stats("alice", 1, 2))
        redis.ask("FLUSHALL")
    wait_for(lambda: redis.hash(f"{prefix}alice").get("usedTraffic") == "15", "alice is shown")
    wait_for(lambda: redis.ask("TYPE", prefix + user) == "string", "tallyd's own key is there")
    wait_for(lambda: daemon.status()["redis"]["refusedUsers"] == 1, "the other one is refused")
    wait_for(lambda: "no user's" in daemon.status()["redis"]["error"], "the reason is said")
    assert daemon.traffic(user)["usedTraffic"] == 15


def test_what_a_reader_is_told_was_compared(redis, tallyd):
    """Nobody is told a total that the ledger does not hold, even just after an edit."""
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(stats("alice", 1, 2))
    wait_for_read(daemon, "alice")
    for edit in (("HSET", "user:alice", "usedTraffic", "99"), ("DEL", "user:alice"),
                 ("SET", "user:alice", "x")):
        redis.ask(*edit)
        assert daemon.traffic("alice")["usedTraffic"] == 3
    redis.ask("DEL", "user:alice")
    wait_for_read(daemon, "alice")


@pytest.mark.parametrize("user", ["йоана", "名前 1", "a/b?c#d%e", "🙂", "user:alice", "*", "é" * 127,
                                  "tallyd:instance", '"\'\\'])
def test_any_name_is_shown_and_read(user, redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(stats(user, 1, 2))
    wait_for(lambda: redis.view() == {user: (3, 1, 2)}, "it is shown")
    assert wait_for_read(daemon, urllib.parse.quote(user, safe="")) == {
        "id": user, "usedTraffic": 3, "inputBytes": 1, "outputBytes": 2, "source": "redis"}


@pytest.mark.parametrize("path, status", [
    ("nobody", 404), ("%00", 404), ("a%00", 404), ("%ff", 404), ("a%0Ab", 404), ("x" * 300, 404)])
def test_nobody_is_not_found(path, status, redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url))
    redis.ask("HSET", "user:nobody", "usedTraffic", "5")
    daemon.report(stats("a", 1, 2))
    assert daemon.get(f"/users/{path}/traffic").status == status


def test_one_difference_makes_all_doubtful_and_the_repair_rate_bounds_the_walk(redis, tallyd):
    """Where Redis does not tell of edits."""
    daemon = start_linked(tallyd(redis_url=redis.url_that_tells_nothing(),
                                 max_pending_users=10**6, config="redis_repair_rate = 5\n"))
    for start in range(0, 2000, 100):
        daemon.report(*(stats(f"u{i}", 1, 2) for i in range(start, start + 100)))
    # Who is active does not wait: at this rate the walk would take minutes for them.
    wait_for(lambda: daemon.status()["redis"]["unverifiedUsers"] == 0, "all are verified")
    for name in redis.view():
        redis.ask("HSET", f"user:{name}", "usedTraffic", "1")
    daemon.report(stats("u7", 1, 2))
    wait_for(lambda: daemon.status()["redis"]["unverifiedUsers"] > 1000, "users are doubtful")
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(100)))
    wait_for(lambda: redis.view()["u99"] == (6, 2, 4), "who is active is shown")
    view = redis.view()
    assert sum(used == 1 for used, _, _ in view.values()) > 1000
    daemon.config_path.write_text("redis_repair_rate = 100000\n")
    daemon.send_signal(signal.SIGHUP)
    assert len(wait_for_view(redis, daemon)) == 2000
