"""Large reports are read beside everything else: nobody waits for them, and nobody sees half of
one."""
import contextlib
import select
import signal

import pytest

from admin import credential, with_socket
from client import RawClient, get_bytes, post_bytes
from conftest import build_preload
from deadline import IS_RELEASE, seconds, wait_for
from tallyd import report, stats
from view import start_linked

OK = b'{"ok":true}'
N_USERS = 1000  # some 150 KB; more than 64 KiB is large
MIB = 1 << 20


def large_body(n_users=N_USERS, input_bytes=1, service="large"):
    """Of user0 and so on. An escape in it, so that cJSON is asked what it means."""
    text = report(*(stats(f"user{i}", input_bytes, 0, service=service) for i in range(n_users)))
    assert len(text) > 65536
    return text.replace('"user0"', '"\\u0075ser0"')


class Hold:
    """Makes a daemon stand still in the middle of reading a large report."""

    def __init__(self, directory):
        self.path = directory / "hold"
        self.begun = directory / "hold.begun"
        self.path.touch()

    def wait_until_begun(self):
        wait_for(self.begun.exists, "it is being read")

    def release(self):
        self.path.unlink()


@pytest.fixture
def held(tallyd, tmp_path):
    """held(**options): a daemon that reads large reports once daemon.hold is released."""
    def make(**options):
        hold = Hold(tmp_path)
        daemon = tallyd(env={"LD_PRELOAD": str(build_preload("hold_json", tmp_path)),
                             "HOLD_JSON": str(hold.path)}, **options)
        daemon.hold = hold
        daemon.unix = tmp_path / "s"
        daemon.options["listen"] += f",unix:{daemon.unix}"
        return daemon
    return make


def sent(address, data):
    raw = RawClient(address)
    raw.send(data)
    return raw


def is_answered(raw):
    return bool(select.select([raw.sock], [], [], 0)[0])


def used(daemon, user="user0"):
    answer = daemon.get(f"/users/{user}/traffic")
    return answer.json()["usedTraffic"] if answer.status == 200 else 0


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_what_comes_while_a_large_report_is_read_is_answered_before_it(fsync, held):
    """Reports, questions, commands, a sync of the journal and a flush; eight large ones wait."""
    daemon = held(journal_fsync=fsync)
    admin = with_socket(daemon)
    daemon.start()
    large = [sent(daemon.address, post_bytes("/observer", large_body())) for _ in range(8)]
    daemon.hold.wait_until_begun()
    for i in range(20):
        daemon.report(stats("alice", 1, 2))
        assert used(daemon, "alice") == 3 * (i + 1)
    assert daemon.status()["users"] == 1
    daemon.force_sync()
    assert daemon.users() == {"alice": (60, 20, 40)}
    admin.create("hk1")
    assert not any(is_answered(raw) for raw in large)
    daemon.hold.release()
    for raw in large:
        assert raw.read_answer().body == OK
        raw.close()
    assert admin.used("user0") == admin.used(f"user{N_USERS - 1}") == 8
    admin.flush()
    assert daemon.users()["user0"] == (8, 8, 0) and len(daemon.users()) == N_USERS + 1


def test_a_crowd_that_redis_is_to_show_holds_up_no_other_answer(redis, tallyd):
    """Both are accepted while Redis stands still, the crowd first; an answer waits for it for 1 s
    at most, so on a slow machine the crowd may be let go meanwhile."""
    daemon = start_linked(tallyd(redis_url=redis.url, redis_timeout="60s"))

    def accepted():
        return daemon.status()["reports"]["accepted"]

    def alice_is_first(i):
        redis.pause()
        crowd = sent(daemon.address, post_bytes("/observer", large_body(20_000, i)))
        wait_for(lambda: accepted() == 2 * i - 1, "they are booked")
        alice = sent(daemon.address, post_bytes("/observer", report(stats("alice", 1, i))))
        wait_for(lambda: accepted() == 2 * i, "she is booked")
        redis.resume()
        first = select.select([crowd.sock, alice.sock], [], [], seconds(60))[0]
        for raw in (alice, crowd):
            assert raw.read_answer().body == OK
            raw.close()
        return first == [alice.sock]

    assert any(alice_is_first(i) for i in range(1, 20))
    wait_for(lambda: redis.hash("user:user19999") and redis.hash("user:alice"), "all are shown")


def test_a_connection_is_answered_in_order_with_others_in_between(held):
    daemon = held().start()
    raw = sent(daemon.address, post_bytes("/observer", large_body())
               + get_bytes("/users/user0/traffic")
               + post_bytes("/observer", report(stats("user0", 10, 0))) + get_bytes("/livez"))
    daemon.hold.wait_until_begun()
    daemon.report(stats("user0", 100, 0))
    assert not is_answered(raw)
    daemon.hold.release()
    assert raw.read_answer().body == OK
    assert raw.read_answer().json()["usedTraffic"] == 101
    assert raw.read_answer().body == OK
    assert raw.read_answer().status == 200
    raw.close()
    assert used(daemon) == 111


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_who_hangs_up_while_its_report_is_read_is_not_counted(family, end, held):
    daemon = held().start()
    body = large_body()
    raw = sent(daemon.address if family == "tcp" else daemon.unix,
               post_bytes("/observer?node=hk1", body))
    daemon.hold.wait_until_begun()
    getattr(raw, end)()
    daemon.hold.release()
    wait_for(lambda: daemon.get("/refusals").json()["counts"].get("hung_up") == 1, "it is refused")
    assert used(daemon) == 0 and daemon.status()["reports"]["accepted"] == 0
    assert daemon.post("/observer?node=hk1", body).body == OK
    assert used(daemon) == 1 and daemon.status()["reports"]["repeats"] == 0
    assert daemon.status()["users"] == N_USERS


def test_a_large_report_that_comes_again_counts_once(tallyd):
    daemon = tallyd().start()
    body = large_body()
    for _ in range(3):
        raw = sent(daemon.address, post_bytes("/observer", body))
        wait_for(lambda: is_answered(raw), "it is answered")
        raw.close()  # with the answer unread
    assert daemon.post("/observer", body).body == OK
    assert used(daemon) == 1
    found = daemon.status()["reports"]
    assert (found["accepted"], found["repeats"]) == (1, 3)
    daemon.kill()
    daemon.start()
    assert used(daemon) == used(daemon, f"user{N_USERS - 1}") == 1


def test_what_is_decided_of_a_node_while_its_report_is_read_counts(held):
    daemon = held()
    admin = with_socket(daemon)
    daemon.start()
    secret = admin.create("hk1", counters="delta")["secret"]
    body = large_body()
    headers = [f"{name}: {value}" for name, value in credential("hk1", secret).items()]

    def post_while(act):
        daemon.hold.path.touch()
        daemon.hold.begun.unlink(missing_ok=True)
        raw = sent(daemon.address, post_bytes("/observer", body, *headers))
        daemon.hold.wait_until_begun()
        act()
        daemon.hold.release()
        answer = raw.read_answer()
        raw.close()
        return answer

    assert post_while(lambda: admin.set("hk1", enabled=False)).status == 503
    admin.set("hk1", enabled=True)
    assert post_while(lambda: admin.set("hk1", counters="cumulative")).status == 503
    assert post_while(lambda: admin.delete("hk1")).status == 401
    assert admin.ask("GET", "/users/user0/traffic").status == 404
    secret = admin.create("hk1", counters="delta")["secret"]
    headers = [f"{name}: {value}" for name, value in credential("hk1", secret).items()]
    assert post_while(lambda: admin.create("hk2")).body == OK
    assert admin.used("user0") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_waits_for_a_report_that_is_read(number, held):
    daemon = held().start()
    raw = sent(daemon.address, post_bytes("/observer", large_body()))
    waiting = sent(daemon.address, post_bytes("/observer", large_body()))
    daemon.hold.wait_until_begun()
    daemon.send_signal(number)
    wait_for(lambda: "stopping" in daemon.log(), "it stops")
    daemon.hold.release()
    answers = [raw.read_answer().status for raw in (raw, waiting)]
    assert daemon.wait_exit() == 0
    assert set(answers) <= {200, 503} and answers[0] == 200
    n = answers.count(200)
    assert daemon.users().get("user0") == (n, n, 0)
    assert len(daemon.users()) == N_USERS


def test_a_kill_while_a_report_is_read_counts_nothing_of_it(held):
    daemon = held().start()
    daemon.report(stats("user0", 100, 0))
    body = large_body()
    raw = sent(daemon.address, post_bytes("/observer", body))
    daemon.hold.wait_until_begun()
    daemon.kill()
    raw.close()
    daemon.hold.release()
    daemon.start()
    assert used(daemon) == 100
    assert daemon.post("/observer", body).body == OK
    assert used(daemon) == 101 and daemon.status()["reports"]["repeats"] == 0


def test_large_and_small_reports_of_the_same_users_add_up_while_cuts_are_taken(tallyd):
    daemon = tallyd(sync_interval=100).start()
    connections = [RawClient(daemon.address) for _ in range(4)]
    n_rounds = 10
    for _ in range(n_rounds):
        for i, raw in enumerate(connections):
            raw.send(post_bytes("/observer", large_body(3000, service=f"s{i}")))
        for i in range(50):
            daemon.report(stats(f"user{i * 60}", 1, 0, service=f"s{i % 4}"))
        for raw in connections:
            assert raw.read_answer().body == OK
    for raw in connections:
        raw.close()
    daemon.force_sync()
    assert daemon.users() == {f"user{i}": (n, n, 0) for i in range(3000)
                              for n in [n_rounds * (len(connections) + (i % 60 == 0))]}


# Memory.

def head_of(n, path="/observer", method="POST", *headers):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {n}",
                        *headers, "", ""]).encode()


def test_more_than_max_body_memory_is_refused_before_it_is_read_and_small_reports_never_are(tallyd):
    """Each counts four times. One is always taken, and who is refused may come again."""
    daemon = tallyd(max_body_memory="1MiB").start()
    body = large_body(1500).encode()
    assert MIB / 2 < 4 * len(body) < MIB
    first = sent(daemon.address, head_of(len(body)) + body[:1000])
    wait_for(lambda: daemon.get("/livez").status == 200, "it is served")
    second = sent(daemon.address, head_of(len(body)))
    answer = second.read_answer()
    assert (answer.status, answer.body) == (503, b"") and second.is_closed_by_peer()
    second.close()
    found = daemon.get("/refusals").json()
    assert found["counts"] == {"unavailable": 1}
    assert "max_body_memory" in found["last"][0]["reason"]
    for _ in range(20):
        daemon.report(stats("alice", 1, 2))
    first.send(body[1000:])
    assert first.read_answer().body == OK
    first.close()
    assert daemon.post("/observer", body).body == OK
    huge = large_body(6000)  # four times it is more than 1 MiB
    assert daemon.post("/observer", huge).body == OK
    assert used(daemon) == 3 and used(daemon, "alice") == 60


def test_a_body_in_chunks_counts_as_it_comes(tallyd):
    daemon = tallyd(max_body_memory="1MiB").start()
    body = large_body(1500).encode()
    first = sent(daemon.address, head_of(len(body)) + body[:1000])
    chunked = b"POST /observer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    second = RawClient(daemon.address)
    second.send_whatever_it_takes(
        chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    assert second.read_answer().status == 503
    first.send(body[1000:])
    assert first.read_answer().body == OK
    second.send(chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    assert second.read_answer().body == OK
    for raw in (first, second):
        raw.close()


def test_whatever_is_no_report_may_have_64_kib(tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    daemon.start()
    for size, status in ((65537, 413), (10**9, 413), (65536, 400)):
        raw = sent(daemon.options["admin_socket"], head_of(size, "/nodes") + b"[" * (size % 10**6))
        answer = raw.read_answer()
        assert answer.status == status, (size, answer)
        if status == 413 and size < 10**8:
            assert b"only a report" in answer.body
        raw.close()
    chunk = b"%x\r\n%s\r\n" % (40000, b" " * 40000)
    raw = RawClient(daemon.options["admin_socket"])
    raw.send_whatever_it_takes(b"POST /nodes HTTP/1.1\r\nHost: localhost\r\n"
                               b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 2 + b"0\r\n\r\n")
    assert raw.read_answer().status == 413
    raw.close()
    admin.create("hk1")


def resident_bytes(daemon):
    with open(f"/proc/{daemon.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


HOSTILE = {
    "an event that is an array": lambda n: b'{"events":[[%s1]]}' % (b"1," * (n // 2)),
    "a string of 0x01": lambda n: b'{"events":[{"type":"%s"}]}' % (b"\x01" * n),
    "numbers": lambda n: b"[%s1]" % (b"1," * (n // 2)),
    "smallest events": lambda n: b'{"events":[%s{}]}' % (b'{"type":"stats"},' * (n // 17)),
    "honest but for an escape": lambda n: large_body(n // 180).encode(),
    "deep": lambda n: b'{"events":' * (n // 10),
    "no end": lambda n: b'{"events":[{"client":"' + b"x" * n,
}


@pytest.mark.skipif(not IS_RELEASE, reason="others keep what was freed")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_hostile_body_took_is_given_back(name, tallyd):
    daemon = tallyd(max_users=5000).start()  # users take memory for good
    client = daemon.client(timeout=120)
    small = HOSTILE[name](MIB // 2)
    for _ in range(3):
        assert client.post("/observer", small).status in (200, 400, 413)
    before = resident_bytes(daemon)
    for _ in range(2):
        assert client.post("/observer", HOSTILE[name](16 * MIB)).status in (200, 400, 413)
    wait_for(lambda: resident_bytes(daemon) <= before + 16 * MIB, "it is given back", limit=60)
    client.close()


def test_a_large_cumulative_report_counts_what_its_counters_have_grown_by(tallyd):
    daemon = tallyd(counters="cumulative").start()
    client = daemon.client(timeout=60)
    for value in (100, 150, 40):
        assert client.post("/observer", large_body(input_bytes=value)).body == OK
        daemon.force_sync()
    client.close()
    daemon.kill()
    daemon.start()
    assert used(daemon) == used(daemon, f"user{N_USERS - 1}") == 190
