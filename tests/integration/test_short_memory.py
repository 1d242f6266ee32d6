"""Memory that is too short for JSON: 503, and nothing has changed."""
import json

import pytest

import admin
from client import Client
from conftest import build_preload
from deadline import wait_for
from tallyd import report, stats

NOT_JSON = '{"events":['


@pytest.fixture
def short(tallyd, tmp_path):
    """A daemon, and short(n): the nth allocation of cJSON from now on fails."""
    library, number = build_preload("short_json", tmp_path), tmp_path / "number"
    daemon = tallyd(env={"LD_PRELOAD": str(library), "SHORT_JSON": str(number)})
    operator = admin.with_socket(daemon)
    daemon.start()

    def fail(nth):
        made = tmp_path / "made"
        made.write_text(str(nth))
        made.rename(number)

    fail.daemon, fail.admin, fail.is_due = daemon, operator, number.exists
    fail.never = lambda: number.unlink(missing_ok=True)
    return fail


def walk(short, ask):
    """Asks with one allocation after the other failing, until none does: the answers of those
    for which one did."""
    answers = []
    for nth in range(1, 5000):
        short(nth)
        answer = ask(nth)
        if short.is_due():
            short.never()
            assert answer.status in (200, 201), answer
            return answers
        answers.append(answer)
    raise AssertionError("it never ends")


def test_a_report_that_memory_is_too_short_for_is_503_and_counts_when_it_comes_again(short):
    daemon = short.daemon
    # An escape, so that it is read by cJSON.
    body = report(stats("alice", 1, 2), stats("bob", 4, 8)).replace("alice", "\\u0061lice")
    answers = walk(short, lambda nth: daemon.post("/observer", body))
    assert len(answers) > 40
    assert {(answer.status, answer.body) for answer in answers} == {(503, b"")}
    assert daemon.post("/observer", NOT_JSON).status == 400
    daemon.force_sync()
    assert daemon.users() == {"alice": (3, 1, 2), "bob": (12, 4, 8)}
    assert daemon.status()["reports"]["refused"] == len(answers) + 1


@pytest.mark.parametrize("path", ["/throttle-sync-status", "/nodes", "/users/alice/traffic",
                                  "/version", "/readyz", "/nodes/default"])
def test_an_answer_that_memory_is_too_short_for_is_503_and_never_lacks_a_member(short, path):
    daemon = short.daemon
    daemon.report(stats("alice", 1, 2))
    whole = daemon.get(path).json()
    answers = walk(short, lambda nth: daemon.get(path))
    assert len(answers) > 5
    for answer in answers:
        assert answer.status == 503 and answer.json()["code"] == "unavailable", answer
        assert answer.json()["error"] == "out of memory"
    assert shape(daemon.get(path).json()) == shape(whole)


def shape(value):
    """Names without values, which go on meanwhile."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items() if name != "refusals"}
    return [shape(member) for member in value] if isinstance(value, list) else None


def test_a_command_that_memory_is_too_short_for_is_503_and_not_done(short):
    answers = walk(short, lambda nth: short.admin.ask(
        "POST", "/nodes", {"name": f"hk{nth}", "note": "n", "reason": "r"}))
    assert len(answers) > 40
    for answer in answers:
        assert answer.status == 503 and json.loads(answer.body)["error"] == "out of memory", answer
    assert [node["name"] for node in short.admin.do("GET", "/nodes")["nodes"]] == [
        f"hk{len(answers) + 1}"]


@pytest.fixture
def tableless(tallyd, tmp_path):
    """A daemon, and the file beside which its hash tables get no memory."""
    library, short = build_preload("short_tables", tmp_path), tmp_path / "short"
    daemon = tallyd(env={"LD_PRELOAD": str(library), "SHORT_TABLES": str(short)}).start()
    daemon.report(stats("alice", 1, 2), query="?node=hk1")
    return daemon, short


def test_nodes_are_listed_again_once_there_is_memory_and_no_daemon_ends(tableless):
    daemon, short = tableless
    client = Client(daemon.address)
    whole = client.get("/nodes")
    short.touch()
    assert client.get("/nodes").status == 503
    short.unlink()
    assert shape(client.get("/nodes").json()) == shape(whole.json())


def test_a_connection_that_memory_is_too_short_for_ends_no_daemon(tableless):
    daemon, short = tableless
    short.touch()

    def is_turned_away():  # at the latest when no other one is left that keeps the table
        try:
            Client(daemon.address).get("/livez")
        except OSError:
            return True
        return False

    wait_for(is_turned_away, "it is closed without an answer")
    short.unlink()
    assert daemon.get("/livez").status == 200
