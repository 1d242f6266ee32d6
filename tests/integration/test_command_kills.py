"""Ends the daemon at exact calls while it is commanded: done or not done, never half; and a client
that repeats each command until it is answered sees each act once."""
import http.client
import os
import random

import pytest

from admin import with_socket
from seed import SEED
from tallyd import report, stats
from test_kill_points import start_or_die

LAST_POINT = 160  # at the latest there, the commands below are all answered
POINTS = int(os.environ.get("COMMAND_POINTS", 4))  # 0: all there are, see the last one

# What is asked for, each with its own number as its key. A report counts 10 bytes, and is no
# command; a flush makes a cut that carries those before it.
REPORT, FLUSH = object(), object()
SECRET = "s3cret"
ACTS = [
    ("POST", "/nodes", {"name": "n", "secret": SECRET, "counters": "delta"}),
    REPORT,
    ("PATCH", "/nodes/n", {"note": "one"}),
    FLUSH,
    ("POST", "/nodes", {"name": "m", "secret": SECRET, "note": "m"}),
    ("POST", "/nodes/n/secret", {"secret": SECRET + "2"}),
    REPORT,
    FLUSH,
    ("DELETE", "/nodes/n", {"fresh": True}),
    ("POST", "/nodes/close", {}),
    ("POST", "/nodes", {"name": "n", "secret": SECRET + "3", "enabled": False}),
    FLUSH,
    ("DELETE", "/nodes/m", None),
    ("POST", "/nodes/open", {}),
    REPORT,
    ("PATCH", "/nodes/n", {"enabled": True, "note": None}),
    ("POST", "/nodes/n/secret", {"secret": SECRET + "4"}),
    FLUSH,
]
KEYS = [f"key {i}" for i, act in enumerate(ACTS) if act not in (REPORT, FLUSH)]


class Client:
    """Asks for one act after the other; one whose answer never came, again."""

    def __init__(self, daemon, admin):
        self.daemon, self.admin = daemon, admin
        self.n_done = 0
        self.answered = {}       # key: (status, the answer without what is said once)
        self.bytes = [0, 0]      # surely counted, and perhaps

    def report(self):
        self.bytes[1] += 10
        answer = self.daemon.post("/observer?node=elsewhere", report(stats("alice", 10)))
        self.bytes[1] -= 10
        if answer.status == 200:
            self.bytes[0] += 10
        else:  # only while the directory is closed
            assert answer.status in (401, 403), answer

    def ask(self, key, method, path, body):
        answer = self.admin.ask(method, path, body, key)
        assert answer.status in (200, 201), (key, answer)
        self.answered.setdefault(key, answer.status)
        assert self.answered[key] == answer.status
        return answer

    def go_on(self):
        """False if the daemon died."""
        try:
            while self.n_done < len(ACTS):
                act = ACTS[self.n_done]
                if act is REPORT:
                    self.n_done += 1  # GOST's repetition is test_repeats.py's
                    self.report()
                elif act is FLUSH:
                    self.admin.flush()
                    self.n_done += 1
                else:
                    self.ask(f"key {self.n_done}", *act)
                    self.n_done += 1
        except (OSError, http.client.HTTPException):
            return False
        return True


def expect_each_once(client, point):
    """What SQLite holds, of a daemon that is stopped."""
    daemon = client.daemon
    done = [key for key, in daemon.sql("select command_id from audit order by seq")]
    assert done == KEYS, point
    assert sorted(daemon.sql("select key, status from commands")) == sorted(
        client.answered.items()), point
    rows = daemon.sql("select seq, verb from audit where seq not in (select seq from commands)")
    assert rows == [], (point, rows)
    assert daemon.sql("select name, enabled, counters, note, secret_hash is null, "
                      "old_secret_hash is null, deleted_at > 0 from nodes order by name") == [
        ("m", 1, None, "m", 1, 1, 1), ("n", 1, None, None, 0, 0, 0)], point
    assert daemon.sql("select value from meta where key = 'nodes'") == [("open",)], point
    sure, maybe = client.bytes
    assert daemon.users().get("alice", (0,))[0] in range(sure, sure + maybe + 1, 10), point


def die_at(daemon, admin, environment):
    """Runs into the point, and goes on without it until all is answered. The exit code."""
    client = Client(daemon, admin)
    daemon.env = environment
    if start_or_die(daemon):
        client.go_on()
    if daemon.process.poll() is None:
        daemon.process.terminate()
    code = daemon.wait_exit()
    daemon.env = None
    daemon.start()
    before = client.n_done
    assert client.go_on()
    # Each that was answered is so again, by whom it was done.
    for i, act in enumerate(ACTS[:before]):
        if act not in (REPORT, FLUSH):
            answer = client.ask(f"key {i}", *act)
            assert answer.json().get("secret") is None
    daemon.stop()
    daemon.start()
    daemon.stop()
    return code, client


@pytest.mark.parametrize("mode", ["before", "after", "torn"])
@pytest.mark.parametrize("fsync", ["everysec", "no"])
def test_a_command_is_done_once_whatever_call_kills_the_daemon(mode, fsync, kill_point, tallyd):
    rng = random.Random(f"{SEED} commands {mode} {fsync}")
    points = (range(1, 10000) if POINTS == 0
              else sorted(rng.sample(range(1, LAST_POINT + 1), POINTS)))
    print(f"seed {SEED}, mode {mode}, points {points}")
    n_killed = 0
    for point in points:
        daemon = tallyd(journal_fsync=fsync, sync_interval=100, retry_delay=10)
        admin = with_socket(daemon)
        code, client = die_at(daemon, admin, {
            "LD_PRELOAD": str(kill_point), "KILL_POINT": str(point), "KILL_MODE": mode})
        assert code in (0, -9), (point, code)
        expect_each_once(client, point)
        n_killed += code == -9
        if POINTS == 0 and code == 0:
            break
    print(f"killed at {n_killed} points")
    assert n_killed > len(points) / 2 or POINTS == 0
