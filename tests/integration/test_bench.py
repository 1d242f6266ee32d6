"""What `make bench` prints can be believed: its sums, its ledger, its tables. No speed here."""
import collections
import contextlib
import http.server
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

import pytest

from client import post_bytes
from deadline import BIN, ROOT, seconds

BENCH = ROOT / "tests" / "bench"
sys.path.append(str(BENCH))

import bench  # noqa: E402
import fair  # noqa: E402
import flush  # noqa: E402
import gosts  # noqa: E402
import ledger  # noqa: E402
import load  # noqa: E402
import plot  # noqa: E402
import readme  # noqa: E402
import rest  # noqa: E402
import scale  # noqa: E402
import settings  # noqa: E402
import soak  # noqa: E402
import tables  # noqa: E402
from spread import Spread, number, percentile, spreads  # noqa: E402


# Statistics and writers.

def test_a_spread_is_the_median_between_the_lowest_and_the_highest():
    spread = Spread((3, 1, 2, 10))
    assert (spread.lowest, spread.median, spread.highest) == (1, 2.5, 10)
    assert str(spread) == "2.50 (1.00–10.0)"
    assert str(Spread((7,))) == "7.00"


def test_a_ratio_compares_what_was_measured_in_the_same_round():
    assert Spread((10, 20, 90)).over(Spread((1, 4, 10))).values == (10, 5, 9)
    with pytest.raises(ValueError):
        Spread((1, 2)).over(Spread((1,)))


def test_rounds_become_a_spread_for_each_figure():
    assert spreads([{"a": 1, "b": 5}, {"a": 2, "b": 6}]) == {"a": Spread((1, 2)),
                                                            "b": Spread((5, 6))}


@pytest.mark.parametrize("values,percent,expected", [
    ([5], 50, 5), ([5], 99, 5), (range(1, 101), 50, 50), (range(1, 101), 99, 99),
    (range(1, 101), 100, 100), (range(200, 0, -1), 99, 198), ([1, 2, 3], 50, 2), ([4, 1], 0, 1)])
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values, percent, expected):
    assert percentile(values, percent) == expected


@pytest.mark.parametrize("value,text", [
    (0, "0"), (0.01234, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"),
    (71234.5, "71,234"), (-14400.0, "-14,400")])
def test_a_number_has_as_many_digits_as_a_reader_needs(value, text):
    assert number(value) == text


TABLE = tables.Table("t", "Reports <1>", {
    "tallyd, Redis": {"reports/s": Spread((20, 30)), "CPU": Spread((4.0, 5.0))},
    "a & b": {"reports/s": Spread((10, 10))}}, "A note.")


def test_a_table_has_a_row_for_each_and_a_dash_where_there_is_no_figure():
    assert tables.markdown(TABLE).splitlines() == [
        "**Reports <1>**", "", "| | reports/s | CPU |", "|---|--:|--:|",
        "| tallyd, Redis | 25.0 (20.0–30.0) | 4.50 (4.00–5.00) |", "| a & b | 10.0 | – |", "",
        "A note."]


def test_what_is_written_as_json_is_read_as_the_same_table():
    text = json.dumps(tables.plain(TABLE))
    assert tables.from_plain(json.loads(text)) == TABLE
    assert json.loads(text)["rows"]["tallyd, Redis"]["CPU"] == {
        "median": 4.5, "lowest": 4.0, "highest": 5.0, "values": [4.0, 5.0]}


def test_a_plot_has_a_bar_for_each_in_proportion_to_its_median():
    image = plot.svg([("Reports <1>", [(who, kind, row["reports/s"]) for (who, row), kind in
                                       zip(TABLE.rows.items(), ("tallyd", "peer"))])])
    root = xml.etree.ElementTree.fromstring(image)
    names = {"svg": "http://www.w3.org/2000/svg"}
    texts = [text.text for text in root.findall("svg:text", names)]
    assert {"Reports <1>", "tallyd, Redis", "a & b", "25.0", "10.0"} <= set(texts)
    widths = [float(bar.get("width")) for bar in root.findall("svg:rect", names)]
    assert widths[0] / widths[1] == pytest.approx(2.5, abs=0.01)
    right = max(float(line.get("x2")) for line in root.findall("svg:line", names))
    assert right <= float(root.get("width")) - plot.VALUE


def test_only_what_stands_between_its_two_lines_is_renewed_in_the_readme():
    text = f"before\n{readme.BEGIN}old\n{readme.END}after\n"
    assert readme.renewed(text, "new\n") == f"before\n{readme.BEGIN}new\n{readme.END}after\n"
    with pytest.raises(SystemExit, match="has lost the two lines"):
        readme.renewed("before\n", "new\n")
    assert readme.renewed((ROOT / "README.md").read_text(), "new\n").count("new\n") >= 1


# The sender.

class Bookkeeper(http.server.ThreadingHTTPServer):
    """Takes reports, and keeps their bodies and what they add.

    refuse(n): what becomes of the n-th try, None for ok: a status, "hang up" or "silence".
    piece: how many bytes of an answer are written at a time.
    """
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, refuse=lambda n: None, hold=0, piece=None, is_cumulative=False):
        super().__init__(("127.0.0.1", 0), BookkeepersHandler)
        self.lock = threading.Lock()
        self.refuse, self.hold, self.piece = refuse, hold, piece
        self.is_cumulative = is_cumulative
        self.tries, self.accepted = [], []
        self.input_bytes = self.output_bytes = 0
        self.marks, self.users = {}, collections.Counter()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/observer?node=n%"

    def take(self, path, body):
        """What to answer: a status, or "hang up"."""
        with self.lock:
            fate = self.refuse(len(self.tries))
            self.tries.append(body)
            if fate:
                return fate
            self.accepted.append(body)
            for event in json.loads(body)["events"]:
                self.count(path, event["client"], event["stats"])
            return 200

    def count(self, path, client, stats):
        values = [stats["inputBytes"], stats["outputBytes"]]
        marks = self.marks.get((path, client), [0, 0]) if self.is_cumulative else [0, 0]
        self.marks[path, client] = values
        self.users[client] += 1
        self.input_bytes += values[0] - marks[0]
        self.output_bytes += values[1] - marks[1]


class BookkeepersHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.take(self.path, body)
        time.sleep(self.server.hold)
        if answer == "silence":
            self.rfile.read(1)  # until the other side has given up
        if answer in ("hang up", "silence"):
            self.close_connection = True
            return
        text = b'HTTP/1.1 %d X\r\nDate: today\r\ncontent-length: 11\r\n\r\n{"ok":true}' % answer
        size = self.server.piece or len(text)
        for start in range(0, len(text), size):
            self.wfile.write(text[start:start + size])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def bookkeeper(**options):
    with Bookkeeper(**options) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def check_books(server, sent, options):
    assert (sent.input_bytes, sent.output_bytes) == (server.input_bytes, server.output_bytes)
    assert sent.reports == len(server.accepted) == len(sent.samples) / 2
    assert sent.events == sum(server.users.values()) == sent.reports * options.get("events", 1)
    assert len(set(server.accepted)) == sent.reports, "no two are equal"


@pytest.mark.parametrize("options", [
    {"reports": 300, "connections": 7, "users": 50},
    {"reports": 20, "connections": 3, "events": 100, "users": 1000, "id_digits": 12},
    {"reports": 60, "connections": 3, "events": 10, "users": 40, "cumulative": True},
    {"seconds": 0.3, "every": 0.05, "connections": 5, "users": 9},
], ids=str)
def test_the_sender_knows_to_the_byte_what_it_has_sent(options):
    with bookkeeper(is_cumulative="cumulative" in options) as server:
        sent = load.send(server.url, **options)
    check_books(server, sent, options)
    assert sent.failed == 0


def test_as_many_events_as_there_are_users_name_each_of_them_once():
    with bookkeeper() as server:
        load.send(server.url, reports=20, events=5, users=100, connections=4)
    assert server.users == {f"{user:03}": 1 for user in range(1, 101)}


@pytest.mark.parametrize("fate", [503, 400, "hang up"])
def test_a_report_that_is_not_accepted_comes_again_byte_for_byte_and_counts_once(fate):
    with bookkeeper(refuse=lambda n: fate if n in (3, 4, 7) else None) as server:
        sent = load.send(server.url, reports=10)
    check_books(server, sent, {})
    assert sent.failed == 3
    assert server.tries[3] == server.tries[4] == server.tries[5] == server.accepted[3]


def test_a_report_that_is_not_answered_in_time_comes_again():
    with bookkeeper(refuse=lambda n: "silence" if n == 0 else None) as server:
        sent = load.send(server.url, reports=1, timeout=0.2)
    assert sent.reports == 1
    assert sent.failed >= 1
    assert len(server.tries) >= 2
    assert len(set(server.tries)) == 1
    assert sent.input_bytes == json.loads(server.tries[0])["events"][0]["stats"]["inputBytes"]


@pytest.mark.parametrize("piece", [1, 7, 60])
def test_answers_are_read_in_any_pieces(piece):
    with bookkeeper(piece=piece) as server:
        sent = load.send(server.url, reports=20)
    check_books(server, sent, {})
    assert sent.failed == 0


def test_what_is_no_report_is_sent_as_it_is_and_has_as_many_answers_as_it_asks(tmp_path):
    raw = tmp_path / "raw"
    raw.write_bytes(post_bytes("/a", b'{"events":[]}') * 3)
    with bookkeeper() as server:
        sent = load.send(server.url, raw=raw, answers=3, reports=4, connections=2)
    assert server.tries == [b'{"events":[]}'] * 12
    assert sent.reports == 4


def test_it_sends_for_as_long_as_it_is_told_even_if_nothing_more_is_due():
    with bookkeeper() as server:
        began = time.monotonic()
        sent = load.send(server.url, every=10, seconds=0.5)
    assert sent.reports == 1
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize("is_at_once", [False, True])
def test_how_long_a_report_takes_is_counted_from_when_it_was_due(is_at_once):
    hold, every, n = 0.3, 0.1, 2
    with bookkeeper(hold=hold) as server:
        sent = load.send(server.url, connections=n, every=every, seconds=0.4, at_once=is_at_once)
    due = sorted((at - sent.began) / 1e9 for at in sent.samples[::2])
    step = every if is_at_once else every / n
    expected = sorted((i // n * every if is_at_once else i * step) for i in range(4 * n))
    assert due == pytest.approx(expected, abs=1e-6)
    # Each connection's k-th one has waited for those before it.
    assert sorted(sent.took_ms())[n * 3] >= 1e3 * (4 * hold - 3 * every) - 1


def test_it_gives_up_if_nothing_is_ever_accepted():
    with bookkeeper(refuse=lambda n: 401) as server, \
            pytest.raises(SystemExit, match="the answer's status is 401"):
        load.send(server.url, reports=1, patience=5)  # an answer comes before
    with pytest.raises(SystemExit, match="nothing was answered"):
        load.send("http://127.0.0.1:1/x", reports=1, patience=0.3)


# The whole of it.

def run_bench(*arguments, **variables):
    return subprocess.run(
        [sys.executable, str(BENCH / "bench.py"), *arguments], stdin=subprocess.DEVNULL,
        env={**os.environ, "BENCH_ROUNDS": "1", "BENCH_SECONDS": "0.1", **variables},
        capture_output=True, text=True, timeout=seconds(120), check=False)


def dishonest(tmp_path, times):
    program = tmp_path / "tallyd"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r} + "
                       f"'/tests/lib')\nfrom dishonest import main\nmain({BIN!r}, {times})\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize("times", [0, 2], ids=["lost", "counted twice"])
@pytest.mark.parametrize("only,sentence", [
    ("one", "bench: Redis shows"),
    ("settings", "bench: the ledger does not hold what was sent"),
], ids=["with Redis", "without"])
def test_it_fails_if_a_report_is(tmp_path, times, only, sentence):
    done = run_bench(f"--only={only}", f"--out={tmp_path}", TALLYD_BIN=dishonest(tmp_path, times))
    assert done.returncode != 0
    assert sentence in done.stderr, done
    assert not list(tmp_path.glob("bench.*"))


def test_it_writes_table_json_and_plot_and_says_of_what(tmp_path):
    done = run_bench("--only=events", f"--out={tmp_path}")
    assert done.returncode == 0, done
    data = json.loads((tmp_path / "bench.json").read_text())
    assert data["machine"]["cores"] == os.cpu_count()
    assert data["versions"]["libmicrohttpd"]
    assert data["options"] == {"rounds": 1, "seconds": 0.1, "base": None, "peers": [],
                               "only": ["events"]}
    text = (tmp_path / "bench.md").read_text()
    assert text in done.stdout
    for table in data["tables"]:
        assert table["title"] in text
        assert {"tallyd, Redis", "tallyd, none", "a constant answer"} <= table["rows"].keys()
    image = xml.etree.ElementTree.parse(tmp_path / "bench.svg").getroot()
    assert "16 connections" in image[0].text


@pytest.mark.parametrize("arguments,variables,sentence", [
    (["--only=evnts"], {}, "there is no figure evnts; there are events, one,"),
    (["--base=nothing"], {}, "there is no commit nothing"),
    (["--peer=x"], {}, "`x` is no peer"),
    (["--peer=x=http://127.0.0.1:1/,4194304"], {}, "there is no process 4194304"),
    ([], {"BENCH_ROUNDS": "many"}, "BENCH_ROUNDS=many is no number"),
    ([], {"TALLYD_BIN": "/nowhere/tallyd"}, "/nowhere/tallyd is not there; `make` builds it"),
    ([], {"PATH": "/nowhere"}, "redis-server is not installed; it is in Debian's package redis"),
    ([], {"BENCH_PROGRAMS": "/nowhere"}, "/nowhere is not there; `make bench` builds it"),
])
def test_what_is_wrong_is_said_in_one_sentence(arguments, variables, sentence):
    done = run_bench(*arguments, **variables)
    assert done.returncode != 0
    assert re.fullmatch(rf"bench: .*{re.escape(sentence)}.*\n", done.stderr), done


TINY = bench.Bench(1, 0.1, 1, bench.TALLYD, [])
WITHOUT_REDIS = bench.Bench(1, 0.1, 1, bench.TALLYD[1:], [])


def shrink(monkeypatch):
    """All figures are taken, of next to nothing."""
    for module, values in {
            fair: {"SENDERS": (2,), "MIB16": 1 << 16, "FLOODERS": 20, "PIPELINED": 5,
                   "HONEST_USERS": (50,), "REST_S": 0, "EVERY_S": 0.02,
                   "bodies": lambda: {"garbage": b"[" * 1000}},
            gosts: {"GOSTS": 50}, rest: {"SETTLE_S": 0, "LIMIT_MS": 100},
            scale: {"USERS": (200,)}, soak: {"MINUTE_S": 1}}.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("measure,columns", [
    (lambda: [flush.table(TINY, 100)], {"flush ms", "p99 ms without", "times bare"}),
    (lambda: [rest.table(TINY, "rest", 100)],
     {"% of a core", "% of a core, Redis", "wakeups/s", "edit mended after ms"}),
    (lambda: [gosts.table(WITHOUT_REDIS, "gosts", True)],
     {"p99 ms", "worst ms", "% of a core", "resident MiB"}),
    (lambda: fair.measure(TINY), {"tries without answer", "p99 ms", "MiB more 5 s after"}),
    (lambda: settings.measure(TINY), {"reports/s", "CPU µs per report", "reports per sync"}),
    (lambda: [scale.table(TINY, "scale", "scale", scale.without_redis)],
     {"bytes per user, flushed", "flush ms", "start ms", "CPU µs per report of 100"}),
    (lambda: soak.measure(TINY), {"reports", "resident KiB", "descriptors"}),
], ids=["flush", "rest", "gosts", "fair", "settings", "scale", "soak"])
def test_each_kind_of_figure_can_be_taken_and_leaves_a_right_ledger(
        monkeypatch, measure, columns):
    shrink(monkeypatch)
    found = {figure for table in measure() for row in table.rows.values() for figure in row}
    assert columns <= found


def test_a_ledger_is_compared_by_service_and_by_user(tmp_path):
    database = tmp_path / "tally.db"
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.executescript(
            "create table services(node, kind, service, input_bytes, output_bytes);"
            "create table users(id, used_traffic, input_bytes, output_bytes);"
            "insert into services values('a', 'handler', 's', 5, 6), ('b', 'handler', 's', 1, 1);"
            "insert into users values('u', 13, 6, 7);")
    books = ledger.Ledger()
    books.add("s", load.Load(1, 1, 6, 7, 0, 0, 1, []))
    books.check(database)
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.execute("update users set used_traffic = 14")
    with pytest.raises(ledger.WrongLedger, match="totals are 14 bytes"):
        books.check(database)
    books.add("t", load.Load(1, 1, 1, 0, 0, 0, 1, []))
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.execute("update users set used_traffic = 13")
    with pytest.raises(ledger.WrongLedger, match="service t: .0, 0. instead of .1, 0."):
        books.check(database)


def test_a_redis_that_shows_less_is_noticed():
    ledger.check_view({"a": (3, 1, 2), "b": (7, 3, 4)}, (4, 6))
    with pytest.raises(ledger.WrongLedger, match="Redis shows"):
        ledger.check_view({"a": (3, 1, 2)}, (4, 6))
