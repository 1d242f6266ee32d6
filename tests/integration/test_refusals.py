"""What is refused is noted in one place: counted, kept, and said."""
import time

import pytest

from admin import with_socket
from client import RawClient, get_bytes, post_bytes
from deadline import wait_for
from tallyd import report, stats

ONE = report(stats("alice", 1, 2))
READ = "a-token-for-reading"
API = "a-token-for-everything"


def refusals(daemon, **headers):
    answer = daemon.get("/refusals", **headers)
    assert answer.status == 200, answer
    return answer.json()


def test_a_refused_request_is_counted_by_code_and_kept_with_peer_node_method_path_and_code(tallyd):
    daemon = tallyd(max_body_bytes=1024).start()
    started = time.time() * 1000
    first = len(refusals(daemon)["last"])  # before it was ready
    asked = (
        ("GET", "/nowhere", None, 404, "not_found", None),
        ("PUT", "/observer", None, 405, "method_not_allowed", None),
        ("POST", "/observer?node=hk1", "[", 400, "bad_request", "hk1"),
        ("POST", "/observer?node=hk1&counters=x", ONE, 400, "bad_request", "hk1"),
        ("POST", "/observer?node=hk1&what=x", ONE, 400, "bad_request", "hk1"),
        ("POST", "/observer", ONE + " " * 1024, 413, "too_large", None),
        ("GET", "/version?x=1", None, 400, "bad_request", None),
    )
    for method, path, body, status, *_ in asked:
        assert daemon.request(method, path, body).status == status, (method, path)
    found = refusals(daemon)
    assert found["counts"]["bad_request"] == 4
    for code in ("not_found", "method_not_allowed", "too_large"):
        assert found["counts"][code] == 1, code
    last = found["last"][:len(found["last"]) - first]
    assert len(last) == len(asked)
    for entry, (method, path, _, status, code, node) in zip(reversed(last), asked, strict=True):
        assert entry["method"] == method and entry["status"] == status and entry["code"] == code
        assert entry["path"] == path.split("?")[0], "without the query, which may hold a secret"
        assert entry["node"] == node and entry["peer"] == "127.0.0.1"
        assert started - 1000 <= entry["at"] <= time.time() * 1000 + 1000
    assert daemon.status()["refusals"] == found


def test_a_refused_request_is_said_with_method_path_peer_and_node(tallyd):
    daemon = tallyd().start()
    assert daemon.post('/obsrver/a"b%0ac', ONE).status == 404
    assert daemon.post("/observer?node=hk1", "[").status == 400
    assert ('request refused: status=404 peer=127.0.0.1 node="" method="POST" '
            'path="/obsrver/a\\"b?c" code=not_found reason=') in daemon.log()
    assert ('report refused: status=400 peer=127.0.0.1 node="hk1" method="POST" '
            'path="/observer" code=bad_request reason=') in daemon.log()


def test_a_flood_of_one_kind_hides_no_other_kind_in_the_log(tallyd):
    daemon = tallyd().start()
    for _ in range(50):
        assert daemon.get("/nowhere").status == 404
    assert daemon.post("/observer", "[").status == 400
    log = daemon.log()
    assert 1 <= log.count("status=404") < 50
    assert "report refused: status=400" in log
    assert refusals(daemon)["counts"]["not_found"] == 50


def test_the_last_twenty_are_kept_however_many_and_however_long(tallyd):
    daemon = tallyd().start()
    for i in range(30):
        assert daemon.get(f"/{i}/" + "%c3%bc" * 500).status == 404
    last = refusals(daemon)["last"]
    assert [entry["path"].split("/")[1] for entry in last] == [str(i) for i in range(29, 9, -1)]
    assert all(len(entry["path"].encode()) < 200 for entry in last)


def test_what_is_asked_and_is_not_there_is_an_answer_and_no_refusal(tallyd):
    """A panel asks for users that have no traffic yet, every minute."""
    daemon = tallyd().start()
    before = refusals(daemon)
    assert daemon.get("/users/nobody/traffic").status == 404
    assert daemon.get("/nodes/nobody").status == 404
    assert refusals(daemon) == before


@pytest.fixture
def guarded(tallyd):
    return tallyd(env={"TALLYD_API_TOKEN": API, "TALLYD_READ_TOKEN": READ}).start()


def test_refusals_are_shown_to_who_may_read_and_hold_no_secret(guarded):
    assert guarded.get("/refusals").status == 401
    assert guarded.get("/refusals", Authorization="Bearer wrong-guess").status == 401
    secret = "never-to-be-seen"
    for headers in ({"Authorization": f"Bearer hk1:{secret}"}, {"Host": "foreign.example"}):
        assert guarded.post(f"/observer?node=hk1&token={secret}", ONE, **headers).status in (401, 403)
    found = refusals(guarded, Authorization=f"Bearer {READ}")
    assert found["counts"] == {"unauthorized": 3, "forbidden": 1}
    for text in (str(found), guarded.log()):
        assert secret not in text and "wrong-guess" not in text
    status = guarded.get("/throttle-sync-status")
    assert status.status == 200 and "refusals" not in status.json()["data"]


def test_what_is_refused_on_a_unix_socket_is_noted(tallyd, tmp_path):
    path = tmp_path / "report.sock"
    daemon = tallyd()
    daemon.options["listen"] = f"{daemon.options['listen']}, unix:{path}"
    daemon.start()
    raw = RawClient(str(path))
    raw.send(get_bytes("/nowhere"))
    assert raw.read_answer().status == 404
    raw.close()
    assert refusals(daemon)["last"][0]["peer"] == "unix"


def test_who_is_answered_late_or_goes_before_is_noted_all_the_same(guarded):
    read = {"Authorization": f"Bearer {READ}"}
    guesses = [RawClient(guarded.address) for _ in range(12)]  # more than may be wrong for nothing
    for raw in guesses:
        raw.send(post_bytes("/observer", ONE, "Authorization: Bearer hk1:guessed"))
    wait_for(lambda: guarded.get("/throttle-sync-status", **read).json()[
        "data"]["reports"]["refused"] == 12, "all are judged")
    for raw in guesses:
        raw.reset()
    assert refusals(guarded, **read)["counts"]["unauthorized"] == 12


@pytest.fixture
def closed(tallyd):
    daemon = tallyd()
    admin = with_socket(daemon)
    daemon.start()
    secret = admin.create("hk1")["secret"]
    admin.do("POST", "/nodes/close")
    return daemon, {"Authorization": f"Bearer hk1:{secret}"}, admin


def test_a_report_without_a_credential_is_no_credential_and_never_node_default(closed):
    daemon, _, admin = closed
    assert daemon.post("/observer", ONE).status == 401
    assert daemon.post("/observer?node=hk1", ONE).status == 401
    named, bare = admin.do("GET", "/refusals")["last"][:2]
    assert (bare["code"], bare["node"]) == ("no_credential", None)
    assert (named["code"], named["node"]) == ("no_credential", "hk1")
    assert "no credential was sent: write NODE:SECRET@" in bare["reason"]
    assert 'node="" method="POST" path="/observer" code=no_credential' in daemon.log()


def test_a_refused_request_with_a_valid_credential_has_its_node_whatever_is_wrong_with_it(closed):
    daemon, own, admin = closed
    asked = (("POST", "/observe", 404), ("PUT", "/observer", 405), ("GET", "/observer", 405),
             ("POST", "/observer?what=x", 400), ("POST", "/observer?node=jp1", 400))
    for method, path, status in asked:
        assert daemon.request(method, path, ONE, headers=own).status == status, (method, path)
    ambiguous = daemon.request("POST", "/observer", ONE, headers=own | {"X odd": "x"})
    assert ambiguous.status == 400
    last = admin.do("GET", "/refusals")["last"][:len(asked) + 1]
    assert [entry["node"] for entry in last] == ["hk1"] * len(last), last
    assert 'request refused: status=404 peer=127.0.0.1 node="hk1"' in daemon.log()
    wrong = {"Authorization": "Bearer hk1:not-the-secret"}
    assert daemon.post("/observe", ONE, **wrong).status == 404
    assert admin.do("GET", "/refusals")["last"][0]["node"] is None
    assert "not-the-secret" not in daemon.log()


def test_the_name_that_is_none_is_shown_in_the_log_and_its_secret_is_not(closed):
    daemon, _, admin = closed
    assert daemon.post("/observer", ONE, Authorization="Bearer hk11:not-to-be-seen").status == 401
    entry = admin.do("GET", "/refusals")["last"][0]
    assert entry["node"] is None and 'name sent: "hk11"' in entry["reason"]
    assert 'name sent: \\"hk11\\"' in daemon.log() and "not-to-be-seen" not in daemon.log()


def test_one_node_that_is_refused_again_and_again_does_not_fill_the_log(tallyd):
    """Of others with the same code the lines come all the same."""
    daemon = tallyd().start()
    for _ in range(4):
        assert daemon.post("/observer?node=hk1", "[").status == 400
    assert daemon.post("/observer?node=hk2", "[").status == 400
    log = daemon.log()
    assert log.count('node="hk1"') == 3 and log.count('node="hk2"') == 1
    assert refusals(daemon)["counts"]["bad_request"] == 5
