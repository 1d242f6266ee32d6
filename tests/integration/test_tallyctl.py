"""tallyctl against a stand-in for the daemon, which keeps to the API's contract."""
import base64
import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import tempfile

import pytest

from deadline import BIN, ROOT, seconds, wait_for
from fake_tallyd import FakeTallyd, now_ms
from ports import free_port
from tallyctl import CTL, tallyctl
from tallyd import environment, report as report_body, stats

TOKEN = "t0ken-of-an-operator"
ZONE = {"TZ": "UTC"}


@pytest.fixture
def daemon(tmp_path):
    server = FakeTallyd(tmp_path / "admin.sock")
    yield server
    server.close()


@pytest.fixture
def remote():
    server = FakeTallyd(token=TOKEN)
    yield server
    server.close()


@pytest.fixture
def ctl(daemon):
    """ctl("node", "list"): what it printed; it must be done without a word on stderr."""
    def run(*arguments, stdin=""):
        done = tallyctl("--socket", daemon.path, *arguments, env=ZONE, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout
    return run


@pytest.fixture
def ctl_fails(daemon):
    """ctl_fails(1, "node", "rm", "x"): what it said on stderr, having ended with that code."""
    def run(code, *arguments, env=None, stdin=""):
        done = tallyctl("--socket", daemon.path, *arguments, env=env, stdin=stdin)
        assert done.returncode == code, done
        assert done.stderr.startswith("tallyctl: "), done
        return done.stderr
    return run


def commands(daemon):
    """What was asked for, but reading."""
    return [(method, path, body) for method, path, _, body in daemon.seen if method != "GET"]


# The program.

def test_both_programs_have_one_version():
    theirs = subprocess.run([BIN, "--version"], capture_output=True, text=True, check=True)
    ours = tallyctl("--version")
    assert (ours.returncode, ours.stdout) == (0, theirs.stdout.replace("tallyd", "tallyctl"))


def verbs():
    text = tallyctl("--help").stdout
    return [re.match(r"[a-z ]+[a-z]", line.strip())[0].split()
            for line in re.findall(r"^  ([a-z][^-].*?)  ", text, re.MULTILINE)]


def test_help_lists_the_verbs_and_each_has_its_own():
    assert ["status"] in verbs() and ["node", "add"] in verbs()
    for verb in verbs():
        done = tallyctl(*verb, "--help")
        assert done.returncode == 0
        assert f"usage: tallyctl {' '.join(verb)} " in done.stdout
        assert "--socket" in done.stdout


def test_a_command_that_a_line_names_is_one_that_there_is():
    known = verbs()
    for path in [ROOT / "README.md", *ROOT.glob("config/*"), *ROOT.glob("scripts/*"),
                 *ROOT.glob("src/**/*.[ch]"), *ROOT.glob("include/**/*.h")]:
        text = re.sub(r'"\s*"', "", path.read_text())  # a literal goes on in the next line
        for word in re.findall(r"tallyctl node ([a-z]+)", text):
            assert ["node", word] in known, (path, word)


def test_a_family_of_verbs_has_a_help_too():
    done = tallyctl("node", "--help")
    assert done.returncode == 0 and "node add" in done.stdout and "status" not in done.stdout


@pytest.mark.parametrize("arguments", [
    [], ["node"], ["noode"], ["node", "ad"], ["stat"], ["node", "show"], ["node", "show", "a", "b"],
    ["status", "x"], ["--nothing", "status"], ["status", "--counters", "delta"], ["-x", "status"],
    ["node", "add", "a", "--counters", "both"], ["node", "add", "a", "--counters"],
    ["node", "add", "a", "--fresh=yes"], ["node", "set", "a"], ["node", "show", ""],
    ["node", "set", "a", "--reason", "r"], ["node", "set", "a", "--enable", "--disable"],
    ["node", "show", "a\nb"], ["node", "add", "a" * 256], ["status", "--socket"],
    ["status", "--url", "http://a", "--socket", "/b"], ["status", "--url", "ftp://a"],
    ["status", "--url", "http://"], ["status", "--url", "http://a/?x"], ["x" * 5000],
    ["node", "x" * 40, "y" * 40], ["node", ""], ["--json"] * 40 + ["status"]])
def test_a_wrong_command_line_is_64_and_asks_nobody(daemon, arguments):
    env = {} if {"--url", "--socket"} & set(arguments) else {"TALLYD_ADMIN_SOCKET": str(daemon.path)}
    done = tallyctl(*arguments, env=env)
    assert (done.returncode, done.stdout) == (64, "")
    assert re.fullmatch(r"tallyctl: .+\n", done.stderr)
    assert daemon.seen == []


def test_output_that_does_not_arrive_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run([CTL, "--help"], env=environment(), stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 74 and "cannot be written" in done.stderr


# Where the daemon is, and who may ask it.

def test_the_socket_may_come_from_the_environment_and_the_command_line_wins(daemon, tmp_path):
    env = {"TALLYD_ADMIN_SOCKET": str(daemon.path)}
    assert tallyctl("node", "list", env=env).returncode == 0
    assert tallyctl("node", "list", "--socket", tmp_path / "none", env=env).returncode == 69
    env = {"TALLYD_ADMIN_SOCKET": str(tmp_path / "none"), "TALLYD_URL": "http://127.0.0.1:1"}
    assert tallyctl("node", "list", env=env).returncode == 64
    assert tallyctl("node", "list", f"--socket={daemon.path}", env=env).returncode == 0
    env = {"TALLYD_ADMIN_SOCKET": "auto", "TALLYD_URL": "http://127.0.0.1:1"}  # the daemon's own word
    assert "127.0.0.1" in tallyctl("node", "list", env=env).stderr


def test_nobody_there_is_69(tmp_path):
    done = tallyctl("status", "--socket", tmp_path / "none.sock")
    assert done.returncode == 69 and str(tmp_path / "none.sock") in done.stderr
    done = tallyctl("status", "--url", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 69


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without rights")
def test_a_socket_without_a_right_to_it_is_77():
    with tempfile.TemporaryDirectory() as directory:  # which others may enter, unlike tmp_path
        os.chmod(directory, 0o755)
        program = shutil.copy(CTL, directory)
        daemon = FakeTallyd(pathlib.Path(directory) / "admin.sock")
        daemon.path.chmod(0o600)
        done = subprocess.run(
            ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program,
             "status", "--socket", str(daemon.path)], env=environment(), capture_output=True,
            text=True, check=False)
        daemon.close()
    assert done.returncode == 77 and "tallyd-admin" in done.stderr, done


def test_a_token_comes_from_a_file_or_the_environment(remote, tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\nand a second line\n")
    for arguments, env in [
            (["--token-file", path], {"TALLYD_TOKEN": "wrong"}),
            ([], {"TALLYD_TOKEN": TOKEN, "TALLYD_TOKEN_FILE": "/nowhere"}),
            ([], {"TALLYD_TOKEN_FILE": str(path)})]:
        done = tallyctl("node", "list", "--url", remote.url + "/", *arguments, env=env)
        assert done.returncode == 0, done
    assert tallyctl("node", "list", env={"TALLYD_URL": remote.url, "TALLYD_TOKEN": TOKEN}
                    ).returncode == 0


@pytest.mark.parametrize("env", [{}, {"TALLYD_TOKEN": "wrong"}])
def test_no_right_is_77(remote, env):
    done = tallyctl("node", "close", "--url", remote.url, env=env)
    assert done.returncode == 77 and "no right" in done.stderr
    assert remote.api.is_open


@pytest.mark.parametrize("text", ["", "\n", "two words\n", "smugg\rled: x\n", "t\u00f6ken\n",
                                  "x" * 4097])
def test_what_is_no_token_is_not_sent(remote, tmp_path, text):
    path = tmp_path / "token"
    path.write_text(text)
    done = tallyctl("status", "--url", remote.url, "--token-file", path)
    assert done.returncode in (64, 77)
    assert all("authorization" not in headers or "\n" not in headers["authorization"]
               for _, _, headers, _ in remote.seen)
    if text != "smugg\rled: x\n":
        assert done.returncode == 64 and remote.seen == []


def test_a_token_is_not_taken_from_the_command_line(remote):
    for option in ("--token", f"--token={TOKEN}"):
        done = tallyctl("status", "--url", remote.url, option, TOKEN)
        assert done.returncode == 64 and "history" in done.stderr and TOKEN not in done.stderr
    done = tallyctl("status", "--url", "http://me:secret@127.0.0.1")
    assert done.returncode == 64 and "secret" not in done.stderr


def test_a_token_of_the_environment_is_not_sent_to_a_socket(daemon, tmp_path):
    env = {"TALLYD_TOKEN": TOKEN}
    assert tallyctl("status", "--socket", daemon.path, env=env).returncode == 0
    assert "authorization" not in daemon.seen[-1][2]


def test_proxies_of_the_environment_are_not_asked(remote):
    proxy = f"http://127.0.0.1:{free_port()}"
    env = {"http_proxy": proxy, "HTTP_PROXY": proxy, "ALL_PROXY": proxy, "TALLYD_TOKEN": TOKEN}
    assert tallyctl("status", "--url", remote.url, env=env).returncode == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_server_that_nobody_vouches_for_gets_no_token(tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "key", "-out", "cert"],
        cwd=tmp_path, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    server = FakeTallyd(token=TOKEN, tls=tls)
    url = server.url.replace("http:", "https:")
    done = tallyctl("status", "--url", url, env={"TALLYD_TOKEN": TOKEN})
    assert done.returncode == 69 and "certificate" in done.stderr.lower(), done
    assert server.seen == []
    done = tallyctl("status", "--url", url, env={
        "TALLYD_TOKEN": TOKEN, "SSL_CERT_FILE": str(tmp_path / "cert")})
    assert done.returncode == 0, done
    done = tallyctl("status", "--url", url.replace("127.0.0.1", "127.0.0.2"), env={
        "TALLYD_TOKEN": TOKEN, "SSL_CERT_FILE": str(tmp_path / "cert")})
    assert done.returncode == 69, done
    server.close()


# The real daemon.

@pytest.mark.smoke
def test_status_of_the_real_daemon(tallyd):
    daemon = tallyd().start()
    daemon.report(stats("alice", 5, 7))
    url = f"http://127.0.0.1:{daemon.port}"
    done = tallyctl("status", "--url", url)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert re.search(r"^users +1$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^redis +none$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^reports +1 accepted, 0 came again", done.stdout, re.MULTILINE), done.stdout
    shown = json.loads(tallyctl("status", "--url", url, "--json").stdout)["data"]
    there = daemon.status()
    assert shown.pop("uptimeSeconds") <= there.pop("uptimeSeconds")
    assert shown == there
    daemon.stop()
    assert tallyctl("status", "--url", url).returncode == 69


def test_the_rights_of_the_real_daemon(tallyd, tmp_path):
    path = tmp_path / "api-token"
    path.write_text(TOKEN + "\n")
    daemon = tallyd(admin_socket=tmp_path / "admin.sock", api_token_file=path).start()
    by_socket = tallyctl("status", "--socket", tmp_path / "admin.sock")
    by_token = tallyctl("status", "--url", f"http://127.0.0.1:{daemon.port}",
                        "--token-file", path)
    assert by_socket.returncode == by_token.returncode == 0, (by_socket, by_token)
    assert "version" in by_socket.stdout and "version" in by_token.stdout
    without = tallyctl("status", "--url", f"http://127.0.0.1:{daemon.port}")
    assert without.returncode == 0 and "version" not in without.stdout
    wrong = tallyctl("status", "--url", f"http://127.0.0.1:{daemon.port}",
                     env={"TALLYD_TOKEN": "wrong"})
    assert wrong.returncode == 77, wrong


@pytest.mark.smoke
def test_nodes_of_the_real_daemon(tallyd, tmp_path):
    daemon = tallyd(admin_socket=tmp_path / "admin.sock").start()

    def ctl(*arguments, expect=0, stdin=""):
        done = tallyctl("--socket", tmp_path / "admin.sock", "node", *arguments, stdin=stdin)
        assert done.returncode == expect, done
        return done.stdout + done.stderr

    def report(node):
        credential = base64.b64encode(node.encode()).decode()
        return daemon.post("/observer", report_body(stats("alice", 1, 2)),
                           Authorization=f"Basic {credential}").status

    said = ctl("add", "hk 1", "--counters", "delta", "--note", "Hong Kong", "--reason", "new")
    first = re.search("^    ([0-9a-f]{32})$", said, re.MULTILINE)[1]
    assert f"http://hk%201:{first}@" in said
    assert "exists already" in ctl("add", "hk 1", expect=1)
    assert report(f"hk 1:{first}") == 200 and report("hk 1:wrong") == 401
    assert re.search(r"^hk 1 +yes +enabled +delta +(now|\d+ s ago) +Hong Kong$", ctl("list"),
                     re.MULTILINE)
    said = ctl("secret", "hk 1")
    assert "(in 10 min)" in said
    second = re.search("^    ([0-9a-f]{32})$", said, re.MULTILINE)[1]
    assert report(f"hk 1:{first}") == report(f"hk 1:{second}") == 200
    ctl("secret", "hk 1", "--secret-stdin", stdin="as it sends\n")
    assert report("hk 1:as it sends") == 200
    assert re.search("^state +disabled$", ctl("set", "hk 1", "--disable"), re.MULTILINE)
    assert report("hk 1:as it sends") == 503
    said = ctl("set", "hk 1", "--enable", "--counters", "unset", "--note", "")
    assert re.search("^counters +not set$", said, re.MULTILINE) and "note" not in said
    assert re.search("^services +1$", ctl("show", "hk 1"), re.MULTILINE)
    assert "only nodes with a secret" in ctl("close").lower()
    assert daemon.post("/observer?node=x", report_body(stats("bob", 1))).status == 401
    assert "may report" in ctl("open")
    assert "(in 30 d)" in ctl("rm", "hk 1") and report("hk 1:as it sends") == 401
    assert "hk 1" in ctl("list") and "deleted" in ctl("list")
    ctl("add", "hk 1", "--fresh")
    assert "not_found" in ctl("show", "nobody", expect=1)


# What it sends.

def test_commands_carry_a_fresh_key_and_reading_does_not(ctl, daemon):
    ctl("node", "list")
    ctl("node", "close")
    ctl("node", "open")
    keys = [headers.get("idempotency-key") for _, _, headers, _ in daemon.seen]
    assert keys[0] is None and keys[1] != keys[2]
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys[1:])
    assert daemon.seen[1][2]["content-type"] == "application/json"
    assert commands(daemon) == [("POST", "/nodes/close", {}), ("POST", "/nodes/open", {})]


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a b", "ä?#%2f", "名前", "--json", "&=+\\"])
def test_names_reach_the_daemon_as_they_are(ctl, daemon, name):
    ctl("node", "add", "--", name)
    assert name in daemon.api.nodes
    assert name.encode() in ctl("node", "show", "--", name).encode()
    path = next(path for method, path, *_ in reversed(daemon.seen) if path.startswith("/nodes/"))
    assert re.fullmatch(r"/nodes/([A-Za-z0-9._~-]|%[0-9A-F]{2})+", path), path


def test_a_command_whose_answer_is_lost_is_done_once(ctl, daemon):
    daemon.break_next = 2
    said = ctl("node", "add", "hk1")
    assert len(commands(daemon)) == 3
    assert len({headers["idempotency-key"] for _, _, headers, _ in daemon.seen}) == 1
    assert daemon.api.n_secrets == 1
    assert "lost" in said and "tallyctl node secret hk1" in said


def test_after_four_lost_answers_it_says_that_it_does_not_know(ctl_fails, daemon):
    daemon.break_next = 9
    assert "not known" in ctl_fails(69, "node", "add", "hk1")
    assert len(commands(daemon)) == 4


def test_a_daemon_that_comes_back_between_two_attempts_is_met(tmp_path):
    first = FakeTallyd(tmp_path / "admin.sock")
    first.break_next = 1
    process = subprocess.Popen(
        [CTL, "--socket", str(first.path), "node", "close"], env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: first.seen, "the first attempt has come")
    first.close()
    first.path.unlink()
    second = FakeTallyd(tmp_path / "admin.sock")
    out, err = process.communicate(timeout=seconds(60))
    second.close()
    assert process.returncode == 0, err
    assert [headers["idempotency-key"] for _, _, headers, _ in first.seen] == [
        headers["idempotency-key"] for _, _, headers, _ in second.seen]


# What it makes of the answers.

def test_a_refusal_is_1_with_the_sentence_of_the_daemon(ctl, ctl_fails):
    ctl("node", "add", "hk1")
    assert ctl_fails(1, "node", "add", "hk1") == (
        "tallyctl: There is a node hk1 already. (conflict)\n")
    for arguments in (["show", "x"], ["rm", "x"], ["secret", "x"], ["set", "x", "--enable"]):
        assert "There is no node x. (not_found)" in ctl_fails(1, "node", *arguments)


@pytest.mark.parametrize("status, kind, text, code", [
    (200, "text/html", b"<html>", 69), (502, "text/html", b"Bad Gateway", 69),
    (302, "text/plain", b"", 69), (200, "application/json", b"[]", 69),
    (200, "application/json", b'{"nodes":', 69), (404, "application/json", b'{"ok":false}', 1),
    (403, "text/html", b"<html>", 77), (503, "application/json", b'{"error":"Stopping."}', 1)])
def test_other_answers_have_their_exit_codes(ctl_fails, daemon, status, kind, text, code):
    daemon.script = [(status, kind, text)]
    ctl_fails(code, "node", "list")


def test_a_redirect_is_not_followed(ctl_fails, daemon):
    daemon.script = [(302, "text/html\r\nLocation: /nodes", b"")]
    ctl_fails(69, "node", "list")
    assert len(daemon.seen) == 1


@pytest.mark.parametrize("text", [
    b'{"nodes":[]}', b'{"nodes":[1,null,{},[]],"open":5,"next":7}', b'{"nodes":"x"}', b"{}",
    b'{"nodes":[{"name":7,"deletedAt":-1,"lastReportAt":1e300,"enabled":"x","note":{}}]}'])
def test_members_of_another_kind_do_not_crash_it(ctl, daemon, text):
    daemon.script = [(200, "application/json", text)] * 2
    ctl("node", "list")
    ctl("node", "show", "x")
    daemon.script = [(200, "application/json", b'{"data":' + text + b"}")]
    ctl("status")


def test_text_of_the_daemon_cannot_move_the_cursor(ctl, ctl_fails, daemon):
    evil = "\x1b[2J\u009b\u202e\x07"
    daemon.api.nodes["a"] = {"name": "a" + evil, "note": evil, "counters": evil}
    daemon.api.status_data["warnings"] = [evil]
    daemon.api.status_data["version"] = evil
    for said in (ctl("node", "list"), ctl("node", "show", "a"), ctl("status")):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)
        assert "\\x1b[2J" in said
    daemon.script = [(400, "application/json", json.dumps({"error": evil}).encode())]
    assert "\x1b" not in ctl_fails(1, "node", "list")


def test_json_is_the_answer_as_it_is(ctl, daemon):
    text = b'{"nodes" : [],  "more":[1.50, 18446744073709551615],"next":null}\n'
    daemon.script = [(200, "application/json", text)]
    assert ctl("node", "list", "--json") == text.decode()
    said = ctl("--json", "node", "add", "hk1")
    assert json.loads(said)["secret"] == f"{1:032x}" and said.count("\n") == 1
    assert json.loads(ctl("status", "--json"))["data"]["users"] == 12345


def test_json_of_a_refusal_is_printed_too(daemon):
    done = tallyctl("--socket", daemon.path, "--json", "node", "show", "x")
    assert done.returncode == 1
    assert json.loads(done.stdout)["code"] == "not_found"


# The verbs.

def test_status(ctl, daemon):
    daemon.api.status_data["lastSync"]["at"] = now_ms() - 12 * 3_600_000 - 500
    said = ctl("status")
    for words in ("9.8.7", "3 d", "12345", "17 users wait", "12 h ago, 12 users in 3 ms",
                  "down: refused", "5 users not sent", "1.23 MB in 99 records",
                  "123 accepted, 4 came again, 2 refused", "3 events",
                  "open: names without a secret may report; nodes with a secret: 2",
                  "\nwarning: Names without a secret may report.\n"):
        assert words in said, said
    daemon.api.is_open = False
    daemon.api.status_data.update(nodes={"open": False, "withSecret": 2}, warnings=[])
    said = ctl("status")
    assert "closed: only" in said and "warning" not in said


def test_status_sums_up_what_looks_wrong_and_what_was_refused_and_names_doctor(ctl, daemon):
    assert "doctor" not in ctl("status")
    daemon.api.status_data["suspicions"] = []
    daemon.api.status_data["refusals"] = {"counts": {}, "last": []}
    assert "doctor" not in ctl("status")
    daemon.api.status_data["suspicions"] = [{"code": "two-senders", "node": "hk1"}] * 4
    daemon.api.status_data["refusals"]["counts"] = {"unauthorized": 400, "http2": 3}
    assert ("4 things look wrong, 403 requests were refused: `tallyctl doctor` "
            in ctl("status"))
    daemon.api.status_data["suspicions"] = [{"code": "two-senders", "node": "hk1"}]
    daemon.api.status_data["refusals"]["counts"] = {"tls": 1}
    assert "1 thing looks wrong, 1 request was refused: `tallyctl doctor` " in ctl("status")


def test_status_without_a_right_to_read_says_so(ctl, daemon):
    daemon.api.status_data = {name: daemon.api.status_data[name] for name in ("config", "stats")}
    said = ctl("status")
    assert "17 users wait" in said and "warning: " in said and "no right" in said


def test_status_tells_failures(ctl, daemon):
    data = daemon.api.status_data
    data["lastSync"].update(at=now_ms() - 120_000, error="the database is busy")
    data["journal"]["error"] = "journal_max_bytes is reached"
    data["hasSaturatedTotals"] = True
    said = ctl("status")
    assert "failed 2 min ago: the database is busy" in said
    assert "nothing is accepted: journal_max_bytes" in said and "largest number" in said
    data["lastSync"].update(at=None, error=None)
    assert "none yet" in ctl("status")


def test_node_list_is_a_table(ctl, daemon):
    assert ctl("node", "list").startswith("There are no nodes.\n")
    daemon.api.nodes = {
        "hk1": {"name": "hk1", "hasSecret": True, "enabled": True, "counters": "cumulative",
                "lastReportAt": now_ms() - 12 * 3_600_000 - 500, "note": "Hong Kong"},
        "東京": {"name": "東京", "hasSecret": False, "enabled": False,
               "lastReportAt": now_ms() - 3 * 3_600_000 - 500},
        "gone": {"name": "gone", "hasSecret": True, "enabled": True, "deletedAt": 5}}
    assert ctl("node", "list").splitlines() == [
        "NAME  SECRET  STATE     COUNTERS    LAST REPORT  NOTE",
        "hk1   yes     enabled   cumulative  12 h ago     Hong Kong",
        "東京  no      disabled  -           3 h ago",
        "gone  yes     deleted   -           never",
        "",
        "Names without a secret may report. `tallyctl node close` ends that."]
    ctl("node", "close")
    assert ctl("node", "list").endswith("\nOnly nodes with a secret may report.\n")


def test_lists_are_followed_to_their_end(ctl, daemon):
    pages = [{"nodes": [{"name": name}], "open": False, "next": after}
             for name, after in (("a", "a &b"), ("c", None))]
    daemon.script = [(200, "application/json", json.dumps(page).encode()) for page in pages] * 2
    said = ctl("node", "list")
    assert "\na " in said and "\nc " in said
    assert [path for _, path, _, _ in daemon.seen] == ["/nodes", "/nodes?after=a%20%26b"]
    assert [json.loads(line) for line in ctl("node", "list", "--json").splitlines()] == pages


def test_node_add_prints_the_secret_once_and_the_lines_for_gost(ctl, daemon):
    said = ctl("node", "add", "hk1", "--counters", "delta", "--note=in Hong Kong", "--fresh",
               "--reason", "new")
    assert commands(daemon)[0][2] == {"name": "hk1", "counters": "delta", "note": "in Hong Kong",
                                      "fresh": True, "reason": "new"}
    secret = f"{1:032x}"
    assert f"\n    {secret}\n" in said
    assert said.endswith(
        f"\n\nobservers:\n- name: tally\n  plugin:\n    addr: hk1:{secret}\n")
    assert secret not in ctl("node", "show", "hk1") + ctl("node", "list")


def test_a_secret_may_be_given_on_standard_input_and_is_not_repeated(ctl, daemon):
    said = ctl("node", "add", "hk1", "--secret-stdin", stdin="what it sends to us\nmore\n")
    assert commands(daemon)[-1][2]["secret"] == "what it sends to us"
    assert "\n    what it sends to us" not in said and "the one that you gave" in said
    ctl("node", "secret", "hk1", "--secret-stdin", stdin="another of 16 bytes")
    assert commands(daemon)[-1][1:] == ("/nodes/hk1/secret", {"secret": "another of 16 bytes"})


def test_a_short_secret_is_taken_with_a_warning(ctl_fails, daemon):
    assert "short" in ctl_fails(0, "node", "add", "hk1", "--secret-stdin", stdin="x" * 15)
    assert commands(daemon)[-1][2]["secret"] == "x" * 15


@pytest.mark.parametrize("text", ["", "\n", "a\tb\n", "x" * 2000])
def test_what_is_no_secret_is_not_sent(ctl_fails, daemon, text):
    ctl_fails(64, "node", "add", "hk1", "--secret-stdin", stdin=text)
    ctl_fails(64, "node", "secret", "hk1", "--secret-stdin", stdin=text)
    assert daemon.seen == []


def test_node_secret_says_until_when_the_old_one_is_valid(ctl, daemon):
    ctl("node", "add", "hk1")
    said = ctl("node", "secret", "hk1")
    assert f"{2:032x}" in said
    assert re.search(r"old secret is valid until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 "
                     r"\(in 10 min\)", said)
    assert "old secret valid until" in ctl("node", "show", "hk1")


def test_node_set_changes_what_it_is_told_to(ctl, daemon):
    ctl("node", "add", "hk1", "--note", "x")
    said = ctl("node", "set", "hk1", "--counters", "cumulative", "--disable")
    assert "disabled" in said and "cumulative" in said
    ctl("node", "set", "hk1", "--counters=unset", "--enable", "--note", "", "--reason", "r")
    assert [body for _, _, body in commands(daemon)[1:]] == [
        {"counters": "cumulative", "enabled": False},
        {"counters": None, "enabled": True, "note": None, "reason": "r"}]
    said = ctl("node", "show", "hk1")
    assert "not set" in said and "enabled" in said and "note" not in said


def test_node_rm_says_until_when_marks_are_kept(ctl, daemon):
    ctl("node", "add", "hk1")
    assert re.search(r"kept until .* \(in 30 d\)", ctl("node", "rm", "hk1"))
    assert "deleted" in ctl("node", "list")
    said = ctl("node", "rm", "hk1", "--fresh", "--reason", "another machine")
    assert "forgotten" in said and "kept" not in said
    assert [body for _, _, body in commands(daemon)[1:]] == [
        {}, {"fresh": True, "reason": "another machine"}]


def test_node_close_and_open(ctl, daemon):
    assert ctl("node", "close") == "Only nodes with a secret may report.\n"
    assert not daemon.api.is_open
    assert ctl("node", "open").startswith("Names without a secret may report.")
    assert daemon.api.is_open


def test_every_command_may_have_a_reason(ctl, daemon):
    for verb in ("add hk1", "set hk1 --enable", "secret hk1", "rm hk1", "close", "open"):
        ctl("node", *verb.split(), "--reason", "why not")
    assert [body["reason"] for _, _, body in commands(daemon)] == ["why not"] * 6


# The completion.

@pytest.fixture
def complete(tmp_path, daemon):
    """complete("tallyctl no"): what bash would offer, as it would insert it."""
    def run(line, env=None):
        words = line.split(" ")
        # as bash does: a `=` is a word of its own
        words = [part for word in words for part in re.split("(=)", word) if part or word == ""]
        if line.endswith("="):
            assert words[-1] == "="
        script = (f"source {shlex.quote(str(ROOT / 'config' / 'tallyctl.bash'))}\n"
                  f"COMP_WORDS=({shlex.join([CTL, *words[1:]])})\n"
                  f"COMP_CWORD={len(words) - 1}\n_tallyctl\n"
                  'for reply in "${COMPREPLY[@]}"; do printf "%s\\n" "$reply"; done\n')
        done = subprocess.run(
            ["bash", "--norc", "-c", script], cwd=tmp_path, capture_output=True, text=True,
            env=environment({"TALLYD_ADMIN_SOCKET": str(daemon.path), **(env or {})}), check=True)
        assert done.stderr == ""
        return done.stdout.splitlines()
    return run


def test_completion_knows_verbs_and_options(complete):
    assert complete("tallyctl ") == ["status", "doctor", "node"]
    assert complete("tallyctl no") == ["node"]
    assert complete("tallyctl node s") == ["show", "set", "secret"]
    assert complete("tallyctl --json node cl") == ["close"]
    assert complete("tallyctl --so") == ["--socket"]
    assert complete("tallyctl node set hk1 --e") == ["--enable"]
    assert complete("tallyctl node list --e") == []
    assert complete("tallyctl node add hk1 --counters ") == ["delta", "cumulative"]
    assert complete("tallyctl node add hk1 --counters=cu") == ["cumulative"]
    assert complete("tallyctl node add hk1 --counters=") == ["delta", "cumulative"]
    assert complete("tallyctl nothing ") == []
    assert complete("tallyctl node add ") == []


def test_completion_knows_nodes_and_files(complete, daemon, tmp_path):
    for name in ("hk1", "hk2", "new york", "$(id)", "evil\x1b"):
        daemon.api.nodes[name] = {"name": name}
    assert complete("tallyctl node show hk") == ["hk1", "hk2"]
    assert complete("tallyctl node rm n") == ["new\\ york"]
    assert complete("tallyctl node rm ") == ["hk1", "hk2", "new\\ york", "\\$\\(id\\)"]
    assert complete("tallyctl node rm hk1 ") == []
    (tmp_path / "token-of-hk").touch()
    assert complete("tallyctl --token-file tok") == ["token-of-hk"]
    assert complete("tallyctl --token-file=tok") == ["token-of-hk"]


def test_completion_is_silent_when_nobody_answers(complete, tmp_path):
    nowhere = {"TALLYD_ADMIN_SOCKET": str(tmp_path / "none")}
    assert complete("tallyctl node show ", env=nowhere) == []
    assert complete("tallyctl node show ", env={"TALLYD_URL": "http://127.0.0.1:1"}) == []


def test_completion_does_not_wait_for_a_daemon_that_hangs(complete, tmp_path):
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(tmp_path / "hanging"))
        hanging.listen()
        env = {"TALLYD_ADMIN_SOCKET": str(tmp_path / "hanging")}
        assert complete("tallyctl node show ", env=env) == []
