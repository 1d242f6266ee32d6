"""New lives of a GOST with cumulative counters, as tallyd learns of them."""
import contextlib

import pytest

from gost import Gost
from lossy import Lossy


@pytest.fixture
def gost(tallyd):
    """A GOST that can lose what it sends: gost.network(fate)."""
    daemon = tallyd().start()
    made = Gost(daemon.address, counters="cumulative")
    made.daemon = daemon

    @contextlib.contextmanager
    def network(fate):
        lossy = Lossy(daemon.address, weights={fate: 1})
        made.transport.close_idle()
        made.transport.address = lossy.address
        yield
        made.transport.close_idle()
        made.transport.address = daemon.address
        lossy.close()

    made.network = network
    return made


def report(gost, size, connections):
    """The counters of alice, who had none yet."""
    gost.stream().traffic("alice", size, size, connections)
    assert gost.report_once() == ["ok"]


def counted(gost):
    return gost.daemon.traffic("alice")["inputBytes"]


def test_counters_that_are_higher_after_an_announced_restart_count_in_full(gost):
    gost.boot()
    report(gost, 100, 2)
    gost.restart()
    report(gost, 250, 3)
    gost.reload()
    report(gost, 300, 3)
    assert counted(gost) == 650


def test_an_announcement_is_no_repeat_of_one_whose_answer_was_lost(gost):
    gost.boot()
    report(gost, 100, 2)
    with gost.network("lose"):
        gost.reload()
    report(gost, 200, 2)
    gost.reload()
    report(gost, 300, 2)
    assert counted(gost) == 600


def test_a_restart_whose_end_was_never_announced_does_not_hide_the_next_one(gost):
    gost.boot()
    report(gost, 100, 2)
    gost.kill()
    gost = again(gost)
    gost.announce("running")
    with gost.network("drop"):
        gost.announce("ready")
    report(gost, 10, 1)
    gost.restart()
    report(gost, 50, 1)
    assert counted(gost) == 160


def again(gost):
    """The next process, which has announced nothing yet."""
    gost.transport = type(gost.transport)(gost.address)
    gost.streams = gost.make_streams()
    return gost


def test_what_the_old_handler_repeats_while_the_new_one_runs_is_counted_once(gost):
    gost.boot()
    gost.stream().traffic("alice", 100, 100)
    with gost.network("lose"):
        assert gost.report_once() == ["unanswered"]
    gost.reload(meanwhile=gost.report_once)
    report(gost, 10, 1)
    assert counted(gost) == 110
