"""A site under load: tallyd, its Redis and its disk, several GOSTs, and what must be counted."""
import collections
import contextlib
import http.client
import pathlib
import random
import re
import secrets
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.dont_write_bytecode = True

from alarms import are_heard, false_alarms  # noqa: E402
from books import Books  # noqa: E402
from deadline import wait_for  # noqa: E402
from client import Client  # noqa: E402
from disk import SmallDisk  # noqa: E402
from gost import Gate, Gost  # noqa: E402
from keeper import Keeper  # noqa: E402
from office import STRANGER, Office  # noqa: E402
from lossy import Lossy  # noqa: E402
from power import Synced  # noqa: E402
from redis_server import RedisServer  # noqa: E402
from tallyd import CRASHES, Daemon  # noqa: E402

# All of these GOSTs are set up rightly, but for one service that has no users.
TRUE_ALARM = ("service-only", "direct", "service-1")

DISK_BYTES = 64 << 20
SETTLE_LIMIT = 60
LOSSES = {"pass": 60, "delay": 4, "slow": 4, "lose": 10, "half": 6, "torn": 4, "drop": 6, "cut": 6}
# node: counters, services, the rest of Gost's arguments, through the lossy network or not, and
# (clients, how many of them have traffic in a period)
GOSTS = {
    "direct": ("delta", {"service-0": "socks5", "service-1": None}, {"has_stats": True}, False,
               (20, 4)),
    "auto": ("delta", {"service-0": "auto"}, {"names_counters": False}, True, (8, 3)),
    "hasty": ("delta", {"service-0": "auto"}, {"has_stats": True, "timeout": 0.4}, True, (10, 3)),
    # Most reports of these two have more than 64 KiB: they are read on the thread pool.
    "large": ("delta", {"service-0": "socks5"}, {"period": 0.1}, True, (1200, 800)),
    "crowd": ("cumulative", {"service-0": "socks5"}, {"period": 0.2}, True, (1000, 800)),
    "total": ("cumulative", {"service-0": "socks5"}, {"has_stats": True}, False, (20, 4)),
    "totals": ("cumulative", {"service-0": "socks5", "web": "http"}, {}, True, (12, 3)),
    "hurry": ("cumulative", {"service-0": "http"}, {"timeout": 0.4}, True, (15, 5)),
}
# Of these, those that have a secret from the beginning. The others but `direct` move to one.
WITH_SECRET = ("auto", "totals")
# They come and go, and each moves to a secret while it runs.
GUEST = {"service-0": "socks5"}, {}
GUEST_LOAD = (10, 3)


def make_load(n_clients, n_busy):
    """Traffic before a stream collects: bytes that make no two batches equal.

    A client of cumulative counters has one connection until its first report in a life of its
    GOST is answered, and more afterwards: so that each new life can be told from the last.
    """
    def load(stream):
        names = [None]
        if stream.name[1] == "handler":
            names = [f"u{stream.rng.randrange(n_clients)}" for _ in range(n_busy)]
        for name in names:
            counters = stream.clients[name]
            connects = int(counters.n_answered > 0 or counters.total_conns == 0)
            stream.traffic(name, stream.rng.randrange(1, 10**6), stream.rng.randrange(1, 10**7),
                           connects)

    return load


class Site(Daemon):
    """tallyd with an admin socket, over which we ask it everything."""

    def client(self, timeout=10):
        return Client(self.admin_socket, timeout)


class World:
    """Everything that a campaign plays with. `told` counts what was done to it.

    doubts: GOSTs end with reports that nobody has answered, so that the books have bounds only.
    """

    def __init__(self, directory, seed, *, has_cumulative=True, has_losses=True, doubts=False):
        self.directory = directory
        self.rng = random.Random(seed)
        self.doubts = doubts
        self.told = collections.Counter()
        self.log = open(directory / "events.log", "w", encoding="utf-8")
        self.books = Books()
        self.gate = Gate()
        self.n_repeats = self.n_starts = self.n_cycles = self.oldest_unsynced_ms = 0
        self.was_paused = False
        self.redis = RedisServer(directory)
        self.disk = self.make_disk()
        self.daemon = self.make_daemon()
        self.keeper = Keeper(self.daemon.data_dir)
        self.lossy = Lossy(self.daemon.address, self.rng.random(),
                           LOSSES if has_losses else {"pass": 1})
        self.office = Office(self, self.token)
        self.daemon.options["node_secret_grace"] = self.office.grace
        self.synced = Synced(directory)
        self.nodes, self.cumulative_nodes, self.all_gosts = set(), set(), []
        self.modes = ("delta", "cumulative") if has_cumulative else ("delta",)
        self.gosts = [self.make_gost(node, *GOSTS[node]) for node in GOSTS
                      if has_cumulative or GOSTS[node][0] == "delta"]
        self.guest = None

    def make_disk(self):
        try:
            return SmallDisk(self.directory / "disk", DISK_BYTES)
        except OSError as reason:
            self.say(f"no full disks: {reason}")
            return None

    def make_daemon(self):
        options = {
            "retry_delay": 20, "max_retries": 2,
            "sync_batch_size": self.rng.choice((1, 7, 50, 500)), "busy_timeout": 50,
            "stop_timeout": "1s", "redis_timeout": self.rng.choice((50, 200)),
            "emergency_flush_size": self.rng.choice((20, 100)),
            "min_free_bytes": self.rng.choice((0, "1MiB"))}
        wrapper, data_dir = (), None
        if self.disk:
            wrapper, data_dir = self.disk.wrapper, self.disk.path / "data"
            options["data_dir"] = data_dir
        self.sockets = pathlib.Path(tempfile.mkdtemp(prefix="tallyd-"))  # its name is short
        self.token = secrets.token_hex(16)
        (self.sockets / "token").write_text(self.token)
        (self.sockets / "token").chmod(0o600)
        daemon = Site(self.directory / "tallyd", redis_url=self.redis.url, wrapper=wrapper,
                      admin_socket=self.sockets / "admin",
                      api_token_file=self.sockets / "token", **options)
        daemon.admin_socket = self.sockets / "admin"
        if self.disk:
            daemon.data_dir = self.disk.outside / "data"
        self.say(f"tallyd with {options}")
        return daemon

    def make_clone(self):
        """Another tallyd, with a copy of the directory of ours, which does not run."""
        own = ("listen", "data_dir", "admin_socket")
        copy = Daemon(self.directory / "clone", redis_url=self.redis.url,
                      **{k: v for k, v in self.daemon.options.items()
                         if k not in (*own, "redis_url")})
        shutil.copytree(self.daemon.data_dir, copy.data_dir)
        return copy

    def make_gost(self, node, counters, services, more, is_lossy, load):
        self.nodes.add(node)
        if counters == "cumulative":
            self.cumulative_nodes.add(node)
        address = self.lossy.address if is_lossy else self.daemon.address
        gost = Gost(address, node, services, counters, books=self.books, gate=self.gate,
                    seed=self.rng.random(), **{"timeout": 3, "period": 0.01, **more})
        gost.usual_load = make_load(*load)
        gost.load = gost.usual_load
        gost.secret = None
        gost.is_guest = False
        gost.names_counters = more.get("names_counters", True)
        self.all_gosts.append(gost)
        return gost

    @contextlib.contextmanager
    def without_commands(self):
        self.office.pause()
        try:
            yield
        finally:
            self.office.go_on()

    def replace_guest(self):
        """Who was a guest until now has reported all that it had."""
        if self.guest is not None:
            self.drain(self.guest)
            self.guest.kill()
            self.gosts.remove(self.guest)
        self.guest = self.make_gost(f"guest-{len(self.nodes)}", self.rng.choice(self.modes),
                                    *GUEST, self.rng.random() < 0.5, GUEST_LOAD)
        self.guest.is_guest = True
        self.gosts.append(self.guest)
        self.guest.start()

    def say(self, what):
        self.log.write(f"{time.time():.3f} {what}\n")
        self.log.flush()

    def tell(self, what, detail=""):
        """Something was done: counted, and written down."""
        self.told[what] += 1
        self.say(f"{what} {detail}")

    def wait_a_moment(self, longest):
        moment = time.monotonic() + self.rng.random() * longest
        wait_for(lambda: time.monotonic() > moment, "the moment", limit=longest + 10)

    # tallyd's lives.

    def start(self, may_fail=False):
        """False if it ended with 74, which it may only where it `may_fail`."""
        self.spawn()
        wait_for(lambda: self.daemon.process.poll() is not None or self.is_alive(),
                 "tallyd listens, or has ended")
        if self.daemon.process.poll() is None:
            return True
        code = self.daemon.wait_exit()
        assert may_fail and code == 74, f"a start ended with {code}:\n{self.daemon.log()}"
        self.tell("starts that ended with 74")
        return False

    def spawn(self):
        self.n_starts += 1
        self.was_paused = False
        self.office.note_start()
        own = {"journal_fsync": self.rng.choice(("always", "everysec", "everysec", "no")),
               "sync_interval": self.rng.choice((100, 300, 1000, 3000))}
        self.daemon.options |= own
        self.daemon.env = self.synced.begin(self.rng)
        self.say(f"start with {own}")
        self.daemon.spawn()

    def is_alive(self):
        try:
            return self.daemon.get("/livez").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def is_ready(self):
        return self.daemon.get("/readyz").status == 200

    def is_up(self):
        return self.daemon.process is not None

    def ensure_up(self):
        if not self.is_up():
            self.start()
        code = self.daemon.process.poll()
        assert code is None, f"tallyd ended by itself with {code}:\n{self.daemon.log()}"

    def note_repeats(self):
        """Before a life ends, as far as it still answers."""
        with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
            self.n_repeats += self.daemon.status()["reports"].get("repeats", 0)

    def kill(self):
        code = self.daemon.process.poll()
        assert code is None, f"tallyd ended by itself with {code}:\n{self.daemon.log()}"
        self.daemon.kill()

    # The GOSTs.

    def start_gosts(self):
        self.office.enrol_first([gost for gost in self.gosts if gost.node in WITH_SECRET])
        for gost in self.gosts:
            gost.start()
        self.replace_guest()
        self.office.start()

    def known_batches(self):
        """Those of which something may still be in the journal."""
        open_ones = [stream.open for gost in self.gosts for stream in gost.streams]
        return [*self.books.recent, *self.books.doubtful, *filter(None, open_ones)]

    def settle(self):
        """Until every stream has had an answer, whatever was before."""
        self.ensure_up()
        before = {stream: stream.n_answered for gost in self.gosts for stream in gost.streams}

        def waiting():
            assert self.daemon.process.poll() is None, "tallyd ended by itself"
            self.office.raise_failure()
            return [stream.name for stream, n in before.items() if stream.n_answered == n]

        with self.showing(waiting):
            wait_for(lambda: not waiting(), "every stream is answered", limit=SETTLE_LIMIT)

    @contextlib.contextmanager
    def showing(self, waiting):
        """Says who is still waited for, if the waiting was in vain."""
        try:
            yield
        except AssertionError:
            self.say(f"in vain for {waiting()}\n{self.daemon.log()[-3000:]}")
            raise

    def drain(self, *gosts):
        """No traffic any more, and all that there was is answered."""
        for gost in gosts:
            gost.load = None

        def waiting():
            self.office.raise_failure()
            return [gost.node for gost in gosts if not gost.is_drained()]

        with self.showing(waiting):
            wait_for(lambda: not waiting(), "all is answered", limit=SETTLE_LIMIT)

    @staticmethod
    def touch(gost):
        """One small connection of each client that it knows."""
        for stream in gost.streams:
            with stream.lock:
                for name in list(stream.clients):
                    stream.traffic(name, 1 + stream.rng.randrange(9), 1 + stream.rng.randrange(9))

    def touch_cumulative(self):
        """What was lost of cumulative counters comes back with the next report."""
        for gost in self.gosts:
            if gost.is_cumulative:
                self.touch(gost)

    # New lives of a GOST.

    def wind_up(self, gost):
        """All is answered. Of each stream {client: (input, output, connections) as tallyd saw
        them last}, two connections at least."""
        self.drain(gost)
        self.touch(gost)
        self.drain(gost)
        return [{name: (c.input_bytes, c.output_bytes, c.total_conns)
                 for name, c in stream.clients.items()} for stream in gost.streams]

    def restart(self, gost):
        marks = self.wind_up(gost)
        if self.doubts:
            gost.load = gost.usual_load
            self.wait_a_moment(0.2)
        n_sent = len(gost.sent)
        gost.restart()
        self.begin_anew(gost, marks, gost.sent[n_sent:])

    def reload(self, gost):
        """Half of the times the old handlers still have something to say when the new ones run.
        """
        is_late = self.rng.random() < 0.5
        marks, n_sent = [] if is_late else self.wind_up(gost), len(gost.sent)
        gost.reload(lambda: marks.extend(self.wind_up(gost)) if is_late else None)
        self.begin_anew(gost, marks, gost.sent[n_sent:])

    def begin_anew(self, gost, marks, sent):
        """Traffic such that tallyd can tell the new life: from its counters, which are lower, or
        from its status events, if all of them were taken."""
        may_leap = gost.is_cumulative and are_heard(sent) and self.rng.random() < 0.7
        for stream, clients in zip(gost.streams, marks):
            for name, mark in clients.items():
                low = mark if may_leap else (0, 0, 0)
                stream.traffic(name, low[0] + 1 + stream.rng.randrange(9),
                               low[1] + 1 + stream.rng.randrange(9), low[2] + 1)
        self.told["new lives with higher counters"] += may_leap
        gost.load = gost.usual_load
        self.settle()
        self.daemon.force_sync()

    def close(self):
        self.office.close()
        for gost in self.gosts:
            gost.kill()
        self.lossy.close()
        self.keeper.close()
        if self.is_up():
            self.daemon.kill()
        self.redis.close()
        if self.disk:
            self.disk.close()
        shutil.rmtree(self.sockets)
        self.log.close()

    def remove(self):
        shutil.rmtree(self.directory)

    def check_logs(self):
        text = self.daemon.all_logs()
        for sign in CRASHES:
            assert sign not in text, f"{sign} in {self.daemon.stderr_path}"
        told = set(re.findall(r"[\w-]{8,}", text)) & {
            self.token, STRANGER, *self.office.made_secrets}
        assert not told, f"{told} in {self.daemon.stderr_path}"
        alarms = false_alarms(text, self.all_gosts) - {TRUE_ALARM}
        assert not alarms, f"{alarms} in {self.daemon.stderr_path}"
