"""The real GOST: in GOST_BIN or in PATH. One process with a socks5 and an http proxy."""
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import urllib.request

from deadline import wait_for
from ports import free_port

GOST = os.environ.get("GOST_BIN") or shutil.which("gost")
USERS = {"alice": "secret-a", "carol": "secret-c", "bob": "secret-b"}
PAYLOAD = b"x" * 100_000


def version():
    """(3, 2, 6)"""
    said = subprocess.run([GOST, "-V"], capture_output=True, text=True, check=False).stdout
    return tuple(map(int, re.search(r"(\d+)\.(\d+)\.(\d+)", said).groups()))


def plugin(address, node=None, secret=None, *, query="", is_token=False):
    """The observer's, of the tallyd at (host, port). With a secret: in the URL, or as token."""
    userinfo = f"{node}:{secret}@" if secret and not is_token else ""
    found = {"type": "http", "timeout": "5s",
             "addr": f"http://{userinfo}{address[0]}:{address[1]}/observer{query}"}
    if secret and is_token:
        found["token"] = f"{node}:{secret}"
    return found


class RealGost:
    """plugin: see there. names: {host name: address} that it resolves. is_announced: the services
    have the observer, too, so it is told of their states. period: of the handlers' reports.
    edit(configuration): makes it what else an operator may have written.
    """

    def __init__(self, directory, plugin, *, is_delta=True, names=None, is_announced=True,
                 period="1s", edit=None):
        self.ports = {"socks5": free_port(), "http": free_port()}
        self.api_port = free_port()
        self.directory = directory
        self.log_path = directory / "gost.log"
        self.plugin = plugin
        self.is_delta = is_delta
        self.names = names or {}
        self.is_announced = is_announced
        self.period = period
        self.edit = edit or (lambda configuration: None)
        self.process = None
        directory.mkdir(parents=True, exist_ok=True)

    def configuration(self):
        services = [{
            "name": kind, "addr": f"127.0.0.1:{port}", "hosts": "names",
            "handler": {"type": kind, "auther": "users", "observer": "tally",
                        "metadata": {"observer.period": self.period,
                                     "observer.resetTraffic": self.is_delta}},
            "listener": {"type": "tcp"}} for kind, port in self.ports.items()]
        if self.is_announced:
            services = [service | {"observer": "tally"} for service in services]
        configuration = {
            "api": {"addr": f"127.0.0.1:{self.api_port}"},
            "services": services,
            "hosts": [{"name": "names", "mappings": [
                {"hostname": name, "ip": ip} for name, ip in self.names.items()]}],
            "authers": [{"name": "users", "auths": [
                {"username": name, "password": secret} for name, secret in USERS.items()]}],
            "observers": [{"name": "tally", "plugin": self.plugin}]}
        self.edit(configuration)
        return configuration

    def write_configuration(self):
        """JSON is YAML, too."""
        path = self.directory / "gost.yml"
        path.write_text(json.dumps(self.configuration()))
        return path

    def start(self):
        path = self.write_configuration()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [GOST, "-C", str(path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "HOME": str(self.directory)})  # it keeps a certificate there
        for port in (*self.ports.values(), self.api_port):
            wait_for(lambda p=port: self.listens(p), "gost listens")
        return self

    def listens(self, port):
        assert self.process.poll() is None, self.log()
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        """With what its configuration is now."""
        self.write_configuration()
        self.process.send_signal(signal.SIGHUP)

    def change_plugin(self, plugin):
        """By GOST's API, while it runs."""
        self.plugin = plugin
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.api_port}/config/observers/tally", method="PUT",
            data=json.dumps({"name": "tally", "plugin": plugin}).encode(),
            headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200

    def fetch(self, user, url, n=1, kinds=("socks5", "http")):
        """Gets it n times through each of the proxies."""
        for kind in kinds:
            scheme = "socks5h" if kind == "socks5" else "http"
            proxy = f"{scheme}://{user}:{USERS[user]}@127.0.0.1:{self.ports[kind]}"
            for _ in range(n):
                subprocess.run(["curl", "-q", "-sSf", "-o", "/dev/null", "-p", "-x", proxy, url],
                               check=True, timeout=60)


class Target(http.server.ThreadingHTTPServer):
    """What is fetched: each time the same bytes, so that each fetch costs the same."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAYLOAD)))
        self.end_headers()
        self.wfile.write(PAYLOAD)

    def log_message(self, *_):
        pass
