"""A report that comes again because its answer was lost counts once; an honest one always."""
import concurrent.futures
import fcntl
import itertools
import json
import select
import signal
import socket
import subprocess
import termios
import time

import pytest

from client import RawClient, connect, get_bytes, post_bytes
from conftest import build_preload
from deadline import seconds, wait_for
from tallyd import report, stats

OK = b'{"ok":true}'


def body_of(client="alice", input_bytes=100, output_bytes=10, service="service-0"):
    return report(stats(client, input_bytes, output_bytes, service=service))


def post(daemon, body, query=""):
    answer = daemon.post("/observer" + query, body)
    assert (answer.status, answer.body) == (200, OK), answer


def lose_answer(daemon, body, query="", how="unread", address=None):
    """Posts `body`, and ends the connection when the answer is there, as a network would."""
    raw = RawClient(address or daemon.address)
    raw.send(post_bytes("/observer" + query, body))
    poll = select.poll()
    poll.register(raw.sock, select.POLLIN)
    assert poll.poll(seconds(10) * 1000), "no answer"
    if how == "half":
        raw.sock.recv(20)
    if how == "reset":
        raw.sock.recv(65536)
        raw.reset()
    else:
        raw.close()  # with something unread: a reset


def used(daemon, client="alice"):
    return daemon.traffic(client)["usedTraffic"]


def repeats(daemon):
    return daemon.status()["reports"]["repeats"]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_there_is_room_for_by_now_does_not_make_a_repeat_another_report(end, tallyd):
    """Its first event was rejected at first, so another service was the first one then."""
    daemon = tallyd(max_users=1).start()
    daemon.report(stats("alice", 1, 0, service="y"))
    body = report(stats("bob", 5, 0, service="x"), stats("alice", 100, 0, service="y"))
    lose_answer(daemon, body)
    wait_for(lambda: daemon.status()["reports"]["accepted"] == 2, "it is accepted")
    getattr(daemon, end)()
    daemon.options["max_users"] = 10
    daemon.start()
    post(daemon, body)
    assert (used(daemon), repeats(daemon)) == (101, 1)
    daemon.kill()
    daemon.start()
    assert used(daemon) == 101
    post(daemon, report(stats("bob", 5, 0, service="x")))
    assert used(daemon, "bob") == 5


# Honest equal reports.

@pytest.mark.smoke
def test_equal_reports_that_were_answered_always_count(tallyd, tmp_path):
    unix = tmp_path / "socket"
    daemon = tallyd()
    daemon.options["listen"] += f",unix:{unix}"
    daemon.start()
    body = body_of()
    counted = 0
    curl = ["curl", "-sS", "--data-binary", body]
    url = f"http://127.0.0.1:{daemon.port}/observer"
    for arguments in (
            [*curl, url], [*curl, "-H", "Connection: close", url], [*curl, "--http1.0", url],
            [*curl, "--unix-socket", str(unix), "http://x/observer"],
            [*curl, "--unix-socket", str(unix), "-H", "Connection: close", "http://x/observer"]):
        for _ in range(5):
            done = subprocess.run(arguments, capture_output=True, check=True)
            assert done.stdout == OK
            counted += 1
    subprocess.run([*curl, url, *(["--next", *curl[1:], url] * 4)], capture_output=True,
                   check=True)
    counted += 5
    assert used(daemon) == counted * 110
    assert repeats(daemon) == 0
    for number in (signal.SIGTERM, signal.SIGINT):
        daemon.stop(number=number)
        daemon.start()
        subprocess.run([*curl, url], capture_output=True, check=True)
        counted += 1
        assert used(daemon) == counted * 110
    assert repeats(daemon) == 0


def test_equal_reports_count_after_a_stop_that_found_their_connections_open(tallyd):
    daemon = tallyd().start()
    body = body_of()
    clients = [daemon.client() for _ in range(3)]
    for client in clients:
        assert client.post("/observer", body).body == OK
    daemon.stop()
    assert daemon.sql("select count(*) from open_reports") == [(0,)]
    daemon.start()
    post(daemon, body)
    assert used(daemon) == 440
    for client in clients:
        client.close()


def test_one_body_from_many_connections_at_once_counts_as_often_as_it_was_answered(tallyd):
    daemon = tallyd(sync_interval=200).start()
    n_clients, n_posts = 16, 60
    clients = [daemon.client() for _ in range(n_clients)]
    body = body_of()
    for _ in range(n_posts):
        for client in clients:
            client.connection.request("POST", "/observer", body.encode())
        for client in clients:
            answer = client.connection.getresponse()
            assert answer.read() == OK
    for client in clients:
        client.close()
    assert used(daemon) == n_clients * n_posts * 110
    assert repeats(daemon) == 0


@pytest.mark.parametrize("headers", [(), ("Connection: close",)])
@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_one_body_from_clients_that_come_and_go_counts_as_often(family, headers, tallyd, tmp_path):
    """An answer is read and its connection closed before the daemon has looked up again."""
    unix = tmp_path / "s"
    daemon = tallyd()
    daemon.options["listen"] += f",unix:{unix}"
    daemon.start()
    request = post_bytes("/observer", body_of("alice", 1, 0), *headers)
    n_threads, n_posts = 8, 50

    def post_all():
        for _ in range(n_posts):
            raw = RawClient(daemon.address if family == "tcp" else unix)
            raw.send(request)
            assert raw.read_answer().body == OK
            raw.close()

    with concurrent.futures.ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(post_all) for _ in range(n_threads)]:
            done.result()
    assert used(daemon) == n_threads * n_posts
    assert repeats(daemon) == 0


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_an_answer_that_was_read_late_was_read(family, tallyd, tmp_path):
    unix = tmp_path / "s"
    daemon = tallyd()
    daemon.options["listen"] += f",unix:{unix}"
    daemon.start()
    body = body_of()
    raw = RawClient(daemon.address if family == "tcp" else unix)
    raw.send(post_bytes("/observer", body))
    moment = time.monotonic() + 0.8  # its answer is older than 500 ms then
    wait_for(lambda: time.monotonic() > moment, "the moment")
    assert raw.read_answer().body == OK
    post(daemon, body)
    assert used(daemon) == 220
    raw.close()


def test_who_reads_its_answer_on_a_unix_socket_and_goes_at_once_has_had_it(tallyd, tmp_path):
    """It has gone before the daemon has come back from sending, as on a busy machine."""
    unix = tmp_path / "s"
    daemon = tallyd(env={"LD_PRELOAD": str(build_preload("late_send", tmp_path))})
    daemon.options["listen"] += f",unix:{unix}"
    daemon.start()
    body = body_of()
    head, rest = post_bytes("/observer", body)[:-50], post_bytes("/observer", body)[-50:]
    for parts in ((head + rest,), (head, rest)):
        for _ in range(3):
            raw = RawClient(unix)
            for part in parts:
                raw.send(part)
                wait_for(lambda: is_taken(raw), "it is read")
            assert raw.read_answer().body == OK
            raw.close()
    assert used(daemon) == 6 * 110 and repeats(daemon) == 0


def test_what_comes_while_another_report_is_written_does_not_prove_the_next_answer(
        tallyd, tmp_path):
    """A connection is looked at for another's equal report, and in that turn its own comes."""
    hold, begun = tmp_path / "hold", tmp_path / "hold.begun"
    daemon = tallyd(env={"LD_PRELOAD": str(build_preload("hold_disk", tmp_path)),
                         "HOLD": str(hold)}).start()
    equal, body = body_of(), body_of("bob")
    lost = post_bytes("/observer", body)
    raw, other = RawClient(daemon.address), RawClient(daemon.address)
    for sender, first in ((raw, equal), (other, body_of("carol"))):
        sender.send(post_bytes("/observer", first))
        assert sender.read_answer().body == OK
    raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with daemon.standing_still():
        hold.write_text("write")
        other.send(post_bytes("/observer", equal))
        raw.send(lost[:10])
    wait_for(begun.exists, "the equal one is being written")
    raw.send(lost[10:])
    hold.unlink()
    assert other.read_answer().body == OK
    wait_for(lambda: select.select([raw.sock], [], [], 0)[0], "it is answered")
    raw.close()  # with the answer unread
    post(daemon, body)
    assert (used(daemon), used(daemon, "bob"), repeats(daemon)) == (220, 110, 1)
    other.close()


def is_taken(raw):
    """The peer has read what was sent: SIOCOUTQ."""
    unread = fcntl.ioctl(raw.sock, termios.TIOCOUTQ, b"\0\0\0\0")
    return unread == b"\0\0\0\0"


@pytest.mark.parametrize("cut", ["idle", "full", "stop"])
@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_a_connection_that_the_daemon_ends_may_have_an_unread_answer(
        cut, family, tallyd, tmp_path):
    unix = tmp_path / "s"
    daemon = tallyd(idle_timeout=1000 if cut == "idle" else "1h",
                    max_connections=2 if cut == "full" else 100)
    daemon.options["listen"] += f",unix:{unix}"
    daemon.start()
    body = body_of()
    raw = RawClient(daemon.address if family == "tcp" else unix)
    raw.send(post_bytes("/observer", body))
    poll = select.poll()
    poll.register(raw.sock, select.POLLRDHUP)
    others = []
    if cut == "stop":
        wait_for(lambda: raw.sock.recv(1, socket.MSG_PEEK), "the answer")
        daemon.send_signal(signal.SIGTERM)
    elif cut == "full":
        wait_for(lambda: raw.sock.recv(1, socket.MSG_PEEK), "the answer")
        for _ in range(2):  # who asks nothing would give way itself
            others.append(RawClient(daemon.address))
            others[-1].send(get_bytes("/version"))
            assert others[-1].read_answer().status == 200
    assert poll.poll(seconds(10) * 1000), "it is not cut"
    raw.close()
    for other in others:
        other.close()
    if cut == "stop":
        assert daemon.wait_exit() == 0
        daemon.start()
    post(daemon, body)
    assert used(daemon) == 110
    assert repeats(daemon) == 1


@pytest.mark.skipif(subprocess.run(["sh", "-c", "command -v wrk"], capture_output=True,
                                   check=False).returncode != 0, reason="no wrk here")
def test_wrk_with_one_body_is_counted_as_often_as_it_was_answered(tallyd, tmp_path):
    daemon = tallyd().start()
    script = tmp_path / "post.lua"
    script.write_text("wrk.method = 'POST'\nwrk.body = '%s'\n"
                      "done = function(s) io.write('answered ' .. s.requests .. '\\n') end\n"
                      % body_of())
    done = subprocess.run(["wrk", "-t1", "-c16", "-d2s", "-s", str(script),
                           f"http://127.0.0.1:{daemon.port}/observer"],
                          capture_output=True, text=True, check=True)
    answered = int(done.stdout.split("answered ")[1].split()[0])
    counted = used(daemon) // 110
    print(f"{answered} answered, {counted} counted")
    assert answered > 0 and answered <= counted <= answered + 16


def test_equal_reports_count_when_there_are_no_descriptors_left(tallyd):
    daemon = tallyd(wrapper=("prlimit", "--nofile=48:48")).start()
    request = post_bytes("/observer", body_of("alice", 1, 0), "Connection: close")
    n_threads, n_posts = 8, 40

    def post_all():
        for _ in range(n_posts):
            raw = RawClient(daemon.address)
            raw.send(request)
            assert raw.read_answer().body == OK
            raw.close()

    with concurrent.futures.ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(post_all) for _ in range(n_threads)]:
            done.result()
    assert used(daemon) == n_threads * n_posts


# Repeats.

@pytest.mark.smoke
@pytest.mark.parametrize("how", ["unread", "half", "reset"])
def test_a_report_whose_answer_was_lost_counts_once(how, tallyd, tmp_path):
    unix = tmp_path / "s"
    daemon = tallyd()
    daemon.options["listen"] += f",unix:{unix}"
    daemon.start()
    ways = [daemon.address] if how == "reset" else [daemon.address, unix]
    for n, address in enumerate(ways, 1):
        body = body_of()
        for _ in range(3):
            lose_answer(daemon, body, how=how, address=address)
            assert used(daemon) == n * 110
        post(daemon, body)
        assert used(daemon) == n * 110
        assert repeats(daemon) == n * 3
    assert daemon.status()["reports"]["accepted"] == len(ways)


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_an_equal_report_of_another_proves_nothing_that_was_not_read(family, tallyd, tmp_path):
    """Two senders with one body; the answer to the first is lost behind the second's report."""
    unix = tmp_path / "s"
    daemon = tallyd()
    daemon.options["listen"] += f",unix:{unix}"
    daemon.start()
    body = body_of()
    first = RawClient(daemon.address if family == "tcp" else unix)
    first.send(post_bytes("/observer", body))
    wait_for(lambda: first.sock.recv(1, socket.MSG_PEEK), "the answer")
    post(daemon, body)
    assert used(daemon) == 220
    first.close()
    post(daemon, body)
    assert used(daemon) == 220
    assert repeats(daemon) == 1


def test_a_client_that_asks_again_has_read_the_answer(tallyd):
    """The sender goes on with something else: its earlier report was answered."""
    daemon = tallyd().start()
    first, client = body_of(), daemon.client()
    client.post("/observer", first)
    assert client.get("/livez").status == 200
    client.connection.sock.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER: a reset
    client.close()
    post(daemon, first)
    assert used(daemon) == 220 and repeats(daemon) == 0


def test_the_beginning_of_a_next_request_proves_the_answer_before_it(tallyd):
    daemon = tallyd().start()
    body = body_of()
    for end in ("reset", "close"):
        raw = RawClient(daemon.address)
        raw.send(post_bytes("/observer", body))
        assert raw.read_answer().body == OK
        raw.send(b"POST /obs")
        getattr(raw, end)()
    post(daemon, body)
    assert used(daemon) == 330 and repeats(daemon) == 0


def test_a_repeat_while_its_first_connection_hangs_counts_once(tallyd, redis):
    """The sender has given up while the answer waits for a paused Redis."""
    daemon = tallyd(redis_url=redis.url, redis_timeout=900).start()
    post(daemon, body_of())
    redis.process.send_signal(signal.SIGSTOP)
    body = body_of()
    raw = RawClient(daemon.address)
    raw.send(post_bytes("/observer", body))
    wait_for(lambda: daemon.status()["reports"]["accepted"] == 2, "it is accepted")
    raw.close()
    lose_answer(daemon, body)
    redis.process.send_signal(signal.SIGCONT)
    post(daemon, body)
    assert repeats(daemon) == 2
    wait_for(lambda: used(daemon) == 220, "counted once")


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("flushes", [False, True])
def test_open_reports_survive_any_stop(end, flushes, tallyd):
    daemon = tallyd().start()
    body = body_of()
    lose_answer(daemon, body)
    if flushes:
        daemon.force_sync()
        assert daemon.sql("select node, kind, service from open_reports") == [
            ("default", "handler", "service-0")]
    for n in range(3):
        getattr(daemon, end)()
        daemon.start()
        lose_answer(daemon, body)
        assert used(daemon) == 110
        assert repeats(daemon) == 1
        if flushes:
            daemon.force_sync()
    post(daemon, body)
    assert used(daemon) == 110
    daemon.stop()
    daemon.start()
    post(daemon, body)
    assert used(daemon) == 220


def test_a_later_report_of_the_connection_proves_the_earlier_after_a_kill(tallyd):
    daemon = tallyd().start()
    bodies = [body_of(input_bytes=n) for n in (1, 2, 3)]
    client = daemon.client()
    client.post("/observer", bodies[0])
    daemon.force_sync()
    client.post("/observer", bodies[1])
    daemon.kill()
    client.close()
    daemon.start()
    assert daemon.status()["reports"]["open"] == 1
    for body in bodies:
        post(daemon, body)
    assert daemon.traffic("alice")["inputBytes"] == 1 + 2 + 1 + 3
    assert repeats(daemon) == 1


def test_what_tcp_had_proved_is_known_after_a_kill(tallyd):
    """100 reports of other connections crowd nothing out when the journal is folded."""
    daemon = tallyd().start()
    lost, last = body_of(), body_of()
    lose_answer(daemon, lost)
    for _ in range(100):
        post(daemon, body_of("bob", 1, 0))
    wait_for(lambda: daemon.status()["reports"]["open"] == 1, "the others are proved")
    post(daemon, last)
    daemon.kill()
    daemon.start()
    assert daemon.status()["reports"]["open"] == 2
    post(daemon, lost)
    assert used(daemon) == 220 and repeats(daemon) == 1


def test_three_senders_of_one_name_have_one_open_report_each(tallyd):
    daemon = tallyd(sync_interval=100).start()
    bodies = [body_of(f"user{i}", 100 + i, 0) for i in range(3)]
    for order in itertools.permutations(bodies):
        for body in order:
            lose_answer(daemon, body)
    for body in bodies:
        post(daemon, body)
    assert [used(daemon, f"user{i}") for i in range(3)] == [100, 101, 102]
    assert repeats(daemon) == 6 * 3


def test_reports_are_repeats_only_within_their_node_kind_and_service(tallyd):
    daemon = tallyd().start()
    body = body_of()
    lose_answer(daemon, body, "?node=a")
    post(daemon, body, "?node=b")
    assert used(daemon) == 220
    post(daemon, body, "?node=a")
    assert used(daemon) == 220
    assert repeats(daemon) == 1


def test_at_most_64_are_open_and_the_oldest_gives_way(tallyd):
    daemon = tallyd().start()
    bodies = [body_of("alice", 1, 0) for _ in range(65)]
    for body in bodies:
        lose_answer(daemon, body)
    found = daemon.status()["reports"]
    assert (found["open"], found["droppedOpen"]) == (64, 1)
    for body in bodies[1:]:
        post(daemon, body)
    assert used(daemon) == 65
    assert repeats(daemon) == 64
    post(daemon, bodies[0])
    assert used(daemon) == 66


def test_a_sender_that_begins_anew_repeats_nothing(tallyd):
    daemon = tallyd().start()
    body = body_of()
    lose_answer(daemon, body)
    for state in ("running", "ready"):
        post(daemon, json.dumps({"events": [{
            "kind": "service", "service": "service-0", "type": "status",
            "status": {"state": state}}]}))
    post(daemon, body)
    assert used(daemon) == 220


def test_a_request_whose_client_has_gone_is_not_accepted(tallyd):
    daemon = tallyd().start()
    post(daemon, body_of())
    body = body_of()
    with daemon.standing_still():
        for ends in ("close", "reset"):
            raw = RawClient(daemon.address)
            raw.send(post_bytes("/observer", body))
            getattr(raw, ends)()
    post(daemon, body)
    assert used(daemon) == 220
    found = daemon.status()["reports"]
    assert (found["accepted"], found["repeats"]) == (2, 0)


def test_a_repeat_is_journaled_without_bytes(tallyd):
    daemon = tallyd().start()
    body = body_of()
    lose_answer(daemon, body)
    post(daemon, body)
    first, second = (json.loads(line) for line in
                     daemon.run("--dump-journal").stdout.splitlines())
    assert second["repeats"] == first["seq"]
    assert second["fingerprint"] == first["fingerprint"]
    assert second["bookings"] == []
    assert first["connection"] < second["connection"]


def test_a_client_that_hides_the_loss_is_the_manuals_limit(tallyd):
    """It reads all and closes politely: nobody can know that it has then lost the answer."""
    daemon = tallyd().start()
    body = body_of()
    sock = connect(daemon.address)
    sock.sendall(post_bytes("/observer", body))
    answer = b""
    while not answer.endswith(OK):
        answer += sock.recv(4096)
    sock.close()
    wait_for(lambda: daemon.status()["reports"]["open"] == 0, "it counts as answered")
    post(daemon, body)
    assert used(daemon) == 220
