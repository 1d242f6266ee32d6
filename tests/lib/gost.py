"""A stand-in for GOST v3 as tallyd's client: what its observers send, when, and again.

A GOST has services, a service has streams: senders with counters of their own, each in its own
goroutine. A stream collects the clients that have changed into one batch and posts it; until the
answer is 200 with ok true it sends that batch again every period, byte for byte, and collects
nothing meanwhile. An idle stream sends nothing, and nothing is sent when GOST ends.

Driven by start(), in real time; or step by step, with traffic() and report_once().
"""
import base64
import collections
import contextlib
import json
import random
import threading
import time
import urllib.parse

from books import Batch, Books
from go_http import Transport

N_AUTO = 3  # the handler `auto` is one for http, one for socks4, one for socks5


class Client:
    """Counters of one client at one handler."""

    def __init__(self):
        self.input_bytes = self.output_bytes = 0
        self.total_conns = self.current_conns = self.total_errs = 0
        self.answered = (0, 0)  # cumulative: the bytes of the last batch that was answered ok
        self.n_answered = 0
        self.has_changed = False


class Stream:
    """One sender of stats: a handler, or with kind "service" the service's own counters.

    name: (node, kind, service). Streams of one name are told apart by nobody but GOST.
    """

    def __init__(self, gost, kind, service):
        self.gost = gost
        self.name = (gost.node, kind, service)
        self.clients = collections.defaultdict(Client)
        self.open = None
        self.rng = random.Random(gost.rng.random())
        self.n_attempts = self.n_answered = 0
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.thread = None

    def traffic(self, client, input_bytes, output_bytes, connects=1):
        with self.lock:
            counters = self.clients[client]
            counters.input_bytes += input_bytes
            counters.output_bytes += output_bytes
            counters.total_conns += connects
            counters.current_conns = connects
            counters.has_changed = True

    def collect(self):
        """A batch of all that has changed, or None."""
        changed = [name for name, counters in self.clients.items() if counters.has_changed]
        self.rng.shuffle(changed)  # Go's maps have no order
        events, values, amounts = [], [], []
        for name in changed:
            counters = self.clients[name]
            counters.has_changed = False
            events.append(self.event(name, counters))
            value = (counters.input_bytes, counters.output_bytes)
            values.append((name, *value))
            if self.gost.is_cumulative:
                amounts.append((name, value[0] - counters.answered[0],
                                value[1] - counters.answered[1]))
            else:
                amounts.append(values[-1])
                counters.input_bytes = counters.output_bytes = 0
        if not events:
            return None
        body = json.dumps({"events": events}, separators=(",", ":"), ensure_ascii=False).encode()
        return Batch(self, body, values, amounts)

    def event(self, client, counters):
        found = {"kind": self.name[1], "service": self.name[2]}
        if client is not None:
            found["client"] = client
        return found | {"type": "stats", "stats": {
            "totalConns": counters.total_conns, "currentConns": counters.current_conns,
            "inputBytes": counters.input_bytes, "outputBytes": counters.output_bytes,
            "totalErrs": counters.total_errs}}

    def report_once(self):
        """One period: the open batch again, or a new one. How it ended, or None if idle."""
        with self.lock:
            if self.open is None and self.gost.load is not None:
                self.gost.load(self)
            if self.open is None:
                self.open = self.collect()
            batch = self.open
        if batch is None:
            return None
        with self.gost.gate:
            began = time.time()
            outcome = self.gost.post(batch.body)
            batch.attempts.append((began, time.time() - began, outcome))
            self.settle(batch, outcome)
        return outcome

    def settle(self, batch, outcome):
        with self.lock:
            self.n_attempts += 1
            if outcome == "ok":
                self.gost.books.count(batch)
                self.n_answered += 1
                self.open = None
                for client, *value in batch.values:
                    self.clients[client].answered = tuple(value)
                    self.clients[client].n_answered += 1
                batch.body = None

    def is_drained(self):
        with self.lock:
            return self.open is None and not any(
                counters.has_changed for counters in self.clients.values())

    def start(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.closing.wait(self.gost.period * self.rng.uniform(0.8, 1.2)):
            self.report_once()

    def close(self):
        """No goroutine any more. What was not collected is lost in GOST; a batch that is open
        was counted, or not."""
        self.closing.set()
        if self.thread is not None:
            self.thread.join(60)
            assert not self.thread.is_alive(), "a report without an end"
        with self.lock:
            if self.open is not None and self.open.may_be_counted():
                self.gost.books.doubt(self.open)
            self.open = None
            self.clients.clear()


class Gost:
    """One GOST process.

    address: (host, port) of the observer. services: {name: handler}, the handler being "socks5",
    "auto", or None for one that has no counters per client. has_stats: `enableStats`, so each
    service reports its own counters besides. is_announced: the services have the observer, too, so
    that it is told of their states. counters: "delta" (`resetTraffic: true`) or
    "cumulative", sent in the query unless it is `names_counters=False`. userinfo: "NODE:SECRET".
    load(stream): called before a stream collects, to make traffic. books, gate: shared with
    other GOSTs; no report is under way while the gate is shut.
    """

    def __init__(self, address, node="gost", services=None, counters="delta", *, has_stats=False,
                 is_announced=True, period=0.015, timeout=5, userinfo=None, names_counters=True, load=None,
                 books=None, gate=None, seed=0):
        self.address = address
        self.node = node
        self.services = services or {"service-0": "socks5"}
        self.is_cumulative = counters == "cumulative"
        self.has_stats = has_stats
        self.is_announced = is_announced
        self.period = period
        self.timeout = timeout
        self.set_address(userinfo, names_counters=names_counters)
        self.load = load
        self.books = Books() if books is None else books
        self.gate = gate or contextlib.nullcontext()
        self.rng = random.Random(seed)
        self.transport = Transport(address, timeout)
        self.runs_by_itself = False
        self.sent = []  # status events: (service, state, how it ended)
        self.streams = self.make_streams()

    def make_streams(self):
        streams = []
        for service, handler in self.services.items():
            n = N_AUTO if handler == "auto" else 0 if handler is None else 1
            streams += [Stream(self, "handler", service) for _ in range(n)]
            if self.has_stats:
                streams.append(Stream(self, "service", service))
        return streams

    def set_address(self, userinfo=None, *, names_node=True, names_counters=True):
        """What the observer's address says besides where it is, from the next attempt on.

        While it runs, too: as an operator does it, who tells GOST its secret.
        """
        query = {"node": self.node} if names_node else {}
        if names_counters:
            query["counters"] = "cumulative" if self.is_cumulative else "delta"
        headers = []
        if userinfo:
            token = base64.b64encode(userinfo.encode()).decode()
            headers.append(f"Authorization: Basic {token}")
        path = "/observer?" + urllib.parse.urlencode(query) if query else "/observer"
        self.where = path, headers  # in one go: streams post meanwhile

    def reconnect(self):
        """With other connections from now on, as when its observer is made anew."""
        old, self.transport = self.transport, Transport(self.address, self.timeout)
        old.close_idle()

    def post(self, body):
        transport = self.transport
        path, headers = self.where
        return transport.post(path, body, headers)

    # Traffic.

    def stream(self, kind="handler", service=None, number=0):
        name = (self.node, kind, service or next(iter(self.services)))
        return [stream for stream in self.streams if stream.name == name][number]

    def traffic(self, client, input_bytes, output_bytes, service=None, handler=0):
        """One connection of `client` through sub-handler `handler` of `service`."""
        self.stream("handler", service, handler).traffic(client, input_bytes, output_bytes)
        if self.has_stats:
            self.stream("service", service).traffic(None, input_bytes, output_bytes)

    def report_once(self):
        """One period of every stream, in order: how each ended, None for the idle ones."""
        return [stream.report_once() for stream in self.streams]

    def is_drained(self):
        return all(stream.is_drained() for stream in self.streams)

    def n_answered(self):
        return sum(stream.n_answered for stream in self.streams)

    # Life and death.

    def announce(self, state):
        for service in self.services if self.is_announced else ():
            body = json.dumps({"events": [{
                "kind": "service", "service": service, "type": "status",
                "status": {"state": state, "msg": f"service {service} is {state}"}}]},
                separators=(",", ":")).encode()
            with self.gate:
                self.sent.append((service, state, self.post(body)))

    def boot(self):
        """The process begins: each service says that it runs, then that it is ready."""
        self.announce("running")
        self.announce("ready")
        return self

    def start(self):
        """boot(), and a thread for each stream."""
        self.runs_by_itself = True
        self.boot()
        for stream in self.streams:
            stream.start()
        return self

    def reload(self, meanwhile=lambda: None):
        """SIGHUP: every service anew, its counters at 0.

        meanwhile(): called when the new services run and the old ones are not closed yet. The
        old streams still report then: by themselves, or in report_once().
        """
        self.announce("running")
        meanwhile()
        for stream in self.streams:
            stream.close()
        self.announce("closed")
        self.streams = self.make_streams()
        self.announce("ready")
        for stream in self.streams:
            if self.runs_by_itself:
                stream.start()

    def kill(self):
        """The process ends at once, with its connections, counters and open batches."""
        for stream in self.streams:
            stream.closing.set()
        self.transport.die()
        for stream in self.streams:
            stream.close()

    def restart(self):
        self.kill()
        self.transport = Transport(self.address, self.timeout)
        self.streams = self.make_streams()
        return self.start() if self.runs_by_itself else self.boot()


class Gate:
    """`with gate:` around each report; shut() waits for those under way and holds up the next.
    """

    def __init__(self):
        self.condition = threading.Condition()
        self.n_inside = 0
        self.is_shut = False

    def __enter__(self):
        with self.condition:
            self.condition.wait_for(lambda: not self.is_shut)
            self.n_inside += 1

    def __exit__(self, *_):
        with self.condition:
            self.n_inside -= 1
            self.condition.notify_all()

    def shut(self, limit=60):
        with self.condition:
            self.is_shut = True
            assert self.condition.wait_for(lambda: self.n_inside == 0, limit), \
                "a report without an end"

    def open(self):
        with self.condition:
            self.is_shut = False
            self.condition.notify_all()
