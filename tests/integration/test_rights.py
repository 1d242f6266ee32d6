"""Who may do what: each path, each right, each way in; and what tells a guesser nothing."""
import base64
import contextlib
import os
import pathlib
import signal
import socket
import stat
import subprocess
import tempfile
import time

import pytest

from client import Client, RawClient, get_bytes, post_bytes
from deadline import wait_for
from tallyd import report, run_tool, stats

OK = b'{"ok":true}'
ONE = report(stats("alice", 1, 2))
API = "api-token-for-tests"
READ = "read-token-for-tests"
SECRET = "a-secret-for-tests"

READING = (("GET", "/users/alice/traffic"), ("GET", "/version"), ("GET", "/refusals"), ("GET", "/nodes"),
           ("GET", "/nodes/hk1"), ("GET", "/api/gost/users/alice/traffic"))
COMMANDS = (("POST", "/force-sync"), ("POST", "/nodes"), ("POST", "/nodes/open"),
            ("POST", "/nodes/hk1/secret"), ("PATCH", "/nodes/hk1"), ("DELETE", "/nodes/hk9"),
            ("POST", "/api/gost/nodes"))
HEALTH = ("/livez", "/healthz", "/readyz", "/api/gost/livez")
FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Anything", "x-real-ip",
             "CF-Connecting-IP", "cf-ray", "True-Client-IP")


def basic(text):
    if isinstance(text, str):
        text = text.encode()
    return {"Authorization": "Basic " + base64.b64encode(text).decode()}


def bearer(text):
    return {"Authorization": "Bearer " + text}


def own_address():
    """An address of this machine that is not loopback, if it has one."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.1", 9))
        found = sock.getsockname()[0]
        return None if found.startswith("127.") else found
    return None


def ask(address, method, path, headers=None, body=None):
    client = Client(address)
    try:
        return client.request(method, path, body, headers)
    finally:
        client.close()


def command(daemon, method, path, body="{}", expect=200):
    answer = ask(str(daemon.admin), method, path, body=body)
    assert answer.status == expect, answer
    return answer.json()


@pytest.fixture
def make(tallyd):
    """make(**options) makes a tallyd with both sockets; `directory` lies beside them."""
    def start(**options):
        daemon = tallyd(**options)
        daemon.admin = daemon.directory / "admin.sock"
        daemon.read = daemon.directory / "read.sock"
        daemon.unix = daemon.directory / "listen.sock"
        daemon.options |= {"admin_socket": daemon.admin, "read_socket": daemon.read}
        daemon.options["listen"] = f"0.0.0.0:{daemon.port},unix:{daemon.unix}"
        return daemon
    return start


@pytest.fixture
def guarded(make):
    """With tokens, hk1 and its secret, and closed."""
    daemon = make(env={"TALLYD_API_TOKEN": API, "TALLYD_READ_TOKEN": READ}).start()
    command(daemon, "POST", "/nodes", f'{{"name":"hk1","secret":"{SECRET}"}}', 201)
    command(daemon, "POST", "/nodes", '{"name":"hk2","secret":"another-one-for-tests"}', 201)
    command(daemon, "POST", "/nodes/close")
    answer = daemon.post("/observer", ONE, **bearer(f"hk1:{SECRET}"))
    assert answer.body == OK
    return daemon


def ways_in(daemon):
    """What every path is asked through: (name, address, headers)."""
    yield "loopback", daemon.address, {}
    yield "unix", str(daemon.unix), {}
    yield "forwarded", daemon.address, {"X-Forwarded-For": "127.0.0.1"}
    if own_address() is not None:
        yield "elsewhere", (own_address(), daemon.port), {}


def is_error(answer, status, word):
    assert answer.status == status, answer
    data = answer.json()
    assert data["ok"] is False and data["code"] == word and data["error"], answer
    return True


# Reports.

WRONG = {
    "wrong": bearer("hk1:wrong"),
    "Basic wrong": basic("hk1:wrong"),
    "empty": {"Authorization": ""},
    "Basic empty": basic(""),
    "no secret": basic("hk1:"),
    "no name": basic(f":{SECRET}"),
    "no colon": basic("hk1"),
    "Bearer without colon": bearer(SECRET),
    "another node's": basic("hk1:another-one-for-tests"),
    "nobody's": basic(f"hk9:{SECRET}"),
    "10 kB": bearer("hk1:" + "x" * 10000),
    "10 kB Basic": basic("hk1:" + "x" * 10000),
    "not UTF-8": basic(b"hk1:\xff\xfe"),
    "not UTF-8 in the name": basic(b"hk\xff:" + SECRET.encode()),
    "not base64": {"Authorization": "Basic hk1:" + SECRET},
    "another scheme": {"Authorization": f"Digest hk1:{SECRET}"},
    "no scheme": {"Authorization": f"hk1:{SECRET}"},
    "the api_token": bearer(API),
    "missing": {},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_report_without_a_right_secret_is_401_and_empty(name, guarded):
    for way, address, headers in ways_in(guarded):
        for query in ("", "?node=hk1"):  # not more: then it would be slowed
            answer = ask(address, "POST", "/observer" + query, WRONG[name] | headers, ONE)
            assert (answer.status, answer.body) == (401, b""), (way, query, answer)
            assert "basic" in answer.headers["www-authenticate"].lower()
    assert guarded.get("/throttle-sync-status",
                       **bearer(READ)).json()["data"]["reports"]["accepted"] == 1
    log = guarded.log()
    assert "report refused: status=401 peer=127.0.0.1" in log
    assert "secret" in log and SECRET not in log and API not in log and "another-one" not in log


def test_a_report_with_its_secret_is_taken_from_everywhere(guarded):
    n = 1
    for way, address, headers in ways_in(guarded):
        for credential in (basic(f"hk1:{SECRET}"), bearer(f"hk1:{SECRET}"),
                           {"authorization": f"bEARER hk1:{SECRET}"},
                           bearer(f"hk1:{SECRET}") | {"Host": "any.name.example"}):
            for query in ("", "?node=hk1"):
                answer = ask(address, "POST", "/observer" + query, credential | headers, ONE)
                assert answer.body == OK, (way, answer)
                n += 1
            answer = ask(address, "POST", "/observer?node=hk2", credential | headers, ONE)
            assert is_error(answer, 400, "bad_request"), way
    assert guarded.get("/users/alice/traffic", **bearer(READ)).json()["usedTraffic"] == 3 * n


def test_two_credentials_are_none(guarded):
    right = f"Authorization: Bearer hk1:{SECRET}"
    for other in (right, "authorization: Basic x"):
        raw = RawClient(guarded.address)
        raw.send_whatever_it_takes(post_bytes("/observer", ONE, right, other))
        assert raw.read_answer().status == 401
        raw.close()


def test_names_without_a_secret_report_from_here_until_the_directory_is_closed(make):
    daemon = make().start()
    host = own_address()
    command(daemon, "POST", "/nodes", f'{{"name":"hk1","secret":"{SECRET}"}}', 201)
    for way, address, headers in ways_in(daemon):
        expected = 200 if way in ("loopback", "unix") else 401
        for query in ("", "?node=new"):
            answer = ask(address, "POST", "/observer" + query, headers, ONE)
            assert answer.status == expected, (way, answer)
        assert ask(address, "POST", "/observer?node=hk1", headers, ONE).status == 401
    command(daemon, "POST", "/nodes/close")
    for way, address, headers in ways_in(daemon):
        assert ask(address, "POST", "/observer", headers, ONE).status == 401, way
    command(daemon, "POST", "/nodes/open")
    daemon.report(stats("alice", 1, 2))
    daemon.stop()
    daemon.options["allow_anonymous"] = "yes"
    daemon.start()
    if host is not None:
        assert ask((host, daemon.port), "POST", "/observer", {}, ONE).body == OK


def test_a_disabled_node_waits_and_a_deleted_one_is_nobody(make):
    daemon = make().start()
    command(daemon, "POST", "/nodes", f'{{"name":"hk1","secret":"{SECRET}"}}', 201)
    right = bearer(f"hk1:{SECRET}")
    command(daemon, "PATCH", "/nodes/hk1", '{"enabled":false}')
    answer = daemon.post("/observer", ONE, **right)
    assert (answer.status, answer.body) == (503, b"")
    assert daemon.post("/observer", ONE, **bearer("hk1:wrong")).status == 401
    assert "tallyctl node secret hk1 --secret-stdin" in daemon.log()
    command(daemon, "PATCH", "/nodes/hk1", '{"enabled":true}')
    assert daemon.post("/observer", ONE, **right).body == OK
    command(daemon, "DELETE", "/nodes/hk1", body=None)
    assert daemon.post("/observer", ONE, **right).status == 401
    assert daemon.post("/observer?node=hk1", ONE).status == 401
    assert "tallyctl node add hk1 --secret-stdin" in daemon.log()


def test_a_deleted_node_that_is_made_again_has_its_counters_and_note(make):
    """Counters that were cumulative, taken for deltas, would be counted over and over."""
    daemon = make().start()
    command(daemon, "POST", "/nodes", '{"name":"hk1","counters":"cumulative","note":"old"}', 201)
    for given, counters, note in (("", "cumulative", "old"),
                                  (',"counters":"delta"', "delta", "old"),
                                  (',"counters":"cumulative","note":"new"', "cumulative", "new"),
                                  (',"fresh":true', None, None)):
        command(daemon, "DELETE", "/nodes/hk1", body=None)
        made = command(daemon, "POST", "/nodes", '{"name":"hk1"%s}' % given, 201)
        assert ("observer.resetTraffic: true" in made["gost"]) == (counters != "cumulative")
        node = command(daemon, "GET", "/nodes/hk1", body=None)
        assert (node.get("counters"), node.get("note")) == (counters, note)


def test_a_changed_secret_leaves_the_old_one_for_its_grace(make):
    daemon = make(node_secret_grace="1h").start()
    command(daemon, "POST", "/nodes", f'{{"name":"hk1","secret":"{SECRET}"}}', 201)
    new = command(daemon, "POST", "/nodes/hk1/secret")["secret"]
    assert new != SECRET
    for secret in (new, SECRET):
        assert daemon.post("/observer", ONE, **bearer(f"hk1:{secret}")).body == OK
    daemon.stop()
    daemon.start()
    for secret in (new, SECRET):
        assert daemon.post("/observer", ONE, **bearer(f"hk1:{secret}")).body == OK
    assert new not in daemon.all_logs() and SECRET not in daemon.all_logs()


def test_a_nodes_own_counters_win_and_a_query_that_differs_is_told_once(make):
    daemon = make().start()
    command(daemon, "POST", "/nodes",
            f'{{"name":"hk1","secret":"{SECRET}","counters":"cumulative"}}', 201)
    for query in ("", "?counters=delta", "?counters=cumulative", "?counters=delta"):
        body = report(stats("alice", 100, 0))
        assert daemon.post("/observer" + query, body, **bearer(f"hk1:{SECRET}")).body == OK
    assert daemon.log().count("own counters win") == 1
    found = ask(str(daemon.read), "GET", "/users/alice/traffic").json()
    assert found["inputBytes"] == 100


# Everything else.

def test_each_path_asks_each_way_in_for_its_right(guarded):
    for way, address, headers in ways_in(guarded):
        for method, path in READING:
            for credential, status in (({}, 401), (bearer(READ), 200), (bearer(API), 200),
                                       (bearer(f"hk1:{SECRET}"), 403)):
                answer = ask(address, method, path, credential | headers)
                assert answer.status == status, (way, path, credential, answer)
                if status == 401:
                    assert is_error(answer, 401, "unauthorized")
                    assert "bearer" in answer.headers["www-authenticate"].lower()
        for credential in (bearer("x"), basic(f"hk1:{API}")):
            answer = ask(address, "GET", "/version", credential | headers)
            assert is_error(answer, 401, "unauthorized"), (way, credential)
        for method, path in COMMANDS:
            for credential, status in (({}, 401), (bearer(READ), 403),
                                       (basic(f"hk1:{SECRET}"), 403)):
                answer = ask(address, method, path, credential | headers, "{}")
                assert answer.status == status, (way, path, credential, answer)
            answer = ask(address, method, path, bearer(API) | headers, '{"nothing":0}')
            assert answer.status in (200, 400, 404), (way, path, answer)
        for path in HEALTH:
            answer = ask(address, "GET", path, headers)
            assert answer.status == 200, (way, path)
        assert ask(address, "GET", "/readyz", headers).json() == {"ready": True}
        assert "journal" in ask(address, "GET", "/readyz", headers | bearer(READ)).json()
        answer = ask(address, "GET", "/throttle-sync-status", headers)
        if way in ("loopback", "unix"):
            assert set(answer.json()["data"]) == {"config", "stats"}, way
        else:
            assert is_error(answer, 401, "unauthorized"), way
        answer = ask(address, "GET", "/throttle-sync-status", headers | bearer(READ))
        assert answer.json()["data"]["nodes"] == {"open": False, "withSecret": 2}
        assert answer.json()["data"]["warnings"] == []


def test_each_header_of_a_proxy_makes_loopback_none(make):
    daemon = make().start()
    daemon.report(stats("alice", 1, 2))
    for name in FORWARDED:
        for method, path in (("GET", "/throttle-sync-status"), ("POST", "/force-sync"),
                             ("GET", "/users/alice/traffic"), ("GET", "/version")):
            answer = daemon.request(method, path, headers={name: "127.0.0.1"})
            assert is_error(answer, 403, "forbidden"), (name, path)
        assert daemon.post("/observer", ONE, **{name: "x"}).status == 401, name
        for path in HEALTH:
            assert daemon.get(path, **{name: "x"}).status == 200
    assert daemon.status()["stats"]["totalSyncs"] == 0


def test_the_sockets_are_their_rights(guarded):
    for path, mode in ((guarded.admin, "admin"), (guarded.read, "read")):
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) in (0o600, 0o660)
        assert f"for={mode} mode=0{stat.S_IMODE(found.st_mode):o}" in guarded.log()
    for method, path in READING:
        for address in (guarded.admin, guarded.read):
            assert ask(str(address), method, path).status == 200, path
    for method, path in COMMANDS:
        answer = ask(str(guarded.read), method, path, {}, "{}")
        assert is_error(answer, 403, "forbidden"), path
    assert ask(str(guarded.admin), "POST", "/force-sync").status == 200
    for address in (guarded.admin, guarded.read):
        assert ask(str(address), "POST", "/observer", {}, ONE).status == 401
    guarded.stop()
    assert not guarded.admin.exists() and not guarded.read.exists()
    guarded.start()
    guarded.kill()
    assert guarded.admin.exists()
    guarded.start()
    assert ask(str(guarded.admin), "GET", "/version").status == 200


def test_the_sockets_lie_in_the_runtime_directory(tallyd, tmp_path):
    runtime = tmp_path / "run"
    runtime.mkdir()
    tallyd(env={"RUNTIME_DIRECTORY": f"{runtime}:/elsewhere"}).start()
    assert ask(str(runtime / "admin.sock"), "GET", "/version").status == 200
    assert ask(str(runtime / "read.sock"), "GET", "/version").status == 200


def test_a_socket_that_cannot_be_made_is_a_configuration_error(tallyd, tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "none" / "admin.sock"):
        code, said = tallyd(admin_socket=path).start_and_fail()
        assert code == 78 and "admin_socket" in said, said
    assert (tmp_path / "file").exists()


POST_OVER_UNIX = """
import http.client, socket, sys
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
connection.request("POST", "/nodes", sys.argv[2])
print(connection.getresponse().status)
"""


@pytest.mark.parametrize("wrapper", [(), ("unshare", "-U", "-r")])
def test_the_actor_is_the_peers_uid_also_from_a_namespace_of_users(wrapper, make):
    if os.getuid() != 0 or subprocess.run(["unshare", "-U", "true"], check=False).returncode:
        pytest.skip("needs root, and namespaces of users")
    daemon = make()
    with tempfile.TemporaryDirectory() as directory:  # which others may enter, unlike tmp_path
        os.chmod(directory, 0o755)
        daemon.admin = daemon.options["admin_socket"] = pathlib.Path(directory) / "admin.sock"
        daemon.start()
        daemon.admin.chmod(0o666)
        done = subprocess.run(
            ["setpriv", "--reuid=4321", "--clear-groups", *wrapper, "/usr/bin/env", "python3",
             "-c", POST_OVER_UNIX, str(daemon.admin), '{"name":"hk1"}'],
            capture_output=True, text=True, check=False, cwd="/")
        assert done.stdout.strip() == "201", done
        assert ask(str(daemon.admin), "POST", "/force-sync").status == 200
    assert daemon.sql("select actor, verb from audit") == [("uid:4321", "node.create")]


# While nobody has a right.

def test_without_tokens_and_secrets_this_machine_reads_and_is_warned_of(make):
    daemon = make().start()
    assert "warn  not safe yet" in daemon.log() and "Closing an open directory" in daemon.log()
    daemon.report(stats("alice", 1, 2))
    host = own_address()
    for method, path in (("GET", "/users/alice/traffic"), ("POST", "/force-sync"),
                         ("GET", "/version"), ("GET", "/throttle-sync-status")):
        assert daemon.request(method, path).status == 200, path
        assert ask(str(daemon.unix), method, path).status == 200, path
        if host is not None:
            answer = ask((host, daemon.port), method, path)
            assert is_error(answer, 403, "forbidden"), path
    for method, path in COMMANDS[1:]:
        assert is_error(daemon.request(method, path, "{}"), 403, "forbidden"), path
    data = daemon.status()
    assert data["nodes"] == {"open": True, "withSecret": 0} and len(data["warnings"]) == 2
    command(daemon, "POST", "/nodes", '{"name":"hk1"}', 201)
    assert set(daemon.status()) == {"config", "stats"}
    answer = ask(str(daemon.read), "GET", "/throttle-sync-status").json()["data"]
    assert len(answer["warnings"]) == 1 and "still" in answer["warnings"][0]
    assert is_error(daemon.get("/users/alice/traffic"), 403, "forbidden")
    command(daemon, "POST", "/nodes/close")
    answer = ask(str(daemon.read), "GET", "/throttle-sync-status").json()["data"]
    assert answer["warnings"] == []


# Browsers.

def test_a_page_of_another_site_is_refused(make):
    daemon = make().start()
    here = "127.0.0.1"  # what this client sends as Host
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": ""},
                    {"Origin": f"http://{here}:1"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Origin": f"http://{here}", "Sec-Fetch-Site": "cross-site"}):
        for method, path in (*READING, *COMMANDS, ("POST", "/observer"),
                             ("GET", "/throttle-sync-status")):
            answer = daemon.request(method, path, ONE if method == "POST" else None, headers)
            assert is_error(answer, 403, "forbidden"), (headers, path)
        for path in HEALTH:
            assert daemon.get(path, **headers).status == 200
        assert ask(str(daemon.admin), "POST", "/nodes", headers, "{}").status == 403
    assert daemon.get("/version", Origin=f"http://{here}").status == 200
    assert daemon.get("/version", **{"Sec-Fetch-Site": "none"}).status == 200


def test_a_name_that_is_none_of_ours_is_refused_without_a_credential(make):
    daemon = make(hostnames="tally.example.com,other", env={"TALLYD_READ_TOKEN": READ}).start()
    ours = ["localhost", f"localhost:{daemon.port}", "a.localhost", "127.0.0.2", "[::1]:1",
            "tally.example.com", "TALLY.example.com:443", "other."]
    if own_address() is not None:
        daemon_here = (own_address(), daemon.port)
        answer = ask(daemon_here, "POST", "/observer", {"Host": own_address()}, ONE)
        assert answer.status == 401, "by its address, but without a secret"
    for host in ours:
        assert daemon.post("/observer", ONE, Host=host).body == OK, host
        assert daemon.get("/throttle-sync-status", Host=host).status == 200
    for host in ("evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example",
                 "xtally.example.com", "192.0.2.77"):
        answer = daemon.post("/observer", ONE, Host=host)
        assert is_error(answer, 403, "forbidden"), host
        assert is_error(daemon.get("/throttle-sync-status", Host=host), 403, "forbidden")
        assert daemon.get("/livez", Host=host).status == 200
        assert daemon.get("/readyz", Host=host).json() == {"ready": True}
        assert daemon.get("/version", Host=host, **bearer(READ)).status == 200
    assert ask(str(daemon.unix), "POST", "/observer", {"Host": "any"}, ONE).body == OK


# Refused from the headers.

@pytest.mark.parametrize("line", ["Content-Length: 1000000", "Transfer-Encoding: chunked",
                                  "Content-Length: 5\r\nExpect: 100-continue"])
def test_a_stranger_is_refused_before_the_body_is_sent(line, guarded):
    for path in ("/observer", "/observer?node=x", "/nodes", "/force-sync"):
        for credential in ("", "Authorization: Bearer hk1:wrong\r\n"):
            raw = RawClient(guarded.address)
            raw.send(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{credential}{line}\r\n\r\n"
                     .encode())
            answer = raw.read_answer()
            assert answer.status == 401 and answer.headers["connection"] == "close", answer
            assert raw.is_closed_by_peer()
            raw.close()


def test_an_unknown_parameter_is_named(make):
    daemon = make().start()
    daemon.report(stats("alice", 1, 2))
    for method, path in (("POST", "/observer?counter=cumulative"), ("GET", "/version?counter"),
                         ("POST", "/observer?node=a&counter=1"), ("GET", "/livez?counter=1"),
                         ("GET", "/users/alice/traffic?counter=%22%0a%ff")):
        answer = daemon.request(method, path, ONE if method == "POST" else None)
        assert is_error(answer, 400, "bad_request") and "counter" in answer.json()["error"], path
    for query in ("?node=a&node=b", "?node=a&node=a", "?counters=delta&counters=delta"):
        answer = daemon.post("/observer" + query, ONE)
        assert is_error(answer, 400, "bad_request") and "twice" in answer.json()["error"], query
    answer = daemon.get('/version?a"b\\=1')
    assert 'a"b\\' in answer.json()["error"]


# Guesses.

def guess(daemon):
    raw = RawClient(daemon.address)
    raw.send(post_bytes("/observer", ONE, "Authorization: Bearer hk1:guess"))
    return raw


def is_waiting(raw):
    raw.sock.setblocking(False)
    try:
        return raw.sock.recv(1, socket.MSG_PEEK) == b"never"
    except BlockingIOError:
        return True
    finally:
        raw.sock.settimeout(30)


def test_who_guesses_waits_and_who_is_right_does_not(guarded):
    for _ in range(12):  # the last ones wait for a second each
        raw = guess(guarded)
        assert raw.read_answer().status == 401
        raw.close()
    waiting = [guess(guarded) for _ in range(20)]
    for _ in range(3):
        assert guarded.post("/observer", ONE, **bearer(f"hk1:{SECRET}")).body == OK
        assert guarded.get("/version", **bearer(READ)).status == 200
        assert guarded.post("/observer", ONE).status == 401, "a missing one is no guess"
    assert any(is_waiting(raw) for raw in waiting)
    for raw in waiting:
        assert raw.read_answer().status == 401
        raw.close()


def test_who_guesses_is_told_late_also_by_a_daemon_that_stood_still(guarded):
    """As a busy machine has it: the wait is over, and the answer nearly late, at one tick."""
    for pause in (0.65, 0.75, 0.85):  # not so long that it takes itself for stalled
        waiting = [guess(guarded) for _ in range(20)]
        for _ in range(2):
            with guarded.standing_still():
                time.sleep(pause)
            guarded.get("/livez")
        for raw in waiting:
            assert raw.read_answer().status == 401
            raw.close()


def test_those_that_wait_are_few_and_a_stop_answers_them(guarded):
    for _ in range(9):
        guess(guarded).close()
    many = [guess(guarded) for _ in range(200)]
    wait_for(lambda: sum(not is_waiting(raw) for raw in many) >= 136, "64 wait at most")
    guarded.stop()
    for raw in many:
        with contextlib.suppress(ConnectionError):
            assert raw.read_answer().status in (401, 503)
        raw.close()


def test_guessers_that_vanish_leave_nothing_behind(guarded):
    for i in range(150):
        raw = guess(guarded)
        raw.reset() if i % 2 else raw.close()
    assert guarded.post("/observer", ONE, **bearer(f"hk1:{SECRET}")).body == OK


# Secrets stay where they belong.

def test_tokens_come_from_files_and_change_with_a_reload(tallyd):
    daemon = tallyd()
    (daemon.directory / "api-token").write_text(f"  {API} \nwhat else there is\n")
    read = daemon.directory / "elsewhere"
    read.write_text(READ)
    daemon.options["read_token_file"] = read
    daemon.start()
    assert daemon.get("/version").status == 401
    for token in (API, READ):
        assert daemon.get("/version", **bearer(token)).status == 200
    read.write_text("another-token-for-reading\n")
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.get("/version", **bearer("another-token-for-reading")).status == 200,
             "the new token")
    assert daemon.get("/version", **bearer(READ)).status == 401
    read.unlink()
    daemon.expects_errors = True
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: "configuration not reloaded" in daemon.log(), "the reload is refused")
    assert daemon.get("/version", **bearer("another-token-for-reading")).status == 200
    text = daemon.all_logs() + daemon.run("--print-config").stdout
    assert API not in text and READ not in text


@pytest.mark.parametrize("text, what", [
    ("", "empty"), ("\n" + API, "empty"), ("short", "16 to 512"), ("x" * 513, "16 to 512"),
    ("with a blank in the middle", "blanks"), ("with-umlaut-ü-in-the-middle", "ASCII")])
def test_a_token_that_is_none_is_a_mistake(text, what, tmp_path):
    (tmp_path / "tallyd.conf").write_text("")
    (tmp_path / "api-token").write_text(text)
    done = run_tool("--config", tmp_path / "tallyd.conf", "--check-config")
    assert done.returncode == 78 and what in done.stderr, done.stderr
    assert len(text) < 16 or text.strip() not in done.stderr
    if 0 < len(text) < 100 and "\n" not in text:
        (tmp_path / "api-token").unlink()
        done = run_tool("--config", tmp_path / "tallyd.conf", "--check-config",
                        env={"TALLYD_API_TOKEN": text})
        assert done.returncode == 78 and what.split()[0] in done.stderr, done.stderr


def test_a_token_and_its_file_exclude_each_other(tmp_path):
    (tmp_path / "tallyd.conf").write_text(f"api_token = {API}\napi_token_file = /etc/hostname\n")
    done = run_tool("--config", tmp_path / "tallyd.conf", "--check-config")
    assert done.returncode == 78 and "one of the two" in done.stderr
    (tmp_path / "tallyd.conf").write_text("read_token_file = /nonexistent/token\n")
    done = run_tool("--config", tmp_path / "tallyd.conf", "--check-config")
    assert done.returncode == 78 and "/nonexistent/token" in done.stderr


def test_secrets_are_not_shown_by_proc_and_not_taken_from_the_command_line(tallyd):
    password = "redis-password-for-tests"
    daemon = tallyd(redis_url=f"redis://:{password}@127.0.0.1:1/0",
                    env={"TALLYD_API_TOKEN": API, "TALLYD_READ_TOKEN": READ}).start()
    daemon.send_signal(signal.SIGHUP)  # reads them again
    wait_for(lambda: "configuration reloaded" in daemon.log(), "the reload")
    assert daemon.get("/version", **bearer(API)).status == 200
    for name in ("cmdline", "environ"):
        with open(f"/proc/{daemon.process.pid}/{name}", "rb") as file:
            text = file.read().decode()
        for secret in (password, API, READ):
            assert secret not in text, name
    shown = daemon.run("--print-config").stdout
    assert "api_token = ***" in shown and password not in shown
    done = daemon.run(f"--api-token={API}")
    assert done.returncode == 64 and "api_token_file" in done.stderr and API not in done.stderr


# Who was allowed by the headers, and is not any more when the body has come.

@pytest.mark.parametrize("credential, node, act", [
    ({}, "zz", ("POST", "/nodes/close", "{}", 200)),
    ({}, "zz", ("POST", "/nodes", '{"name":"zz"}', 201)),
    (basic(f"hk1:{SECRET}"), "hk1", ("DELETE", "/nodes/hk1", "{}", 200)),
    (basic(f"hk1:{SECRET}"), "hk1", ("PATCH", "/nodes/hk1", '{"enabled":false}', 200)),
    (basic(f"hk1:{SECRET}"), "hk1", ("POST", "/nodes/hk1/secret", "{}", 200)),
])
def test_a_right_that_is_taken_away_while_the_body_comes_counts_nothing(
        make, credential, node, act):
    daemon = make(node_secret_grace=0).start()
    command(daemon, "POST", "/nodes", f'{{"name":"hk1","secret":"{SECRET}"}}', 201)
    client = RawClient(daemon.address)
    headers = "".join(f"{name}: {value}\r\n" for name, value in credential.items())
    client.send(f"POST /observer?node={node} HTTP/1.1\r\nHost: localhost\r\n{headers}"
                f"Content-Length: {len(ONE)}\r\n\r\n".encode() + ONE[:10].encode())
    # Connections are read in the order in which they came: this one behind that.
    assert daemon.get("/livez").status == 200
    command(daemon, *act)
    client.send(ONE[10:].encode())
    answer = client.read_answer()
    assert answer.status in (401, 503) and answer.body == b""
    client.send(f"POST /observer?node={node} HTTP/1.1\r\nHost: localhost\r\n{headers}"
                f"Content-Length: {len(ONE)}\r\n\r\n".encode() + ONE.encode())
    assert client.read_answer().status == answer.status
    command(daemon, "GET", "/users/alice/traffic", None, 404)
