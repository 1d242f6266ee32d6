"""The stand-in for GOST, and the network that loses answers: do they do what they say?"""
import json
import socket
import threading

import pytest

from client import RawClient, post_bytes
from deadline import wait_for
from go_http import parse_head
from gost import Gost
from lossy import Lossy, n_acked
from tallyd import report, stats

OK = b'{"ok":true}'


class Observer:
    """Answers each request with the next of `answers`, (status, body), the last one for ever.

    `bodies` are what came; `ends` says of each connection that has ended whether it was "closed"
    or "reset", and `unproved` how many bytes of answers it never acknowledged.
    """

    def __init__(self, *answers):
        self.answers = list(answers) or [(200, OK)]
        self.bodies, self.heads, self.ends, self.unproved = [], [], [], []
        self.n_connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            self.n_connections += 1
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        data, n_sent = b"", n_acked(sock)
        try:
            while more := sock.recv(65536):
                data += more
                head = parse_head(data)
                if head and len(data) >= head[0]:
                    self.heads.append(data)
                    self.bodies.append(data[data.index(b"\r\n\r\n") + 4:])
                    data = b""
                    n_sent += self.answer(sock)
            end = "closed"
        except ConnectionResetError:
            end = "reset"
        self.unproved.append(n_sent - n_acked(sock))
        self.ends.append(end)  # last: it is what tests wait for
        sock.close()

    def answer(self, sock):
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        sent = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
        sock.sendall(sent)
        return len(sent)

    def events(self):
        return [json.loads(body)["events"] for body in self.bodies]


@pytest.mark.parametrize("answer", [(503, b""), (200, b'{"ok":false}'), (200, b"{}"), (204, b""),
                                    (400, b'{"ok":true}')])
def test_a_batch_is_repeated_byte_for_byte_until_ok_and_nothing_else_is_collected(answer):
    observer = Observer(answer, answer, (200, OK))
    gost = Gost(observer.address)
    gost.traffic("alice", 1, 2)
    gost.traffic("bob", 10, 20)
    assert gost.report_once() == ["refused"]
    gost.traffic("alice", 100, 200)
    assert gost.report_once() == ["refused"]
    assert gost.report_once() == ["ok"]
    assert gost.report_once() == ["ok"]
    assert gost.report_once() == [None]
    assert observer.bodies[0] == observer.bodies[1] == observer.bodies[2]
    assert observer.events()[3] == [stats("alice", 100, 200) | {"stats": {
        "totalConns": 2, "currentConns": 1, "inputBytes": 100, "outputBytes": 200,
        "totalErrs": 0}}]
    assert gost.books.differences("user", {"alice": (101, 202), "bob": (10, 20)}) == []


def test_cumulative_counters_go_on_and_only_changed_clients_are_reported():
    observer = Observer()
    gost = Gost(observer.address, counters="cumulative")
    gost.traffic("alice", 1, 2)
    gost.traffic("bob", 10, 20)
    gost.report_once()
    gost.traffic("alice", 100, 200)
    gost.report_once()
    (event,) = observer.events()[1]
    assert (event["client"], event["stats"]["inputBytes"]) == ("alice", 101)
    assert gost.books.differences("user", {"alice": (101, 202), "bob": (10, 20)}) == []


def test_the_three_handlers_of_auto_share_names_and_no_counters():
    observer = Observer()
    gost = Gost(observer.address, services={"web": "auto"}, has_stats=True)
    for number in range(3):
        gost.traffic("alice", 10 ** number, 0, handler=number)
    assert gost.report_once() == ["ok"] * 4
    handlers = [events[0] for events in observer.events()[:3]]
    assert [event["stats"]["inputBytes"] for event in handlers] == [1, 10, 100]
    assert {(event["service"], event["client"]) for event in handlers} == {("web", "alice")}
    assert "client" not in observer.events()[3][0]
    assert gost.books.differences("service", {
        ("gost", "handler", "web"): (111, 0), ("gost", "service", "web"): (111, 0)}) == []


def test_a_reload_says_running_closed_ready_and_begins_at_zero():
    observer = Observer()
    gost = Gost(observer.address, counters="cumulative").boot()
    gost.traffic("alice", 5, 5)
    gost.report_once()
    gost.traffic("alice", 50, 50)
    gost.reload(meanwhile=gost.report_once)
    gost.traffic("alice", 3, 3)
    gost.report_once()
    found = [event.get("status", event.get("stats")) for (event,) in observer.events()]
    assert [entry.get("state", entry.get("inputBytes")) for entry in found] == [
        "running", "ready", 5, "running", 55, "closed", "ready", 3]
    assert gost.books.differences("user", {"alice": (58, 58)}) == []


def test_what_a_killed_gost_never_had_answered_is_in_doubt():
    observer = Observer((200, OK), (200, b""))
    gost = Gost(observer.address)
    gost.traffic("alice", 1, 1)
    gost.report_once()
    gost.traffic("alice", 10, 10)
    lossy = Lossy(observer.address, weights={"lose": 1})
    gost.transport.close_idle()
    gost.transport.address = lossy.address
    assert gost.report_once() == ["unanswered"]
    gost.traffic("alice", 100, 100)
    gost.restart()
    for found, is_right in (((1, 1), True), ((11, 11), True), ((12, 12), False),
                            ((111, 111), False)):
        assert (gost.books.differences("user", {"alice": found}) == []) == is_right


def test_connections_are_shared_and_broken_ones_are_closed():
    observer = Observer((200, OK), (503, b""), (400, b"no"), (200, OK))
    gost = Gost(observer.address, node="hk1", userinfo="hk1:secret")
    gost.traffic("alice", 1, 1)
    for _ in range(2):
        gost.report_once()
        gost.traffic("alice", 1, 1)
    assert observer.n_connections == 1
    assert gost.report_once() == ["refused"]
    assert gost.report_once() == ["ok"]
    assert observer.n_connections == 2
    assert b"\r\nAuthorization: Basic aGsxOnNlY3JldA==\r\n" in observer.heads[0]
    assert observer.heads[0].startswith(b"POST /observer?node=hk1&counters=delta HTTP/1.1\r\n")


def test_threads_report_what_they_are_loaded_with():
    observer = Observer()
    gost = Gost(observer.address, services={"a": "auto", "b": "socks5"}, period=0.005,
                load=lambda stream: stream.traffic("alice", 1, 2)).start()
    wait_for(lambda: len(observer.bodies) > 50, "fifty reports")
    gost.load = None
    wait_for(gost.is_drained, "all is answered")
    gost.kill()
    total = sum(event["stats"]["inputBytes"] for events in observer.events()
                for event in events if event["type"] == "stats")
    assert gost.books.differences("user", {"alice": (total, 2 * total)}) == []


# The network.

@pytest.mark.parametrize("fate, outcome, end", [
    ("pass", "ok", "closed"), ("delay", "ok", "closed"), ("slow", "ok", "closed"),
    ("lose", "unanswered", "reset"), ("half", "unanswered", "reset"),
    ("torn", "unanswered", "reset"), ("cut", "unanswered", None), ("drop", "unanswered", None)])
def test_a_lost_answer_is_a_reset_and_a_passed_one_is_not(fate, outcome, end):
    for seed in range(20):
        observer = Observer()
        lossy = Lossy(observer.address, seed, {fate: 1}, delay=0.01)
        gost = Gost(lossy.address)
        gost.traffic("alice", 1, 2)
        assert gost.report_once() == [outcome]
        gost.transport.close_idle()
        if end:
            wait_for(lambda seen=observer: seen.ends, "the connection ends")
            assert observer.ends == [end] and len(observer.bodies) == 1
            assert observer.unproved[0] == 0
        else:
            assert observer.bodies == []
        lossy.close()


def test_a_client_that_leaves_its_answer_unread_resets_the_other_side_too():
    observer = Observer()
    lossy = Lossy(observer.address)
    client = RawClient(lossy.address)
    for i in range(3):
        client.send(post_bytes("/observer", report(stats("alice", i, 2))))
        if i < 2:
            client.read_answer()
    wait_for(lambda: client.sock.recv(1, socket.MSG_PEEK), "an answer that nobody reads")
    client.close()
    wait_for(lambda: observer.ends, "the connection ends")
    assert observer.ends == ["reset"]


def test_a_server_that_goes_away_takes_the_client_along():
    observer = Observer()
    lossy = Lossy(observer.address)
    client = RawClient(lossy.address)
    observer.serve = lambda sock: sock.close()
    client.send(post_bytes("/observer", report(stats("alice", 1, 2))))
    assert client.is_closed_by_peer()
    client.close()
