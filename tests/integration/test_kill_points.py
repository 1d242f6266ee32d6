"""Ends the daemon at exact calls: every write, sync, rename and removal is a place to die."""
import collections
import http.client
import os
import random

import pytest

from deadline import wait_for
from seed import SEED
from tallyd import report, stats

LAST_POINT = 160  # at the latest there, the load below is in its third flush
POINTS = int(os.environ.get("KILL_POINTS", 6))
REPORTS = 120



def delta(i):
    """(user, its bytes, the report) of the i-th report."""
    user, size = f"u{i % 9}", i + 1
    return user, size, report(stats(user, size, service=f"s{i % 3}"))


def send_until_it_dies(daemon, make_report):
    """(bytes acknowledged, bytes of the one report whose answer never came), per user."""
    acked, doubtful = collections.Counter(), collections.Counter()
    client = daemon.client()
    try:
        for i in range(REPORTS):
            user, size, body = make_report(i)
            doubtful[user] = size
            answer = client.post("/observer", body)
            doubtful.clear()
            if answer.status == 200:
                acked[user] += size
            if i % 40 == 39:
                client.post("/force-sync")
    except (OSError, http.client.HTTPException):
        pass
    finally:
        client.close()
    return acked, doubtful


def start_or_die(daemon):
    """False if it died before it listened."""
    daemon.spawn()
    wait_for(lambda: daemon.process.poll() is not None or answers(daemon), "ready, or dead")
    return daemon.process.poll() is None


def answers(daemon):
    try:
        return daemon.get("/livez").status == 200
    except (OSError, http.client.HTTPException):
        return False


def die_at(daemon, environment, make_report=delta):
    """Runs into the point, or to a clean stop if there were fewer calls than that."""
    daemon.env = environment
    sent = send_until_it_dies(daemon, make_report) if start_or_die(daemon) else ({}, {})
    if daemon.process.poll() is None:
        daemon.process.terminate()
    code = daemon.wait_exit()
    daemon.env = None
    return code, *sent


@pytest.mark.parametrize("mode", ["before", "after", "torn"])
@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_a_daemon_that_dies_at_any_call_loses_nothing(mode, fsync, kill_point, tallyd):
    rng = random.Random(f"{SEED} {mode} {fsync}")
    points = sorted(rng.sample(range(1, LAST_POINT + 1), POINTS))
    print(f"seed {SEED}, mode {mode}, points {points}")
    n_killed = 0
    for point in points:
        daemon = tallyd(journal_fsync=fsync, sync_interval=100, retry_delay=10)
        code, acked, doubtful = die_at(daemon, {
            "LD_PRELOAD": str(kill_point), "KILL_POINT": str(point), "KILL_MODE": mode})
        assert code in (0, -9), (point, code)
        n_killed += code == -9
        for _ in range(2):
            daemon.start()
            daemon.stop()
        counted = {user: used for user, (used, _, _) in daemon.users().items()}
        for user in {*counted, *acked, *doubtful}:
            sure, maybe = acked.get(user, 0), doubtful.get(user, 0)
            assert counted.get(user, 0) in (sure, sure + maybe), (point, user)
    assert n_killed > POINTS / 2
