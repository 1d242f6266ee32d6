"""The door: what arrives and is no request, odd framing, half-closed clients, and who gives
way when every place is taken."""
import contextlib
import re
import select
import selectors
import signal
import socket
import ssl
import struct
import threading
import time

import pytest

from client import RawClient, connect, get_bytes, post_bytes
from conftest import build_preload
from deadline import seconds, wait_for
from tallyd import report, stats

OK = b'{"ok":true}'
ONE = report(stats("alice", 1, 2))
LENGTH = f"Content-Length: {len(ONE)}"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x0b" * 500


@pytest.fixture
def both(tallyd, tmp_path):
    """both(**options): a daemon on TCP and on a unix socket, whose path is daemon.unix."""
    def start(**options):
        daemon = tallyd(**options)
        daemon.unix = tmp_path / "door.sock"
        daemon.options["listen"] = f"{daemon.options['listen']}, unix:{daemon.unix}"
        return daemon.start()
    return start


def ways_in(daemon):
    return (("127.0.0.1", daemon.address), ("unix", str(daemon.unix)))


def refusals(daemon):
    return daemon.get("/refusals").json()


def exchange(address, data):
    """All that is answered to `data`, up to the end of the connection."""
    sock = connect(address, 30)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(data)
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            answer += part
    sock.close()
    return answer


def heads(answer):
    return re.findall(rb"^HTTP/1\.[01] (\d{3})", answer, re.MULTILINE)


def head_of(*lines, first="POST /observer?node=hk1 HTTP/1.1"):
    return "\r\n".join([first, "Host: localhost", *lines, "", ""]).encode()


# What is no request.

@pytest.mark.parametrize("data, status, code, words", [
    (PREFACE, 505, "http2", "put `type: http` under `plugin:`"),
    (HELLO, 400, "tls", "http:// instead of https://"),
    (b"HELLO\r\n", 400, "malformed", "no HTTP request"),
    (b"\0" * 5000, 400, "malformed", "no HTTP request"),
    (b"GET / HTTP/3.0\r\n\r\n", 505, "version", "HTTP/1.1"),
], ids=("http2", "tls", "words", "zeros", "version"))
def test_what_is_no_request_is_answered_in_json_noted_and_said_with_what_to_change(
        data, status, code, words, both):
    daemon = both()
    for n, (peer, address) in enumerate(ways_in(daemon), 1):
        answer = exchange(address, data)
        assert heads(answer) == [b"%d" % status], answer
        assert b"application/json" in answer and words.encode() in answer, answer
        found = refusals(daemon)
        assert found["counts"][code] == n
        last = found["last"][0]
        assert (last["peer"], last["status"], last["code"]) == (peer, status, code)
        assert last["method"] is None and last["path"] is None and last["node"] is None
        assert re.search(f"request refused: status={status} peer={peer} .*{re.escape(words)}",
                         daemon.log()), daemon.log()


def test_a_client_that_speaks_tls_is_told_so_and_not_left_waiting(tallyd):
    daemon = tallyd(request_timeout="1h", idle_timeout="1h").start()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(daemon.address, timeout=seconds(60)) as sock:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(sock)
    assert refusals(daemon)["counts"]["tls"] == 1


def test_first_bytes_that_come_one_by_one_are_noted_too(both):
    daemon = both()
    for n, (_, address) in enumerate(ways_in(daemon), 1):
        raw = RawClient(address)
        if isinstance(address, tuple):
            raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in PREFACE:
            if not raw.send_whatever_it_takes(bytes([byte])):
                break
        assert raw.is_closed_by_peer() or True  # whoever answers it
        raw.close()
        wait_for(lambda n=n: sum(refusals(daemon)["counts"].get(code, 0) for code in (
            "http2", "version")) == n, "it is noted")


# What libmicrohttpd refuses by itself.

REFUSED_BY_ITSELF = {
    "a header too long": (head_of("X-Large: " + "x" * 300000), b"431", "head_too_large"),
    "too many headers": (head_of(*(f"X-{i}: y" for i in range(20000))), b"431", "head_too_large"),
    "an address too long": (head_of(first="GET /" + "x" * 300000 + " HTTP/1.1"), b"414",
                            "uri_too_long"),
    "a header without a colon": (head_of("no colon here", LENGTH), b"400", "malformed"),
    "a bad chunk": (head_of("Transfer-Encoding: chunked") + b"zz\r\n", b"400", "malformed"),
}


@pytest.mark.parametrize("name", REFUSED_BY_ITSELF)
def test_whatever_libmicrohttpd_refuses_by_itself_is_answered_once_noted_and_said(name, both):
    data, status, code = REFUSED_BY_ITSELF[name]
    daemon = both()
    for n, (peer, address) in enumerate(ways_in(daemon), 1):
        answer = exchange(address, data)
        assert heads(answer) in ([status], []), answer  # a reset may overtake it
        wait_for(lambda n=n: refusals(daemon)["counts"].get(code) == n, "it is noted")
        last = refusals(daemon)["last"][0]
        assert (last["peer"], last["status"]) == (peer, int(status))
        assert last["path"] == (None if code == "uri_too_long" else "/observer")
        assert f"status={int(status)} peer={peer} " in daemon.log()
    daemon.report(stats("alice", 1, 2))


@pytest.mark.parametrize("data, code", [
    (head_of("Content-Length: -1"), "malformed"), (b"GET / HTTP/9.9\r\n\r\n", "version"),
    (head_of("X-Large: " + "x" * 300000), "head_too_large"), (b"HELLO\r\n\r\n", "malformed")],
    ids=("length", "version", "header", "words"))
def test_a_later_request_of_a_connection_is_noted_as_the_first_is(data, code, tallyd):
    daemon = tallyd().start()
    raw = RawClient(daemon.address)
    raw.send(post_bytes("/observer", ONE))
    assert raw.read_answer().body == OK
    raw.send_whatever_it_takes(data)
    wait_for(lambda: refusals(daemon)["counts"].get(code) == 1, "it is noted")
    raw.close()
    assert daemon.status()["reports"]["accepted"] == 1


def test_the_body_that_goes_on_behind_a_refusal_is_no_refusal_of_its_own(tallyd):
    """What comes between the answer and the end looks like a request; hence so many."""
    daemon, n = tallyd().start(), 300
    for _ in range(n):
        raw = RawClient(daemon.address)
        if raw.send_whatever_it_takes(head_of("Transfer-Encoding: gzip")):
            while raw.send_whatever_it_takes(b"x" * 65536):
                pass
        raw.close()
    assert refusals(daemon)["counts"] == {"transfer_encoding": n}


def test_who_connects_and_goes_or_is_only_idle_is_no_refusal(both):
    daemon = both(idle_timeout="2s", request_timeout="1h")
    idle = []
    for _, address in ways_in(daemon):
        for data in (b"", get_bytes("/livez"), post_bytes("/observer", ONE)):
            for end in (RawClient.close, RawClient.reset, idle.append):
                raw = RawClient(address)
                with contextlib.suppress(OSError):  # if the test is slower than idle_timeout
                    raw.send(data)
                    if data:
                        raw.read_answer()
                end(raw)
    for raw in idle:
        assert raw.is_closed_by_peer()
        raw.close()
    assert refusals(daemon) == {"counts": {}, "last": []}


def test_a_request_that_is_not_whole_in_time_is_said(both):
    daemon = both(request_timeout="300ms", idle_timeout="1h")
    whole = post_bytes("/observer?node=hk1", ONE)
    for n, data in enumerate((whole[:-5], whole[:40], whole[:8]), 1):
        for m, (peer, address) in enumerate(ways_in(daemon)):
            answer = exchange(address, data)
            assert heads(answer) == [b"408"] and b'"timeout"' in answer, answer
            found = refusals(daemon)
            assert found["counts"]["timeout"] == 2 * n - 1 + m
            assert found["last"][0]["peer"] == peer
    assert "report refused: status=408" in daemon.log()


# Paths.

ROUTES = (("POST", "/observer", ONE), ("GET", "/throttle-sync-status", None),
          ("GET", "/refusals", None), ("GET", "/users/alice/traffic", None),
          ("GET", "/livez", None), ("GET", "/readyz", None), ("GET", "/version", None),
          ("GET", "/nodes", None), ("GET", "/nodes/hk1", None), ("POST", "/force-sync", None))


def forms(daemon, path):
    host = f"127.0.0.1:{daemon.port}"
    for prefix in ("", "/api/gost"):
        yield from (prefix + path + "/", "/" + prefix + path, f"//{prefix}{path}//",
                    f"http://{host}{prefix}{path}", f"HTTP://{host}/{prefix}{path}/")


def test_slashes_too_many_and_the_absolute_form_are_the_same_route(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 1, 2), query="?node=hk1")
    client = daemon.client()
    for method, path, body in ROUTES:
        for form in forms(daemon, path):
            assert client.request(method, form, body).status == 200, (method, form)
        other = "DELETE" if path != "/nodes/hk1" else "PUT"
        assert client.request(other, path + "/").status == 405
    assert client.post("//observer/?node=hk2&counters=delta", ONE).body == OK
    assert client.post(f"http://localhost:{daemon.port}?node=hk2", ONE).status == 404
    client.close()
    daemon.force_sync()
    assert daemon.sql("select count(*) from services where node = 'hk2'") == [(1,)]


def test_no_form_of_a_path_changes_who_may_ask_it(tallyd):
    api, read = "a-token-for-everything", "a-token-for-reading"
    daemon = tallyd(env={"TALLYD_API_TOKEN": api, "TALLYD_READ_TOKEN": read}).start()
    daemon.report(stats("alice", 1, 2), query="?node=hk1")
    for method, path, body in ROUTES:
        for headers in ({}, {"Authorization": f"Bearer {read}"}, {"Authorization": f"Bearer {api}"},
                        {"Host": "foreign.example"}, {"Origin": "http://foreign.example"}):
            if path == "/observer" and "Authorization" in headers:
                continue  # a guess, and many of these are slowed
            plain = daemon.request(method, path, body, headers).status
            for form in list(forms(daemon, path))[::2]:
                answer = daemon.request(method, form, body, headers)
                assert answer.status == plain, (method, form, headers, plain, answer)


def test_the_host_of_the_absolute_form_has_to_be_ours_as_well(both):
    daemon = both()
    target = "http://foreign.example/observer"
    answer = daemon.post(target, ONE, Host=f"127.0.0.1:{daemon.port}")
    assert answer.status == 403 and b"foreign.example" in answer.body
    assert daemon.get("http://foreign.example/version", Host="localhost").status == 403
    assert daemon.get("http://localhost/version", Host="foreign.example").status == 403
    assert daemon.get("http://foreign.example/livez", Host="localhost").status == 200
    assert heads(exchange(str(daemon.unix), post_bytes(target, ONE))) == [b"200"]
    answer = daemon.post("http://hk1:some-secret@localhost/observer", ONE)
    assert answer.status == 400
    assert "some-secret" not in daemon.log() and "some-secret" not in str(refusals(daemon))


# Framing.

ODD = {
    "a length below zero": (head_of("Content-Length: -1"), 400),
    "a length and more": (head_of("Content-Length: 1x") + b"x", 400),
    "an empty length": (head_of("Content-Length:"), 400),
    "a length list": (head_of("Content-Length: 5, 5") + b"xxxxx", 400),
    "a signed length": (head_of("Content-Length: +5") + b"xxxxx", 400),
    "a length beyond 64 bits": (head_of("Content-Length: 99999999999999999999999"), 413),
    "a length of 2^64-1": (head_of("Content-Length: 18446744073709551615"), 413),
    "gzip": (head_of("Transfer-Encoding: gzip") + ONE.encode(), 501),
    "gzip, chunked": (head_of("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 501),
    "identity": (head_of("Transfer-Encoding: identity") + ONE.encode(), 501),
    "xchunked": (head_of("Transfer-Encoding: xchunked") + b"0\r\n\r\n", 501),
    "an empty encoding": (head_of("Transfer-Encoding:") + ONE.encode(), 501),
    "chunked twice": (head_of("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
    "chunked in HTTP/1.0": (head_of("Transfer-Encoding: chunked", first="POST /observer HTTP/1.0"),
                            400),
    "500 parameters": (head_of(LENGTH, first="POST /observer?" + "&".join(
        f"p{i}=1" for i in range(500)) + " HTTP/1.1") + ONE.encode(), 431),
    "500 empty parameters": (head_of(LENGTH, first=f"POST /observer?{'&' * 500} HTTP/1.1")
                             + ONE.encode(), 431),
    "parameters of 6 kB": (head_of(LENGTH, first=f"POST /observer?a=b&node={'x' * 6000} HTTP/1.1")
                            + ONE.encode(), 431),
    "9000 cookies": (head_of(LENGTH, "Cookie: " + ";" * 9000) + ONE.encode(), 431),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_framing_and_500_parameters_get_one_clean_answer_and_a_line(name, both):
    data, status = ODD[name]
    daemon = both()
    for n, (peer, address) in enumerate(ways_in(daemon), 1):
        answer = exchange(address, data)
        assert heads(answer) == [b"%d" % status], answer
        assert answer.count(b"\r\nContent-Length:") == 1 and b'{"ok":false,"code":"' in answer
        found = refusals(daemon)
        assert len(found["last"]) == n, found
        assert (found["last"][0]["peer"], found["last"][0]["status"]) == (peer, status)
        assert f"status={status} peer={peer} " in daemon.log()
    assert daemon.status()["reports"]["accepted"] == 0
    daemon.report(stats("alice", 1, 2))


def test_up_to_100_parameters_are_named_in_the_answer(tallyd):
    query = "&".join(f"p{i}=1" for i in range(100))
    daemon = tallyd().start()
    answer = daemon.post(f"/observer?{query}", ONE)
    assert answer.status == 400 and b"there is no parameter" in answer.body


# Half-closed.

def test_a_report_whose_client_has_closed_its_side_is_refused_for_a_reason_that_is_said(both):
    """As `nc -N` does; a GOST that gave up looks the same, and sends the report again."""
    daemon = both()
    for n, (peer, address) in enumerate(ways_in(daemon), 1):
        client = daemon.client()
        with daemon.standing_still():  # so that the end is there when it looks
            raw = RawClient(address)
            raw.send(post_bytes("/observer?node=hk1", ONE))
            raw.sock.shutdown(socket.SHUT_WR)
        answer = raw.read_answer()
        assert answer.status == 503 and answer.json()["code"] == "hung_up"
        assert "nc leave out -N" in answer.json()["error"]
        assert raw.is_closed_by_peer()
        raw.close()
        found = refusals(daemon)
        assert found["counts"] == {"hung_up": n}
        assert (found["last"][0]["peer"], found["last"][0]["node"]) == (peer, "hk1")
        assert f'report refused: status=503 peer={peer} node="hk1" ' in daemon.log()
        assert client.get("/users/alice/traffic").status == 404, "it is not counted"
        client.close()


def test_a_half_closed_report_is_answered_as_it_was_counted(both):
    daemon = both()
    counted = 0
    for i in range(60):
        raw = RawClient(ways_in(daemon)[i % 2][1])
        raw.send(post_bytes("/observer", report(stats("alice", 1, 2))))
        raw.sock.shutdown(socket.SHUT_WR)
        answer = raw.read_answer()
        raw.close()
        assert answer.body == OK or answer.json()["code"] == "hung_up"
        counted += answer.body == OK
    daemon.report(stats("alice", 1, 2))
    assert daemon.traffic("alice")["inputBytes"] == counted + 1


def test_a_half_closed_question_is_answered_and_holds_no_connection(both):
    daemon = both(idle_timeout="1h", request_timeout="1h")
    for _, address in ways_in(daemon):
        raw = RawClient(address)
        raw.send(get_bytes("/version") * 50)
        raw.sock.shutdown(socket.SHUT_WR)
        for _ in range(50):
            assert raw.read_answer().status == 200
        assert raw.is_closed_by_peer()
        raw.close()


# All places are taken.

WHOLE = post_bytes("/observer", ONE)
BEGUN = {
    "nothing": b"",
    "a byte": WHOLE[:1],
    "half a line": WHOLE[:10],
    "half a head": WHOLE[:40],
    "half a body": WHOLE[:-5],
    "a question of everybody's": get_bytes("/livez"),
    "a question without a right": get_bytes("/nowhere"),
}


@pytest.mark.parametrize("name", BEGUN)
def test_half_begun_requests_give_way_before_an_honest_idle_sender(name, tallyd):
    """Many more than there are places, and each new one is the youngest."""
    daemon = tallyd(max_connections=20, request_timeout="1h", idle_timeout="1h").start()
    sender = RawClient(daemon.address)
    sender.send(WHOLE)
    assert sender.read_answer().body == OK
    attackers = []
    for i in range(300):
        with contextlib.suppress(OSError):
            raw = RawClient(daemon.address)
            raw.send_whatever_it_takes(BEGUN[name])
            attackers.append(raw)
        if i % 100 == 50:
            sender.send(WHOLE)
            assert sender.read_answer().body == OK, "on the same connection"
    wait_for(lambda: is_accepted(daemon), "somebody new is served")
    sender.send(WHOLE)
    assert sender.read_answer().body == OK
    sender.close()
    for raw in attackers:
        raw.close()


def is_accepted(daemon):
    with contextlib.suppress(OSError, ValueError):
        raw = RawClient(daemon.address)
        raw.send(WHOLE)
        return raw.read_answer().body == OK
    return False


class Flood(threading.Thread):
    """Connections that have many questions under way at any time, and read what is answered."""

    def __init__(self, address, n):
        super().__init__(daemon=True)
        self.address, self.n, self.is_over = address, n, threading.Event()
        self.data = get_bytes("/throttle-sync-status") * 50
        self.n_answered = 0

    def join_in(self, selector):
        sock = connect(self.address)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def go_on(self, sock, events):
        with contextlib.suppress(BlockingIOError):
            if events & selectors.EVENT_READ:
                part = sock.recv(1 << 16)
                self.n_answered += part.count(b"HTTP/1.1 200")
                return part != b""
            sock.send(self.data)
        return True

    def run(self):
        with selectors.DefaultSelector() as selector:
            for _ in range(self.n):
                self.join_in(selector)
            while not self.is_over.is_set():
                for key, events in selector.select(0.1):
                    try:
                        is_open = self.go_on(key.fileobj, events)
                    except OSError:
                        is_open = False
                    if not is_open:  # others shall not have the place for nothing
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
                        self.join_in(selector)
            for key in list(selector.get_map().values()):
                key.fileobj.close()

    def stop(self):
        self.is_over.set()
        self.join()


def test_who_asks_much_at_once_gives_way_before_an_honest_idle_sender(tallyd):
    """They may ask, so they are no strangers, and come again at once; all want a place."""
    daemon = tallyd(max_connections=32, request_timeout="1h", idle_timeout="1h").start()
    sender = accepted(daemon)
    flood = Flood(daemon.address, 64)
    flood.start()
    for i in range(30):
        n_before = flood.n_answered
        wait_for(lambda n=n_before: flood.n_answered > n + 100, "they are answered")
        sender.send(post_bytes("/observer", report(stats("alice", 1, 2))))
        assert sender.read_answer().body == OK, f"report {i} on the same connection"
    flood.stop()
    sender.close()


def test_who_never_asked_gives_way_before_who_did(tallyd):
    daemon = tallyd(max_connections=10, idle_timeout="1h").start()
    proven = [RawClient(daemon.address) for _ in range(5)]
    for raw in proven:
        raw.send(WHOLE)
        assert raw.read_answer().body == OK
    silent = [RawClient(daemon.address) for _ in range(5)]
    for _ in range(5):
        proven.append(RawClient(daemon.address))
        proven[-1].send(WHOLE)
        assert proven[-1].read_answer().body == OK
    for raw in silent:
        assert raw.is_closed_by_peer()
        raw.close()
    for raw in proven:
        raw.send(WHOLE)
        assert raw.read_answer().body == OK
        raw.close()


def wait_for_a_look(daemon):
    """At every connection, which ends one that is half-closed."""
    with daemon.standing_still():  # libmicrohttpd itself would see an end that comes later
        raw = RawClient(daemon.address)
        raw.send(get_bytes("/livez"))
        raw.sock.shutdown(socket.SHUT_WR)
    assert raw.read_answer().status == 200 and raw.is_closed_by_peer()
    raw.close()


def accepted(daemon):
    """A connection on which a report was accepted."""
    raw = RawClient(daemon.address)
    raw.send(WHOLE)
    assert raw.read_answer().body == OK
    return raw


def test_a_sender_that_leaves_half_a_request_lying_gives_way_as_a_stranger_does(tallyd):
    daemon = tallyd(max_connections=11, request_timeout="1h", idle_timeout="1h").start()
    senders = [accepted(daemon) for _ in range(10)]
    for raw in senders[5:]:
        raw.send(WHOLE[:10])
    wait_for_a_look(daemon)
    others = [accepted(daemon) for _ in range(6)]
    for raw in senders[:5]:
        raw.send(WHOLE)
        assert raw.read_answer().body == OK
    for raw in senders[5:]:
        assert raw.is_closed_by_peer()
    for raw in senders + others:
        raw.close()


def test_newcomers_at_a_full_door_do_not_push_each_other_out(tallyd):
    """Nodes that come back after an outage: all at once, and every place is a sender's."""
    daemon = tallyd(max_connections=100, request_timeout="1h", idle_timeout="1h").start()
    senders = [accepted(daemon) for _ in range(100)]
    with daemon.standing_still():
        whole = [RawClient(daemon.address) for _ in range(40)]
        for raw in whole:
            raw.send(WHOLE)
    for raw in whole:
        assert raw.read_answer().body == OK
    for raw in senders + whole:
        raw.close()


def test_without_descriptors_left_the_silent_give_way_though_there_are_places(tallyd):
    daemon = tallyd(wrapper=("prlimit", "--nofile=48:48"), idle_timeout="1h").start()
    silent = [RawClient(daemon.address) for _ in range(60)]
    sender = accepted(daemon)
    assert "connection cannot be accepted" in daemon.log()
    for raw in [sender, *silent]:
        raw.close()


def leave_unread(daemon, n):
    """Reports on the unix socket whose answers nobody reads."""
    deaf = []
    for _ in range(n):
        sock = wait_for(lambda: try_connect(str(daemon.unix)), "the socket takes one more")
        sock.sendall(post_bytes("/observer", report(stats("deaf", 1, 2))))
        deaf.append(sock)
    return deaf


def try_connect(path):
    with contextlib.suppress(BlockingIOError):
        return connect(path)
    return None


def report_often(daemon, n):
    raw = RawClient(daemon.address)
    for _ in range(n):
        raw.send(post_bytes("/observer", report(stats("alice", 1, 2))))
        assert raw.read_answer().body == OK
    raw.close()


def test_1000_unread_answers_on_a_unix_socket_are_counted_and_hold_nobody_up(both):
    daemon = both(max_connections=200)
    deaf = leave_unread(daemon, 1000)
    report_often(daemon, 100)
    assert daemon.traffic("alice")["inputBytes"] == 100
    wait_for(lambda: daemon.traffic("deaf")["inputBytes"] == 1000, "all are counted")
    for sock in deaf:
        sock.close()


@pytest.fixture
def counted(both, tmp_path):
    """A daemon whose looks are counted: daemon.counts() are those at what unix sockets have
    not read, those at TCP, changes of what it polls, and waits before it last sent something.
    It takes its time to answer a question."""
    path = tmp_path / "count"
    preloads = (build_preload(name, tmp_path) for name in ("count_looks", "hold_json"))
    daemon = both(env={"LD_PRELOAD": ":".join(map(str, preloads)), "COUNT_LOOKS": str(path),
                       "SLOW_ANSWER": "1"})
    daemon.counts = lambda: struct.unpack("QQQQ", path.read_bytes())
    return daemon


def test_unread_answers_on_a_unix_socket_cost_others_nothing(counted):
    """Not each turn of the loop looks at all of them: some of the youngest are looked at in
    a turn, and the others four times a second, for two seconds."""
    deaf = leave_unread(counted, 100)
    report_often(counted, 500)
    assert counted.counts()[0] < 8 * (500 + 2 * 100) + 9 * 100
    for sock in deaf:
        sock.close()


def test_a_report_that_waits_for_nobody_is_looked_at_once_and_sleeps_never(counted):
    n = 500
    raw = RawClient(counted.address)
    begin = time.monotonic()
    _, looks, changes, _ = counted.counts()
    for _ in range(n):
        raw.send(WHOLE)
        assert raw.read_answer().body == OK
    _, looks_then, changes_then, _ = counted.counts()
    n_ticks = (time.monotonic() - begin) / 0.25 + 1  # each may look at it
    raw.close()
    assert n <= looks_then - looks <= n + 2 * n_ticks
    assert changes_then - changes < n / 2


def test_the_loop_never_waits_while_somebody_sleeps(counted):
    """Though its clock ticks several times before all of them are answered."""
    counted.report(stats("alice", 1, 0))
    with counted.standing_still():
        many = [RawClient(counted.address) for _ in range(300)]
        for raw in many:
            raw.send(get_bytes("/users/alice/traffic") * 3)
    assert many[0].read_answer().status == 200
    waits = counted.counts()[3]
    for i, raw in enumerate(many):
        for _ in range(2 if i == 0 else 3):
            assert raw.read_answer().status == 200
    assert counted.counts()[3] == waits
    for raw in many:
        raw.close()


# Nobody is held up by many.

@pytest.fixture
def held(tallyd, tmp_path):
    """A daemon that stands still before it answers a question, until `hold` has gone."""
    hold = tmp_path / "hold"
    daemon = tallyd(env={"LD_PRELOAD": str(build_preload("hold_json", tmp_path)),
                         "HOLD_ANSWER": str(hold)}).start()
    daemon.hold, daemon.begun = hold, tmp_path / "hold.begun"
    return daemon


def answers_of(raw, n):
    return [raw.read_answer().json()["inputBytes"] for _ in range(n)]


def test_who_comes_late_waits_for_one_request_of_each_and_not_for_all_of_them(held):
    """40 connections with 20 questions each, and the first question takes long."""
    n_each = 20
    held.report(stats("alice", 1, 0))
    with held.standing_still():
        many = [RawClient(held.address) for _ in range(40)]
        for raw in many:
            raw.send(get_bytes("/users/alice/traffic") * n_each)
        held.hold.touch()
    wait_for(held.begun.exists, "the first is asked")
    late = RawClient(held.address)
    late.send(post_bytes("/observer", report(stats("alice", 10, 0))))
    held.hold.unlink()
    found = [answers_of(raw, n_each) for raw in many]
    assert late.read_answer().body == OK
    assert any(row[0] == 1 for row in found)
    # Its turn may be over when it comes; in each one a second question goes all the same.
    assert sum(row[1] == 1 for row in found) < 10, "it came before their second"
    assert all(row[-1] == 11 for row in found)
    for raw in (late, *many):
        raw.close()


def test_no_question_waits_for_ever_while_others_have_more_than_a_turns_time(held):
    """Each of them is asked often at once, with others between that are asked once."""
    held.report(stats("alice", 1, 0))
    with held.standing_still():
        hasty = [RawClient(held.address) for _ in range(5)]
        for raw in hasty:
            raw.send(get_bytes("/users/alice/traffic") * 200)
        single = [RawClient(held.address) for _ in range(200)]
        for raw in single:
            raw.send(get_bytes("/throttle-sync-status"))
    for raw in hasty:
        assert answers_of(raw, 200) == [1] * 200
    for raw in (*single, *hasty):
        if raw in single:
            assert raw.read_answer().status == 200
        raw.close()


def test_no_question_waits_behind_those_that_came_later(tallyd, tmp_path):
    """There is time for one in each turn, and whoever is answered asks again."""
    daemon = tallyd(env={"LD_PRELOAD": str(build_preload("hold_json", tmp_path)),
                         "SLOW_ANSWER": "1"}).start()
    daemon.report(stats("alice", 1, 0))
    question = get_bytes("/users/alice/traffic")
    many = {raw.sock: raw for raw in (RawClient(daemon.address) for _ in range(150))}
    n_answers = dict.fromkeys(many, 0)
    with daemon.standing_still():
        for raw in many.values():
            raw.send(question)
    while max(n_answers.values()) < 4:
        for sock in select.select(list(many), [], [], seconds(60))[0]:
            assert many[sock].read_answer().status == 200
            n_answers[sock] += 1
            sock.sendall(question)
    assert min(n_answers.values()) > 0
    for raw in many.values():
        raw.close()


def test_a_stop_answers_those_who_wait_for_their_turn(held):
    held.report(stats("alice", 1, 0))
    with held.standing_still():
        many = [RawClient(held.address) for _ in range(20)]
        for raw in many:
            raw.send(get_bytes("/users/alice/traffic"))
        held.hold.touch()
    wait_for(held.begun.exists, "the first is asked")
    held.send_signal(signal.SIGTERM)
    held.hold.unlink()
    assert [answers_of(raw, 1) for raw in many] == [[1]] * 20
    assert held.wait_exit() == 0
    for raw in many:
        raw.close()


def test_a_stop_waits_for_nobody_who_goes_on_sending(tallyd, tmp_path):
    """Longer than it is waited for, and there is no time for all of them in one turn."""
    daemon = tallyd(env={"LD_PRELOAD": str(build_preload("slow_recv", tmp_path))},
                    request_timeout="1h").start()
    many = [RawClient(daemon.address) for _ in range(40)]
    for raw in many:
        raw.send(head_of("Content-Length: 65536"))
        raw.sock.setblocking(False)

    def has_ended():
        for raw in many:
            with contextlib.suppress(OSError):
                raw.sock.send(b" ")
        return daemon.process.poll() is not None

    daemon.send_signal(signal.SIGTERM)
    wait_for(has_ended, "it has ended")
    assert daemon.wait_exit() == 0
    for raw in many:
        raw.close()
