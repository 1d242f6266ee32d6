"""A data directory of an earlier release goes on to the byte."""
import json
import os
import random

import pytest

from admin import with_socket
from deadline import wait_for
from released import TOTALS, lay_out
from seed import SEED
from tallyd import report

LAST_POINT = 60  # at the latest there, the start below is over
POINTS = int(os.environ.get("UPGRADE_POINTS", 6))


def stats(client, input_bytes, output_bytes, total_conns, kind="handler"):
    event = {"kind": kind, "service": "s", "client": client, "type": "stats",
             "stats": {"totalConns": total_conns, "currentConns": 0,
                       "inputBytes": input_bytes, "outputBytes": output_bytes,
                       "totalErrs": 0}}
    return {name: value for name, value in event.items() if value is not None}


def cumulative(daemon, *events):
    daemon.report(*events, query="?node=sum&counters=cumulative")


def go_on(daemon):
    """What its GOSTs send next: two reports that were kept, and counters that went on."""
    daemon.report(stats("carol", 7, 0, 3), query="?node=delta")
    daemon.report(stats("carol", 70, 0, 4), query="?node=delta")
    cumulative(daemon, stats("alice", 2310, 0, 1), stats("dave", 41, 0, 1))
    cumulative(daemon, stats("bob", 501, 50, 2))  # of the epoch before: in full
    cumulative(daemon, stats(None, 9010, 1, 1, kind="service"))
    # Its `running` was before the upgrade.
    cumulative(daemon, {"kind": "service", "service": "s", "type": "status",
                        "status": {"state": "ready", "msg": "ready"}})
    cumulative(daemon, stats("alice", 2400, 0, 1))


AFTER = {"alice": (3410 + 10 + 2400, 3400 + 10 + 2400, 10), "bob": (550 + 551, 1001, 100),
         "carol": TOTALS["carol"], "dave": (41, 41, 0)}


@pytest.mark.smoke
def test_it_goes_on_to_the_byte(tallyd):
    daemon = tallyd()
    lay_out("release-2", daemon.data_dir)
    daemon.start()
    assert daemon.users() == TOTALS
    assert daemon.sql("pragma user_version") == [(3,)]
    assert {row for row, in daemon.sql("select life from users where id <> 'dave'")} == {0}
    assert daemon.sql("select life from users where id = 'dave'") == [(6,)]
    go_on(daemon)
    assert daemon.status()["reports"]["repeats"] == 2
    daemon.kill()
    daemon.start()
    assert daemon.users() == AFTER
    assert daemon.sql("select service, kind, input_bytes from services where node = 'sum' "
                      "order by kind") == [("s", "handler", 3840 + 10 + 1 + 501 + 2400),
                                           ("s", "service", 9010)]


def test_names_that_report_may_go_on_until_the_directory_is_closed(tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    lay_out("release-2", daemon.data_dir)
    (daemon.directory / "first-node").write_text("name = x\nsecret = y\n")
    daemon.start()  # its first-node file lies beside, and is not for a directory that counted
    assert admin.do("GET", "/nodes")["open"] is True
    assert daemon.sql("select * from nodes") == []
    go_on(daemon)
    assert admin.used("alice") == AFTER["alice"][0]


def test_its_journal_is_shown_as_it_is(tallyd):
    daemon = tallyd()
    lay_out("release-2", daemon.data_dir)
    lines = [json.loads(line) for line in daemon.run("--dump-journal").stdout.splitlines()]
    assert [line["seq"] for line in lines] == [6, 7, 8]
    assert daemon.sql("pragma user_version") == [(2,)]


def is_up(daemon):
    try:
        return daemon.get("/readyz").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("mode", ["before", "after", "torn"])
def test_an_upgrade_that_dies_at_any_call_is_made_by_the_next_start(mode, kill_point, tallyd):
    rng = random.Random(f"{SEED} upgrade {mode}")
    points = sorted(rng.sample(range(1, LAST_POINT + 1), min(POINTS, LAST_POINT)))
    print(f"seed {SEED}, mode {mode}, points {points}")
    n_killed = 0
    for point in points:
        daemon = tallyd(retry_delay=10)
        lay_out("release-2", daemon.data_dir)
        daemon.env = {"LD_PRELOAD": str(kill_point), "KILL_POINT": str(point),
                      "KILL_MODE": mode}
        daemon.spawn()
        wait_for(lambda d=daemon: d.process.poll() is not None or is_up(d), "ready, or dead")
        if daemon.process.poll() is None:
            daemon.process.terminate()
        code = daemon.wait_exit()
        assert code in (0, -9), (point, code)
        n_killed += code == -9
        daemon.env = None
        daemon.start()
        assert daemon.users() == TOTALS, point
        go_on(daemon)
        daemon.stop()
        daemon.start()
        assert daemon.users() == AFTER, point
        assert daemon.sql("pragma user_version") == [(3,)], point
        daemon.stop()
    assert n_killed > len(points) / 2
