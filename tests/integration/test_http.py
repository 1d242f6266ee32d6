"""The door: paths, answers, limits, and clients that misbehave."""
import contextlib
import http.client
import json
import re
import select
import signal
import socket
import threading
import time
import urllib.parse

import pytest

import bodies
from client import Client, RawClient, get_bytes, post_bytes
from deadline import wait_for
from tallyd import report, stats

OK = b'{"ok":true}'
ONE = report(stats("alice", 1, 2))


def is_error(answer):
    """Errors are one sentence of JSON with its length."""
    assert int(answer.headers["content-length"]) == len(answer.body)
    data = answer.json()
    assert data["ok"] is False and data["error"].strip(), answer
    assert re.fullmatch("[a-z_]+", data["code"]), answer
    assert "\n" not in data["error"]
    return True


def sent(address, data):
    """A raw connection on which `data` was sent."""
    raw = RawClient(address)
    raw.send(data)
    return raw


# Paths and answers.

@pytest.mark.smoke
def test_every_path_answers_with_and_without_the_prefix(tallyd):
    daemon = tallyd().start()
    for prefix in ("", "/api/gost"):
        assert daemon.post(prefix + "/observer", ONE).body == OK
        assert daemon.get(prefix + "/throttle-sync-status").json()["success"] is True
        assert daemon.get(prefix + "/users/alice/traffic").json()["id"] == "alice"
        assert daemon.post(prefix + "/force-sync").json()["success"] is True
        for path in ("/livez", "/healthz", "/readyz", "/version"):
            answer = daemon.get(prefix + path)
            assert answer.status == 200, (path, answer)
    assert daemon.users() == {"alice": (6, 2, 4)}


def test_answers_are_json_with_a_length(tallyd):
    daemon = tallyd().start()
    for method, path, body in (
            ("POST", "/observer", ONE), ("GET", "/throttle-sync-status", None),
            ("GET", "/users/alice/traffic", None), ("GET", "/readyz", None),
            ("GET", "/version", None), ("POST", "/force-sync", None)):
        answer = daemon.request(method, path, body)
        assert answer.headers["content-type"].startswith("application/json"), path
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert isinstance(answer.json(), dict)


def test_readyz_lists_each_dependency(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    text = json.dumps(daemon.get("/readyz").json()).lower()
    assert "journal" in text and "redis" in text


def test_the_version_is_that_of_the_program(tallyd):
    daemon = tallyd().start()
    answer = daemon.get("/version").json()
    assert daemon.status()["version"] in daemon.run("--version").stdout
    assert daemon.status()["version"] in json.dumps(answer)


def test_unknown_paths_are_404(tallyd):
    daemon = tallyd().start()
    for path in ("/", "/observers", "/observer/x", "/api/gost", "/api", "/users", "/traffic",
                 "/users//traffic", "/users/alice", "/users/alice/traffic/x", "/users/%2f",
                 "/api/gost/api/gost/observer", "/Observer", "/%6fbserver/x"):
        for method in ("GET", "POST"):
            answer = daemon.request(method, path)
            assert answer.status == 404 and is_error(answer), (method, path, answer)
    assert daemon.get("/users/nobody/traffic").status == 404
    assert is_error(daemon.get("/users/nobody/traffic"))


def test_wrong_methods_are_405_and_name_the_right_one(tallyd):
    daemon = tallyd().start()
    for right, path in (("POST", "/observer"), ("POST", "/force-sync"),
                        ("GET", "/throttle-sync-status"), ("GET", "/users/a/traffic"),
                        ("GET", "/livez"), ("GET", "/readyz"), ("GET", "/healthz"),
                        ("GET", "/version")):
        for prefix in ("", "/api/gost"):
            for wrong in {"GET", "POST", "PUT", "DELETE", "PATCH"} - {right}:
                answer = daemon.request(wrong, prefix + path)
                assert answer.status == 405 and is_error(answer), (wrong, path, answer)
                assert right in answer.headers["allow"].replace(",", " ").split()


def test_bodies_that_are_no_report_are_400(tallyd):
    daemon = tallyd().start()
    for body in (None, "", "hello", "[]", "{}", '{"events":{}}'):
        answer = daemon.post("/observer", body)
        assert answer.status == 400 and is_error(answer), (body, answer)
    assert daemon.status()["reports"]["accepted"] == 0


def test_query_parameters_are_read(tallyd):
    daemon = tallyd().start()
    for query in ("?node=hk1", "?node=h%C3%BC%2F1&counters=delta", "?&", ""):
        assert daemon.post("/api/gost/observer" + query, ONE).body == OK
    for query in ("?counters=sideways", "?counters=", "?node=" + "x" * 256,
                  "?node=a%01b", "?node=%ff", "?unknown=1", "?counter=cumulative",
                  "?node=a&node=b", "?node=a&Node=a"):
        answer = daemon.post("/observer" + query, ONE)
        assert answer.status == 400 and is_error(answer), (query, answer)
    assert daemon.status()["reports"]["refused"] == 9
    assert "report refused: status=400" in daemon.log()
    daemon.force_sync()
    assert daemon.sql("select node, input_bytes from services order by node") == [
        ("default", 2), ("hk1", 1), ("hü/1", 1)]
    assert daemon.users() == {"alice": (12, 4, 8)}


@pytest.mark.parametrize("data", [
    b"POST /observer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{", b"POST /obs"])
def test_half_a_request_whose_client_has_gone_holds_no_connection(data, tallyd):
    daemon = tallyd(request_timeout="1h", idle_timeout="1h").start()
    raw = sent(daemon.address, data)
    raw.sock.shutdown(socket.SHUT_WR)
    assert raw.is_closed_by_peer()
    raw.close()


def test_what_the_door_refuses_is_told_to_the_operator(tallyd):
    """GOST would repeat it for ever, and its handler count nobody."""
    daemon = tallyd(max_body_bytes=1024).start()
    assert daemon.post("/obsrver", ONE).status == 404
    wait_for(lambda: "request refused: status=404" in daemon.log(), "it is logged")
    moment = time.monotonic() + 1.1  # at most one line of a kind per second
    wait_for(lambda: time.monotonic() > moment, "the moment")
    assert daemon.post("/observer", ONE + " " * 1024).status == 413
    wait_for(lambda: "request refused: status=413" in daemon.log(), "it is logged")


def test_a_body_too_large_is_413_before_it_is_sent(tallyd):
    daemon = tallyd(max_body_bytes=100000).start()
    head = "POST /observer HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    for size in (100001, 10**9, 2**62):
        raw = sent(daemon.address, (head % size).encode())
        answer = raw.read_answer()
        assert answer.status == 413 and is_error(answer)
        raw.close()
    padded = ONE + " " * (100000 - len(ONE))
    assert daemon.post("/observer", padded).body == OK
    assert daemon.status()["reports"]["accepted"] == 1


def chunks(body, size):
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


CHUNKED = b"POST /observer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_chunked_bodies_are_read_up_to_the_limit(tallyd):
    daemon = tallyd(max_body_bytes=100000).start()
    raw = sent(daemon.address, CHUNKED + chunks(ONE.encode(), 7))
    assert raw.read_answer().body == OK
    raw.close()
    for size in (100001, 3000000):
        raw = RawClient(daemon.address)
        raw.send_whatever_it_takes(CHUNKED + chunks(ONE.encode() + b" " * size, 4096))
        with contextlib.suppress(ConnectionError):
            assert raw.read_answer().status == 413
        raw.close()
    daemon.report(stats("alice", 1, 2))
    assert daemon.traffic("alice")["usedTraffic"] == 6


def test_expect_100_continue_is_answered(tallyd):
    daemon = tallyd(max_body_bytes=100000).start()
    head = "POST /observer HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    raw = sent(daemon.address, (head % len(ONE)).encode())
    assert raw.read_answer().status == 100
    raw.send(ONE.encode())
    assert raw.read_answer().body == OK
    raw.close()
    raw = sent(daemon.address, (head % 100001).encode())
    assert raw.read_answer().status == 413
    raw.close()


# Connections.

@pytest.mark.smoke
def test_a_connection_is_kept_for_the_next_request(tallyd):
    daemon = tallyd().start()
    client = daemon.client()
    client.get("/livez")
    first = client.connection.sock
    for _ in range(100):
        assert client.post("/observer", ONE).body == OK
        assert client.post("/observer", "[").status == 400
        assert client.get("/nowhere").status == 404
        assert client.connection.sock is first
    client.close()
    assert daemon.traffic("alice")["usedTraffic"] == 300


def test_pipelined_requests_are_answered_in_order(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(*(stats(f"u{i}", i, 0) for i in range(50)))
    batch = b"".join(post_bytes("/observer", ONE) + get_bytes(f"/users/u{i}/traffic")
                     for i in range(50))
    raw = sent(daemon.address, batch)
    for i in range(50):
        assert raw.read_answer().body == OK
        found = raw.read_answer().json()
        assert (found["id"], found["inputBytes"]) == (f"u{i}", i)
    raw.close()
    assert daemon.traffic("alice")["usedTraffic"] == 150


def test_a_request_in_single_bytes_is_a_request(tallyd):
    daemon = tallyd().start()
    raw = RawClient(daemon.address)
    raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in post_bytes("/observer", ONE):
        raw.send(bytes([byte]))
    assert raw.read_answer().body == OK
    raw.close()


def test_connection_close_is_honoured(tallyd):
    daemon = tallyd().start()
    raw = sent(daemon.address, post_bytes("/observer", ONE, "Connection: close"))
    assert raw.read_answer().body == OK
    assert raw.is_closed_by_peer()
    raw.close()


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        return True
    return False


@pytest.mark.smoke
def test_ipv4_ipv6_and_a_unix_socket_are_listened_on_together(tallyd, tmp_path):
    path = tmp_path / "tallyd.sock"
    daemon = tallyd()
    addresses = [daemon.address, str(path)]
    listen = [f"127.0.0.1:{daemon.port}", f"unix:{path}"]
    if has_ipv6():
        addresses.append(("::1", daemon.port))
        listen.append(f"[::1]:{daemon.port}")
    daemon.options["listen"] = ",".join(listen)
    daemon.start()
    for address in addresses:
        client = Client(address)
        assert client.post("/observer", ONE).body == OK
        assert client.get("/throttle-sync-status").status == 200
        client.close()
    assert daemon.traffic("alice")["usedTraffic"] == 3 * len(addresses)


def test_a_killed_daemons_unix_socket_does_not_stop_the_next(tallyd, tmp_path):
    path = tmp_path / "tallyd.sock"
    daemon = tallyd(listen=f"unix:{path}")
    daemon.address = str(path)
    daemon.start()
    daemon.report(stats("alice", 1, 2))
    daemon.kill()
    assert path.exists()
    daemon.start()
    assert daemon.traffic("alice")["usedTraffic"] == 3


# Requests that are none.

def head_of(*lines):
    return "\r\n".join(["POST /observer HTTP/1.1", *lines, "", ""]).encode()


LENGTH = f"Content-Length: {len(ONE)}"
REFUSED_HEADS = {
    "no Host": head_of(LENGTH),
    "two lengths": head_of("Host: localhost", LENGTH, "Content-Length: 3"),
    "the same length twice": head_of("Host: localhost", LENGTH, LENGTH),
    "length and chunked": head_of("Host: localhost", LENGTH, "Transfer-Encoding: chunked"),
    "chunked and length": head_of("Host: localhost", "Transfer-Encoding: chunked", LENGTH),
    "a blank behind a name": head_of("Host: localhost", f"Content-Length : {len(ONE)}"),
    "a NUL in a name": head_of("Host: localhost", LENGTH, "X\0A: a"),
}


def test_ambiguous_requests_are_400_and_the_connection_is_closed(tallyd):
    daemon = tallyd().start()
    for name, head in REFUSED_HEADS.items():
        raw = RawClient(daemon.address)
        raw.send_whatever_it_takes(head + ONE.encode())
        assert raw.read_answer().status == 400, name
        assert raw.is_closed_by_peer(), name
        raw.close()
    data = daemon.status()
    assert data["reports"]["accepted"] == 0


def test_heads_that_cannot_be_read_end_the_connection(tallyd):
    daemon = tallyd(request_timeout="500ms").start()
    for head in (head_of("Host: localhost", "Content-Length: -1"), head_of("Host: localhost", "Content-Length: 1x"),
                 head_of("Host: localhost", "Content-Length: 99999999999999999999999"),
                 head_of("Host: localhost", "X-Large: " + "x" * 300000),
                 head_of("Host: localhost", *(f"X-{i}: y" for i in range(20000))),
                 b"GET /" + b"x" * 300000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
                 b"HELLO\r\n\r\n", b"\0" * 5000 + b"\r\n\r\n"):
        raw = RawClient(daemon.address)
        raw.send_whatever_it_takes(head)
        with contextlib.suppress(ConnectionError):
            assert 400 <= raw.read_answer().status < 600, head[:50]
        raw.close()
        assert daemon.get("/livez").status == 200
    daemon.report(stats("alice", 1, 2))
    assert daemon.traffic("alice")["usedTraffic"] == 3


# Slow, silent and unfriendly clients.

class Drip(threading.Thread):
    """Sends its bytes one by one, with pauses, until the peer closes."""

    def __init__(self, raw, data):
        super().__init__(daemon=True)
        self.raw, self.data = raw, data
        self.is_closed = threading.Event()

    def run(self):
        for byte in self.data:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.raw.sock.send(bytes([byte]))
            if select.select([self.raw.sock], [], [], 0.2)[0] and self.has_ended():
                break
        else:
            return
        self.is_closed.set()

    def has_ended(self):
        try:
            while self.raw.sock.recv(4096):
                pass
        except ConnectionResetError:
            pass
        return True


def test_silent_and_slow_clients_are_closed_while_others_are_served(tallyd):
    daemon = tallyd(idle_timeout="1s", request_timeout="1s").start()
    silent = RawClient(daemon.address)
    idle = sent(daemon.address, get_bytes("/livez"))
    assert idle.read_answer().status == 200
    slow_head = Drip(RawClient(daemon.address), get_bytes("/livez", "X-Long: " + "x" * 1000))
    slow_body = Drip(sent(daemon.address, head_of("Host: localhost", "Content-Length: 2000")),
                     b'{"events":[' + b" " * 1989)
    drips = (slow_head, slow_body)
    for drip in drips:
        drip.start()
    served = 0

    def all_closed():
        nonlocal served
        daemon.report(stats("alice", 1, 2))
        served += 1
        return all(drip.is_closed.is_set() for drip in drips)

    wait_for(all_closed, "slow clients are closed")
    assert silent.is_closed_by_peer()
    assert idle.is_closed_by_peer()
    assert daemon.traffic("alice")["usedTraffic"] == 3 * served
    for raw in (silent, idle, slow_head.raw, slow_body.raw):
        raw.close()


def test_the_newest_connection_is_served_when_many_are_idle(tallyd):
    daemon = tallyd(max_connections=20).start()
    idle = []
    for i in range(60):
        raw = sent(daemon.address, post_bytes("/observer", ONE))
        assert raw.read_answer().body == OK
        idle.append(raw)
    for raw in idle[:40]:
        assert raw.is_closed_by_peer()
    for raw in idle:
        raw.close()
    silent = [RawClient(daemon.address) for _ in range(60)]
    daemon.report(stats("alice", 1, 2))
    assert daemon.traffic("alice")["usedTraffic"] == 3 * 61
    for raw in silent:
        raw.close()


def is_served(daemon):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return daemon.get("/livez").status == 200
    return False


def test_a_door_full_of_half_requests_opens_again(tallyd):
    daemon = tallyd(max_connections=20, request_timeout="1s").start()
    halves = [RawClient(daemon.address) for _ in range(40)]
    for raw in halves:
        raw.send_whatever_it_takes(post_bytes("/observer", ONE)[:-5])
    wait_for(lambda: is_served(daemon), "somebody new is served")
    for raw in halves:
        raw.close()
    wait_for(lambda: is_served(daemon), "somebody new is served")
    assert daemon.status()["reports"]["accepted"] == 0


def test_a_client_that_does_not_read_holds_nobody_up_and_is_closed(tallyd):
    daemon = tallyd(idle_timeout="1s", request_timeout="1s").start()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(daemon.address)
    deaf.setblocking(False)
    request = get_bytes("/throttle-sync-status") * 100
    poll = select.poll()
    poll.register(deaf, select.POLLOUT)
    with contextlib.suppress(OSError):
        for _ in range(2000):
            deaf.send(request)
            if not poll.poll(200):
                break
    poll.modify(deaf, 0)

    def is_closed():
        daemon.report(stats("alice", 1, 2))
        return any(mask & (select.POLLHUP | select.POLLERR) for _, mask in poll.poll(0))

    wait_for(is_closed, "the deaf client is closed")
    deaf.close()


def can_report(daemon, event):
    """False while all connections are busy."""
    try:
        daemon.report(event)
    except ConnectionError:
        return False
    return True


def test_clients_that_vanish_leave_nothing_behind(tallyd):
    daemon = tallyd(max_connections=50, request_timeout="2s").start()
    whole = post_bytes("/observer", report(stats("ghost", 1, 2)))
    for i in range(90):
        raw = sent(daemon.address, whole[:len(whole) * (i // 3) // 30])
        (raw.close, raw.reset, lambda: raw.sock.shutdown(socket.SHUT_WR))[i % 3]()
    wait_for(lambda: can_report(daemon, stats("alice", 1, 2)), "there is room for another")
    assert daemon.get("/users/ghost/traffic").status == 404
    assert daemon.status()["reports"]["accepted"] == 1


def test_a_daemon_that_stood_still_cuts_nobody_off_for_it(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    whole = post_bytes("/observer", ONE)
    redis.pause()  # so that the answers are still to come when it stands still
    waiting = [sent(daemon.address, whole) for _ in range(20)]
    wait_for(lambda: daemon.status()["reports"]["accepted"] == 20, "all are accepted")
    daemon.send_signal(signal.SIGSTOP)
    time.sleep(2.5)  # longer than any answer may take
    daemon.send_signal(signal.SIGCONT)
    assert [raw.read_answer().body for raw in waiting] == [OK] * 20
    for raw in waiting:
        raw.close()
    redis.resume()


def test_half_requests_that_take_every_place_give_way_to_whole_ones(tallyd):
    daemon = tallyd(max_connections=20, request_timeout="60s").start()
    half = []
    for _ in range(20):
        half.append(sent(daemon.address, head_of("Host: localhost", LENGTH, "Expect: 100-continue")))
        assert half[-1].read_answer().status == 100  # so it is not one that has sent nothing yet
    wait_for(lambda: is_accepted(daemon), "a whole request finds a place")
    for raw in half:
        raw.close()


def is_accepted(daemon):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return daemon.post("/observer", ONE).status == 200


def test_a_silent_redis_makes_no_reader_wait_for_long(redis, tallyd):
    """Those who hang up leave nothing either: the sanitizers' run of this test looks for it."""
    daemon = tallyd(redis_url=redis.url, redis_timeout="20s").start()
    daemon.report(stats("alice", 1, 2))
    redis.pause()
    waiting = [sent(daemon.address, get_bytes("/users/alice/traffic")) for _ in range(20)]
    for raw in waiting[::2]:
        raw.reset()
    for raw in waiting[1::2]:
        answer = raw.read_answer()
        assert answer.status == 200 and answer.json()["source"] == "ledger", answer
        assert answer.json()["usedTraffic"] == 3
        raw.close()
    assert daemon.status()["redis"]["state"] == "up"
    redis.resume()
    wait_for(lambda: daemon.traffic("alice")["source"] == "redis", "Redis answers again")


def test_clients_that_do_not_wait_for_their_answer_cost_nothing_but_their_own(tallyd):
    daemon = tallyd().start()
    whole = post_bytes("/observer", report(stats("ghost", 1, 2)))
    for i in range(50):
        raw = sent(daemon.address, whole * 3)
        raw.reset() if i % 2 else raw.close()
    daemon.report(stats("alice", 1, 2))
    daemon.force_sync()
    used, input_bytes, output_bytes = daemon.users().get("ghost", (0, 0, 0))
    assert used == 3 * input_bytes <= 450 and output_bytes == 2 * input_bytes


# Bodies.

def test_every_invalid_body_gets_its_answer_and_the_next_report_is_right(tallyd):
    daemon = tallyd().start()
    client = daemon.client()
    table = bodies.table(seed=4)
    assert len(table) >= 200
    rejected = good = 0
    for n, body in enumerate(table, 1):
        answer = client.post("/observer", body.data)
        if body.status is None:
            assert answer.status in (200, 400), (body.name, answer)
        else:
            assert answer.status == body.status, (body.name, answer)
        if answer.status == 200:
            assert answer.body == OK, body.name
            rejected, good = rejected + body.rejected, good + body.good
        else:
            assert is_error(answer)
        assert client.post("/observer", report(stats("witness", 1, 2))).body == OK
        found = client.get("/users/witness/traffic").json()
        assert found["usedTraffic"] == 3 * n, body.name
        if good:
            found = client.get("/users/good/traffic").json()
            assert found["usedTraffic"] == 300 * good, body.name
        reports = client.get("/throttle-sync-status").json()["data"]["reports"]
        assert reports["rejectedEvents"] == rejected, body.name
    client.close()
    daemon.force_sync()
    assert daemon.users() == {"witness": (3 * len(table), len(table), 2 * len(table)),
                              "good": (300 * good, 100 * good, 200 * good)}
    rows = daemon.sql("select node, reason from rejects")
    assert len(rows) == rejected
    assert all(node == "default" and reason for node, reason in rows)


def post_or_none(daemon, body):
    try:
        return daemon.post("/observer", body).body
    except (OSError, http.client.HTTPException):
        return None


def test_ten_thousand_events_in_one_report_and_one_event_are_right(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    many = report(*(stats(f"user-with-a-long-name-{i:05}", i, 2 * i) for i in range(10000)))
    assert len(many) > 1.8e6
    # As GOST does: the door ends a connection whose answer takes too long on a slow machine.
    wait_for(lambda: post_or_none(daemon, many) == OK, "it is answered")
    daemon.report(stats("user-with-a-long-name-00007", 1, 1))
    daemon.force_sync()
    expected = {f"user-with-a-long-name-{i:05}": (3 * i, i, 2 * i) for i in range(10000)}
    expected["user-with-a-long-name-00007"] = (23, 8, 15)
    assert daemon.users() == expected
    wait_for(lambda: redis.view() == expected, "Redis shows all users")
    assert daemon.status()["reports"]["accepted"] == 2


IDS = ("a/b", "100%", "ü", "😀", "a b", "a+b", "?q=1", "#x", "..", ".", "a%2Fb", "traffic",
       'quo"te', "back\\slash", "日本語/😀%", "x" * 255, "ö" * 127, "user:1", "/", "%",
       "a&b=c", "'; drop table users; --", "*", "[x]", "\u200b", "\U0010ffff")


def test_ids_are_any_text(redis, tallyd):
    daemon = tallyd(redis_url=redis.url).start()
    daemon.report(*(stats(name, i + 1, 10) for i, name in enumerate(IDS)))
    expected = {name: (i + 11, i + 1, 10) for i, name in enumerate(IDS)}
    for name in IDS:
        found = daemon.traffic(urllib.parse.quote(name, safe=""))
        assert found["id"] == name
        assert expected[name] == (
            found["usedTraffic"], found["inputBytes"], found["outputBytes"])
    wait_for(lambda: redis.view() == expected, "Redis shows them")
    daemon.force_sync()
    assert daemon.users() == expected


def test_paths_that_are_no_id_are_refused(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("a", 1, 2))
    for path in ("%00", "a%00", "%ff", "%zz", "%", "%4", "a%0ab", "x" * 256):
        assert daemon.get(f"/users/{path}/traffic").status in (400, 404), path


def test_a_gauge_that_underflowed_is_accepted_as_zero(tallyd):
    daemon = tallyd().start()
    daemon.post("/observer", report(stats("alice", 1, 2)).replace(
        '"currentConns":0', f'"currentConns":{2**64 - 1}'))
    daemon.force_sync()
    assert daemon.users() == {"alice": (3, 1, 2)}
    assert daemon.sql("select current_conns from services") == [(0,)]
    assert daemon.status()["reports"]["rejectedEvents"] == 0
