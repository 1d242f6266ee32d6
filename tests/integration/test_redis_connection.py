"""Ways to connect to Redis; what it may forbid; and peers that are no Redis."""
import itertools
import re
import signal

import pytest

from deadline import IS_RELEASE, ROOT, wait_for
from fake_redis import FakeRedis, Free, bulk
from ports import free_port
from tallyd import stats
from view import wait_for_read, wait_for_state


# Ways to connect.

def test_a_unix_socket_and_a_database_number_are_used(redis, tallyd):
    daemon = tallyd(redis_url=f"unix://{redis.socket_path}?db=3").start()
    daemon.report(stats("alice", 1, 2))
    client = redis.client()
    client("SELECT", 3)
    wait_for(lambda: client.view() == {"alice": (3, 1, 2)}, "it is shown")
    assert redis.view() == {}
    client.close()
    other = tallyd(redis_url=f"redis://127.0.0.1:{redis.port}/5").start()
    other.report(stats("bob", 1, 2))
    client = redis.client()
    client("SELECT", 5)
    wait_for(lambda: client.view() == {"bob": (3, 1, 2)}, "it is shown")
    client.close()


def test_passwords_work_and_are_never_shown(make_redis, tallyd):
    redis = make_redis("--requirepass", "hunter2")
    redis.password = "hunter2"
    redis.start()
    daemon = tallyd(redis_url=f"redis://:hunter2@127.0.0.1:{redis.port}/0",
                    log_level="debug").start()
    wait_for_state(daemon, "up")
    daemon.report(stats("alice", 1, 2))
    wait_for(lambda: redis.view() == {"alice": (3, 1, 2)}, "it is shown")
    redis.kill()
    wait_for(lambda: daemon.status()["redis"]["state"] != "up", "the loss is noticed")
    assert "hunter2" not in daemon.get("/throttle-sync-status").body.decode()
    assert "hunter2" not in daemon.get("/readyz").body.decode()
    assert "hunter2" not in daemon.all_logs()


def test_a_user_of_an_acl_is_logged_in(redis, tallyd):
    redis.ask("ACL", "SETUSER", "tally", "on", ">p:w/d@%", "~*", "+@all")
    daemon = tallyd(redis_url=f"redis://tally:p%3Aw%2Fd%40%25@127.0.0.1:{redis.port}").start()
    daemon.report(stats("alice", 1, 2))
    wait_for(lambda: redis.view() == {"alice": (3, 1, 2)}, "it is shown")
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


@pytest.mark.parametrize("credential, word, user", [
    ("", "NOAUTH", "default"), (":wrong-one@", "WRONGPASS", "default"),
    ("tally:wrong-one@", "WRONGPASS", "tally")])
def test_a_password_that_redis_wants_is_logged_with_the_line_that_mends_it_and_the_restart(
        credential, word, user, make_redis, tallyd):
    redis = make_redis("--requirepass", "hunter2")
    redis.password = "hunter2"
    redis.start()
    daemon = tallyd(redis_url=f"redis://{credential}127.0.0.1:{redis.port}/3").start()
    wait_for(lambda: word in daemon.log(), "the reason is said")
    line = next(line for line in daemon.log().splitlines() if word in line)
    assert f"redis_url = redis://{user}:PASSWORD@127.0.0.1:{redis.port}/3" in line, line
    assert "systemctl restart tallyd" in line, line
    assert "wrong-one" not in daemon.all_logs()


def test_a_password_that_redis_does_not_have_is_logged_with_the_line_that_sets_it(
        make_redis, tallyd):
    redis = make_redis().start()
    daemon = tallyd(redis_url=f"redis://:secret-word@127.0.0.1:{redis.port}/0").start()
    wait_for(lambda: "without any password" in daemon.log(), "the reason is said")
    line = next(line for line in daemon.log().splitlines() if "without any password" in line)
    assert "set requirepass in redis.conf" in line, line
    assert "secret-word" not in daemon.all_logs()


# A peer that is no Redis.

@pytest.mark.parametrize("reply", [
    Free(b":3\r\n" * 40), Free(b"+OK\r\n$5\r\nab"), Free(b"*-1\r\n" * 3),
    Free(b"HTTP/1.1 400 Bad Request\r\n\r\n"), lambda words: b"\x15\x03\x01\x00\x02\x02\x28",
    lambda words: b"*1\r\n" * 500, lambda words: b"-ERR max number of clients reached\r\n" * 2,
], ids=["too many", "one and a half", "nil arrays", "http", "tls", "nested", "errors"])
def test_a_peer_that_is_no_redis_costs_no_report(reply, tallyd):
    peer = FakeRedis(reply)
    daemon = tallyd(redis_url=peer.url)
    daemon.expects_errors = True  # it may be taken for somebody else's
    daemon.start()
    for _ in range(20):
        daemon.report(stats("alice", 1, 2))
    assert daemon.traffic("alice")["usedTraffic"] == 60
    wait_for(lambda: daemon.status()["redis"]["error"], "the error is shown")
    daemon.report(stats("alice", 1, 2))
    peer.close()


def page(cursor):
    return b"*2\r\n" + bulk(b"%d" % cursor) + b"*0\r\n"


def test_a_redis_that_takes_long_to_look_through_does_not_hold_up_the_start(tallyd):
    free = Free(b"")
    cursors = itertools.count(1)
    peer = FakeRedis(lambda words: page(next(cursors)) if words[0] == b"SCAN" else free(words))
    daemon = tallyd(redis_url=peer.url, redis_timeout="20s").spawn()
    wait_for(lambda: "journal folded" in daemon.log(), "the start is under way")
    daemon.send_signal(signal.SIGHUP)  # too early to be heeded, and not deadly either
    wait_for(daemon.is_ready, "it is ready")
    assert daemon.status()["redis"]["state"] == "linking"
    daemon.report(stats("alice", 1, 2))
    peer.close()


NESTED = b"*60000\r\n" + (b"*60000\r\n" + b":1\r\n" * 60000) * 50
LONG = b"*60\r\n" + (b"$2000000\r\n" + b"x" * 2000000 + b"\r\n") * 60


@pytest.mark.parametrize("reply", [
    b"*2147483647\r\n", b"*100000000\r\n", b"$536870912\r\n" + b"x" * 10**8, NESTED, LONG],
    ids=["array", "large array", "string", "nested", "many strings"])
def test_a_peer_that_promises_a_lot_gets_no_memory_for_it(reply, tallyd):
    peer = FakeRedis(Free(reply))
    daemon = tallyd(redis_url=peer.url, redis_timeout=100).start()
    for _ in range(20):
        daemon.report(stats("alice", 1, 2))
    wait_for(lambda: daemon.status()["redis"]["error"], "the error is shown")
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        most = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    assert most < (65536 if IS_RELEASE else 10**6), f"{most} KiB"
    peer.close()


# What Redis may forbid, and how it is set up.

ACL_LINE = re.search(r"^    user tallyd on >PASSWORD (.*)$",
                     (ROOT / "README.md").read_text(), re.MULTILINE)[1].split()
RIGHTS = [word for word in ACL_LINE if word.startswith("+")]


def with_rights(redis, rights):
    """A Redis whose user tallyd has these; the url."""
    redis.ask("ACL", "SETUSER", "tallyd", "reset", "on", ">secret",
              *(word for word in ACL_LINE if word not in RIGHTS), *rights)
    return f"redis://tallyd:secret@127.0.0.1:{redis.port}/2"


def view_of(redis, db):
    client = redis.client()
    client("SELECT", db)
    view = client.view()
    client.close()
    return view


def test_the_rights_that_the_readme_gives_are_enough(redis, tallyd):
    url = with_rights(redis, RIGHTS)
    client = redis.client()
    client("SELECT", 2)
    client("HSET", "user:panel", "usedTraffic", 7)
    daemon = tallyd(redis_url=url).start()
    wait_for_state(daemon, "up")
    for _ in range(3):
        daemon.report(stats("panel", 1, 2), stats("alice", 1, 2))
        wait_for_read(daemon, "alice")
        client("HSET", "user:alice", "usedTraffic", 1)
        redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
        client = redis.client()
        client("SELECT", 2)
        wait_for_state(daemon, "up")
    wait_for(lambda: client.view() == {"panel": (16, 3, 6), "alice": (9, 3, 6)}, "it is right")
    client.close()
    assert redis.ask("ACL", "LOG") == []
    assert "does not let us" not in daemon.log()


@pytest.mark.parametrize("right", RIGHTS)
def test_each_right_that_the_readme_gives_is_needed(right, redis, tallyd):
    """Without one of them nothing is lost, and Redis or tallyd says which it was.

    Increments are only for a Redis that does not tell of edits.
    """
    missing = {right, "+client|tracking"} if right == "+hincrby" else {right}
    url = with_rights(redis, [word for word in RIGHTS if word not in missing])
    client = redis.client()
    client("SELECT", 2)
    client("HSET", "user:panel", "usedTraffic", 7)
    client.close()
    daemon = tallyd(redis_url=url).start()
    for _ in range(3):
        daemon.report(stats("panel", 1, 2))
    command = right[1:]
    wait_for(lambda: command in str(redis.ask("ACL", "LOG")), f"{command} is missed")
    daemon.force_sync()
    assert daemon.users()["panel"] in ((9, 3, 6), (16, 3, 6))
    redis.ask("ACL", "SETUSER", "tallyd", right)
    wait_for(lambda: view_of(redis, 2) == {"panel": (16, 3, 6)}, "it goes on once it is given")


def test_without_the_right_to_end_connections_it_waits_and_says_so(redis, tallyd):
    url = with_rights(redis, [word for word in RIGHTS if word != "+client|kill"])
    daemon = tallyd(redis_url=url, redis_timeout=100).start()
    daemon.report(stats("alice", 1, 2))
    redis.ask("CLIENT", "KILL", "TYPE", "normal")
    daemon.report(stats("alice", 1, 2))
    daemon.kill()
    redis.pause()  # so that there is an earlier connection, whose end Redis has not read
    daemon.start()
    redis.resume()
    wait_for(lambda: view_of(redis, 2) == {"alice": (6, 2, 4)}, "it is right")
    assert daemon.log().count("does not let us end our earlier connections") == 1
    assert "no permissions" in daemon.log()


@pytest.mark.parametrize("path, error", [
    ("/99", "out of range"), ("/0", "NOAUTH")], ids=["wrong database", "no password"])
def test_an_error_of_the_whole_is_said_and_tried_again(path, error, make_redis, tallyd):
    redis = make_redis(*(() if path == "/99" else ("--requirepass", "hunter2")))
    redis.password = None if path == "/99" else "hunter2"
    redis.start()
    daemon = tallyd(redis_url=f"redis://127.0.0.1:{redis.port}{path}").start()
    daemon.report(stats("alice", 1, 2))
    wait_for(lambda: error in str(daemon.status()["redis"]["error"]), "the reason is said")
    assert error in daemon.log()
    assert daemon.status()["redis"]["state"] in ("down", "checking")
    redis.ask("CONFIG", "SET", "requirepass", "")
    if path != "/99":
        redis.password = None
        wait_for_state(daemon, "up")


def test_a_redis_that_refuses_again_and_again_is_told_of_once(redis, tallyd):
    daemon = tallyd(redis_url=with_rights(redis, RIGHTS), redis_key_prefix="u:").start()
    daemon.report(stats("alice", 1, 2))
    wait_for(lambda: len(redis.ask("ACL", "LOG")) > 0 and
             redis.ask("ACL", "LOG")[0][1] >= 5, "it was tried again")
    log = daemon.log()
    assert log.count("Redis is down") == 1 and "NOPERM" in log, log
    assert "shows the ledger" not in log.split("Redis is down")[1], log
    data = daemon.status()["redis"]
    assert (data["unverifiedUsers"], data["repairs"]) == (1, 0), data


def test_each_address_of_a_name_is_tried(two_addresses, redis, tallyd):
    """Redis listens on the second only."""
    daemon = tallyd(redis_url=f"redis://two-addresses:{redis.port}",
                    env={"LD_PRELOAD": str(two_addresses)}).start()
    wait_for_state(daemon, "up")
    assert daemon.log().count("Redis is down") == 1


def test_a_scan_that_never_ends_is_given_up_with_a_sentence(tallyd):
    free = Free(b"")
    peer = FakeRedis(lambda words: page(7) if words[0] == b"SCAN" else free(words))
    daemon = tallyd(redis_url=peer.url).start()
    wait_for(lambda: "SCAN gave the same cursor again" in str(daemon.status()["redis"]["error"]),
             "the reason is shown")
    assert "SCAN gave the same cursor again" in daemon.log()
    daemon.report(stats("alice", 1, 2))
    peer.close()


ODD = b"\xff\xc3( \x01\x1b[2J\xc2\x9b"


@pytest.mark.parametrize("command", [b"INFO", b"GET", b"SETRANGE", b"HSET", b"CLIENT"])
@pytest.mark.parametrize("reply", [b"-ERR " + ODD + b"\r\n", bulk(ODD),
                                   bulk(b"redis_version:" + ODD + b"\r\n")],
                         ids=["error", "bulk", "version"])
def test_bytes_that_are_no_text_never_reach_status_or_log(command, reply, tallyd):
    free = Free(b":1\r\n")
    peer = FakeRedis(lambda words: reply if words[0] == command else free(words))
    daemon = tallyd(redis_url=peer.url)
    daemon.expects_errors = True  # somebody else's Redis
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    wait_for(lambda: sum(words[0] == command for words in peer.seen) > 0, "it is asked")
    wait_for(lambda: (redis := daemon.status()["redis"])["error"] or redis["state"] == "up",
             "that has an outcome")
    answer = daemon.get("/throttle-sync-status")
    for text in (answer.body.decode(), daemon.stderr_path.read_bytes().decode()):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), text
    peer.close()


def test_a_list_of_150000_connections_is_neither_asked_for_nor_waited_for(tallyd):
    line = b"id=%d addr=10.0.0.1:1 laddr=10.0.0.2:6379 fd=8 name= age=855 idle=0 flags=N db=0" \
           b" sub=0 psub=0 multi=-1 qbuf=0 qbuf-free=0 cmd=get\n"
    full = bulk(b"".join(line % i for i in range(150_000)))
    assert len(full) > 18_000_000
    free = Free(b":3\r\n")

    def reply(words):
        if words[:2] == [b"CLIENT", b"LIST"]:
            return full if len(words) == 2 else bulk(b"")
        if words[0] == b"INFO" and tells:
            return bulk(b"# Clients\r\nconnected_clients:150000\r\n")
        return b":1\r\n" if words[0] == b"HSET" else free(words)

    for tells in (True, False):  # what a Redis without the right to INFO does not
        peer = FakeRedis(reply)
        daemon = tallyd(redis_url=peer.url)
        daemon.start()
        wait_for_state(daemon, "up")
        daemon.report(stats("alice", 1, 2))
        n_lists = peer.seen.count([b"CLIENT", b"LIST"])
        assert n_lists == (0 if tells else 2), n_lists
        daemon.stop()
        peer.close()
        free = Free(b":3\r\n")


def test_a_long_redis_timeout_does_not_hold_up_the_start(tallyd):
    peer = FakeRedis(lambda words: b"")
    daemon = tallyd(redis_url=peer.url, redis_timeout="60s").start()
    assert daemon.status()["redis"]["state"] == "checking"
    daemon.report(stats("alice", 1, 2))
    peer.close()


def test_where_nobody_listens_is_said(tallyd):
    port = free_port()
    daemon = tallyd(redis_url=f"redis://someone:hunter2@127.0.0.1:{port}/3").start()
    assert daemon.status()["redis"]["error"] == "Connection refused"
    assert f'redis="127.0.0.1:{port}/3" error="Connection refused"' in daemon.log()
    assert "hunter2" not in daemon.log() and "someone" not in daemon.log()


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_a_redis_that_may_throw_totals_away_is_warned_of(policy, make_redis, tallyd):
    redis = make_redis("--maxmemory-policy", policy).start()
    daemon = tallyd(redis_url=redis.url).start()
    wait_for_state(daemon, "up")
    data = daemon.status()["redis"]
    assert (data["maxmemoryPolicy"], data["appendOnly"]) == (policy, "no"), data
    assert data["serverVersion"] == redis.ask("INFO", "server").split("redis_version:")[1].split()[0]
    assert ("Redis may evict totals" in daemon.log()) == (policy != "noeviction")
