"""The real GOST, if there is one: in PATH, or GOST_BIN. Both modes, both proxies, restarts."""
import collections
import contextlib
import http.client
import http.server
import json
import threading

import pytest

import real_gost
from deadline import wait_for
from real_gost import GOST, PAYLOAD, RealGost, Target, plugin

pytestmark = pytest.mark.skipif(GOST is None, reason="no gost in PATH or GOST_BIN")
USERS = ("alice", "bob")


class Recorder(http.server.ThreadingHTTPServer):
    """Between GOST and tallyd: keeps every report that tallyd answered ok, once."""

    daemon_threads = True

    def __init__(self, daemon):
        super().__init__(("127.0.0.1", 0), Forward)
        self.upstream = daemon
        self.bodies = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


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
    print(real_gost.version())
    daemon = tallyd(sync_interval=500).start()
    target = Target()
    recorder = Recorder(daemon)
    gost = RealGost(
        tmp_path, plugin(recorder.server_address, query=f"?node=real&counters={mode}"),
        is_delta=mode == "delta").start()
    fetched = 0

    def fetch_all():
        nonlocal fetched
        for user in USERS:
            gost.fetch(user, target.url)
        fetched += len(gost.ports) * len(PAYLOAD)
        wait_for(lambda: min(counted(daemon).get(user, (0, 0))[1] for user in USERS) >= fetched,
                 "all of it is counted", limit=30)

    try:
        fetch_all()
        daemon.kill()
        daemon.start()
        fetch_all()
        gost.restart()
        fetch_all()
        daemon.kill()
        gost.fetch("alice", target.url)
        daemon.start()
        fetch_all()
    finally:
        gost.stop()
    assert counted(daemon) == expected(recorder.bodies, mode == "delta")
    print(mode, counted(daemon), f"{len(recorder.bodies)} reports")
