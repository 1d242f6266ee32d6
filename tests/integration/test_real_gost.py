"""The real GOST, if there is one: in PATH, or GOST_BIN. Both modes, both proxies, restarts."""
import collections
import contextlib
import http.client
import http.server
import json
import pathlib
import threading
import urllib.request

import pytest

import real_gost
from deadline import wait_for
from gost_sample import service_without_users
from real_gost import GOST, PAYLOAD, RealGost, Target, plugin

pytestmark = pytest.mark.skipif(GOST is None, reason="no gost in PATH or GOST_BIN")
USERS = ("alice", "bob")
WRONG = "something looks wrong"
README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


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
                 "all of it is counted")

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
    assert WRONG not in daemon.all_logs()
    print(mode, counted(daemon), f"{len(recorder.bodies)} reports")


class Site:
    """A tallyd, what is fetched, and the GOSTs that report to it."""

    def __init__(self, daemon, directory):
        self.daemon = daemon
        self.directory = directory
        self.target = Target()
        self.gosts = []

    def plugin(self, counters="delta"):
        return plugin(self.daemon.address, query=f"?node=real&counters={counters}")

    def gost(self, plugin, make=RealGost, **options):
        directory = self.directory / f"gost{len(self.gosts)}"
        self.gosts.append(make(directory, plugin, **options))
        return self.gosts[-1].start()

    def codes(self):
        return {found["code"] for found in self.daemon.status()["suspicions"]}

    def fetch_until(self, condition, what):
        """By every GOST, all the while."""
        def step():
            for gost in self.gosts:
                gost.fetch("alice", self.target.url)
            return condition()

        wait_for(step, what, limit=90)

    def await_said(self, code):
        self.fetch_until(lambda: code in self.codes(), f"{code} is said")
        assert self.codes() == {code}
        assert f"{WRONG}: code={code} " in self.daemon.log()

    def await_mended(self):
        self.fetch_until(lambda: not self.codes(), "nothing looks wrong any more")

    def close(self):
        for gost in self.gosts:
            if gost.process is not None:
                gost.stop()
        self.target.shutdown()


@pytest.fixture
def site(tallyd, tmp_path):
    made = Site(tallyd(sync_interval=500).start(), tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("how", ["kill", "reload"])
@pytest.mark.parametrize("mode", ["delta", "cumulative"])
def test_a_gost_that_begins_anew_costs_no_byte_if_its_services_are_observed(mode, how, site):
    """Also where it is beyond its last values when it is heard of again."""
    gost = site.gost(site.plugin(mode), is_delta=mode == "delta", period="4s")

    def epochs():
        return {n for n, in site.daemon.sql("select epoch from services where kind='service'")}

    gost.fetch("alice", site.target.url)
    wait_for(lambda: counted(site.daemon).get("alice", (0, 0))[1] >= 2 * len(PAYLOAD),
             "the first is counted")
    unit = counted(site.daemon)["alice"]
    if how == "kill":
        gost.kill()
        gost.start()
    else:
        gost.reload()
    wait_for(lambda: counted(site.daemon) and epochs() == {2}, "it has begun anew")
    gost.fetch("alice", site.target.url, 3)
    wait_for(lambda: counted(site.daemon)["alice"] >= (4 * unit[0], 4 * unit[1]),
             "all of it is counted")
    gost.fetch("carol", site.target.url)
    wait_for(lambda: counted(site.daemon).get("carol") == unit, "carol is counted")
    assert counted(site.daemon)["alice"] == (4 * unit[0], 4 * unit[1])
    assert WRONG not in site.daemon.log()


def test_a_cumulative_gost_that_never_announces_itself_is_said_until_it_does(site):
    gost = site.gost(site.plugin("cumulative"), is_delta=False, is_announced=False)
    site.await_said("no-states")
    gost.is_announced = True
    gost.restart()
    site.await_mended()


def reset_services(configuration):
    for service in configuration["services"]:
        service["metadata"] = {"observer.resetTraffic": True}


@pytest.mark.parametrize("edit", [None, reset_services], ids=["forgotten", "wrong level"])
def test_totals_of_a_gost_that_are_taken_for_deltas_are_said(edit, site):
    gost = site.gost(site.plugin("delta"), is_delta=False, edit=edit)
    site.await_said("looks-cumulative")
    gost.change_plugin(site.plugin("cumulative"))  # one of the two ways to mend it
    site.await_mended()


def test_deltas_of_a_gost_that_are_taken_for_totals_are_said(site):
    gost = site.gost(site.plugin("cumulative"), is_delta=True)
    site.await_said("looks-delta")
    gost.change_plugin(site.plugin("delta"))
    site.await_mended()


class AutoGost(RealGost):
    """Both proxies are one."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.ports["http"] = self.ports["socks5"]

    def configuration(self):
        found = super().configuration()
        found["services"] = found["services"][:1]
        found["services"][0]["handler"]["type"] = "auto"
        return found


def test_the_handler_auto_of_a_gost_is_said_if_its_counters_are_cumulative(site):
    """By its connections it may look like two GOSTs for a while."""
    site.gost(site.plugin("cumulative"), AutoGost, is_delta=False)
    site.fetch_until(site.codes, "it is said")
    (found,) = site.daemon.status()["suspicions"]
    assert found["code"] in ("looks-delta", "two-senders")
    assert "auto" in found["sentence"]
    assert any("observer.resetTraffic: true" in line for line in found["change"])


def test_two_gosts_of_one_name_are_said(site):
    pair = [site.gost(site.plugin("cumulative"), is_delta=False) for _ in range(2)]
    pair[0].fetch("alice", site.target.url, 5)
    site.await_said("two-senders")


class ForwardGost(RealGost):
    """One service, the README's, of a handler that has no users."""

    def __init__(self, *arguments, target, has_stats, **options):
        super().__init__(*arguments, **options)
        self.target = target
        self.has_stats = has_stats
        self.ports = {"forward": self.ports["http"]}

    def configuration(self):
        found = super().configuration()
        service = service_without_users(README.read_text())
        service["addr"] = f"127.0.0.1:{self.ports['forward']}"
        service["handler"]["observer"] = "tally"
        service["metadata"] |= {"enableStats": self.has_stats, "observer.period": "1s",
                                "observer.resetTraffic": self.is_delta}
        service["forwarder"]["nodes"][0]["addr"] = "127.0.0.1:%d" % self.target.server_port
        return found | {"services": [service]}

    def fetch_whole(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['forward']}/") as answer:
            assert answer.read() == PAYLOAD


@pytest.mark.parametrize("is_delta", [True, False], ids=["delta", "cumulative"])
def test_a_service_without_users_is_counted_as_the_readme_shows_it(is_delta, site):
    gost = site.gost(site.plugin("delta" if is_delta else "cumulative"), ForwardGost,
                     is_delta=is_delta, target=site.target, has_stats=True)

    def total():
        site.daemon.force_sync()
        (found,) = site.daemon.sql(
            "select input_bytes, output_bytes from services where kind = 'service'") or [(0, 0)]
        return found

    gost.fetch_whole()
    wait_for(lambda: total()[1] > len(PAYLOAD), "the first is counted")
    unit = total()
    for n in range(2, 6):
        gost.fetch_whole()
        wait_for(lambda n=n: total()[1] >= n * unit[1], "it is counted")
        assert total() == (n * unit[0], n * unit[1])
    assert counted(site.daemon) == {}
    gost.has_stats = False
    gost.restart()
    gost.fetch_whole()
    gost.has_stats = True
    gost.restart()
    gost.fetch_whole()
    wait_for(lambda: total()[1] >= 6 * unit[1], "it is counted again")
    assert total() == (6 * unit[0], 6 * unit[1])  # not what came in between
    assert WRONG not in site.daemon.log()


def only_service(configuration):
    for service in configuration["services"]:
        del service["handler"]["observer"]
        service["metadata"] = {"enableStats": True, "observer.period": "1s",
                               "observer.resetTraffic": True}


def without_auther(configuration):
    for service in configuration["services"]:
        del service["handler"]["auther"]


def without_type(plugin, address):
    del plugin["type"]
    plugin["addr"] = f"{address[0]}:{address[1]}"


@pytest.mark.parametrize("spoil, code", [
    (without_type, "http2"),
    (lambda plugin, _: plugin.update(addr=plugin["addr"].replace("http:", "https:")), "tls"),
    (lambda plugin, _: plugin.update(addr=plugin["addr"].replace("/observer", "/observe")),
     "not_found"),
    (lambda plugin, _: plugin.update(addr=plugin["addr"].replace("//", "//real:secret@")),
     "unauthorized"),
    (lambda plugin, _: plugin.update(addr=plugin["addr"] + "&counter=delta"), "bad_request")],
    ids=["no type", "https", "path", "secret", "parameter"])
def test_a_gost_that_reports_to_nobody_is_seen_in_the_refusals(spoil, code, site):
    wrong = site.plugin()
    spoil(wrong, site.daemon.address)
    gost = site.gost(wrong)
    gost.fetch("alice", site.target.url)

    def refusals():
        return site.daemon.status()["refusals"]

    wait_for(lambda: code in refusals()["counts"], "a report is refused")
    assert {found["code"] for found in refusals()["last"]} == {code}
    assert f"code={code} " in site.daemon.log()
    gost.change_plugin(site.plugin())
    wait_for(lambda: counted(site.daemon).get("alice", (0, 0))[1] >= 2 * len(PAYLOAD),
             "what it has kept is counted")


@pytest.mark.parametrize("edit, code", [(only_service, "service-only"),
                                        (without_auther, "no-client")])
def test_a_gost_whose_users_are_missing_is_said_until_they_are_there(edit, code, site):
    gost = site.gost(site.plugin(), edit=edit)
    site.await_said(code)
    gost.edit = lambda configuration: None
    gost.restart()
    site.await_mended()
