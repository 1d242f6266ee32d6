"""What the outside can make grow is bounded in bytes, and what is void gives way (rule 29)."""
import http.client
import json
import sqlite3

import pytest

from admin import with_socket
from deadline import IS_ASAN, VALGRIND, seconds, wait_for
from tallyctl import tallyctl
from tallyd import report
from test_cumulative import booked, send, stats, status


def flood(daemon, node, first, n, kind="service", counters="cumulative"):
    """New clients of one node in one report."""
    events = [stats(f"client-{i:07}", 1, kind=kind) for i in range(first, first + n)]
    daemon.report(*events, query=f"?node={node}&counters={counters}")


def memory(daemon):
    found = daemon.status()["memory"]
    return found["bytes"], found["maxBytes"]


def warnings(daemon, word):
    return [line for line in daemon.status()["warnings"] if word in line]


def taken_by(daemon, name):
    return {node["node"]: node["bytes"] for node in daemon.status()["memory"]["nodes"]}[name]


@pytest.mark.smoke
def test_a_flood_of_series_ends_at_max_memory_and_nothing_counts_twice(tallyd):
    daemon = tallyd(max_memory="600KiB").start()
    send(daemon, stats("alice", 100), node="hk1")
    for turn in range(6):
        flood(daemon, "evil", 1000 * turn, 1000)
        flood(daemon, "evil", 1000 * turn, 1000)
        assert memory(daemon)[0] <= memory(daemon)[1] == 600 * 1024
    assert taken_by(daemon, "evil") <= 600 * 1024 * 3 // 4
    accepted = daemon.force_sync() and daemon.sql("select count(*) from series")[0][0]
    assert 1000 < accepted < 3000
    assert daemon.sql("select input_bytes from services where kind='service'") == [
        (accepted - 1,)]
    reasons = {reason for (reason,) in daemon.sql("select distinct reason from rejects")}
    assert reasons == {"this node has used its share of max_memory"}
    for end in ("kill", "stop"):
        getattr(daemon, end)()
        daemon.start()
        flood(daemon, "evil", 0, 500)
        daemon.force_sync()
        assert daemon.sql("select input_bytes from services where kind='service'") == [
            (accepted - 1,)]
    send(daemon, stats("alice", 130), node="hk1")
    assert booked(daemon) == (130, 0)


def test_a_node_whose_new_names_are_rejected_says_so_and_how_many_events(tallyd):
    daemon = tallyd(max_memory="600KiB")
    admin = with_socket(daemon)
    daemon.start()
    send(daemon, stats("alice", 100), node="hk1")
    shown = admin.node("hk1")
    assert 0 < shown["memory"]["bytes"] < shown["memory"]["maxBytes"]
    assert "full" not in shown["memory"] and shown["rejectedEvents"] == 0
    for turn in range(5):
        flood(daemon, "evil", 1000 * turn, 1000)
    shown = admin.node("evil")
    assert shown["memory"]["full"] == "this node has used its share of max_memory"
    assert shown["memory"]["bytes"] <= shown["memory"]["maxBytes"]
    assert shown["rejectedEvents"] == daemon.status()["reports"]["rejectedEvents"] > 1000
    said = tallyctl("--socket", str(daemon.options["admin_socket"]), "node", "show", "evil").stdout
    assert "are rejected: this node has used its share of max_memory" in said
    assert f"{shown['rejectedEvents']} since the start" in said
    assert "full" not in admin.node("hk1")["memory"], "the others have room"


def test_the_others_have_room_while_one_node_floods(tallyd):
    daemon = tallyd(max_memory="600KiB").start()
    for turn in range(4):
        flood(daemon, "evil", 1000 * turn, 1000)
    for i in range(100):
        send(daemon, stats(f"u{i}", 7), node="hk1")
    assert booked(daemon, "u99") == (7, 0)
    log = daemon.log()
    assert "a node has nearly used its share of a bound" in log
    assert log.count("nearly used its share") == 1


def test_a_bound_is_said_before_and_when_it_is_reached(tallyd):
    daemon = tallyd(max_users=20).start()
    for i in range(15):
        daemon.report(stats(f"u{i}", 1))
    assert "a bound is near" not in daemon.log() and warnings(daemon, "max_users") == []
    for i in range(15, 20):
        daemon.report(stats(f"u{i}", 1))
    assert daemon.log().count("a bound is near") == 1
    assert "a bound is reached" not in daemon.log()
    assert len(warnings(daemon, "max_users")) == 1
    for i in range(20, 30):
        daemon.report(stats(f"u{i}", 1))
    assert daemon.log().count("a bound is near") == 1
    assert daemon.log().count("a bound is reached") == 1
    assert "bound=max_users used=20 max=20" in daemon.log()


@pytest.mark.parametrize("end", [None, "stop", "kill"])
def test_series_of_an_earlier_epoch_leave_memory_and_database(end, tallyd):
    daemon = tallyd().start()
    flood(daemon, "n", 0, 500, kind="handler")
    daemon.force_sync()
    empty = memory(daemon)[0]
    send(daemon, status("running"))
    if end is not None:
        getattr(daemon, end)()
        daemon.start()
    send(daemon, status("ready"))
    for _ in range(3):  # a slice with each
        send(daemon, stats("alice", 5))
    assert memory(daemon)[0] < empty - 500 * 150
    if end is not None:
        getattr(daemon, end)()
        daemon.start()
    daemon.force_sync()
    assert daemon.sql("select client from series") == [("alice",)]
    flood(daemon, "n", 0, 500, kind="handler")
    assert booked(daemon, "client-0000007") == (2, 0)
    assert booked(daemon) == (5, 0)


def test_a_flood_gives_its_room_back_when_its_marks_are_forgotten(tallyd):
    daemon = tallyd(max_memory="600KiB")
    admin = with_socket(daemon)
    daemon.start()
    for turn in range(4):
        flood(daemon, "evil", 1000 * turn, 1000)
    before = memory(daemon)[0]
    admin.delete("evil", fresh=True)

    def is_free():
        send(daemon, stats("alice", 5), node="hk1")
        return memory(daemon)[0] < before // 4

    wait_for(is_free, "the series are gone")
    admin.delete("evil", fresh=True)  # once more is no conflict
    daemon.force_sync()
    assert daemon.sql("select node from series") == [("hk1",)]


def test_a_first_report_of_a_hundred_thousand_users_passes_and_is_warned_of(tallyd):
    daemon = tallyd().start()
    event = stats("", 1, 2, service="service-0")
    bodies = []
    for i in range(100000):
        event["client"] = f"user-{i:06}@example.com"
        bodies.append(json.dumps(event, separators=(",", ":")))
    body = '{"events":[' + ",".join(bodies) + "]}"
    assert 16 << 20 < len(body) < 32 << 20
    connection = http.client.HTTPConnection(*daemon.address, timeout=seconds(60))
    connection.request("POST", "/observer?node=hk1", body)
    assert connection.getresponse().status == 200
    connection.close()
    assert daemon.status()["users"] == 100000
    assert booked(daemon, "user-099999@example.com") == (1, 2)
    line = next(line for line in daemon.log().splitlines() if "max_body_bytes" in line)
    assert 'node="hk1"' in line and str(len(body)) in line


def seed_series(daemon, node, n):
    """A database that an older version has filled."""
    daemon.start().stop()
    with sqlite3.connect(daemon.database) as db:
        db.execute("insert into services values(?,'service','s',0,0,0,0,0,'',1,0,0,0)", (node,))
        db.executemany("insert into series values(?,'service','s',?,1,0,1,0)",
                       ((node, f"c{i:07}") for i in range(n)))


@pytest.mark.skipif(IS_ASAN or VALGRIND, reason="they need more address space")
def test_a_start_that_cannot_load_says_how_to_get_out_and_that_way_works(tallyd):
    daemon = tallyd()
    seed_series(daemon, "evil", 800000)
    daemon.wrapper = ("prlimit", f"--as={120 << 20}")
    code, log = daemon.start_and_fail()
    assert code != 0
    assert "too little memory for tally.db" in log and "800000 series" in log, log
    assert "tallyd --forget-node evil" in log, log
    done = daemon.run("--forget-node", "evil")
    assert done.returncode == 0 and "memory is short" in done.stderr, done
    daemon.start()
    assert daemon.sql("select count(*) from series") == [(0,)]
    assert daemon.post("/observer?node=evil", report(stats("alice", 1))).status in (401, 403)
    send(daemon, stats("alice", 3), node="hk1")
    assert booked(daemon) == (3, 0)


def test_what_is_forgotten_for_short_memory_counts_what_the_journal_still_held(tallyd):
    daemon = tallyd(max_memory="600KiB").start()
    daemon.report(stats("alice", 10), query="?node=evil")
    for turn in range(4):
        flood(daemon, "evil", 1000 * turn, 1000)
    daemon.force_sync()
    send(daemon, stats("alice", 70), stats("bob", 3), node="hk1")
    flood(daemon, "evil", 0, 1)
    daemon.report(stats("alice", 55), query="?node=evil")
    daemon.kill()
    daemon.options["max_memory"] = "500KiB"
    done = daemon.run("--forget-node=evil")
    assert done.returncode == 0 and "memory is short" in done.stderr, done
    assert daemon.users() == {"alice": (135, 135, 0), "bob": (3, 3, 0)}
    assert daemon.sql("select distinct node from series") == [("hk1",)]
    daemon.start()
    send(daemon, stats("alice", 71), stats("bob", 3), node="hk1")
    assert booked(daemon, "bob") == (3, 0)
