"""A panel's 1,000 totals are added to once, wherever the daemon dies while it links."""
import http.client
import os
import random
import threading

import pytest

from deadline import wait_for
from proxy import Proxy
from seed import SEED
from tallyd import report, stats

pytestmark = pytest.mark.long

N_HASHES = 1000
POINTS = int(os.environ.get("LINK_POINTS", 6))  # of each kind; 0: all there are
# With this many calls that change a file a start has linked.
LAST_FILE_POINT = 60

PANEL = {f"p{i}": (10**12 + i, i, 7 * i) if i % 3 == 0 else (10**12 + i, 0, 0)
         for i in range(N_HASHES)}
COUNTED = {"p0": 1, "p1": 10, "new": 100}


def report_again(daemon):
    """The same bytes in another report; what is equal may be a repeat after a kill."""
    daemon.report(*(stats(user, size, 2 * size) for user, size in COUNTED.items()))


def fill(redis, owner):
    client = redis.client()
    client("FLUSHALL")
    if owner:
        client("SET", "tallyd:instance", owner)
    for user, (used, input_bytes, output_bytes) in PANEL.items():
        fields = ("inputBytes", input_bytes, "outputBytes", output_bytes) if input_bytes else ()
        client.send("HSET", f"user:{user}", "usedTraffic", used, *fields)
    for _ in PANEL:
        client.read()
    client.close()


def expected(n_reports, is_adopted):
    users = dict(PANEL) if is_adopted else {}
    for _ in range(n_reports):
        for user, size in COUNTED.items():
            used, input_bytes, output_bytes = users.get(user, (0, 0, 0))
            users[user] = (used + 3 * size, input_bytes + size, output_bytes + 2 * size)
    return users


class Assassin:
    """Kills the daemon at the nth command it sends: not executed, or executed and unheard."""

    def __init__(self, proxy, daemon, point, is_executed):
        self.proxy, self.daemon = proxy, daemon
        self.point, self.is_executed = point, is_executed
        self.seen = []
        self.lock = threading.Lock()
        proxy.on_command = self.on_command
        proxy.on_reply = self.on_reply

    def on_command(self, words):
        with self.lock:
            self.seen.append(words)
            n = len(self.seen)
        if n == self.point and not self.is_executed:
            self.daemon.process.kill()
        elif n == self.point:
            threading.Timer(0.03, self.daemon.process.kill).start()
        return n < self.point or (self.is_executed and n == self.point) or self.point == 0

    def on_reply(self, data):
        return (b"" if 0 < self.point <= len(self.seen) and self.is_executed else data), False

    def retire(self):
        self.proxy.on_command = self.proxy.on_reply = None


HOW = pytest.mark.parametrize("how", [None, "adopt", "overwrite"])


def options_of(how):
    return {"take_over_redis": how} if how else {}


def begin(make, redis, url, how):
    """A daemon that has counted without Redis, and died; Redis as somebody else left it."""
    fill(redis, "somebody" if how else None)
    daemon = make(redis_url="none", max_pending_users=10**6)
    daemon.start()
    report_again(daemon)
    daemon.kill()
    daemon.options.update(redis_url=url, **options_of(how))
    return daemon


def judge(daemon, redis, how, at):
    """It goes on as if nothing had been, and so it does after another death."""
    for n_reports in (2, 3):
        daemon.start()
        report_again(daemon)
        held = expected(n_reports, how != "overwrite")
        shown = PANEL | held
        wait_for(lambda: redis.view() == shown, f"Redis is right, {at}")
        daemon.force_sync()
        assert daemon.users() == held, at
        daemon.kill()


def commands_of_a_linking(make, redis, proxy, how):
    daemon = begin(make, redis, proxy.url, how)
    assassin = Assassin(proxy, daemon, 0, False)
    daemon.start()
    shown = PANEL | expected(1, how != "overwrite")
    wait_for(lambda: redis.view() == shown, "all users are written")
    seen = list(assassin.seen)
    assassin.retire()
    daemon.kill()
    return seen


def choose(rng, seen):
    """Each command there is little of, and some of those there are many of."""
    points = []
    for word in {words[0] for words in seen}:
        of_word = [n for n, words in enumerate(seen, 1) if words[0] == word]
        points += rng.sample(of_word, min(len(of_word), POINTS)) if POINTS else of_word
    return sorted(points)


@HOW
def test_death_at_any_command(how, redis, tallyd):
    rng = random.Random(SEED)
    proxy = Proxy(redis.port)
    seen = commands_of_a_linking(tallyd, redis, proxy, how)
    words = [words[0] for words in seen]
    assert words.count(b"HMGET") >= (0 if how == "overwrite" else N_HASHES), len(words)
    points = choose(rng, seen)
    print(f"seed {SEED}: {len(seen)} commands, points {points}")
    n_killed = 0
    for point in points:
        for is_executed in (False, True):
            daemon = begin(tallyd, redis, proxy.url, how)
            assassin = Assassin(proxy, daemon, point, is_executed)
            daemon.spawn()
            n_killed += wait_for(lambda: ended(daemon), "it has died") == -9
            assassin.retire()
            at = f"command {point} {seen[point - 1][:3]}, executed: {is_executed}"
            judge(daemon, redis, how, at)
    assert n_killed == 2 * len(points)
    proxy.close()


def ended(daemon):
    """The exit code; also of one that lives on long after it was to die."""
    code = daemon.process.poll()
    if code is not None:
        daemon.process = None
    return code


def has_linked(daemon):
    try:
        return daemon.status()["redis"]["state"] == "up"
    except (OSError, http.client.HTTPException):  # it does not listen yet, or dies
        return False


@HOW
def test_death_at_any_call_that_changes_a_file(how, kill_point, redis, tallyd):
    rng = random.Random(SEED)
    points = range(1, LAST_FILE_POINT + 1)
    points = rng.sample(points, 2 * POINTS) if POINTS else points
    n_killed = 0
    for point in points:
        for mode in ("before", "after", "torn"):
            daemon = begin(tallyd, redis, redis.url, how)
            daemon.env = {"LD_PRELOAD": str(kill_point), "KILL_POINT": str(point),
                          "KILL_MODE": mode}
            daemon.spawn()
            wait_for(lambda: daemon.process.poll() is not None or has_linked(daemon),
                     "it has linked, or died")
            n_killed += daemon.process.poll() == -9
            daemon.kill()
            daemon.env = None
            judge(daemon, redis, how, f"file call {point}, {mode}")
    print(f"seed {SEED}: killed {n_killed} of {3 * len(points)}")
    assert n_killed > 0
