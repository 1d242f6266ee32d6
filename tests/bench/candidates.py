"""Who is measured: tallyd in its settings, another commit of it, ceilings, and peers."""
import contextlib
import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time

from ledger import Ledger, check_view
from load import Sender, give_up, program, said_by, send
from proc import cpu_us

from admin import credential
from deadline import BIN, wait_for
from ports import free_port
from redis_server import RedisServer
from tallyd import Daemon

MAX_VIEW = 10000  # users; more take too long to be read one by one
AUTH = os.environ.get("AUTH", "")  # NODE:SECRET: nodes are not anonymous
API_TOKEN = "api-token-of-the-bench"


class Server:
    """One that runs. pids: {"server": PID, "Redis": PID}, as far as they are known."""

    def __init__(self, url, pids, ledger=None):
        self.url = url
        self.pids = pids
        self.ledger = ledger
        self.header = None

    def note(self, load, service="bench"):
        if self.ledger:
            self.ledger.add(service, load)
        return load

    def send(self, service="bench", **shape):
        return self.note(send(self.url, service=service, header=self.header, **shape), service)

    def begin(self, service="bench", **shape):
        """A Sender, whose result is to be given to note()."""
        return Sender(self.url, service=service, header=self.header, **shape).wait_until_begun()

    def cpu_us(self):
        return {name: cpu_us(pid) for name, pid in self.pids.items()}

    def measure(self, **shape):
        """{figure: value} of one load, and the load."""
        before = self.cpu_us()
        load = self.send(**shape)
        spent = {name: us - before[name] for name, us in self.cpu_us().items()}
        return {"reports/s": load.rate, **{
            "CPU µs per report" + (f", {name}" if name != "server" else ""): us / load.reports
            for name, us in spent.items()}}, load


class RunningTallyd(Server):
    def __init__(self, daemon, redis):
        super().__init__(f"http://127.0.0.1:{daemon.port}/observer?node=n%", {}, Ledger())
        self.daemon = daemon
        self.redis = redis
        self.rights = {}
        if AUTH:
            node, _, secret = AUTH.partition(":")
            self.url = self.url.replace("n%", node)
            self.header = f"Authorization: {credential(node, secret)['Authorization']}"
            self.rights = {"Authorization": f"Bearer {API_TOKEN}"}
        self.note_process()

    def note_process(self):
        """Again, if it was started again."""
        self.pids = {"server": self.daemon.process.pid}
        if self.redis:
            self.pids["Redis"] = self.redis.process.pid

    def ask(self, method, path):
        # On a connection of its own: an idle one gives way where all places are taken.
        with contextlib.closing(self.daemon.client(timeout=600)) as client:
            answer = client.request(method, path, headers=self.rights)
        if answer.status != 200:
            give_up(f"tallyd answers {answer.status} to {method} {path}: {answer.body!r}")
        return answer.json()

    def fill(self, users, **shape):
        """Every user is reported once, by a service of its own: its counters begin anew."""
        events = min(users, 100)
        return self.send("fill", events=events, reports=users // events, users=users,
                         connections=4, **shape)

    def flush(self):
        """How many ms one takes, of which the request itself is some tenth."""
        began = time.monotonic_ns()
        self.ask("POST", "/force-sync")
        return (time.monotonic_ns() - began) / 1e6

    def is_redis_up(self):
        return self.ask("GET", "/readyz").get("redis") == "up"

    def check(self, users):
        """What Redis shows while it runs; what SQLite holds after its stop."""
        expected = self.ledger.expected()["all users"]
        if self.redis:
            if not self.is_redis_up():
                give_up(f"tallyd lost its Redis:\n{self.daemon.log()}")
            if users <= MAX_VIEW:
                check_view(self.redis.view(), expected)
        self.flush()  # it may be more than a stop has time for
        self.daemon.stop()
        self.ledger.check(self.daemon.database)


@dataclasses.dataclass(frozen=True)
class Tallyd:
    name: str
    has_redis: bool
    binary: str = BIN
    kind: str = "tallyd"

    @contextlib.contextmanager
    def running(self, users=1000, **options):
        """A RunningTallyd with a directory and a Redis of its own.

        No Redis takes what a second data directory has. In the end the ledger has to be right.
        """
        with tempfile.TemporaryDirectory(prefix="tallyd-bench-") as name, \
                contextlib.ExitStack() as stack:
            directory = pathlib.Path(name)
            redis = None
            if self.has_redis:
                redis = RedisServer(directory).start()
                stack.callback(redis.close)
                options["redis_url"] = redis.url
            daemon = Daemon(directory / "tallyd", binary=self.binary, log_level="warn", **options)
            give_secrets(daemon)
            daemon.start()
            stack.callback(lambda: daemon.process and daemon.kill())
            server = RunningTallyd(daemon, redis)
            if redis:
                wait_for(server.is_redis_up, "tallyd takes the Redis for its own")
            yield server
            server.check(users)

    def measure(self, users=1000, options=None, **shape):
        with self.running(users=users, **(options or {})) as server:
            server.fill(users)
            return server.measure(users=users, **shape)[0]


def give_secrets(daemon):
    """The node that reports, where there is AUTH=NODE:SECRET; an old program looks at none."""
    node, colon, secret = AUTH.partition(":")
    if colon:
        (daemon.directory / "first-node").write_text(f"name = {node}\nsecret = {secret}\n")
        (daemon.directory / "api-token").write_text(API_TOKEN)


def accepts(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@dataclasses.dataclass(frozen=True)
class Constant:
    """libmicrohttpd that reads the body; `json`: cJSON reads it, too."""
    name: str
    arguments: tuple = ()
    kind: str = "ceiling"

    def measure(self, **shape):
        port = free_port()
        process = subprocess.Popen([program("constant"), str(port), *self.arguments])
        try:
            wait_for(lambda: accepts(port), f"{self.name} listens")
            server = Server(f"http://127.0.0.1:{port}/observer?node=n%", {"server": process.pid})
            return server.measure(**shape)[0]
        finally:
            process.kill()
            process.wait()


@dataclasses.dataclass(frozen=True)
class Hincrby:
    """Redis alone: one HINCRBY per event, in batches of a report of each connection."""
    name: str
    kind: str = "ceiling"

    def measure(self, seconds, events, connections):
        with tempfile.TemporaryDirectory(prefix="tallyd-bench-") as name, \
                contextlib.closing(RedisServer(pathlib.Path(name))) as redis:
            redis.start()
            before = cpu_us(redis.process.pid)
            done = json.loads(said_by("hincrby", redis.port, seconds, events, connections))
            spent = cpu_us(redis.process.pid) - before
        return {"reports/s": done["reports"] / done["seconds"],
                "CPU µs per report, Redis": spent / done["reports"]}


@dataclasses.dataclass(frozen=True)
class Peer:
    """Somebody else's server, which runs already; see PEERS.md."""
    name: str
    url: str
    pids: tuple = ()
    kind: str = "peer"

    def measure(self, **shape):
        return Server(self.url, dict(self.pids)).measure(**shape)[0]


def parse_peer(text):
    """NAME=URL[,PID[,PID OF ITS REDIS]]"""
    name, equals, rest = text.partition("=")
    url, *pids = rest.split(",")
    if not equals or not url.startswith("http://") or len(pids) > 2 or \
            not all(pid.isdigit() for pid in pids):
        give_up(f"`{text}` is no peer: NAME=http://ADDRESS:PORT/PATH[,PID[,PID OF ITS REDIS]]")
    for pid in pids:
        if not pathlib.Path(f"/proc/{pid}").exists():
            give_up(f"`{text}`: there is no process {pid}")
    return Peer(name, url, tuple(zip(("server", "Redis"), map(int, pids))))


TALLYD = [Tallyd("tallyd, Redis", True), Tallyd("tallyd, none", False)]
CONSTANT = Constant("a constant answer")
CEILINGS = [CONSTANT, Constant("a constant answer, cJSON", ("json",)),
            Hincrby("Redis alone, HINCRBY")]
