"""What commands come to: a model of nodes, and of the rows that tell of each command."""
import hashlib
import json

KEPT_MS = 30 * 86400000
# What GET /nodes tells of a node's reports, not of what operators have made of it.
OF_REPORTS = ("lastReportAt", "services", "mode", "peers", "seen", "suspicions",
              "memory", "rejectedEvents")


class Act:
    """One command, repeated under its key until it is answered.

    arguments: a dict. status, answer: what it is to be answered, and what it was at first.
    secret: of a node, once it is known. number: its place among the acts of its actor.
    """

    def __init__(self, actor, number, verb, subject, arguments, reason=None):
        self.actor = actor
        self.number = number
        self.key = f"{actor}-{number}"
        self.verb = verb
        self.subject = subject
        self.arguments = arguments
        self.reason = reason
        self.body = json.dumps(arguments | ({"reason": reason} if reason else {})
                               | ({"name": subject} if verb == "node.create" else {}))
        self.status = 201 if verb == "node.create" else 200
        self.answer = None
        self.secret = arguments.get("secret")
        self.n_sent = self.n_unanswered = 0
        self.is_answered = False

    def request(self):
        """(method, path)."""
        return {
            "node.create": ("POST", "/nodes"),
            "node.set": ("PATCH", f"/nodes/{self.subject}"),
            "node.delete": ("DELETE", f"/nodes/{self.subject}"),
            "node.secret": ("POST", f"/nodes/{self.subject}/secret"),
            "node.close": ("POST", "/nodes/close"),
            "node.open": ("POST", "/nodes/open"),
        }[self.verb]

    def __repr__(self):
        return (f"{self.key} {self.verb} {self.subject} {self.body}, sent {self.n_sent} times, "
                f"answered {self.answer}")


def digest(name, secret):
    text = name.encode() + b"\0" + secret.encode()
    return hashlib.blake2b(text, digest_size=32).digest()


class Node:
    """As it is to be. Of a secret, the act that made it: nobody may have been told it yet."""

    def __init__(self, name, created_ms):
        self.name = name
        self.enabled = True
        self.counters = self.note = self.secret = self.old_secret = None
        self.old_until = self.deleted_ms = 0
        self.created_ms = created_ms

    def copy(self):
        other = Node(self.name, self.created_ms)
        other.__dict__.update(self.__dict__)
        return other

    def shown(self):
        found = {"name": self.name, "hasSecret": self.secret is not None,
                 "enabled": self.enabled, "counters": self.counters, "note": self.note,
                 "createdAt": self.created_ms}
        if self.old_until:
            found["oldSecretUntil"] = self.old_until
        if self.deleted_ms:
            found |= {"deletedAt": self.deleted_ms, "keptUntil": self.deleted_ms + KEPT_MS}
        return {name: value for name, value in found.items() if value is not None}

    def check_row(self, row):
        """A row of `nodes`."""
        name, enabled, counters, note, secret, old, old_until, created, deleted = row
        assert (name, bool(enabled), counters, note, old_until, created, deleted) == (
            self.name, self.enabled, self.counters, self.note, self.old_until, self.created_ms,
            self.deleted_ms), (row, self.shown())
        for has, act in (secret, self.secret), (old, self.old_secret):
            assert (has is None) == (act is None), (row, self.shown())
            assert act is None or act.secret is None or has == digest(name, act.secret), (
                row, self.shown())


class Directory:
    """Nodes after each act, in the order in which they were applied."""

    def __init__(self, grace_ms):
        self.grace_ms = grace_ms
        self.nodes = {}
        self.is_open = True

    def apply(self, act, at_ms):
        """(before, after, answer that is kept), as JSON would hold them."""
        if act.verb in ("node.close", "node.open"):
            before, self.is_open = self.is_open, act.verb == "node.open"
            return {"open": before}, {"open": self.is_open}, {"open": self.is_open}
        old = self.nodes.get(act.subject)
        new = old.copy() if old else Node(act.subject, at_ms)
        getattr(self, "do_" + act.verb.split(".")[1])(new, act, at_ms)
        self.nodes[act.subject] = new
        before, after = old and old.shown(), new.shown()
        return before, after, self.answer(act, after)

    @staticmethod
    def answer(act, after):
        if act.verb not in ("node.create", "node.secret"):
            return after
        found = {"name": act.subject, "secret": None}
        if "oldSecretUntil" in after:
            found["oldSecretUntil"] = after["oldSecretUntil"]
        return found

    def do_create(self, node, act, at_ms):
        """Of one that was deleted, marks and settings go on, unless it is another GOST."""
        old, is_fresh = node.copy(), act.arguments.get("fresh")
        node.__init__(act.subject, at_ms)
        if not is_fresh:
            node.counters, node.note = old.counters, old.note
        self.do_set(node, act, at_ms)
        node.secret = act

    @staticmethod
    def do_set(node, act, _):
        node.counters = act.arguments.get("counters", node.counters)
        node.enabled = act.arguments.get("enabled", node.enabled)
        node.note = act.arguments.get("note", node.note) or None

    def do_secret(self, node, act, at_ms):
        if node.secret is not None:
            node.old_secret, node.old_until = node.secret, at_ms + self.grace_ms
        node.secret = act

    @staticmethod
    def do_delete(node, act, at_ms):
        if act.arguments.get("fresh"):  # nothing is left of it
            node.enabled, node.counters, node.note, node.created_ms = True, None, None, at_ms
        node.deleted_ms = at_ms
        node.secret = node.old_secret = None
        node.old_until = 0


class Register:
    """Reads audit, commands and nodes as SQLite holds them, and judges them by the acts.

    read(db): what has come since the last time. Each act is there once, behind those that its
    actor had answered before; and the nodes are what just these acts make of them.
    """

    def __init__(self, find_act, grace_ms):
        self.find_act = find_act
        self.directory = Directory(grace_ms)
        self.n_rows = self.last_seq = 0
        self.n_of = {}

    def read(self, db):
        db.execute("begin")
        try:
            rows = db.execute(
                "select seq, at, actor, verb, subject, before, after, reason, command_id "
                "from audit where seq > ? order by seq", (self.last_seq,)).fetchall()
            kept = {row[:2]: row[2:] for row in db.execute(
                "select actor, key, status, answer, at, seq from commands where seq > ?",
                (self.last_seq,))}
            for row in rows:
                self.take(row, kept)
            self.check_counts(db)
            self.check_nodes(db)
        finally:
            db.execute("rollback")

    def has(self, act):
        return act.number < self.n_of.get(act.actor, 0)

    def take(self, row, kept):
        seq, at_ms, actor, verb, subject, before, after, reason, key = row
        act = self.find_act(actor, key)
        assert act is not None, f"nobody has commanded this: {row}"
        assert self.n_of.get(actor, 0) == act.number, (
            f"the {self.n_of.get(actor, 0)}th act of its actor is missing, or came twice: {row}")
        assert (verb, subject, reason) == (act.verb, act.subject, act.reason), (row, act)
        wanted = self.directory.apply(act, at_ms)
        assert (parse(before), parse(after)) == wanted[:2], (row, wanted, act)
        assert (actor, key) in kept, f"its key is forgotten: {row}"
        status, answer, its_at, its_seq = kept[(actor, key)]
        assert (status, its_at, its_seq) == (act.status, at_ms, seq), (row, kept[(actor, key)])
        self.check_answer(act, parse(answer), wanted[2])
        self.n_of[actor] = act.number + 1
        self.n_rows += 1
        self.last_seq = seq

    @staticmethod
    def check_answer(act, kept, wanted):
        """What is kept for a repetition, and what the first was answered."""
        gost = kept.pop("gost", None)
        assert kept == wanted, (kept, wanted, act)
        assert gost is None or f"{act.subject}:SECRET@" in gost, (gost, act)
        if act.answer is not None:
            told = {name: value for name, value in act.answer.items() if name != "gost"}
            told["secret"] = None
            assert told == wanted | {"secret": None}, (told, wanted, act)

    def check_counts(self, db):
        for table in "audit", "commands":
            n = db.execute(f"select count(*) from {table}").fetchone()[0]
            assert n == self.n_rows, f"{table} has {n} rows instead of {self.n_rows}"

    def check_nodes(self, db):
        rows = {row[0]: row for row in db.execute(
            "select name, enabled, counters, note, secret_hash, old_secret_hash, "
            "old_secret_until, created_at, deleted_at from nodes")}
        assert rows.keys() == self.directory.nodes.keys(), (
            rows.keys() ^ self.directory.nodes.keys())
        for name, node in self.directory.nodes.items():
            node.check_row(rows[name])
        found = db.execute("select value from meta where key = 'nodes'").fetchall()
        is_open = not found or found[0][0] != "closed"
        assert is_open == self.directory.is_open, (found, self.directory.is_open)

    def check_shown(self, answer, reporting):
        """What GET /nodes tells; `reporting` are the names that have reported."""
        assert answer["open"] == self.directory.is_open, answer["open"]
        shown = {}
        for node in answer["nodes"]:
            assert node["name"] not in shown, f"twice in GET /nodes: {node}"
            shown[node["name"]] = {name: value for name, value in node.items()
                                   if name not in OF_REPORTS}
        wanted = {name: {"name": name, "hasSecret": False, "enabled": True}
                  for name in reporting}
        wanted |= {name: node.shown() for name, node in self.directory.nodes.items()}
        assert shown == wanted, [
            (name, shown.get(name), wanted.get(name)) for name in shown.keys() | wanted.keys()
            if shown.get(name) != wanted.get(name)]


def parse(text):
    return None if text is None else json.loads(text)
