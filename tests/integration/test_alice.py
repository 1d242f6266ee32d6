"""Alice is a customer of the proxy beside tallyd, and so she reaches loopback. It is no right.

She tries every path that the program has, through each kind of proxy, by each name that leads
there. With GOST_BIN she does so through a real GOST, too.
"""
import base64
import collections
import concurrent.futures
import itertools
import json
import re
import threading
import time

import pytest

import real_gost
from client import Client
from customer import KINDS, Customer
from deadline import ROOT, wait_for
from forward_proxy import ForwardProxy
from gost import Gost
from real_gost import GOST, USERS, RealGost, Target, plugin
from tallyd import report, stats

SECRET = "5e" * 16
API_TOKEN, READ_TOKEN, REDIS_PASSWORD = "a1" * 16, "4e" * 16, "9a" * 16
SECRETS = (SECRET, API_TOKEN, READ_TOKEN, REDIS_PASSWORD)
# A name of the public Internet whose owner lets it lead here, as in DNS rebinding.
NAMES = {"rebound.example": "127.0.0.1", "proxy.localhost": "127.0.0.1", "six.example": "::1"}
OURS = ("127.0.0.1", "::1", "localhost", "proxy.localhost")  # what a Host may be
HOSTS = (*OURS, "0.0.0.0", "::", "::ffff:127.0.0.1", "rebound.example", "six.example")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PREFIXES = ("", "/api/gost")
OPEN = ("/livez", "/healthz", "/readyz")
STATUS = "/throttle-sync-status"
BILL = report(stats("bob", 10**12, 10**12), stats("mallory", 10**12, 10**12)).encode()
BODIES = {
    ("POST", "/observer"): BILL,
    ("POST", "/nodes"): b'{"name":"evil"}',
    ("POST", "/nodes/{}/secret"): b'{"secret":"evilevilevilevil"}',
    ("PATCH", "/nodes/{}"): b'{"enabled":false}',
}
FORGED = (
    {"Host": "tallyd.example"}, {"Host": "localhost:1"}, {"Host": "rebound.example"},
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-origin"},
    {"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"X-Real-IP": "::1"},
    {"Via": "1.1 localhost"}, {"CF-Connecting-IP": "127.0.0.1"}, {"True-Client-IP": "::1"},
    {"Content-Type": "text/plain"}, {"X-HTTP-Method-Override": "POST"},
    {"X-Original-URL": "/livez", "X-Rewrite-URL": "/livez"},
)
FOREIGN = ("Host", "Origin", "Sec-Fetch-Site", "X-Forwarded-For", "Forwarded", "X-Real-IP", "Via",
           "CF-Connecting-IP", "True-Client-IP")
QUERIES = ("?node=hk1", "?node=hk2&counters=cumulative", "?node=", f"?token={'0' * 32}")
TRICKS = ("//observer", "/observer/", "/Observer", "/api/gost/api/gost/observer", "/livez/../nodes",
          "/%6eodes", "/nodes%2fhk1", "/livez/nodes", "/livez;/nodes", "/nodes/", "/users//traffic",
          "/users/", "/api/gost", "/api/gost/", "/", "/*", "/.", "/metrics", "/users", "/audit")


def basic(pair):
    return "Basic " + base64.b64encode(pair.encode()).decode()


GUESSES = ("Basic garbage", "Bearer", "Bearer null", basic("hk1:"), basic(":"), basic("hk1"),
           basic(f"hk1:{'0' * 32}"), basic(f"hk2:{SECRET}"), f"Bearer {SECRET}",
           f"Bearer hk1:{SECRET[:-1]}", f"bearer hk1:{SECRET} x", f"Bearer {'0' * 10_000}")


def routes():
    """[(method, path, right)] of the program, so that a new one is attacked, too."""
    text = (ROOT / "src" / "api" / "routes.c").read_text()
    found = re.findall(r'\{"([A-Z]+)",\s*"(/[^"]*)",\s*\w+,\s*(RIGHT_\w+)', text)
    assert len(found) == text.count('{"') >= 16, "this regular expression finds every route"
    return found


ROUTES = routes()


def filled(path):
    """A path's value is a name that is there, and one that is not."""
    return [path.replace("{}", name) for name in ("bob", "hk1", "nobody")] if "{}" in path \
        else [path]


def attacks(pairs):
    """[(method, path, body)] of [(method, path of a route)]."""
    return [(method, prefix + path, BODIES.get((method, pattern), b"" if method == "GET" else b"{}"))
            for (method, pattern), prefix in itertools.product(pairs, PREFIXES)
            for path in filled(pattern)]


EACH_ROUTE = attacks([route[:2] for route in ROUTES])
EACH_METHOD = attacks([(method, pattern) for method in METHODS
                       for pattern in dict.fromkeys(path for _, path, _ in ROUTES)])


def is_route(method, path):
    method = "GET" if method == "HEAD" else method
    path = path.partition("?")[0].removeprefix("/api/gost")
    return any(method == route[0] and
               re.fullmatch(re.escape(route[1]).replace(r"\{\}", "[^/]+"), path)
               for route in ROUTES)


class Judge:
    """Of every answer that Alice gets."""

    def __init__(self):
        self.n = 0
        self.seen = set()  # (method, path without prefix, status)

    def __call__(self, answer, method, path, headers=None):
        self.n += 1
        bare = path.partition("?")[0].removeprefix("/api/gost")
        told = f"{method} {path} {headers}: {answer} {answer.headers}"
        self.seen.add((method, bare, answer.status))
        text = answer.body.decode() + json.dumps(answer.headers)
        for word in (*SECRETS, "bob", "hk1", "usedTraffic", "inputBytes", "libuv"):
            assert word not in text, told
        if not is_route(method, path):
            assert answer.status in (401, 403, 404, 405), told
        elif bare in OPEN:
            assert answer.status == (400 if "?" in path else 200), told
            wanted = {"ready": True} if bare == "/readyz" else {"ok": True}
            assert method == "HEAD" or "?" in path or answer.json() == wanted, told
        elif bare == STATUS and answer.status in (200, 400):
            assert answer.status == (400 if "?" in path else 200), told
            assert not headers or not any(name in FOREIGN for name in headers) or \
                "same-origin" in headers.values() or "localhost" in headers.get("Host", ""), told
            assert "Authorization" not in (headers or {}), told
            if method == "GET" and answer.status == 200:
                check_status(answer)
        else:
            assert answer.status in (401, 403), told


def check_status(answer):
    assert answer.json()["success"] is True
    assert {name: set(value) for name, value in answer.json()["data"].items()} == {
        "config": {"syncInterval", "maxPendingUsers", "batchSize"},
        "stats": {"totalSyncs", "successfulSyncs", "failedSyncs", "avgSyncTime", "pendingUsers",
                  "isSyncing"}}


class Alice:
    """With her password for the proxy, and the port of tallyd and of Redis."""

    def __init__(self, ports, port, redis_port):
        self.ports = ports
        self.port = port
        self.redis_port = redis_port
        self.judge = Judge()
        self.customer = self.another()

    def another(self):
        return Customer(self.ports, "alice", USERS["alice"])

    def ask(self, kind, host, method, path, headers=None, body=b"", customer=None):
        answer = (customer or self.customer).ask(
            kind, host, self.port, method, path, headers, body)
        self.judge(answer, method, path, headers)
        return answer

    def ask_for_everything(self, kind):
        for host in HOSTS:
            for method, path, body in EACH_METHOD if host in OURS[:2] else EACH_ROUTE:
                self.ask(kind, host, method, path, None, body)
            # It is tallyd that has answered all that.
            assert self.ask(kind, host, "GET", "/livez").status == 200
            assert self.ask(kind, host, "GET", STATUS).status == (200 if host in OURS else 403)

    def forge_headers(self, kind):
        for headers, (method, path, body) in itertools.product(FORGED, EACH_ROUTE):
            self.ask(kind, "127.0.0.1", method, path, headers, body)

    def try_queries(self, kind):
        for query, (method, path, body) in itertools.product(QUERIES, EACH_ROUTE):
            self.ask(kind, "127.0.0.1", method, path + query, None, body)
        for method, path in itertools.product(METHODS, TRICKS):
            self.ask(kind, "127.0.0.1", method, path)

    def guess(self, guess, method, pattern):
        customer = self.another()
        self.ask("socks5", "127.0.0.1", method, filled(pattern)[0], {"Authorization": guess},
                 BODIES.get((method, pattern), b""), customer)
        customer.close()

    def guess_credentials(self):
        """Many at once, for they are answered late."""
        with concurrent.futures.ThreadPoolExecutor(48) as pool:
            for done in [pool.submit(self.guess, guess, method, pattern)
                         for guess, (method, pattern, _) in itertools.product(GUESSES, ROUTES)]:
                done.result()

    def speak_to_redis(self):
        for kind, host in itertools.product(("socks5", "connect"),
                                            ("127.0.0.1", "localhost", "0.0.0.0",
                                             "rebound.example", "::ffff:127.0.0.1")):
            for words in ("PING", "INFO", "HGETALL user:bob", "HSET user:bob usedTraffic 0",
                          "FLUSHALL", "CONFIG GET requirepass", "CLIENT LIST"):
                assert self.tell_redis(kind, host, words).startswith(b"-NOAUTH"), words
            for words in ("AUTH redis", "AUTH default default", "HELLO 3 AUTH default x"):
                assert self.tell_redis(kind, host, words).startswith(b"-WRONGPASS"), words
            assert self.tell_redis(kind, host, "POST / HTTP/1.1") == b""

    def tell_redis(self, kind, host, words):
        with self.customer.dial(kind, host, self.redis_port) as sock:
            sock.sendall(words.encode() + b"\r\n")
            return sock.recv(4096)


class Site:
    """tallyd as it is installed, the files beside its configuration; a Redis with a password."""

    def __init__(self, tallyd, make_redis, tmp_path):
        self.redis = make_redis("--requirepass", REDIS_PASSWORD)
        self.redis.password = REDIS_PASSWORD
        self.redis.start()
        directory = tmp_path / "etc"
        directory.mkdir()
        (directory / "first-node").write_text(f"name = hk1\nsecret = {SECRET}\n")
        (directory / "api-token").write_text(API_TOKEN + "\n")
        (directory / "read-token").write_text(READ_TOKEN + "\n")
        self.socket_path = directory / "admin.sock"
        self.daemon = tallyd(
            directory=directory, redis_url=None, sync_interval=500,
            config=f"redis_url = redis://default:{REDIS_PASSWORD}@127.0.0.1:{self.redis.port}/0\n"
                   f"admin_socket = {self.socket_path}\n")
        self.daemon.options["listen"] += f",[::1]:{self.daemon.port}"
        self.daemon.start()
        self.get("/nodes")
        assert self.daemon.get("/nodes").status == 401

    def get(self, path, right=API_TOKEN):
        answer = self.daemon.get(path, Authorization=f"Bearer {right}")
        assert answer.status == 200, answer
        return answer.json()

    def sync(self):
        admin = Client(self.socket_path)
        assert admin.post("/force-sync").status == 200
        admin.close()

    def totals(self):
        self.sync()
        return {user: row[1:] for user, row in self.daemon.users().items()}

    def rights(self):
        """All that must be as it was."""
        self.sync()
        nodes = self.get("/nodes")
        for node in nodes["nodes"]:
            node.pop("services")
            for name in ("lastReportAt", "mode", "peers", "seen", "memory"):  # of bob's reports
                node.pop(name, None)
        return (nodes, self.daemon.sql("select count(*) from rejects"),
                self.daemon.sql("select seq, verb, subject from audit order by seq"))


class StandIns:
    """The proxy, and beside it what reports bob's traffic with the node's secret."""

    def __init__(self, site, _):
        self.site = site
        self.proxy = ForwardProxy(USERS, NAMES)
        self.ports = self.proxy.ports
        self.gost = Gost(site.daemon.address, "hk1", userinfo=f"hk1:{SECRET}", period=0.1,
                         names_counters=False, load=lambda stream: stream.traffic("bob", 10, 200))
        self.gost.start()

    def n_counted(self):
        return self.gost.books.n_answered

    def finish(self):
        self.gost.load = None
        wait_for(lambda: all(s.is_drained() for s in self.gost.streams), "all is reported")
        self.gost.kill()
        assert self.gost.books.differences("user", self.site.totals()) == []
        assert not self.gost.books.doubtful


class RealOne:
    """A GOST with the node's secret; bob fetches through it all the while."""

    def __init__(self, site, tmp_path):
        self.site = site
        self.target = Target()
        self.gost = RealGost(tmp_path / "gost", plugin(site.daemon.address, "hk1", SECRET),
                             names=NAMES).start()
        self.ports = self.gost.ports
        self.gost.fetch("bob", self.target.url)
        wait_for(lambda: self.bytes()[1] > 200_000, "bob is counted")
        time.sleep(1.5)  # a period more
        self.unit = self.bytes()
        self.n = 1
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def bytes(self):
        return self.site.totals().get("bob", (0, 0))

    def run(self):
        while not self.stopping.wait(0.2):
            self.gost.fetch("bob", self.target.url)
            self.n += 1

    def n_counted(self):
        return self.bytes()[1]

    def finish(self):
        self.stopping.set()
        self.thread.join(60)
        try:
            wait_for(lambda: self.bytes() == tuple(self.n * size for size in self.unit),
                     "all of bob's bytes are counted")
            # What Alice has moved is hers, and nobody else appears.
            assert set(self.site.totals()) == {"alice", "bob"}
        finally:
            self.gost.stop()
            self.target.shutdown()


@pytest.fixture
def site(tallyd, make_redis, tmp_path):
    return Site(tallyd, make_redis, tmp_path)


FRONTS = [pytest.param(StandIns, id="stand-in"),
          pytest.param(RealOne, id="gost", marks=pytest.mark.skipif(
              GOST is None, reason="no gost in PATH or GOST_BIN"))]


@pytest.mark.parametrize("make_front", FRONTS)
def test_a_customer_of_the_proxy_has_no_right(make_front, site, tmp_path):
    front = make_front(site, tmp_path)
    if make_front is RealOne:
        print(real_gost.version())
    alice = Alice(front.ports, site.daemon.port, site.redis.port)
    before, n_before = site.rights(), front.n_counted()
    for kind in KINDS:
        alice.ask_for_everything(kind)
    alice.forge_headers("socks5")
    alice.try_queries("connect")
    alice.guess_credentials()
    alice.speak_to_redis()
    alice.customer.close()
    assert front.n_counted() > n_before
    front.finish()
    assert site.rights() == before
    status = site.get(STATUS, READ_TOKEN)["data"]
    assert status["redis"]["state"] == "up" and status["reports"]["refused"] > 0
    wait_for(lambda: {user: total[1:] for user, total in site.redis.view().items()} ==
             site.totals(), "Redis shows what SQLite holds")
    assert not any(secret in site.daemon.all_logs() for secret in SECRETS)
    print(f"{alice.judge.n} attacks", collections.Counter(s for _, _, s in alice.judge.seen))


def test_a_name_that_is_there_is_answered_like_one_that_is_not(site):
    """Nobody learns who is a user or a node by what is refused."""
    proxy = ForwardProxy(USERS, NAMES)
    site.daemon.post("/observer", report(stats("bob", 1, 2)), Authorization=basic(f"hk1:{SECRET}"))
    alice = Alice(proxy.ports, site.daemon.port, site.redis.port)
    for method, pattern, _ in ROUTES:
        if "{}" not in pattern:
            continue
        answers = {json.dumps([found.status, found.body.decode(), sorted(
            item for item in found.headers.items() if item[0] != "date")])
            for found in (alice.ask("socks5", "127.0.0.1", method, path)
                          for path in filled(pattern))}
        assert len(answers) == 1, answers
    for query in ("?node=hk1", "?node=nobody", ""):
        answer = alice.ask("socks5", "127.0.0.1", "POST", "/observer" + query, None, BILL)
        assert (answer.status, answer.body) == (401, b"")
    for name in ("hk1", "nobody"):
        answer = alice.ask("socks5", "127.0.0.1", "POST", "/observer",
                           {"Authorization": basic(f"{name}:{'0' * 32}")}, BILL)
        assert (answer.status, answer.body) == (401, b"")
    alice.customer.close()
