"""A stand-in for the daemon's API, as much of it as tallyctl uses, on TCP or a unix socket."""
import copy
import http.server
import json
import socket
import socketserver
import threading
import time
import urllib.parse

STATUS = {
    "config": {"syncInterval": 45000, "maxPendingUsers": 1000, "batchSize": 50},
    "stats": {"totalSyncs": 4, "pendingUsers": 17, "isSyncing": False},
    "lastSync": {"at": 1, "users": 12, "timeMs": 3.2, "error": None},
    "redis": {"state": "down", "unsentUsers": 5, "refusedUsers": 1, "error": "refused"},
    "reports": {"accepted": 123, "refused": 2, "repeats": 4, "rejectedEvents": 3},
    "journal": {"bytes": 1234567, "records": 99, "error": None},
    "nodes": {"open": True, "withSecret": 2},
    "warnings": ["Names without a secret may report."],
    "users": 12345, "hasSaturatedTotals": False, "uptimeSeconds": 273000, "version": "9.8.7",
}


def now_ms():
    return int(time.time() * 1000)


class Refusal(Exception):
    def __init__(self, status, code, error):
        super().__init__(error)
        self.answer = (status, {"ok": False, "code": code, "error": error})


class Api:
    """The nodes, and what is answered. All in one lock: see FakeTallyd."""

    def __init__(self):
        self.nodes = {}
        self.is_open = True
        self.status_data = copy.deepcopy(STATUS)
        self.n_secrets = 0

    def shown(self, name):
        node = self.nodes.get(name)
        if node is None:
            raise Refusal(404, "not_found", f"There is no node {name}.")
        return {k: v for k, v in node.items() if v is not None}

    def new_secret(self, body):
        self.n_secrets += 1
        return body.get("secret") or f"{self.n_secrets:032x}"

    def add(self, body):
        name = body["name"]
        if name in self.nodes:
            raise Refusal(409, "conflict", f"There is a node {name} already.")
        self.nodes[name] = {
            "name": name, "hasSecret": True, "enabled": body.get("enabled", True),
            "counters": body.get("counters"), "note": body.get("note"),
            "createdAt": now_ms(), "services": 0}
        return self.with_secret(name, self.new_secret(body))

    @staticmethod
    def with_secret(name, secret):
        return {"name": name, "secret": secret,
                "gost": f"observers:\n- name: tally\n  plugin:\n    addr: {name}:{secret}\n"}

    def change_secret(self, name, body):
        self.shown(name)
        until = now_ms() + 600_000
        self.nodes[name]["oldSecretUntil"] = until
        return {**self.with_secret(name, self.new_secret(body)), "oldSecretUntil": until}

    def remove(self, name):
        self.shown(name)
        at = self.nodes[name]["deletedAt"] = now_ms()
        return {"name": name, "deletedAt": at, "keptUntil": at + 30 * 86_400_000}

    def answer(self, method, path, body):
        parts = [urllib.parse.unquote(part) for part in path.split("/")[1:]]
        if (method, parts) == ("GET", ["throttle-sync-status"]):
            return 200, {"success": True, "data": self.status_data}
        if parts[0] != "nodes":
            raise Refusal(404, "not_found", "There is no such path.")
        if len(parts) == 1 and method == "GET":
            return 200, {"nodes": [self.shown(name) for name in self.nodes],
                         "open": self.is_open, "next": None}
        if len(parts) == 1:
            return 201, self.add(body)
        if method == "POST" and parts[1:] in (["open"], ["close"]):
            self.is_open = parts[1] == "open"
            return 200, {"open": self.is_open}
        if method == "POST":
            return 200, self.change_secret(parts[1], body)
        if method == "DELETE":
            return 200, self.remove(parts[1])
        node = self.shown(parts[1])
        if method == "PATCH":
            self.nodes[parts[1]].update({k: v for k, v in body.items() if k != "reason"})
            node = self.shown(parts[1])
        return 200, node


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.server.owner.on_request(self, self.rfile.read(length))

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any

    def log_message(self, *arguments):
        pass

    def address_string(self):
        return "somebody"


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        """A client that goes away is no news."""


class UnixServer(Server):
    address_family = socket.AF_UNIX


class FakeTallyd:
    """`seen`: (method, path, headers, body) of each request. `break_next` answers are lost with
    their connection. `script`: (status, content type, bytes) to answer instead, each once."""

    def __init__(self, path=None, token=None, tls=None):
        self.path = path
        self.token = token
        self.api = Api()
        self.seen = []
        self.break_next = 0
        self.script = []
        self.answers = {}
        self.lock = threading.Lock()
        self.server = UnixServer(str(path), Handler) if path else Server(("127.0.0.1", 0), Handler)
        self.server.owner = self
        if tls:  # an ssl.SSLContext
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def on_request(self, handler, text):
        with self.lock:
            status, kind, data = self.answer(handler, text)
            is_lost = self.break_next > 0
            self.break_next -= is_lost
        if is_lost:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def answer(self, handler, text):
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = json.loads(text) if text else None
        self.seen.append((handler.command, handler.path, headers, body))
        if self.script:
            return self.script.pop(0)
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            return 401, "application/json", b""
        key = headers.get("idempotency-key")
        if key not in self.answers:
            self.answers[key] = self.carry_out(handler, body or {})
        elif "secret" in self.answers[key][1]:
            self.answers[key][1]["secret"] = None
        status, answer = self.answers[key] if key else self.answers.pop(None)
        return status, "application/json", json.dumps(answer).encode()

    def carry_out(self, handler, body):
        try:
            return self.api.answer(handler.command, handler.path, body)
        except Refusal as refusal:
            return refusal.answer

    def close(self):
        self.server.shutdown()
        self.server.server_close()
