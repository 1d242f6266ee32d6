"""A real GOST as a node: its secret wrong, changed, its node disabled, deleted, and back.

Each fetch moves the same bytes, and GOST's own counters tell the same for each. So what carol's
one fetch has cost, alice's n fetches must have cost n times: no byte missing, none twice.
"""
import re
import threading
import time

import pytest

import real_gost
from client import Client
from deadline import wait_for
from real_gost import GOST, PAYLOAD, RealGost, Target, plugin
from tallyctl import tallyctl

pytestmark = pytest.mark.skipif(GOST is None, reason="no gost in PATH or GOST_BIN")
PERIOD = 1.0
OTHER_SECRET = "0123456789abcdef" * 2
modes = pytest.mark.parametrize("mode", ["delta", "cumulative"])


@pytest.fixture
def target():
    made = Target()
    yield made
    made.shutdown()


@pytest.fixture
def gosts(tmp_path):
    """gosts(plugin, **options): a GOST that runs until the test ends."""
    made = []

    def start(*arguments, **options):
        made.append(RealGost(tmp_path / f"gost{len(made)}", *arguments, **options))
        return made[-1].start()

    yield start
    for gost in made:
        if gost.process is not None:
            gost.stop()


class Operator:
    """Of a tallyd, by its admin socket."""

    def __init__(self, tallyd, tmp_path, **options):
        self.socket_path = tmp_path / "admin.sock"
        self.daemon = tallyd(admin_socket=self.socket_path, sync_interval=500, **options).start()
        self.admin = Client(self.socket_path)

    def ask(self, method, path, body=None, status=200):
        answer = self.admin.request(method, path, body)
        assert answer.status == status, answer
        return answer.json()

    def create(self, name="hk1", *, secret=None, mode="delta"):
        """The node's secret."""
        given = f',"secret":"{secret}"' if secret else ""
        return self.ask("POST", "/nodes", f'{{"name":"{name}","counters":"{mode}"{given}}}',
                        201)["secret"]

    def plugin(self, secret, name="hk1", is_token=None):
        """As this GOST can send it: as a token if it is a new one."""
        if is_token is None:
            is_token = real_gost.version() >= (3, 3)
        return plugin(self.daemon.address, name, secret, is_token=is_token)

    def follow_the_log(self, secret):
        """Does what the last refusal says, with the secret that GOST sends."""
        words = re.findall("`tallyctl (node [^`]*)`", self.daemon.log())[-1].split()
        done = tallyctl("--socket", self.socket_path, *words, stdin=secret + "\n")
        assert done.returncode == 0, done

    def bytes(self, user):
        self.ask("POST", "/force-sync")
        return self.daemon.users().get(user, (0, 0, 0))[1:]

    def await_payload(self, user, n):
        """Until the user's n fetches through both proxies have come, or more."""
        wait_for(lambda: self.bytes(user)[1] >= 2 * n * len(PAYLOAD), f"{user} is counted")

    def await_refused(self, status):
        wait_for(lambda: f"report refused: status={status} " in self.daemon.log(),
                 f"a report is refused with {status}")

    def check(self, gost, target, n):
        """alice has fetched n times."""
        gost.fetch("carol", target.url)
        self.await_payload("carol", 1)
        self.await_payload("alice", n)
        time.sleep(2 * PERIOD)  # what is counted twice would be by now
        unit = self.bytes("carol")
        assert unit[1] < 2 * len(PAYLOAD) + 2000
        assert self.bytes("alice") == (n * unit[0], n * unit[1])
        log = self.daemon.all_logs()
        alarms = set(re.findall("something looks wrong: code=(\\S+)", log))
        # GOST does not say again that it has started, if that was refused.
        assert alarms <= ({"no-states"} if "report refused" in log else set())

    def service_bytes(self):
        return dict(self.daemon.sql(
            "select node || '/' || service, output_bytes from services where kind='handler'"))


@pytest.fixture
def operator(tallyd, tmp_path):
    return Operator(tallyd, tmp_path)


@modes
@pytest.mark.parametrize("is_token", [False, True], ids=["userinfo", "token"])
def test_a_secret_is_enough_to_report(mode, is_token, operator, gosts, target):
    if is_token and real_gost.version() < (3, 3):
        pytest.skip("this GOST does not send its token")
    secret = operator.create(mode=mode)
    operator.ask("POST", "/nodes/close")
    gost = gosts(operator.plugin(secret, is_token=is_token), is_delta=mode == "delta")
    gost.fetch("alice", target.url, 3)
    operator.check(gost, target, 3)


@modes
def test_a_wrong_secret_is_mended_on_our_side(mode, operator, gosts, target):
    operator.create(mode=mode)
    gost = gosts(operator.plugin(OTHER_SECRET), is_delta=mode == "delta")
    gost.fetch("alice", target.url)
    operator.await_refused(401)
    gost.fetch("alice", target.url)
    time.sleep(2 * PERIOD)
    assert operator.bytes("alice") == (0, 0)
    operator.follow_the_log(OTHER_SECRET)
    operator.await_payload("alice", 2)
    gost.fetch("alice", target.url)
    operator.check(gost, target, 3)


@modes
def test_a_wrong_secret_is_mended_by_gosts_api(mode, operator, gosts, target):
    secret = operator.create(mode=mode)
    gost = gosts(operator.plugin(OTHER_SECRET), is_delta=mode == "delta")
    gost.fetch("alice", target.url, 2)
    operator.await_refused(401)
    time.sleep(2 * PERIOD)
    gost.change_plugin(operator.plugin(secret))
    operator.await_payload("alice", 2)
    gost.fetch("alice", target.url)
    operator.check(gost, target, 3)


@modes
def test_a_disabled_node_is_counted_once_it_is_enabled(mode, operator, gosts, target):
    gost = gosts(operator.plugin(operator.create(mode=mode)), is_delta=mode == "delta")
    gost.fetch("alice", target.url)
    operator.await_payload("alice", 1)
    operator.ask("PATCH", "/nodes/hk1", '{"enabled":false}')
    before = operator.bytes("alice")
    gost.fetch("alice", target.url)
    operator.await_refused(503)
    gost.fetch("alice", target.url)
    time.sleep(2 * PERIOD)
    assert operator.bytes("alice") == before
    operator.ask("PATCH", "/nodes/hk1", '{"enabled":true}')
    operator.check(gost, target, 3)


@modes
def test_a_node_that_was_deleted_goes_on_when_it_is_back(mode, operator, gosts, target):
    secret = operator.create(mode=mode)
    gost = gosts(operator.plugin(secret), is_delta=mode == "delta")
    gost.fetch("alice", target.url, 2)
    operator.await_payload("alice", 2)
    before = operator.bytes("alice")
    operator.ask("DELETE", "/nodes/hk1")
    gost.fetch("alice", target.url)
    operator.await_refused(401)
    operator.daemon.stop()
    operator.daemon.start()
    operator.admin.close()
    time.sleep(2 * PERIOD)
    assert operator.bytes("alice") == before
    operator.follow_the_log(secret)
    operator.check(gost, target, 3)


def test_the_marks_of_a_fresh_node_begin_anew(operator, gosts, target):
    """The name is given to another GOST: its counters are beyond the marks of the last one."""
    gost = gosts(operator.plugin(operator.create(mode="cumulative")), is_delta=False)
    gost.fetch("alice", target.url)
    operator.await_payload("alice", 1)
    operator.ask("DELETE", "/nodes/hk1", '{"fresh":true}')
    gost.stop()
    other = gosts(operator.plugin(operator.create(mode="cumulative")), is_delta=False)
    other.fetch("alice", target.url, 2)
    operator.check(other, target, 3)


class Traffic(threading.Thread):
    """alice fetches all the while."""

    def __init__(self, gost, target):
        super().__init__(daemon=True)
        self.gost = gost
        self.target = target
        self.n = 0
        self.stopping = threading.Event()
        self.start()

    def run(self):
        while not self.stopping.wait(0.05):
            self.gost.fetch("alice", self.target.url)
            self.n += 1

    def go_on(self, periods=2):
        time.sleep(periods * PERIOD)

    def end(self):
        self.stopping.set()
        self.join(60)
        return self.n


@modes
def test_a_changed_secret_leaves_the_old_one_valid_for_a_while(mode, tallyd, tmp_path, gosts,
                                                               target):
    operator = Operator(tallyd, tmp_path, node_secret_grace=4000)
    gost = gosts(operator.plugin(operator.create(mode=mode)), is_delta=mode == "delta")
    traffic = Traffic(gost, target)
    traffic.go_on()
    secret = operator.ask("POST", "/nodes/hk1/secret")["secret"]
    traffic.go_on()
    assert "refused" not in operator.daemon.log()
    operator.await_refused(401)
    assert "the old one, whose time is over" in operator.daemon.log()
    traffic.go_on()
    # The report that is refused now stays with GOST, so its API can be told at any time.
    gost.change_plugin(operator.plugin(secret))
    traffic.go_on()
    operator.check(gost, target, traffic.end())


def test_a_gost_is_told_its_new_secret_while_it_reports(operator, gosts, target):
    """While GOST changes its observer, a report may be told to nobody: only counters that go on
    growing bring that back."""
    secret = operator.create(mode="cumulative")
    gost = gosts(operator.plugin(secret), is_delta=False)
    traffic = Traffic(gost, target)
    for _ in range(3):
        traffic.go_on(1.3)
        secret = operator.ask("POST", "/nodes/hk1/secret")["secret"]
        gost.change_plugin(operator.plugin(secret))
    traffic.go_on()
    assert "refused" not in operator.daemon.log()
    operator.check(gost, target, traffic.end())


@modes
def test_a_restart_with_the_new_secret_loses_a_period_at_most(mode, operator, gosts, target):
    gost = gosts(operator.plugin(operator.create(mode=mode)), is_delta=mode == "delta")
    gost.fetch("alice", target.url, 2)
    operator.await_payload("alice", 2)
    time.sleep(PERIOD)
    gost.plugin = operator.plugin(operator.ask("POST", "/nodes/hk1/secret")["secret"])
    gost.restart()
    gost.fetch("alice", target.url, 3)
    operator.check(gost, target, 5)


@modes
def test_two_nodes_with_equal_services(mode, operator, gosts, target):
    pair = [gosts(operator.plugin(operator.create(name, mode=mode), name),
                  is_delta=mode == "delta") for name in ("hk1", "hk2")]
    for n, gost in enumerate(pair, 1):
        gost.fetch("alice", target.url, n)
    operator.await_payload("alice", 3)
    pair[0].fetch("alice", target.url)
    operator.check(pair[1], target, 4)
    found = operator.service_bytes()
    assert set(found) == {f"{node}/{kind}" for node in ("hk1", "hk2")
                          for kind in ("socks5", "http")}
    # hk1 has had alice twice; hk2 her twice and carol once.
    for kind in ("socks5", "http"):
        assert 2 * found[f"hk2/{kind}"] == 3 * found[f"hk1/{kind}"]


@modes
def test_a_running_gost_moves_from_a_name_to_a_secret(mode, operator, gosts, target):
    gost = gosts(plugin(operator.daemon.address, query=f"?node=hk1&counters={mode}"),
                 is_delta=mode == "delta")
    gost.fetch("alice", target.url, 2)
    operator.await_payload("alice", 2)
    secret = operator.create(mode=mode)
    gost.fetch("alice", target.url)
    operator.await_refused(401)
    gost.change_plugin(operator.plugin(secret))
    operator.await_payload("alice", 3)
    operator.ask("POST", "/nodes/close")
    gost.fetch("alice", target.url)
    operator.check(gost, target, 4)
    assert operator.ask("GET", "/nodes/hk1")["services"] >= 2


def test_a_restart_that_overtakes_the_old_marks_counts_in_full_if_it_is_announced(
        operator, gosts, target):
    """The services name the observer, too: only then GOST tells that it begins anew."""
    gost = gosts(operator.plugin(operator.create(mode="cumulative")), is_delta=False,
                 period="5s")
    gost.fetch("alice", target.url)
    operator.await_payload("alice", 1)
    gost.restart()
    gost.fetch("alice", target.url, 3)  # before its first report
    operator.check(gost, target, 4)


def test_a_restart_that_is_not_announced_loses_what_the_old_marks_hold(operator, gosts, target):
    """A known gap: with the observer in the handler alone GOST sends no states."""
    gost = gosts(operator.plugin(operator.create(mode="cumulative")), is_delta=False,
                 is_announced=False, period="5s")
    gost.fetch("alice", target.url)
    operator.await_payload("alice", 1)
    gost.restart()
    gost.fetch("alice", target.url, 3)
    gost.fetch("carol", target.url)
    operator.await_payload("carol", 1)
    operator.await_payload("alice", 3)
    unit = operator.bytes("carol")
    assert operator.bytes("alice") == (3 * unit[0], 3 * unit[1])
