"""What is set up wrong and books wrong bytes is said once, with the lines that mend it."""
import socket

import pytest

from admin import credential, with_socket
from client import Client
from conftest import build_preload
from tallyd import report
from test_cumulative import stats, status
from test_repeats import lose_answer, repeats

REPORTS = 12  # WATCH_REPORTS


class Sender:
    """A GOST's keep-alive connection, from an address of this machine."""

    def __init__(self, daemon, address="127.0.0.1", query="?node=hk1", headers=None):
        self.client = Client(daemon.address)
        self.client.connection.sock = socket.create_connection(
            daemon.address, source_address=(address, 0))
        self.path = "/observer" + query
        self.headers = headers or {}

    def send(self, *events):
        answer = self.client.post(self.path, report(*events), **self.headers)
        assert (answer.status, answer.body) == (200, b'{"ok":true}'), answer
        return self


CUMULATIVE = "?node=hk1&counters=cumulative"


def suspicions(daemon):
    return daemon.status()["suspicions"]


def the_suspicion(daemon, code):
    """The only one, which every place shows alike and the log has told once."""
    found = suspicions(daemon)
    assert [one["code"] for one in found] == [code]
    nodes = {node["name"]: node for node in daemon.get("/nodes").json()["nodes"]}
    assert nodes[found[0]["node"]]["suspicions"] == found
    assert daemon.get(f"/nodes/{found[0]['node']}").json()["suspicions"] == found
    assert lines_of(daemon, code) == 1
    assert all(line.split("   #")[0] in daemon.log() for line in found[0]["change"])
    return found[0]


def lines_of(daemon, code, event="something looks wrong"):
    return sum(f"{event}: code={code} " in line for line in daemon.log().splitlines())


def test_totals_taken_as_deltas_are_said_once_with_the_lines_to_change(tallyd):
    daemon = tallyd().start()
    sender = Sender(daemon)
    for i in range(1, REPORTS):
        sender.send(stats("alice", 10, 1000 * i, i))
    assert suspicions(daemon) == []
    for i in range(REPORTS, 3 * REPORTS):
        sender.send(stats("alice", 10, 1000 * i, i))
    found = the_suspicion(daemon, "looks-cumulative")
    assert (found["node"], found["service"], found["client"]) == ("hk1", "s", "alice")
    assert "alice on s of hk1" in found["sentence"]
    # Whoever downloads more each time looks the same.
    assert found["sentence"].endswith("before: then all is right.")
    assert found["change"][0].startswith("observer.resetTraffic: true ")
    assert found["change"][1].startswith("counters=cumulative ")
    assert daemon.status()["reports"]["suspectSeries"] == 1


def test_a_node_that_is_set_to_cumulative_is_trusted_again_and_told_so(tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    daemon.start()
    secret = admin.create("hk1")["secret"]
    sender = Sender(daemon, query="", headers=credential("hk1", secret))
    sender.send(status("running")).send(status("ready"))
    for i in range(1, REPORTS + 1):
        sender.send(stats("alice", 0, 1000 * i))
    assert [one["code"] for one in admin.node("hk1")["suspicions"]] == ["looks-cumulative"]
    assert "tallyctl node set hk1 --counters cumulative" in daemon.log()
    admin.set("hk1", counters="cumulative")
    assert admin.node("hk1")["suspicions"] == []
    for i in range(REPORTS + 1, 3 * REPORTS):
        sender.send(stats("alice", 0, 1000 * i))
    assert admin.node("hk1")["suspicions"] == []
    assert lines_of(daemon, "looks-cumulative", "looks right again") == 1


@pytest.mark.parametrize("announces", [True, False])
@pytest.mark.parametrize("stops", [True, False])
def test_a_gost_is_not_counted_once_more_if_it_is_stopped_as_the_line_says(
        stops, announces, tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    daemon.start()
    secret = admin.create("hk1")["secret"]
    before = sum(1000 * i for i in range(1, REPORTS + 1))
    sender = Sender(daemon, query="", headers=credential("hk1", secret))
    for i in range(1, REPORTS + 1):
        sender.send(stats("alice", 0, 1000 * i, i))
    line = admin.node("hk1")["suspicions"][0]["change"][1]
    assert "while it is stopped, or this adds once more all that it has counted" in line
    admin.set("hk1", counters="cumulative")
    counted = 0 if stops else 1000 * REPORTS
    if stops and announces:
        sender.send(status("running")).send(status("ready"))
    sender.send(stats("alice", 0, counted + 70)).send(stats("alice", 0, counted + 90))
    assert admin.used() == before + counted + 90


@pytest.mark.parametrize("counters", ["cumulative", "delta"])
def test_a_service_whose_level_is_wrong_is_mended_there_and_its_users_stay_right(
        counters, tallyd):
    """enableStats: the service reports its own counters besides, reset or not by themselves."""
    daemon = tallyd()
    admin = with_socket(daemon)
    daemon.start()
    secret = admin.create("hk1", counters=counters)["secret"]
    sender = Sender(daemon, query="", headers=credential("hk1", secret))
    sender.send(status("running")).send(status("ready"))
    is_delta = counters == "delta"
    sent = total = 0

    def download(service_resets):
        nonlocal sent, total
        sent += 1
        size = 1000 + sent * 7919 % 500
        total += size
        for is_reset, client, kind in ((is_delta, "alice", "handler"),
                                       (service_resets, None, "service")):
            sender.send(stats(client, 0, size if is_reset else total, sent, kind=kind))

    for _ in range(2 * REPORTS):
        download(not is_delta)
    (found,) = admin.node("hk1")["suspicions"]
    assert found["code"] == ("looks-cumulative" if is_delta else "looks-delta")
    assert "client" not in found and "users are counted apart" in found["sentence"]
    (line,) = found["change"]  # and none that would count alice by something else
    assert line.startswith(f"observer.resetTraffic: {'true' if is_delta else 'false'}   # in the "
                           "metadata of the service s itself")
    assert admin.used() == total
    if not is_delta:  # its GOST starts anew with the line
        sender.send(status("running")).send(status("ready"))
        total, before = 0, total
    for _ in range(4 * REPORTS):
        download(is_delta)
    assert admin.node("hk1")["suspicions"] == []
    assert admin.used() == total + (0 if is_delta else before)


def test_deltas_taken_as_totals_are_said_once(tallyd):
    daemon = tallyd().start()
    sender = Sender(daemon, query=CUMULATIVE)
    sender.send(status("running")).send(status("ready"))
    for value in (900, 400, 700, 300, 600, 100, 500, 200, 800):
        sender.send(stats("alice", 0, value))
    found = the_suspicion(daemon, "looks-delta")
    assert "auto" in found["sentence"]
    assert found["change"][0].startswith("counters=delta ")


def test_equal_downloads_taken_as_totals_are_said(tallyd):
    daemon = tallyd().start()
    sender = Sender(daemon, query=CUMULATIVE)
    sender.send(status("running")).send(status("ready"))
    for i in range(1, 21):
        sender.send(stats("alice", 0, 100000, i))
    assert daemon.traffic("alice")["usedTraffic"] == 100000  # of 2,000,000
    found = the_suspicion(daemon, "looks-delta")
    assert "the very same bytes" in found["sentence"]
    assert found["change"][0].startswith("counters=delta ")


@pytest.mark.parametrize("second", ["127.0.0.2", "127.0.0.1"])
def test_two_senders_under_one_name_are_named_with_both_addresses(second, tallyd):
    daemon = tallyd().start()
    senders = Sender(daemon, query=CUMULATIVE), Sender(daemon, second, CUMULATIVE)
    senders[0].send(status("running")).send(status("ready"))
    for i in range(1, 6):
        senders[0].send(stats("alice", 0, 100000 + 10 * i))
        senders[1].send(stats("alice", 0, 50000 + 10 * i))
    # What is booked of the 150,100 bytes that they have sent.
    assert daemon.traffic("alice")["usedTraffic"] == 550200
    found = the_suspicion(daemon, "two-senders")
    assert "127.0.0.1" in found["sentence"] and second in found["sentence"]
    assert ("auto" in found["sentence"]) == (second == "127.0.0.1")
    assert found["change"][0].startswith("tallyctl node add NAME --counters cumulative   #")
    assert daemon.get("/nodes/hk1").json()["peers"] == (
        ["127.0.0.2", "127.0.0.1"] if second == "127.0.0.2" else ["127.0.0.1"])


def test_one_process_whose_handler_is_auto_is_no_two_senders(tallyd):
    daemon = tallyd().start()
    senders = Sender(daemon, query=CUMULATIVE), Sender(daemon, query=CUMULATIVE)
    senders[0].send(status("running")).send(status("ready"))
    for i in range(1, 6):  # two parts of it, on two connections that both of them use
        senders[i % 2].send(stats("alice", 0, 100000 + 10 * i))
        senders[1 - i % 2].send(stats("alice", 0, 50000 + 10 * i))
    the_suspicion(daemon, "looks-delta")


def test_two_senders_whose_users_differ_are_seen_by_their_turns(tallyd):
    daemon = tallyd().start()
    senders = (Sender(daemon, query=CUMULATIVE),
               Sender(daemon, "127.0.0.2", CUMULATIVE))
    senders[0].send(status("running")).send(status("ready"))
    for i in range(1, REPORTS + 4):
        senders[0].send(stats("alice", 0, 1000 * i))
        senders[1].send(stats("bob", 0, 1000 * i))
    found = the_suspicion(daemon, "two-senders")
    assert "client" not in found
    assert "127.0.0.1" in found["sentence"] and "127.0.0.2" in found["sentence"]


def test_a_cumulative_service_that_never_announced_itself_is_said_and_shown(tallyd):
    daemon = tallyd().start()
    sender = Sender(daemon, query=CUMULATIVE)
    for i in range(1, 6):
        sender.send(stats("alice", 0, 100 * i))
    found = the_suspicion(daemon, "no-states")
    assert (found["service"], "client" in found) == ("s", False)
    assert found["change"][0].startswith("observer: NAME   # beside addr of the service s")
    assert "without enableStats" in found["change"][0]
    daemon.kill()
    daemon.start()  # nothing of it is kept, and it is seen again
    assert suspicions(daemon) == []
    sender = Sender(daemon, query=CUMULATIVE)
    for i in range(6, 10):
        sender.send(stats("alice", 0, 100 * i))
    the_suspicion(daemon, "no-states")
    sender.send(status("running")).send(status("ready"))
    assert suspicions(daemon) == []


def test_states_that_were_heard_before_a_restart_of_tallyd_count(tallyd):
    daemon = tallyd().start()
    Sender(daemon, query=CUMULATIVE).send(status("running")).send(status("ready"))
    daemon.kill()
    daemon.start()
    sender = Sender(daemon, query=CUMULATIVE)
    for i in range(1, 10):
        sender.send(stats("alice", 0, 100 * i))
    assert suspicions(daemon) == []


def test_a_node_deleted_as_fresh_has_to_announce_itself_anew(tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    daemon.start()
    secret = admin.create("hk1", counters="cumulative")["secret"]
    sender = Sender(daemon, query="", headers=credential("hk1", secret))
    sender.send(status("running")).send(status("ready"))
    for i in range(1, 6):
        sender.send(stats("alice", 0, 100 * i))
    admin.delete("hk1", fresh=True)
    assert "peers" not in admin.node("hk1")
    secret = admin.create("hk1", counters="cumulative")["secret"]
    sender = Sender(daemon, query="", headers=credential("hk1", secret))
    for i in range(1, 6):
        sender.send(stats("alice", 0, 100 * i))
    assert [one["code"] for one in admin.node("hk1")["suspicions"]] == ["no-states"]


def test_only_a_service_reports_and_no_handler(tallyd):
    daemon = tallyd().start()
    sender = Sender(daemon)
    for i in range(1, 2 * REPORTS):
        sender.send(stats(None, 0, 100 + i % 3, kind="service"))
    found = the_suspicion(daemon, "service-only")
    assert found["sentence"].endswith("as forward and ss: then all is right.")
    assert found["change"][0].startswith("observer: NAME   # in the handler of s")
    sender.send(stats("alice", 0, 100))
    assert suspicions(daemon) == []


def test_a_handler_that_names_no_users(tallyd):
    daemon = tallyd().start()
    sender = Sender(daemon)
    for i in range(1, 2 * REPORTS):
        sender.send(stats(None, 0, 100 + i % 3))
    found = the_suspicion(daemon, "no-client")
    assert found["change"][0].startswith("auther: NAME   # in the handler of s")
    sender.send(stats("alice", 0, 100))
    assert suspicions(daemon) == []


def test_a_node_that_sends_only_states_is_remarked_after_ten_minutes(tallyd, tmp_path):
    later = tmp_path / "later"
    daemon = tallyd(env={"LD_PRELOAD": str(build_preload("later", tmp_path)),
                         "LATER": str(later)}).start()
    Sender(daemon).send(status("running")).send(status("ready"))
    assert suspicions(daemon) == []
    later.write_bytes(bytes(601))
    assert [one["code"] for one in suspicions(daemon)] == ["states-only"]
    Sender(daemon, query="?node=another").send(stats("bob", 0, 1))
    found = the_suspicion(daemon, "states-only")
    assert (found["node"], found["service"], "client" in found) == ("hk1", "s", False)
    assert found["sentence"].endswith("nobody uses it, or its observer stands in the service "
                                      "alone, or its handler has no users.")
    assert found["change"][0].startswith("observer: NAME   # in the handler of s")
    assert found["change"][-1].startswith("enableStats: true   # instead, in the metadata of the "
                                          "service s, if its handler is forward or ss")
    Sender(daemon).send(stats("alice", 0, 100))
    assert suspicions(daemon) == []
    assert lines_of(daemon, "states-only", "looks right again") == 1


def test_nodes_show_mode_addresses_and_what_was_seen(tallyd):
    daemon = tallyd().start()
    assert daemon.get("/nodes").json()["nodes"] == []
    Sender(daemon).send(status("ready"))
    shown = daemon.get("/nodes/hk1").json()
    assert shown["seen"] == {"users": False, "handler": False, "service": False, "states": True}
    for last in range(2, 8):
        Sender(daemon, f"127.0.0.{last}", CUMULATIVE).send(stats("alice", 0, last))
    shown = daemon.get("/nodes/hk1").json()
    assert shown["mode"] == "cumulative"
    assert shown["peers"] == [f"127.0.0.{last}" for last in (7, 6, 5, 4)]
    assert shown["seen"] == {"users": True, "handler": True, "service": False, "states": True}
    daemon.stop()
    daemon.start()
    shown = daemon.get("/nodes/hk1").json()
    assert not {"mode", "peers", "seen"} & shown.keys() and shown["suspicions"] == []


def test_a_repeat_is_not_looked_at(tallyd):
    daemon = tallyd().start()
    sender = Sender(daemon)
    for i in range(1, REPORTS - 1):
        sender.send(stats("alice", 0, 1000 * i))
    body = report(stats("alice", 0, 1000 * (REPORTS - 1)))
    lose_answer(daemon, body, "?node=hk1")
    assert daemon.post("/observer?node=hk1", body).status == 200
    assert repeats(daemon) == 1
    assert suspicions(daemon) == []
    sender.send(stats("alice", 0, 1000 * REPORTS))
    the_suspicion(daemon, "looks-cumulative")
