"""scripts/quickstart with the program that is built, in a checkout of its own: what it leaves
open to who reaches its ports, which are the customers of any proxy on that machine."""
import json
import pathlib
import re
import signal
import socket
import stat
import subprocess
import threading

import pytest

from argv_log import ArgvLog
from client import Client
from deadline import BIN, seconds, wait_for
from gost_sample import check_sample, find_samples
from ports import free_port
from tallyd import environment, report, stats

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEX = "[0-9a-f]{32}"
COMMANDS = ("cat", "curl", "mktemp", "mv", "od", "redis-cli", "sed", "setpriv", "setsid", "tr")
PROCESSES = pathlib.Path("/proc")
pytestmark = pytest.mark.skipif(
    pathlib.Path(BIN).resolve() != ROOT / "build" / "tallyd",
    reason="quickstart runs build/tallyd, and would build it now")


class Quickstart:
    """One run after the other in the same checkout: a directory of links to ours."""

    def __init__(self, directory, commands):
        self.directory = directory
        self.state = directory / ".tallyd"
        self.commands = commands
        self.process = None
        directory.mkdir(parents=True)
        (directory / "scripts").mkdir()
        for script in (ROOT / "scripts").iterdir():
            (directory / "scripts" / script.name).write_bytes(script.read_bytes())
            (directory / "scripts" / script.name).chmod(0o755)
        for name in "Makefile", "README.md", "build", "config", "include", "src":
            (directory / name).symlink_to(ROOT / name)

    def start(self):
        self.port, self.redis_port = free_port(), free_port()
        ports = {"PORT": str(self.port), "REDIS_PORT": str(self.redis_port),
                 "PATH": self.commands.path}
        self.process = subprocess.Popen(
            [self.directory / "scripts" / "quickstart"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(ports),
            start_new_session=True,
            # A shell's background job ignores it, and so would all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.said = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        wait_for(lambda: "Ready." in self.said or self.process.poll() is not None,
                 "quickstart is ready")
        assert self.process.poll() is None, self.said
        return self

    def read(self):
        for line in self.process.stdout:
            self.said += line.decode()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(seconds(60))
        self.reader.join()
        self.process.stdout.close()
        self.process = None
        assert code == 0, self.said

    def secrets(self):
        names = "first-node", "api-token", "read-token", "redis-password"
        return {name: re.search(HEX, (self.state / name).read_text())[0] for name in names
                if (self.state / name).exists()}

    def request(self, method, path, body=None, **headers):
        client = Client(("127.0.0.1", self.port), 10)
        try:
            return client.request(method, path, body, headers)
        finally:
            client.close()

    def curl(self, *arguments):
        return subprocess.run(["curl", "-q", "-sS", "--noproxy", "*", *map(str, arguments)],
                              stdout=subprocess.PIPE, timeout=seconds(60), check=True).stdout

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def used(self, user):
        answer = self.curl("-K", self.state / "read.curl", self.url(f"/users/{user}/traffic"))
        return json.loads(answer).get("usedTraffic")

    def ask_redis(self, line):
        with socket.create_connection(("127.0.0.1", self.redis_port), 10) as connection:
            connection.sendall(line)
            return connection.recv(1000)


@pytest.fixture
def make_quickstart(tmp_path):
    runs = []

    def make(name="checkout"):
        runs.append(Quickstart(tmp_path / name, ArgvLog(tmp_path / "commands", COMMANDS)))
        return runs[-1]

    yield make
    for run in runs:
        if run.process is not None:
            run.process.terminate()
            run.process.wait(seconds(60))
            run.process.stdout.close()


def test_who_reaches_the_ports_of_quickstart_and_knows_no_secret_gets_nowhere(make_quickstart):
    """Alice's attack: a customer of a proxy on this machine, whose requests come from loopback."""
    quickstart = make_quickstart().start()
    bill = report(stats("bob", 10**12, 1))
    for headers in ({}, {"Authorization": "Basic bm9kZTE6"}, {"Authorization": "Bearer x"},
                    {"Host": "localhost"}, {"Host": "evil.example"}):
        for path in "/observer", "/observer?node=evil", "/api/gost/observer?node=node1":
            assert quickstart.request("POST", path, bill, **headers).status in (401, 403)
        for method, path in (("GET", "/users/alice/traffic"), ("GET", "/users/bob/traffic"),
                             ("POST", "/force-sync"), ("GET", "/nodes"), ("POST", "/nodes"),
                             ("POST", "/nodes/open"), ("DELETE", "/nodes/node1"),
                             ("GET", "/version")):
            for prefix in "", "/api/gost":
                status = quickstart.request(method, prefix + path, **headers).status
                assert status in (401, 403), (method, prefix + path, headers, status)
    answer = quickstart.request("GET", "/throttle-sync-status")
    assert answer.status == 200
    assert set(answer.json()["data"]) == {"config", "stats"}
    assert quickstart.request("GET", "/livez").status == 200
    assert quickstart.request("GET", "/readyz").status == 200
    for line in b"PING\r\n", b"HSET user:alice usedTraffic 0\r\n", b"FLUSHALL\r\n":
        assert quickstart.ask_redis(line).startswith(b"-NOAUTH")
    assert quickstart.used("alice") == 3072
    assert quickstart.used("bob") is None
    quickstart.stop()


def test_what_quickstart_shows_works_and_its_secrets_stay(make_quickstart):
    quickstart = make_quickstart().start()
    secrets = quickstart.secrets()
    assert len(set(secrets.values())) == 4
    address = f"http://node1:{secrets['first-node']}@127.0.0.1:{quickstart.port}/observer"
    assert f"addr: {address}" in quickstart.said
    assert f"addr: {address}\n" in (quickstart.state / "gost.yml").read_text()
    for text in quickstart.said, (quickstart.state / "gost.yml").read_text():
        (sample,) = find_samples(text)
        check_sample(sample)
    shown = [line.strip() for line in quickstart.said.splitlines()
             if line.startswith(("  curl ", "  REDISCLI_AUTH=", "  sqlite3 "))]
    assert len(shown) == 6
    for line in shown:
        subprocess.run(["bash", "-c", line], stdin=subprocess.DEVNULL, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert quickstart.used("alice") == 2 * 3072
    quickstart.stop()
    quickstart.start()
    assert quickstart.secrets() == secrets
    assert quickstart.used("alice") == 3 * 3072
    quickstart.stop()


def test_the_commands_that_quickstart_shows_work(make_quickstart):
    quickstart = make_quickstart().start()
    shown = [line.strip() for line in quickstart.said.splitlines() if "tallyctl --socket" in line]
    assert len(shown) == 3
    said = [subprocess.run(["bash", "-c", line], stdin=subprocess.DEVNULL, check=True,
                           stdout=subprocess.PIPE, text=True).stdout for line in shown]
    assert "node1" in said[0]
    assert "hk1:" in said[1]
    assert "0 problems, " in said[2] and "data_dir" not in said[2], "of this tallyd"
    assert "hk1 has never reported" in said[2]
    quickstart.stop()


def arguments_of_all():
    for process in PROCESSES.glob("[0-9]*/cmdline"):
        try:
            yield process.read_bytes().decode(errors="replace")
        except OSError:  # has ended
            pass


def test_no_secret_of_quickstart_is_for_others_to_read(make_quickstart):
    quickstart = make_quickstart().start()
    secrets = quickstart.secrets().values()
    arguments = "".join(arguments_of_all())
    assert str(quickstart.state) in arguments
    assert "curl" in quickstart.commands.text()
    logs = [path.read_text() for path in quickstart.state.glob("*.log")]
    for secret in secrets:
        assert not any(secret in text
                       for text in (arguments, quickstart.commands.text(), *logs))
    assert stat.S_IMODE(quickstart.state.stat().st_mode) == 0o700
    for path in quickstart.state.iterdir():
        if path.is_file() and any(secret in path.read_text() for secret in secrets):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    quickstart.stop()


def test_data_of_an_earlier_version_stays_open_and_can_be_closed(make_quickstart, tallyd, tmp_path):
    """In a checkout whose path is too long for a unix socket."""
    quickstart = make_quickstart("a" * max(1, 100 - len(str(tmp_path))))
    (quickstart.state / "data").mkdir(parents=True)
    tallyd(data_dir=quickstart.state / "data").start().stop()
    quickstart.start()
    assert "stays as open as it was" in quickstart.said
    assert "too long for a unix socket" in quickstart.said
    assert set(quickstart.secrets()) == {"redis-password"}
    bob = report(stats("bob", 1, 1))
    assert quickstart.request("POST", "/observer?node=hk1", bob).status == 200
    assert quickstart.request("GET", "/users/bob/traffic").json()["usedTraffic"] == 2
    command, tallyctl = re.search(r"2\. ((.*tallyctl.*) node add .*)", quickstart.said).groups()
    secret = "0123456789abcdef0123456789abcdef"
    subprocess.run(["bash", "-c", command], check=True, input=secret, text=True)
    (quickstart.state / "first-node").write_text(f"name = node1\nsecret = {secret}\n")
    subprocess.run(["bash", "-c", f"{tallyctl} node close"], check=True)
    quickstart.stop()

    quickstart.start()
    assert quickstart.request("POST", "/observer?node=hk1", bob).status == 401
    assert quickstart.request("GET", "/users/bob/traffic").status == 401
    assert quickstart.used("bob") == 2
    assert quickstart.used("alice") == 2 * 3072
    quickstart.stop()
