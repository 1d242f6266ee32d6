"""Edits by others in Redis: it tells of them, or they are looked for."""
import threading

import pytest

from crowd import Crowd
from deadline import IS_RELEASE, wait_for
from tallyd import stats
from view import start_linked, wait_for_state, wait_for_view


EDITS = [
    ("HSET", "user:bob", "usedTraffic", "03"), ("DEL", "user:bob"),
    ("HDEL", "user:bob", "outputBytes"), ("HDEL", "user:bob", "usedTraffic"),
    ("HSET", "user:bob", "usedTraffic", "1"), ("HSET", "user:bob", "inputBytes", "9" * 18),
    ("HSET", "user:bob", "outputBytes", "x"), ("HSET", "user:bob", "usedTraffic", ""),
    ("HSET", "user:bob", "usedTraffic", str(2**63 - 1)), ("HINCRBY", "user:bob", "inputBytes", "1"),
    ("RENAME", "user:bob", "user:eve"), ("RENAME", "user:odd", "user:bob"),
    ("COPY", "user:odd", "user:bob", "REPLACE"), ("RESTORE", "user:bob", "0", None, "REPLACE"),
    ("EXPIRE", "user:bob", "0"), ("PEXPIRE", "user:bob", "1"), ("SET", "user:bob", "x", "PX", "50"),
    ("EVAL", "redis.call('HSET', KEYS[1], 'usedTraffic', 5)", "1", "user:bob"),
    ("MOVE", "user:bob", "1"), ("UNLINK", "user:bob"), ("FLUSHDB",), ("FLUSHALL", "ASYNC"),
    ("SWAPDB", "0", "1")]


def begin_editing(redis, daemon):
    """Users that are shown; and one that is none, for what is done with it."""
    daemon.report(stats("alice", 1, 2), stats("bob", 1, 2))
    redis.ask("HSET", "user:odd", "usedTraffic", "9")
    shown = {"alice": (3, 1, 2), "bob": (3, 1, 2), "odd": (9, 0, 0)}
    wait_for(lambda: redis.view().items() >= shown.items(), "they are shown")


def edit(redis, words):
    """Does it, and returns what of the users that are none is left."""
    if words[0] == "RESTORE":
        redis.ask("EVAL", "return redis.call('RESTORE', KEYS[2], 0, redis.call('DUMP', KEYS[1]),"
                  " 'REPLACE')", "2", "user:odd", "user:bob")
    else:
        redis.ask(*words)
    if words[0] in ("FLUSHDB", "FLUSHALL", "SWAPDB") or words[:2] == ("RENAME", "user:odd"):
        return {}
    eve = {"eve": (3, 1, 2)} if words[0] == "RENAME" else {}
    return {"odd": (9, 0, 0)} | eve


def name_of(value):
    return " ".join(filter(None, value)) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("words", EDITS, ids=name_of)
def test_each_kind_of_edit_is_told_of_and_mended_without_a_look_at_anybody_else(
        words, redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url))
    wait_for(lambda: daemon.status()["redis"]["edits"] == "told", "Redis tells of edits")
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(50)))
    begin_editing(redis, daemon)
    n_reads = redis.calls("hmget")  # of this test; nobody else has read
    left = edit(redis, words)
    right = {"usedTraffic": "3", "inputBytes": "1", "outputBytes": "2"}
    wait_for(lambda: daemon.status()["redis"]["repairs"] > 52, "it was seen")
    wait_for(lambda: redis.hash("user:bob") == right, "it is mended")
    if "bob" in str(words):
        assert redis.calls("hmget") - n_reads <= 2  # it may be told of twice
    assert wait_for_view(redis, daemon, missing=left)["bob"] == (3, 1, 2)


@pytest.mark.parametrize("words", EDITS, ids=name_of)
@pytest.mark.parametrize("tells", [True, False], ids=["told", "walked"])
def test_what_somebody_else_wrote_is_mended_with_the_users_next_report(
        tells, words, redis, tallyd):
    url = redis.url if tells else redis.url_that_tells_nothing()
    daemon = start_linked(tallyd(redis_url=url))
    begin_editing(redis, daemon)
    left = edit(redis, words)
    daemon.report(stats("bob", 10, 20))
    held = wait_for_view(redis, daemon, missing=left)
    assert held == {"alice": (3, 1, 2), "bob": (33, 11, 22)}


@pytest.mark.parametrize("words", EDITS[:4], ids=name_of)
def test_where_redis_does_not_tell_of_edits_they_are_looked_for(words, redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url_that_tells_nothing()))
    begin_editing(redis, daemon)
    held = wait_for_view(redis, daemon, missing=edit(redis, words))
    assert held == {"alice": (3, 1, 2), "bob": (3, 1, 2)}
    assert daemon.status()["redis"]["edits"] == "walked"
    assert daemon.log().count("Redis does not tell of edits by others") == 1
    assert "NOPERM" in daemon.log()


def wait_until_told(daemon):
    wait_for(lambda: daemon.status()["redis"]["edits"] == "told", "Redis tells of edits")


def test_an_edit_in_the_moment_in_which_the_second_connection_is_killed_is_found(redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url))
    daemon.report(*(stats(f"u{i}", 1, 2) for i in range(200)))
    client = redis.client()
    for n in range(5):
        wait_until_told(daemon)
        wait_for(lambda: len(redis.view()) == 200, "all are shown")
        for words in (("MULTI",), ("CLIENT", "KILL", "TYPE", "pubsub"),
                      ("HSET", f"user:u{n}", "inputBytes", "77"), ("EXEC",)):
            client(*words)
        wait_for_view(redis, daemon)
    client.close()
    assert daemon.status()["redis"]["differences"] == 5


def test_a_key_that_is_written_all_the_time_holds_no_report_up(redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url, redis_timeout="20s"))
    wait_until_told(daemon)
    daemon.report(stats("bob", 1, 2))
    is_over = threading.Event()

    def write():
        client = redis.client()
        while not is_over.is_set():
            for _ in range(100):
                client.send("HSET", "user:bob", "note", "x")
            for _ in range(100):
                client.read()
        client.close()

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(300):
        daemon.report(stats("alice", 1, 2), stats("bob", 1, 2))
    is_over.set()
    writer.join()
    assert wait_for_view(redis, daemon) == {"alice": (900, 300, 600), "bob": (903, 301, 602)}
    data = daemon.status()["redis"]
    assert (data["differences"], data["edits"]) == (0, "told"), data


def test_thousands_of_edits_at_one_instant_are_mended(redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url, max_pending_users=10**6))
    wait_until_told(daemon)
    Crowd(daemon, 20_000).fill()
    daemon.force_sync()
    wait_for(lambda: len(redis.view()) == 20_000, "all are shown")
    redis.ask("EVAL", "for _, key in ipairs(redis.call('KEYS', 'user:*')) do"
              " redis.call('HSET', key, 'outputBytes', '7') end", "0")
    wait_for_view(redis, daemon, limit=60)
    data = daemon.status()["redis"]
    assert data["edits"] == "told" and data["repairs"] >= 40_000, data


def main_thread_sleeps(daemon):
    """How often its loop has waited for something."""
    pid = daemon.process.pid
    with open(f"/proc/{pid}/task/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))


@pytest.mark.skipif(not IS_RELEASE, reason="it is about the release program")
def test_at_rest_nothing_is_read_and_the_loop_wakes_a_few_times_a_second(redis, tallyd):
    """Seconds are told by tallyd itself, which counts them in its key."""
    daemon = start_linked(tallyd(redis_url=redis.url))
    wait_until_told(daemon)
    Crowd(daemon, 1000).fill()
    daemon.force_sync()
    client = redis.client()

    def beat():
        return int(client("GET", "tallyd:holder").split("count=")[1].split()[0])

    began = beat()
    wait_for(lambda: beat() > began + 1, "it has come to rest")  # connections are gone
    began, n_sleeps, n_reads = beat(), main_thread_sleeps(daemon), redis.calls("hmget")
    wait_for(lambda: beat() >= began + 10, "ten beats", limit=60)
    assert main_thread_sleeps(daemon) - n_sleeps <= 5 * (beat() - began)
    assert redis.calls("hmget") == n_reads
    client.close()


def test_users_of_the_same_names_in_another_database_are_no_difference(redis, tallyd):
    """Redis tells of a key without saying in which database it is."""
    here = start_linked(tallyd(redis_url=redis.url))
    there = start_linked(tallyd(redis_url=f"redis://127.0.0.1:{redis.port}/1"))
    for daemon in (here, there):
        wait_until_told(daemon)
    for _ in range(50):
        here.report(*(stats(f"u{i}", 1, 2) for i in range(20)))
        there.report(*(stats(f"u{i}", 10, 20) for i in range(20)))
    assert set(wait_for_view(redis, here).values()) == {(150, 50, 100)}
    for daemon in (here, there):
        assert daemon.status()["redis"]["differences"] == 0
    redis.ask("FLUSHDB")
    assert set(wait_for_view(redis, here).values()) == {(150, 50, 100)}
    assert there.status()["redis"]["differences"] == 0


@pytest.mark.parametrize("prefix", ["", "*", "u[a-z]?\\", "é\"'", "x" * 179])
def test_an_edit_is_told_of_whatever_the_prefix_is(prefix, redis, tallyd):
    daemon = start_linked(tallyd(redis_url=redis.url, redis_key_prefix=prefix))
    wait_until_told(daemon)
    name = "b" * 255
    daemon.report(stats("alice", 1, 2), stats(name, 1, 2))
    wait_for(lambda: redis.ask("HGET", prefix + name, "usedTraffic") == "3", "it is shown")
    n_reads = redis.calls("hmget")
    redis.ask("HSET", prefix + name, "inputBytes", "7")
    wait_for(lambda: redis.ask("HGET", prefix + name, "inputBytes") == "1", "it is mended")
    assert redis.calls("hmget") == n_reads + 1
    assert daemon.status()["redis"]["differences"] == 1


@pytest.mark.parametrize("missing", ["&__redis__:invalidate", "+subscribe", "+client|tracking"])
def test_it_is_told_of_edits_as_soon_as_the_acl_allows_it(missing, redis, tallyd):
    words = ["&__redis__:invalidate", "+subscribe", "+client|tracking"]
    redis.ask("ACL", "SETUSER", "tallyd", "reset", "on", ">secret", "~*", "+@all", "resetchannels",
              "-subscribe", "-client|tracking", *(word for word in words if word != missing))
    daemon = start_linked(tallyd(redis_url=f"redis://tallyd:secret@127.0.0.1:{redis.port}/0"))
    wait_for(lambda: "Redis does not tell of edits by others" in daemon.log(), "it is said")
    assert daemon.status()["redis"]["edits"] == "walked"
    redis.ask("ACL", "SETUSER", "tallyd", missing)
    redis.ask("CLIENT", "KILL", "TYPE", "normal")
    wait_for_state(daemon, "up")
    wait_until_told(daemon)
    assert daemon.log().count("Redis does not tell of edits by others") == 1
