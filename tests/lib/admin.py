"""Commands as an operator gives them: over the admin socket of a daemon."""
import base64
import json

from client import Client


def with_socket(daemon):
    """Gives a daemon that is not started yet an admin socket; None after that is none."""
    daemon.options["admin_socket"] = daemon.directory / "admin.sock"
    return Admin(daemon)


def credential(node, secret):
    """The header by which a GOST says which node it is."""
    text = base64.b64encode(f"{node}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


class Admin:
    def __init__(self, daemon):
        self.daemon = daemon

    def ask(self, method, path, body=None, key=None, timeout=60):
        """One request of a connection of its own: the response, or an OSError."""
        client = Client(self.daemon.options["admin_socket"], timeout)
        headers = {"Idempotency-Key": key} if key else {}
        try:
            return client.request(
                method, path, None if body is None else json.dumps(body), headers)
        finally:
            client.close()

    def do(self, method, path, body=None, key=None, expect=200):
        answer = self.ask(method, path, body, key)
        assert answer.status == expect, answer
        return answer.json()

    def create(self, name, expect=201, key=None, **members):
        return self.do("POST", "/nodes", {"name": name, **members}, key, expect)

    def set(self, name, **members):
        return self.do("PATCH", f"/nodes/{name}", members)

    def secret(self, name, **members):
        return self.do("POST", f"/nodes/{name}/secret", members)

    def delete(self, name, expect=200, **members):
        return self.do("DELETE", f"/nodes/{name}", members or None, expect=expect)

    def node(self, name):
        return self.do("GET", f"/nodes/{name}")

    def traffic(self, user):
        return self.do("GET", f"/users/{user}/traffic")

    def used(self, user="alice"):
        return self.traffic(user)["usedTraffic"]

    def flush(self):
        """Everything so far is in SQLite."""
        return self.do("POST", "/force-sync")

    def status(self):
        return self.do("GET", "/throttle-sync-status")["data"]

    # What SQLite holds.

    def audit(self):
        return self.daemon.sql("select actor, verb, subject from audit order by seq")

    def nodes(self):
        return self.daemon.sql("select name, enabled, counters, note, deleted_at > 0 "
                               "from nodes order by name")
