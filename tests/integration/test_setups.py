"""GOSTs that are set up rightly and wrongly, step by step: what is booked, and what is said of it.

The figures are those of a real GOST, see test_real_gost.py.
"""
import random

import pytest

from admin import with_socket
from gost import Gost

DOWNLOAD = (297, 300_000)
ONE = sum(DOWNLOAD)
USERS = ("alice", "bob", "carol")
WRONG = "something looks wrong"
ROUNDS = 40


def codes(daemon):
    return {found["code"] for found in daemon.status()["suspicions"]}


def download(gost, n=1):
    """Each of them is reported."""
    for _ in range(n):
        gost.traffic("alice", *DOWNLOAD)
        gost.report_once()


@pytest.mark.parametrize("is_announced, booked", [(True, 4 * ONE), (False, 3 * ONE)])
def test_one_download_a_kill_and_three_more_within_the_first_period(is_announced, booked, tallyd):
    """1,201,188 bytes; 900,891 of them where the observer stands in the handler alone."""
    daemon = tallyd().start()
    gost = Gost(daemon.address, counters="cumulative", is_announced=is_announced).boot()
    download(gost)
    gost.restart()
    for _ in range(3):
        gost.traffic("alice", *DOWNLOAD)
    gost.report_once()
    assert daemon.traffic("alice")["usedTraffic"] == booked
    download(gost, 3)
    assert codes(daemon) == (set() if is_announced else {"no-states"})
    gost.is_announced = True
    gost.restart()
    download(gost)
    assert codes(daemon) == set()


@pytest.mark.parametrize("sent, taken, booked, code", [
    ("cumulative", "delta", 6 * ONE, "looks-cumulative"),
    ("delta", "cumulative", 1 * ONE, None)])  # equal values: nothing falls yet
def test_three_downloads_in_the_wrong_mode(sent, taken, booked, code, tallyd):
    """1,801,782 or 300,297 of 900,891 bytes."""
    daemon = tallyd(counters=taken).start()
    gost = Gost(daemon.address, counters=sent, names_counters=False).boot()
    download(gost, 3)
    assert daemon.traffic("alice")["usedTraffic"] == booked
    if code is None:
        for i in range(20):
            gost.traffic("alice", 1, 1000 + i % 3)
            gost.report_once()
    else:
        download(gost, 20)
    assert codes(daemon) == {code or "looks-delta"}
    gost.set_address(names_counters=True)
    download(gost)
    assert codes(daemon) == set()


class Honest:
    """Some GOSTs of nodes with secrets, and random traffic."""

    def __init__(self, tallyd, mode, names=("hk1",), **options):
        self.rng = random.Random(7)
        self.daemon = tallyd()
        self.admin = with_socket(self.daemon)
        self.daemon.start()
        self.sums = dict.fromkeys(USERS, 0)
        self.gosts = [
            Gost(self.daemon.address, name, counters=mode, seed=i, names_counters=False,
                 userinfo=f"{name}:{self.admin.create(name, counters=mode)['secret']}",
                 **options).boot()
            for i, name in enumerate(names)]

    def traffic(self):
        for gost in self.gosts:
            for user in self.rng.sample(USERS, 2):
                amounts = self.rng.randrange(1, 9_000), self.rng.randrange(1, 900_000)
                gost.traffic(user, *amounts, self.rng.choice(list(gost.services)),
                             self.rng.randrange(len(gost.streams) if self.is_auto(gost) else 1))
                self.sums[user] += sum(amounts)

    @staticmethod
    def is_auto(gost):
        return "auto" in gost.services.values()

    def report(self):
        for gost in self.gosts:
            gost.report_once()

    def run(self, act=lambda i: None):
        """act(i): what happens before round i; all is reported by then."""
        for i in range(ROUNDS):
            act(i)
            self.traffic()
            self.report()
        for _ in range(2):  # what was kept, and what has come since
            self.report()
        assert all(gost.is_drained() for gost in self.gosts)
        assert {user: self.admin.used(user) for user in USERS} == self.sums
        assert WRONG not in self.daemon.all_logs()


def every(n, act):
    return lambda i: act() if i % n == n - 1 else None


modes = pytest.mark.parametrize("mode", ["delta", "cumulative"])


@modes
@pytest.mark.parametrize("has_stats", [False, True])
def test_nothing_is_said_of_services_and_handlers_that_report(mode, has_stats, tallyd):
    Honest(tallyd, mode, services={"a": "socks5", "b": "http"}, has_stats=has_stats).run()


@modes
def test_nothing_is_said_of_nodes_that_have_the_same_services(mode, tallyd):
    Honest(tallyd, mode, ("hk1", "hk2")).run()


def test_nothing_is_said_of_the_handler_auto_in_delta_mode(tallyd):
    Honest(tallyd, "delta", services={"a": "auto"}).run()


@modes
@pytest.mark.parametrize("act", ["restart", "reload", "reconnect"])
def test_nothing_is_said_of_a_gost_that_begins_anew(mode, act, tallyd):
    honest = Honest(tallyd, mode)
    honest.run(every(3, lambda: getattr(honest.gosts[0], act)()))


@modes
def test_nothing_is_said_of_reports_that_were_kept_after_a_503(mode, tallyd):
    """New GOSTs send what they kept and what is new one after the other."""
    honest = Honest(tallyd, mode)

    def act(i):
        honest.admin.set("hk1", enabled=(i + 4) % 8 < 4)
        if (i + 4) % 8 == 0:
            honest.report()

    honest.run(act)


@modes
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_nothing_is_said_when_tallyd_begins_anew(mode, end, tallyd):
    honest = Honest(tallyd, mode)

    def act():
        getattr(honest.daemon, end)()
        honest.daemon.start()

    honest.run(every(9, act))
