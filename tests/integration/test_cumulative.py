"""Counters that GOST does not reset: what they grew by is added, whatever restarts."""
import json
import os

import pytest

from admin import credential, with_socket
from tallyd import report, run_tool
from test_kill_points import LAST_POINT, die_at
from test_repeats import lose_answer

POINTS = int(os.environ.get("MARK_POINTS", 12))


def stats(client, input_bytes, output_bytes=0, total_conns=1, service="s", kind="handler"):
    event = {"kind": kind, "service": service, "client": client, "type": "stats",
             "stats": {"totalConns": total_conns, "currentConns": 0,
                       "inputBytes": input_bytes, "outputBytes": output_bytes,
                       "totalErrs": 0}}
    return {name: value for name, value in event.items() if value is not None}


def status(state, service="s"):
    return {"kind": "service", "service": service, "type": "status",
            "status": {"state": state, "msg": state}}


def send(daemon, *events, node="n"):
    daemon.report(*events, query=f"?node={node}&counters=cumulative")


def booked(daemon, client="alice"):
    found = daemon.traffic(client)
    assert found["usedTraffic"] == found["inputBytes"] + found["outputBytes"]
    return found["inputBytes"], found["outputBytes"]


def marks(daemon):
    return daemon.sql("select client, input_bytes, output_bytes, total_conns from series "
                      "order by client")


@pytest.mark.smoke
def test_the_difference_is_added_and_a_lower_value_counts_in_full(tallyd):
    daemon = tallyd().start()
    for value in (100, 105, 120, 100, 110):
        send(daemon, stats("alice", value))
    assert booked(daemon) == (230, 0)
    daemon.force_sync()
    assert daemon.users() == {"alice": (230, 230, 0)}
    assert marks(daemon) == [("alice", 110, 0, 1)]
    assert daemon.sql("select input_bytes from services") == [(230,)]


def test_the_option_names_the_mode_of_reports_that_do_not(tallyd):
    daemon = tallyd(counters="cumulative").start()
    daemon.report(stats("alice", 100))
    daemon.report(stats("alice", 150))
    daemon.report(stats("alice", 7), query="?counters=delta")
    assert booked(daemon) == (157, 0)


@pytest.mark.parametrize("lower", ["input", "output", "conns"])
def test_any_counter_below_its_mark_is_a_restart(lower, tallyd):
    daemon = tallyd().start()
    send(daemon, stats("alice", 100, 50, 3))
    again = {"input": stats("alice", 99, 60, 4), "output": stats("alice", 200, 49, 4),
             "conns": stats("alice", 200, 60, 2)}[lower]
    send(daemon, again)
    counters = again["stats"]
    assert booked(daemon) == (100 + counters["inputBytes"], 50 + counters["outputBytes"])


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("flushes", [False, True])
def test_marks_survive_a_restart_of_tallyd(end, flushes, tallyd):
    daemon = tallyd().start()
    send(daemon, stats("alice", 100), stats("bob", 10))
    if flushes:
        daemon.force_sync()
    send(daemon, stats("alice", 120))
    for value in (130, 145):
        getattr(daemon, end)()
        daemon.start()
        send(daemon, stats("alice", value))
    assert booked(daemon) == (145, 0)
    send(daemon, stats("bob", 11))
    assert booked(daemon, "bob") == (11, 0)


def test_a_restart_that_is_announced_counts_in_full_even_above_the_mark(tallyd):
    daemon = tallyd().start()
    send(daemon, stats("alice", 100), stats(None, 1000, kind="service"))
    for state in ("running", "ready"):
        send(daemon, status(state))
    send(daemon, stats("alice", 150), stats(None, 1001, kind="service"))
    assert booked(daemon) == (250, 0)
    daemon.force_sync()
    assert daemon.sql("select kind, input_bytes from services order by kind") == [
        ("handler", 250), ("service", 2001)]


def test_a_reload_lets_the_old_handlers_last_report_arrive(tallyd):
    daemon = tallyd().start()
    send(daemon, stats("alice", 100))
    send(daemon, status("running"))
    send(daemon, stats("alice", 110))
    daemon.kill()
    daemon.start()
    send(daemon, status("closed"))
    send(daemon, stats("alice", 115))
    daemon.force_sync()
    daemon.stop()
    daemon.start()
    send(daemon, status("ready"))
    send(daemon, stats("alice", 200))
    send(daemon, stats("alice", 230))
    assert booked(daemon) == (115 + 230, 0)


@pytest.mark.parametrize("states", [["ready"], ["failed", "ready"], ["running"],
                                    ["running", "failed", "ready"]])
def test_a_listener_that_recovers_is_no_restart(states, tallyd):
    daemon = tallyd().start()
    send(daemon, status("running"), status("ready"))
    send(daemon, stats("alice", 100))
    for state in states:
        send(daemon, status(state))
    send(daemon, stats("alice", 150))
    assert booked(daemon) == (150, 0)


def test_another_services_restart_is_none(tallyd):
    daemon = tallyd().start()
    send(daemon, stats("alice", 100))
    send(daemon, status("running", "t"), status("ready", "t"))
    send(daemon, status("running"), status("ready"), node="m")
    send(daemon, stats("alice", 150))
    assert booked(daemon) == (150, 0)


def test_one_series_twice_in_one_report_advances_event_by_event(tallyd):
    daemon = tallyd().start()
    send(daemon, stats("alice", 100), stats("alice", 130), stats("alice", 20),
         stats("alice", 25))
    assert booked(daemon) == (100 + 30 + 20 + 5, 0)
    send(daemon, stats("alice", 25), stats("alice", 26))
    assert booked(daemon) == (156, 0)
    send(daemon, stats("alice", 30), status("running"), status("ready"), stats("alice", 40))
    assert booked(daemon) == (156 + 4 + 40, 0)


def test_series_are_told_apart_by_all_four_names(tallyd):
    daemon = tallyd().start()
    send(daemon, stats("alice", 100))
    send(daemon, stats("alice", 100), node="m")
    send(daemon, stats("alice", 100, service="t"))
    send(daemon, stats(None, 100))
    send(daemon, stats("", 150))
    send(daemon, stats(None, 1000, kind="service"))
    send(daemon, stats(None, 170), stats(None, 1010, kind="service"))
    assert booked(daemon) == (300, 0)
    daemon.force_sync()
    assert daemon.sql("select node, kind, service, input_bytes from services order by 1,2,3") == [
        ("m", "handler", "s", 100), ("n", "handler", "s", 270), ("n", "handler", "t", 100),
        ("n", "service", "s", 1010)]


def test_a_report_that_is_not_accepted_moves_no_mark(tallyd):
    daemon = tallyd(min_free_bytes=1).start()
    send(daemon, stats("alice", 100))
    answer = daemon.post("/observer?node=n&counters=cumulative",
                         report(stats("alice", 150), stats("alice", -1)))
    assert answer.status == 200
    assert booked(daemon) == (150, 0)
    full = daemon.post("/observer?node=n&counters=cumulative", "{")
    assert full.status == 400
    send(daemon, stats("alice", 151))
    assert booked(daemon) == (151, 0)


@pytest.mark.parametrize("mode", ["before", "after", "torn"])
def test_a_mark_survives_a_daemon_that_dies_at_any_call(mode, kill_point, tallyd):
    """The counters go on growing while it dies: what is missed comes with the next value."""
    step = max(1, LAST_POINT // POINTS)
    for point in range(1, LAST_POINT + 1, step):
        daemon = tallyd(sync_interval=100, retry_delay=10, counters="cumulative")
        code, _, _ = die_at(daemon, {
            "LD_PRELOAD": str(kill_point), "KILL_POINT": str(point), "KILL_MODE": mode},
            cumulative)
        assert code in (0, -9)
        daemon.start()
        for user in range(9):
            daemon.report(stats(f"u{user}", 10**6, service=f"s{user % 3}"))
        daemon.stop()
        assert daemon.users() == {f"u{i}": (10**6, 10**6, 0) for i in range(9)}, point


def cumulative(i):
    """(user, the value of its counter, the report) of the i-th report."""
    return f"u{i % 9}", i + 1, report(stats(f"u{i % 9}", i + 1, service=f"s{i % 3}"))


# --forget-node

def test_a_forgotten_node_is_refused_and_goes_on_when_it_is_made_again(tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    daemon.start()
    kept = report(stats("bob", 7, total_conns=3))
    send(daemon, stats("alice", 100))
    send(daemon, stats("alice", 100), node="other")
    lose_answer(daemon, kept, "?node=n&counters=cumulative")
    daemon.kill()
    done = daemon.run("--forget-node", "n")
    assert done.returncode == 0, done
    assert "node deleted" in done.stderr
    assert daemon.sql("select actor, verb, subject from audit") == [
        ("command line", "node.delete", "n")]
    assert daemon.sql("select count(*) from open_reports where node = 'n'") == [(1,)]
    daemon.start()
    for query in ("?node=n", "?node=n&counters=cumulative"):
        assert daemon.post("/observer" + query, kept).status in (401, 403)
    send(daemon, stats("alice", 120), node="other")
    admin.create("n", counters="cumulative", secret="s")
    for body in (kept, report(stats("alice", 120))):
        assert daemon.request("POST", "/observer", body, credential("n", "s")).status == 200
    assert (admin.used("alice"), admin.used("bob")) == (120 + 120, 7)


def test_a_forgotten_node_that_is_made_anew_counts_in_full(tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    daemon.start()
    send(daemon, stats("alice", 100), stats("bob", 1))
    daemon.kill()
    assert daemon.run("--forget-node=n").returncode == 0
    again = daemon.run("--forget-node=n")
    assert again.returncode == 64 and "deleted already" in again.stderr, again
    daemon.start()
    admin.create("n", counters="cumulative", secret="s", fresh=True)
    body = report(stats("alice", 120))
    assert daemon.request("POST", "/observer", body, credential("n", "s")).status == 200
    assert (admin.used("alice"), admin.used("bob")) == (100 + 120, 1)


def test_a_node_that_nobody_knows_cannot_be_forgotten(tallyd, tmp_path):
    daemon = tallyd().start()
    send(daemon, stats("alice", 100))
    assert daemon.run("--forget-node=n").returncode == 75  # it is running
    daemon.stop()
    done = daemon.run("--forget-node=m")
    assert done.returncode == 64 and "no node m" in done.stderr, done
    assert run_tool("--forget-node").returncode == 64
    nowhere = run_tool("--forget-node=n", f"--data-dir={tmp_path / 'typo'}")
    assert nowhere.returncode == 74 and not (tmp_path / "typo").exists()
    (tmp_path / "empty").mkdir()
    nothing = run_tool("--forget-node=n", f"--data-dir={tmp_path / 'empty'}")
    assert nothing.returncode == 74 and not (tmp_path / "empty" / "tally.db").exists()
    assert marks(daemon) == [("alice", 100, 0, 1)]


def test_the_dump_shows_marks(tallyd):
    daemon = tallyd().start()
    send(daemon, stats("alice", 100, 20, 3))
    record = json.loads(daemon.run("--dump-journal").stdout)
    assert record["bookings"][0]["mark"] == {
        "inputBytes": 100, "outputBytes": 20, "totalConns": 3, "epoch": 0}
