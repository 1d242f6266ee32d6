"""The real GOST, if there is one: in PATH, or GOST_BIN. Both modes, both proxies, restarts."""
import collections
import contextlib
import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading

import pytest

from deadline import wait_for
from ports import free_port

GOST = os.environ.get("GOST_BIN") or shutil.which("gost")
pytestmark = pytest.mark.skipif(GOST is None, reason="no gost in PATH or GOST_BIN")
PAYLOAD = b"x" * 100_000
USERS = {"alice": "secret-a", "bob": "secret-b"}


class Recorder(http.server.ThreadingHTTPServer):
    """Between GOST and tallyd: keeps every report that tallyd answered ok, once."""

    daemon_threads = True

    def __init__(self, daemon):
        super().__init__(("127.0.0.1", 0), Forward)
        self.upstream = daemon
        self.bodies = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, query):
        return f"http://127.0.0.1:{self.server_address[1]}/observer?{query}"


class Forward(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, text = 503, b""
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = self.server.upstream.post(self.path, body.decode())
            status, text = answer.status, answer.body
            if status == 200:
                self.server.bodies.append(json.loads(body))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Target(http.server.BaseHTTPRequestHandler):
    """What is fetched through the proxies."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAYLOAD)))
        self.end_headers()
        self.wfile.write(PAYLOAD)

    def log_message(self, *_):
        pass


def configuration(ports, url, is_delta):
    services = [{
        "name": kind, "addr": f"127.0.0.1:{port}",
        "handler": {"type": kind, "auther": "users", "observer": "tally",
                    "metadata": {"observer.period": "1s", "observer.resetTraffic": is_delta}},
        "listener": {"type": "tcp"}} for kind, port in ports.items()]
    return json.dumps({  # YAML, too
        "services": services,
        "authers": [{"name": "users", "auths": [
            {"username": name, "password": secret} for name, secret in USERS.items()]}],
        "observers": [{"name": "tally", "plugin": {"type": "http", "addr": url,
                                                   "timeout": "5s"}}]})


class RealGost:
    def __init__(self, directory, url, is_delta):
        self.ports = {"socks5": free_port(), "http": free_port()}
        self.path = directory / "gost.yml"
        self.path.write_text(configuration(self.ports, url, is_delta))
        self.log = directory / "gost.log"
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([GOST, "-C", str(self.path)], stdout=log,
                                            stderr=log)
        for port in self.ports.values():
            wait_for(lambda p=port: self.listens(p), "gost listens", limit=30)
        return self

    def listens(self, port):
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def fetch(gost, kind, user, url):
    scheme = "socks5h" if kind == "socks5" else "http"
    subprocess.run(["curl", "-sSf", "-o", "/dev/null", "-p", "-x",
                    f"{scheme}://{user}:{USERS[user]}@127.0.0.1:{gost.ports[kind]}", url],
                   check=True, timeout=30)


def expected(bodies, is_delta):
    """{user: (input, output)} of the reports, by rules 3 and 4."""
    sums, marks = collections.defaultdict(lambda: [0, 0]), {}
    for body in bodies:
        for event in body["events"]:
            stats, client = event.get("stats"), event.get("client")
            if event["type"] == "status" and event["status"]["state"] == "ready":
                marks = {k: v for k, v in marks.items() if k[0] != event["service"]}
            if event["type"] != "stats" or event["kind"] != "handler" or not client:
                continue
            now = (stats["inputBytes"], stats["outputBytes"], stats["totalConns"])
            last = marks.get((event["service"], client), (0, 0, 0))
            if is_delta or any(a < b for a, b in zip(now, last)):
                last = (0, 0, 0)
            marks[event["service"], client] = now
            sums[client][0] += now[0] - last[0]
            sums[client][1] += now[1] - last[1]
    return {client: tuple(pair) for client, pair in sums.items()}


def counted(daemon):
    daemon.force_sync()
    return {user: row[1:] for user, row in daemon.users().items()}


@pytest.mark.parametrize("mode", ["delta", "cumulative"])
def test_a_real_gost_is_counted_to_the_byte(mode, tallyd, tmp_path):
    print(subprocess.run([GOST, "-V"], capture_output=True, text=True, check=False).stdout)
    daemon = tallyd(sync_interval=500).start()
    target = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    recorder = Recorder(daemon)
    gost = RealGost(tmp_path, recorder.url(f"node=real&counters={mode}"),
                    mode == "delta").start()
    url = f"http://127.0.0.1:{target.server_address[1]}/"
    fetched = 0

    def fetch_all():
        nonlocal fetched
        for kind in gost.ports:
            for user in USERS:
                fetch(gost, kind, user, url)
        fetched += len(gost.ports) * len(PAYLOAD)
        wait_for(lambda: min(counted(daemon).get(user, (0, 0))[1] for user in USERS) >= fetched,
                 "all of it is counted", limit=30)

    try:
        fetch_all()
        daemon.kill()
        daemon.start()
        fetch_all()
        gost.stop()
        gost.start()
        fetch_all()
        daemon.kill()
        for kind in gost.ports:
            fetch(gost, kind, "alice", url)
        daemon.start()
        fetch_all()
    finally:
        gost.stop()
    assert counted(daemon) == expected(recorder.bodies, mode == "delta")
    print(mode, counted(daemon), f"{len(recorder.bodies)} reports")
