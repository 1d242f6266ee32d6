"""Commands of an operator: applied once, answered when on disk, and there after anything."""
import json
import os
import select
import threading
import time
import urllib.parse

import pytest

from admin import credential, with_socket
from client import Client, RawClient, post_bytes
from deadline import seconds, wait_for
from tallyctl import tallyctl
from tallyd import report, stats
from test_cumulative import stats as counters
from test_repeats import lose_answer
from test_store import on_disk

DAY = 86400000
SECRET = {"secret": "hush-hush"}


@pytest.fixture
def served(tallyd):
    """served(**options): a daemon with an admin socket that is started, and its admin."""
    def make(**options):
        daemon = tallyd(**options)
        admin = with_socket(daemon)
        daemon.start()
        return daemon, admin
    return make


def send(daemon, body, node=None, secret=None, query=""):
    headers = credential(node, secret) if node else {}
    return daemon.request("POST", "/observer" + query, body, headers)


def accepted(daemon, *events, **how):
    answer = send(daemon, report(*events), **how)
    assert (answer.status, answer.body) == (200, b'{"ok":true}'), answer


# A node's life.

@pytest.mark.smoke
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_node_lives_through_any_restart(end, served):
    daemon, admin = served()

    def restart():
        getattr(daemon, end)()
        daemon.start()

    made = admin.create("hk1", counters="delta", note="first")
    assert set(made) == {"name", "secret", "gost"}
    assert f"http://hk1:{made['secret']}@127.0.0.1:{daemon.port}/observer" in made["gost"]
    restart()
    accepted(daemon, stats("alice", 100), node="hk1", secret=made["secret"])
    assert send(daemon, report(stats("alice", 1)), "hk1", "wrong").status == 401
    assert admin.set("hk1", enabled=False)["enabled"] is False
    restart()
    assert send(daemon, report(stats("alice", 1)), "hk1", made["secret"]).status == 503
    admin.set("hk1", enabled=True, note="second")
    new = admin.secret("hk1")
    restart()
    for secret in (made["secret"], new["secret"]):
        accepted(daemon, stats("alice", 10), node="hk1", secret=secret)
    admin.delete("hk1")
    restart()
    assert send(daemon, report(stats("alice", 1)), "hk1", new["secret"]).status == 401
    assert send(daemon, report(stats("alice", 1)), query="?node=hk1").status in (401, 403)
    again = admin.create("hk1")
    restart()
    accepted(daemon, stats("alice", 1), node="hk1", secret=again["secret"])
    admin.do("POST", "/nodes/close")
    restart()
    assert send(daemon, report(stats("alice", 1)), query="?node=other").status in (401, 403)
    admin.do("POST", "/nodes/open")
    restart()
    accepted(daemon, stats("alice", 1), query="?node=other")
    admin.flush()
    assert admin.used() == 100 + 10 + 10 + 1 + 1
    assert [(verb, subject) for _, verb, subject in admin.audit()] == [
        ("node.create", "hk1"), ("node.set", "hk1"), ("node.set", "hk1"),
        ("node.secret", "hk1"), ("node.delete", "hk1"), ("node.create", "hk1"),
        ("node.close", ""), ("node.open", "")]
    assert {actor for actor, _, _ in admin.audit()} == {f"uid:{os.getuid()}"}


def test_the_audit_tells_before_after_and_why(served):
    daemon, admin = served()
    admin.create("n", note="a", **SECRET)
    admin.set("n", note="b", reason="it moved")
    admin.flush()
    [first, second] = daemon.sql("select before, after, reason, command_id, at from audit")
    assert first[0] is None and json.loads(first[1])["note"] == "a" and first[2:4] == (None, None)
    assert json.loads(second[0])["note"] == "a" and json.loads(second[1])["note"] == "b"
    assert second[2] == "it moved"
    assert abs(second[4] / 1000 - time.time()) < 60


def test_a_nodes_own_counters_win(served):
    daemon, admin = served()
    admin.create("sum", counters="cumulative", **SECRET)
    admin.create("each", counters="delta", **SECRET)
    for value in (100, 130):
        for query in ("", "?counters=delta", "?counters=cumulative"):
            accepted(daemon, counters(f"sum{query[-5:]}", value), node="sum", query=query,
                     secret="hush-hush")
            accepted(daemon, counters(f"each{query[-5:]}", value), node="each", query=query,
                     secret="hush-hush")
    for suffix in ("", "delta", "ative"):
        assert admin.used(f"sum{suffix}") == 130
        assert admin.used(f"each{suffix}") == 230
    assert daemon.log().count("cumulative") + daemon.log().count("delta") > 0


# Once per key.

@pytest.mark.smoke
@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("flushes", [False, True])
def test_a_key_is_answered_as_the_first_was_over_any_restart(end, flushes, served):
    daemon, admin = served()
    first = admin.create("n", key="k 1")
    if flushes:
        admin.flush()
    for _ in range(3):
        getattr(daemon, end)()
        daemon.start()
        again = admin.create("n", key="k 1")
        assert again["name"] == "n" and again["secret"] is None
        other = admin.ask("POST", "/nodes", {"name": "m"}, "k 1")
        assert (other.status, other.json()["code"]) == (422, "key_reused"), other
        admin.create("n", expect=409)
    accepted(daemon, stats("alice", 1), node="n", secret=first["secret"])
    admin.flush()
    assert daemon.sql("select verb, command_id from audit") == [("node.create", "k 1")]
    assert daemon.sql("select count(*) from commands") == [(1,)]


def test_a_key_asked_by_many_at_once_is_done_once(served):
    daemon, admin = served(journal_fsync="no")
    answers = []

    def ask():
        answers.append(admin.ask("POST", "/nodes", {"name": "n"}, "k"))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [201] * 20
    assert sum(answer.json()["secret"] is not None for answer in answers) == 1
    admin.flush()
    assert daemon.sql("select count(*) from audit") == [(1,)]


@pytest.mark.parametrize("key", ["", "x" * 65, "a\tb"])
def test_a_key_that_is_none_is_refused(key, served):
    daemon, admin = served()
    client = Client(daemon.options["admin_socket"])
    answer = client.request("POST", "/nodes/close", None, {"Idempotency-Key": key})
    client.close()
    assert answer.status == 400 and "Idempotency-Key" in answer.json()["error"], answer
    admin.flush()
    assert admin.audit() == []


def test_refusals_name_a_word_and_a_sentence_and_leave_nothing(served):
    daemon, admin = served()
    admin.create("n")
    for method, path, body, status, word in [
            ("POST", "/nodes", {"name": "n"}, 409, "conflict"),
            ("POST", "/nodes", {"name": "m", "Secret": "x"}, 400, "bad_request"),
            ("POST", "/nodes", [], 400, "bad_request"),
            ("POST", "/nodes", {"name": "m", "enabled": "no"}, 400, "bad_request"),
            ("PATCH", "/nodes/m", {"note": "x"}, 404, "not_found"),
            ("DELETE", "/nodes/m", None, 404, "not_found"),
            ("POST", "/nodes/m/secret", None, 404, "not_found")]:
        answer = admin.ask(method, path, body, "k")
        assert (answer.status, answer.json()["code"]) == (status, word), answer
        assert answer.json()["ok"] is False and len(answer.json()["error"]) > 10
    raw = Client(daemon.options["admin_socket"])
    for body in ("{", '{"name":"m","name":"m"}', '"m"'):
        assert raw.request("POST", "/nodes", body).status == 400
    raw.close()
    admin.flush()
    assert len(admin.audit()) == 1 and [row[0] for row in admin.nodes()] == ["n"]
    assert daemon.sql("select * from commands") == []


# No secret anywhere.

def test_no_secret_is_in_any_file_or_line(served):
    daemon, admin = served()
    drawn = [admin.create("a")["secret"], admin.secret("a")["secret"]]
    admin.create("b", key="k", **SECRET)
    admin.secret("a", **SECRET)
    assert admin.ask("POST", "/nodes", {"name": "b", **SECRET}).status == 409
    dumped = daemon.run("--dump-journal").stdout
    lines = [json.loads(line) for line in dumped.splitlines()]
    assert [line["verb"] for line in lines] == [
        "node.create", "node.secret", "node.create", "node.secret"]
    assert lines[2]["arguments"] == {"name": "b", "secret": "***"}
    assert lines[2]["key"] == "k" and lines[2]["answer"]["secret"] is None
    assert lines[2]["actor"] == f"uid:{os.getuid()}" and lines[2]["subject"] == "b"
    assert lines[2]["effects"][0]["effect"] == "node"
    assert lines[2]["effects"][0]["sets"]["hasSecret"] is True
    admin.flush()
    shown = json.dumps([admin.do("GET", "/nodes"), admin.status()])
    printed = daemon.run("--print-config").stdout
    daemon.stop()
    files = b"".join(path.read_bytes() for path in daemon.data_dir.rglob("*") if path.is_file())
    for secret in [*drawn, "hush-hush"]:
        for text in (dumped, shown, printed, daemon.all_logs()):
            assert secret not in text
        assert secret.encode() not in files


# Deleted and back.

@pytest.mark.parametrize("end", [None, "stop", "kill"])
def test_a_running_gost_and_a_kept_retry_do_not_count_twice_over_delete_and_create(end, served):
    daemon, admin = served()
    first = admin.create("n", counters="cumulative")["secret"]
    accepted(daemon, counters("alice", 100), node="n", secret=first)
    kept = report(counters("bob", 50, total_conns=7))
    lose_answer_as(daemon, kept, "n", first)
    admin.delete("n")
    if end:
        getattr(daemon, end)()
        daemon.start()
    for body in (report(counters("alice", 120)), kept):
        assert send(daemon, body, "n", first).status == 401
    second = admin.create("n", counters="cumulative", secret=first)["secret"]
    assert second == first
    if end:
        getattr(daemon, end)()
        daemon.start()
    assert send(daemon, kept, "n", first).status == 200
    accepted(daemon, counters("alice", 120), node="n", secret=first)
    assert (admin.used("alice"), admin.used("bob")) == (120, 50)
    assert admin.status()["reports"]["repeats"] == 1


def lose_answer_as(daemon, body, node, secret):
    """Posts, and resets the connection when the answer is there."""
    header = f"Authorization: {credential(node, secret)['Authorization']}"
    raw = RawClient(daemon.address)
    raw.send(post_bytes("/observer", body, header))
    poll = select.poll()
    poll.register(raw.sock, select.POLLIN)
    assert poll.poll(seconds(10) * 1000), "no answer"
    raw.close()


@pytest.mark.parametrize("at", ["delete", "create"])
def test_fresh_counts_in_full_and_of_that_node_alone(at, served):
    daemon, admin = served()
    for node in ("n", "m"):
        admin.create(node, counters="cumulative", **SECRET)
        accepted(daemon, counters(f"u{node}", 100), node=node, secret="hush-hush")
    admin.delete("n", **({"fresh": True} if at == "delete" else {}))
    daemon.kill()
    daemon.start()
    admin.create("n", counters="cumulative", **SECRET,
                 **({"fresh": True} if at == "create" else {}))
    daemon.kill()
    daemon.start()
    for node in ("n", "m"):
        accepted(daemon, counters(f"u{node}", 120), node=node, secret="hush-hush")
        accepted(daemon, counters(f"u{node}", 125), node=node, secret="hush-hush")
    assert (admin.used("un"), admin.used("um")) == (100 + 125, 125)


def test_a_name_that_only_reported_moves_to_a_secret_with_its_marks(served):
    daemon, admin = served()
    accepted(daemon, counters("alice", 100), query="?node=n&counters=cumulative")
    lose_answer(daemon, report(counters("bob", 50)), "?node=n&counters=cumulative")
    secret = admin.create("n", counters="cumulative")["secret"]
    assert send(daemon, report(counters("alice", 110)), query="?node=n").status == 401
    accepted(daemon, counters("bob", 50), node="n", secret=secret)
    accepted(daemon, counters("alice", 110), node="n", secret=secret)
    assert (admin.used("alice"), admin.used("bob")) == (110, 50)


@pytest.mark.parametrize("age, is_over", [(29 * DAY, False), (30 * DAY + 60000, True)])
def test_after_thirty_days_the_clock_forgets_a_deleted_node(age, is_over, served):
    daemon, admin = served()
    admin.create("n", counters="cumulative", **SECRET)
    admin.create("stays", **SECRET)
    accepted(daemon, counters("alice", 100), node="n", secret="hush-hush")
    lose_answer_as(daemon, report(counters("bob", 50)), "n", "hush-hush")
    admin.delete("n")
    daemon.stop()
    daemon.sql("update nodes set deleted_at = ? where name = 'n'",
               int(time.time() * 1000) - age)
    daemon.start()
    for _ in range(2):
        daemon.kill()  # what the clock did is a record, too
        daemon.start()
    answer = admin.ask("GET", "/nodes/n")
    assert (answer.status == 200 and "deletedAt" not in answer.json()) == is_over
    admin.create("n", counters="cumulative", **SECRET)
    for user, value in (("alice", 120), ("bob", 50)):
        accepted(daemon, counters(user, value), node="n", secret="hush-hush")
    admin.flush()
    assert (admin.used("alice"), admin.used("bob")) == ((220, 100) if is_over else (120, 50))
    assert [row for row in admin.audit() if row[0] == "clock"] == (
        [("clock", "node.forget", "n")] if is_over else [])
    assert [row[0] for row in admin.nodes()] == ["n", "stays"]


# The first node.

FIRST = "name = hk1\nsecret = hush-hush\n"


def first_node(daemon, text=FIRST, name="first-node"):
    path = daemon.directory / name
    path.write_text(text)
    return path


def test_the_first_node_closes_an_empty_directory_once(tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    first_node(daemon)
    daemon.start()
    assert admin.do("GET", "/nodes")["open"] is False
    accepted(daemon, stats("alice", 1), node="hk1", secret="hush-hush")
    [made, *_] = [json.loads(line) for line in daemon.run("--dump-journal").stdout.splitlines()]
    assert made["seq"] == 1 and made["verb"] == "node.first" and made["actor"] == "start"
    assert [effect["effect"] for effect in made["effects"]] == ["node", "open"]
    daemon.kill()
    daemon.start()
    admin.do("POST", "/nodes/open")
    admin.delete("hk1")
    daemon.stop()
    daemon.start()  # once: it is not made again
    assert admin.do("GET", "/nodes")["open"] is True
    assert "deletedAt" in admin.node("hk1")
    assert [verb for _, verb, _ in admin.audit()] == ["node.first", "node.open", "node.delete"]
    assert "hush-hush" not in daemon.all_logs()


def test_a_directory_that_has_counted_has_no_first_node(tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    daemon.start()
    daemon.report(stats("alice", 1))
    daemon.kill()
    first_node(daemon)
    daemon.start()
    assert admin.do("GET", "/nodes")["open"] is True
    daemon.report(stats("alice", 1))


@pytest.mark.parametrize("text", [
    "", "name = hk1\n", "secret = x\n", "name = hk1\nsecret =\n", "name =\nsecret = x\n",
    "hush-hush\n", FIRST + "more = 1\n", "[hk]\n" + FIRST, "name = a:b\nsecret = x\n",
    "name = a/b\nsecret = x\n", "name = ..\nsecret = x\n", f"name = hk1\nsecret = {'x' * 300}\n",
    f"name = {'x' * 300}\nsecret = hush-hush\n", "name = hk1\nsecret = \xff\n",
    "name = hk1\nsecret = hush-hush\nname = hk2\n"])
def test_a_bad_first_node_file_ends_the_start_with_78_and_makes_nothing(text, tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    path = first_node(daemon)
    path.write_bytes(text.encode("latin-1"))
    code, log = daemon.start_and_fail()
    assert code == 78, log
    assert str(path) in log and "first_node_file" in log and "hush-hush" not in log
    first_node(daemon)  # mended: the directory is still an empty one
    daemon.start()
    assert admin.node("hk1")["hasSecret"] is True
    assert admin.do("GET", "/nodes")["open"] is False


def test_a_first_node_file_that_is_named_has_to_be_there(tallyd, tmp_path):
    daemon = tallyd(first_node_file=tmp_path / "nowhere")
    code, log = daemon.start_and_fail()
    assert code == 78 and "nowhere" in log


def test_another_first_node_file_and_none(tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    first_node(daemon)
    daemon.options["first_node_file"] = "none"
    daemon.start()
    assert admin.do("GET", "/nodes")["nodes"] == []
    other = tallyd()
    admin = with_socket(other)
    other.options["first_node_file"] = first_node(other, name="elsewhere")
    other.start()
    assert admin.node("hk1")["name"] == "hk1"


# What a journal that cannot be written means for a command.

def test_a_full_disk_refuses_a_command_and_leaves_its_key_free(small_disk, tallyd):
    disk = small_disk(4 << 20)
    daemon = on_disk(tallyd, disk, min_free_bytes=200000)
    admin = with_socket(daemon)
    daemon.start()
    admin.create("before")
    disk.fill(leave_bytes=100000)
    wait_for(lambda: admin.ask("POST", "/nodes/close").status == 503, "the disk is low")
    answer = admin.ask("POST", "/nodes", {"name": "n"}, "k")
    assert (answer.status, answer.json()["code"]) == (503, "unavailable")
    disk.empty()
    wait_for(lambda: admin.ask("POST", "/nodes", {"name": "n"}, "k").status == 201, "room")
    assert admin.create("n", key="k")["secret"] is None
    admin.flush()
    assert [row[0] for row in admin.nodes()] == ["before", "n"]


def test_nodes_are_listed_page_by_page_each_of_them_once(served):
    """1,203 names, of which three were made; one page never holds the loop for long."""
    daemon, admin = served()
    for name in ("made 1", "made & 2", "名"):
        admin.create(name)
    names = [f"name {i}" for i in range(1200)]
    raw = RawClient(daemon.address)
    for name in names:
        raw.send(post_bytes(f"/observer?node={urllib.parse.quote(name)}",
                            report(stats("alice", 1, 2))))
        assert raw.read_answer().status == 200
    raw.close()
    pages = [admin.do("GET", "/nodes")]
    while pages[-1]["next"] is not None:
        pages.append(admin.do("GET", f"/nodes?after={urllib.parse.quote(pages[-1]['next'])}"))
    assert [len(page["nodes"]) for page in pages] == [500, 500, 203]
    assert sorted(node["name"] for page in pages for node in page["nodes"]) == sorted(
        ["made 1", "made & 2", "名", *names])
    assert admin.do("GET", "/nodes?after=nobody", expect=404)["code"] == "not_found"
    said = tallyctl("--socket", daemon.options["admin_socket"], "node", "list")
    assert all(f"\n{name} " in said.stdout for name in names), said
