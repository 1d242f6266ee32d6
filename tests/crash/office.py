"""Those who change nodes while everything fails, and strangers who would like to.

Each operator does one act after the other, and repeats it under its key until it is answered.
What an act has begun is ended before the next: a node that is disabled is enabled again, a GOST
is told its new secret. So at the end of each of an operator's works every GOST can report.
"""
import base64
import http.client
import json
import os
import random
import secrets
import threading
import time

from acts import Act, Register
from client import Client, RawClient
from deadline import seconds
from go_http import request_bytes

STRANGER = "stranger"  # the client in whose name strangers report: never counted
ANSWER_LIMIT = 60
GRACES = {"10m": 600000, "1500ms": 1500}
SPARES = [f"spare-{n}" for n in range(6)]


class Ended(Exception):
    """The campaign does."""


class Office:
    """All that is known of commands. Operators work between start() and close()."""

    def __init__(self, world, token):
        self.world = world
        rng = random.Random(world.rng.random())
        self.grace = rng.choice(list(GRACES))
        self.acts = {}
        self.made_secrets = set()
        self.n_strangers = self.n_repeated = self.n_again = 0
        self.is_ending = False
        self.sent, self.answered = threading.Event(), threading.Event()
        self.safe = []
        self.register = Register(self.act_of, GRACES[self.grace])
        uid = 0 if world.daemon.wrapper else os.geteuid()
        self.operators = [
            Operator(self, f"uid:{uid}", rng.random(), world.daemon.admin_socket),
            Operator(self, "api_token", rng.random(), world.lossy.address, token)]

    def act_of(self, actor, key):
        return self.acts.get((actor, key))

    def begin_register(self):
        """Every row will be read again."""
        self.register = Register(self.act_of, GRACES[self.grace])
        return self.register

    def note_start(self):
        """What is answered by now is in SQLite once tallyd has started."""
        self.safe = [max((act for act in operator.acts if act.is_answered), default=None,
                         key=lambda act: act.number) for operator in self.operators]
        self.safe = [act for act in self.safe if act is not None]

    def enrol_first(self, gosts):
        for gost in gosts:
            self.operators[0].enrol(gost)

    def start(self):
        for operator in self.operators:
            operator.thread.start()

    def pause(self):
        for operator in self.operators:
            operator.may_work.clear()
        for operator in self.operators:
            while not operator.rests.wait(0.05):
                self.raise_failure()

    def go_on(self):
        for operator in self.operators:
            operator.rests.clear()
            operator.may_work.set()

    def close(self):
        self.is_ending = True
        self.go_on()
        for operator in self.operators:
            if operator.thread.ident is not None:
                operator.thread.join(60)

    def raise_failure(self):
        for operator in self.operators:
            if operator.failure is not None:
                raise operator.failure

    def summary(self):
        n_answered = sum(act.is_answered for act in self.acts.values())
        return (f"{n_answered} commands answered, {self.n_repeated} of them after a repetition, "
                f"{self.n_again} asked again later; {self.n_strangers} reports of strangers "
                f"refused; secrets are good for {self.grace} more")

    def choose_moment(self, rng):
        """Waits until a command was just sent, or was just answered; or for nothing."""
        moment = rng.choice((None, None, self.sent, self.sent, self.answered))
        if moment is not None and self.operators[0].may_work.is_set():
            moment.clear()
            moment.wait(0.5)
            if moment is self.sent:
                time.sleep(rng.random() * 0.02)

    # What strangers try.

    def refuse(self, path, *headers):
        """A report that must not be counted, and is never answered ok."""
        body = json.dumps({"events": [{
            "kind": "handler", "service": "service-0", "client": STRANGER, "type": "stats",
            "stats": {"totalConns": 1, "currentConns": 1, "totalErrs": 0, "inputBytes": 10**9,
                      "outputBytes": secrets.randbelow(10**9)}}]}).encode()
        self.n_strangers += 1
        try:
            with self.world.gate:
                raw = RawClient(self.world.daemon.address, timeout=0.3)
                try:
                    raw.send(request_bytes(path, body, headers))
                    answer = raw.read_answer()
                finally:
                    raw.close()
        except (OSError, ValueError, LookupError):
            return None
        assert answer.status in (400, 401, 403, 503), (path, headers, answer)
        assert b"ok" not in answer.body or b'"ok":false' in answer.body, (path, headers, answer)
        return answer.status


def basic(name, secret):
    return "Authorization: Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


class Operator:
    """One actor. address: an admin socket, or (host, port) for who has a token."""

    def __init__(self, office, actor, seed, address, token=None):
        self.office = office
        self.world = office.world
        self.actor = actor
        self.rng = random.Random(seed)
        self.address = address
        self.token = token
        self.acts = []
        self.client = Client(address, timeout=3)
        self.failure = None
        self.may_work, self.rests = threading.Event(), threading.Event()
        self.may_work.set()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.office.is_ending:
                if not self.may_work.is_set():
                    self.rests.set()
                    self.may_work.wait()
                work = self.rng.choices(*zip(*(WORKS if self.token is None else SPARE_WORKS)))[0]
                work(self)
                self.wait(0.15)
        except Ended:
            pass
        except BaseException as failure:  # shown by raise_failure()
            self.failure = failure
        finally:
            self.rests.set()

    def wait(self, longest):
        time.sleep(self.rng.random() * longest)

    # One act.

    def do(self, verb, subject="", **arguments):
        """Its first answer, or that of a repetition."""
        reason = self.rng.choice((None, None, f"because of {len(self.acts)}"))
        act = Act(self.actor, len(self.acts), verb, subject, arguments, reason)
        self.acts.append(act)
        self.office.acts[(self.actor, act.key)] = act
        end = time.monotonic() + seconds(ANSWER_LIMIT)
        while not self.attempt(act):
            if self.office.is_ending:
                raise Ended
            assert time.monotonic() < end, f"it is not answered, repeat it as one may: {act}"
            self.wait(0.05)
        self.office.n_repeated += act.n_sent > 1
        if self.rng.random() < 0.15:
            self.ask_again(self.rng.choice((act, self.rng.choice(self.acts))))
        if self.rng.random() < 0.05:
            self.reuse_key(act)
        return act.answer

    def attempt(self, act):
        """True if it is answered now."""
        with self.world.gate:
            self.office.sent.set()
            status, answer = self.send(act, self.choose_fate())
            act.n_sent += 1
            if status is None:
                act.n_unanswered += 1
            if status != act.status:
                assert status in (None, 503), (act, status, answer)
                return False
            if act.verb in ("node.create", "node.secret"):
                self.note_secret(act, answer)
            act.answer = answer
            act.is_answered = True
            self.office.answered.set()
        return True

    def note_secret(self, act, answer):
        """A repetition does not tell it. Only what was sent before may have been the first."""
        told = answer["secret"]
        assert told is not None or act.n_unanswered > 0, (act, answer)
        if told is not None:
            assert act.secret in (None, told), (act, answer)
            act.secret = told
            self.office.made_secrets.add(told)

    def choose_fate(self):
        """The socket loses nothing by itself; beside the token there is a lossy network."""
        fates = {"whole": 8, "leave": 1, "half": 1, "impatient": 1}
        return "whole" if self.token else self.rng.choices(list(fates), fates.values())[0]

    def send(self, act, fate):
        """(status, answer as JSON); (None, None): nobody knows what became of it."""
        method, path = act.request()
        path = self.rng.choice(("", "/api/gost")) + path
        headers = {"Idempotency-Key": act.key, "Content-Type": "application/json"}
        if fate != "whole":
            self.send_in_part(method, path, act, fate)
            return None, None
        return self.ask(method, path, act.body, headers)

    def ask(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            answer = self.client.request(method, path, body, headers)
            return answer.status, json.loads(answer.body)  # "": it breaks off in the headers
        except (OSError, http.client.HTTPException, ValueError):
            self.client.close()
            return None, None

    def send_in_part(self, method, path, act, fate):
        data = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost",
                            f"Idempotency-Key: {act.key}", f"Content-Length: {len(act.body)}",
                            "", act.body]).encode()
        if fate == "half":
            data = data[:self.rng.randrange(1, len(data))]
        try:
            raw = RawClient(self.address, timeout=3)
        except OSError:
            return
        raw.send_whatever_it_takes(data)
        if fate == "impatient":
            self.wait(0.01)
        raw.close()

    # What is answered once is answered so for ever.

    def ask_again(self, act):
        if not act.is_answered:
            return
        with self.world.gate:
            status, answer = self.send(act, "whole")
        if status in (None, 503):
            return
        wanted = {name: value for name, value in act.answer.items() if name != "gost"}
        if "secret" in wanted:
            wanted["secret"] = None
        answer.pop("gost", None)
        assert (status, answer) == (act.status, wanted), (act, status, answer)
        self.office.n_again += 1

    def reuse_key(self, act):
        """For something else: refused, and nothing changes."""
        with self.world.gate:
            status, answer = self.ask("POST", "/nodes", json.dumps({"name": "never-made"}),
                                      {"Idempotency-Key": act.key})
        assert status in (None, 422, 503), (act, status, answer)

    def refused(self, wanted, method, path, body=None):
        """A command that cannot be: no act."""
        with self.world.gate:
            status, answer = self.ask(method, path, body, {
                "Idempotency-Key": f"refused-{self.rng.random()}"})
        assert status in (None, 503, wanted), (method, path, body, status, answer)

    # Works on nodes with a GOST behind.

    def choose_gost(self, is_known=None):
        """One that an operator has to do with; None if there is none such."""
        found = [gost for gost in list(self.world.gosts) if gost.node != "direct"
                 and is_known in (None, self.is_known(gost))]
        return self.rng.choice(found) if found else None

    @staticmethod
    def is_known(gost):
        return gost.secret is not None

    def tell(self, gost, secret):
        """Its address is changed: the GOST sends this from now on."""
        gost.secret = secret
        gost.set_address(f"{gost.node}:{secret}", names_node=self.rng.random() < 0.5,
                         names_counters=gost.names_counters)
        if self.rng.random() < 0.5:
            gost.reconnect()

    def new_secret(self, name, act="node.secret", **arguments):
        """One that somebody was told: (it, how many acts it took)."""
        answer, n = self.do(act, name, **arguments), 1
        while answer["secret"] is None:
            answer, n = self.do("node.secret", name), n + 1
        return answer["secret"], n

    def settings(self, gost):
        return self.rng.choice((
            {}, {"note": f"note {self.rng.random()}"},
            {"counters": "cumulative" if gost.is_cumulative else "delta"}))

    def enrol(self, gost):
        """From ?node= to a secret while it runs, in either order."""
        if self.rng.random() < 0.5:
            secret = secrets.token_hex(8)
            self.tell(gost, secret)
            self.wait(0.1)
            self.do("node.create", gost.node, secret=secret, **self.settings(gost))
            self.office.made_secrets.add(secret)
        else:
            secret, _ = self.new_secret(gost.node, "node.create", **self.settings(gost))
            self.bother(gost)
            self.tell(gost, secret)
        self.world.tell("moved to a secret", gost.node)

    def move(self):
        guest, gost = self.world.guest, self.choose_gost(False)
        if not self.is_known(guest):
            self.enrol(guest)
        elif gost is not None and self.rng.random() < 0.2:
            self.enrol(gost)

    def rotate(self):
        """The old secret is good until its GOST is told the new one, if that is in time."""
        gost = self.choose_gost(True)
        if gost is None:
            return
        gost.reconnect()
        transport, began = gost.transport, time.monotonic()
        secret, n = self.new_secret(gost.node)
        old, answered = gost.secret, time.monotonic()
        self.wait(2 if self.rng.random() < 0.1 else 0.2)
        grace = GRACES[self.office.grace] / 1000
        is_in_time = time.monotonic() - began < grace
        if n == 1 and is_in_time:
            assert transport.statuses[401] == 0, f"{gost.node} was refused"
        self.tell(gost, secret)
        # It was the one before the last, or for too long: from the act on, whenever that was.
        if n > 1 or time.monotonic() - answered > grace + 0.1:
            self.office.refuse("/observer", basic(gost.node, old))
        self.world.tell("secrets changed", gost.node)

    def give_secret(self):
        """One that we choose, and that the GOST has or will have."""
        gost = self.choose_gost(True)
        if gost is None:
            return
        secret = self.rng.choice((gost.secret, secrets.token_urlsafe(12)))
        self.do("node.secret", gost.node, secret=secret)
        self.office.made_secrets.add(secret)
        self.wait(0.1)
        self.tell(gost, secret)

    def disable(self):
        gost = self.choose_gost(True)
        if gost is None:
            return
        self.do("node.set", gost.node, enabled=False)
        for _ in range(self.rng.randrange(3)):
            status = self.office.refuse("/observer", basic(gost.node, gost.secret))
            assert status in (None, 503), (gost.node, status)
        self.wait(0.3)
        self.do("node.set", gost.node, enabled=True)
        self.world.tell("disabled for a while", gost.node)

    def change_settings(self):
        gost = self.choose_gost(True)
        if gost is not None:
            self.do("node.set", gost.node, **(self.settings(gost) or {"note": ""}))

    def delete_and_make(self):
        """Marks, totals and open reports go on. Also for a name that has only reported."""
        gost = self.choose_gost()
        if gost is None or not self.is_known(gost) and not gost.is_guest:
            return
        if not self.is_known(gost) and not gost.n_answered():
            return
        self.do("node.delete", gost.node)
        self.bother(gost)
        self.wait(0.2)
        self.refused(404, "PATCH", f"/nodes/{gost.node}", '{"enabled":true}')
        if self.is_known(gost) and self.rng.random() < 0.5:
            self.do("node.create", gost.node, secret=gost.secret, **self.settings(gost))
        else:
            self.tell(gost, self.new_secret(gost.node, "node.create", **self.settings(gost))[0])
        self.world.tell("deleted and made again", gost.node)

    def close_for_a_while(self):
        self.do("node.close")
        for _ in range(self.rng.randrange(1, 4)):
            self.office.refuse(f"/observer?node=nobody-{self.rng.randrange(100)}")
        self.wait(1 if self.rng.random() < 0.2 else 0.2)
        self.do("node.open")
        self.world.tell("closed for a while")

    def bother(self, gost):
        """Strangers who know the name of a node with a secret, or of a deleted one."""
        wrong = secrets.token_hex(8)
        self.office.refuse(*self.rng.choice((
            (f"/observer?node={gost.node}",), ("/observer", basic(gost.node, wrong)),
            ("/observer", f"Authorization: Bearer {gost.node}:{wrong}"),
            (f"/observer?node={gost.node}", basic("nobody", wrong)),
            (f"/observer?node={gost.node}", "Authorization: Basic !"))))

    def be_bothered(self):
        gost = self.choose_gost(True)
        if gost is None:
            return
        self.bother(gost)
        other = self.choose_gost(True)
        if other is not gost:
            self.office.refuse(*self.rng.choice((
                ("/observer", basic(other.node, gost.secret)),
                (f"/observer?node={other.node}", basic(gost.node, gost.secret)))))

    # Works on nodes without one.

    def spare(self):
        """Anything that can be done to it."""
        name = self.rng.choice(SPARES)
        state = self.state_of(name)
        if state != "made":
            self.do("node.create", name, **self.rng.choice((
                {}, {"fresh": True}, {"enabled": False}, {"counters": "cumulative"})))
            return
        verb, arguments = self.rng.choice((
            ("node.secret", {}), ("node.secret", {"secret": secrets.token_hex(8)}),
            ("node.set", {"enabled": self.rng.random() < 0.5}),
            ("node.set", {"counters": None, "note": "x" * self.rng.randrange(1, 200)}),
            ("node.delete", {"fresh": self.rng.random() < 0.5}), ("node.delete", {})))
        self.do(verb, name, **arguments)

    def state_of(self, name):
        last = next((act.verb for act in reversed(self.acts) if act.subject == name), None)
        return {None: "unknown", "node.delete": "deleted"}.get(last, "made")

    def spare_refused(self):
        name = self.rng.choice(SPARES)
        if self.state_of(name) == "made":
            self.refused(409, "POST", "/nodes", json.dumps({"name": name}))
        else:
            self.refused(404, "POST", f"/nodes/{name}/secret", "{}")


WORKS = [(Operator.rotate, 4), (Operator.give_secret, 2), (Operator.disable, 3),
         (Operator.delete_and_make, 3), (Operator.move, 4), (Operator.change_settings, 1),
         (Operator.close_for_a_while, 2), (Operator.be_bothered, 2)]
SPARE_WORKS = [(Operator.spare, 6), (Operator.spare_refused, 1)]
