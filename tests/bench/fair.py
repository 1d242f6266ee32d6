"""A sender of one event, beside others that want all of the server for themselves."""
import contextlib
import itertools
import tempfile
import time

from candidates import TALLYD
from load import Sender, latencies
from proc import resident_bytes
from spread import Spread
from tables import Table

from client import get_bytes, post_bytes

MIB16 = 16 << 20
FLOODERS, PIPELINED = 1000, 600
EVERY_S, REST_S = 0.005, 5
HONEST_USERS = (5000, 10_000, 100_000)
LINGER_S = 10  # so that each has sent at least one, if that can be
SENDERS = (1, 8)
# As if they were on other machines: it is not the CPU that they are to take away.
OTHERS = {"nice": 19, "timeout": 300, "patience": 600}


def filled(head, piece, tail):
    """A body of 16 MiB, with a comma between the pieces."""
    n = (MIB16 - len(head) - len(tail)) // (len(piece) + 1)
    return head + b",".join([piece] * n) + tail


def bodies():
    """{what: body}"""
    return {
        "an array of 8 million numbers as event": filled(b'{"events":[[', b"1", b"]]}"),
        "a string of 16 MiB of 0x01 as event":
            b'{"events":["' + b"\x01" * (MIB16 - 16) + b'"]}',
        "an array of 8 million numbers": filled(b"[", b"1", b"]"),
        "a million smallest events": filled(b'{"events":[', b'{"type":"stats"}', b"]}"),
    }


def raw(name, data, connections=1, answers=1):
    """What is none of reports that count: how it is sent, and what is to be noted of it."""
    def begin(server, senders, seconds):
        with tempfile.NamedTemporaryFile(prefix="tallyd-bench-") as file:
            file.write(data)
            file.flush()
            return Sender(server.url, raw=file.name, connections=connections * senders,
                          answers=answers, seconds=seconds, linger=LINGER_S,
                          **OTHERS).wait_until_begun()
    return name, begin, lambda server, load: load


def honest(users):
    """Large reports, all of which are to be counted."""
    def begin(server, senders, seconds):
        return server.begin(service="large", events=users, users=users, id_digits=6,
                            connections=senders, seconds=seconds, **OTHERS)
    return (f"honest reports of {users:,} users", begin,
            lambda server, load: server.note(load, "large"))


def cases():
    yield from (raw(name, post_bytes("/observer?node=other", body))
                for name, body in bodies().items())
    yield raw(f"{FLOODERS:,} connections of {PIPELINED} pipelined GETs",
              get_bytes("/throttle-sync-status") * PIPELINED, FLOODERS, PIPELINED)
    yield from map(honest, HONEST_USERS)


def beside(server, case, senders, seconds):
    """{figure: value} of the one sender, while the others send."""
    _, begin, note = case
    one = server.begin(every=EVERY_S, patience=600)
    others = begin(server, senders, seconds)
    theirs = note(server, others.result())
    ours = server.note(one.stop())
    took = ours.took_ms(theirs.began, max(theirs.began + int(seconds * 1e9), theirs.ended))
    return {"reports": len(took), "tries without answer": ours.failed, **latencies(took)}


class Case:
    """One row. It is left alone for a while before its memory is looked at for the last time,
    while the next one is measured."""

    def __init__(self, bench, stack, case, senders):
        self.stack = stack.enter_context(contextlib.ExitStack())
        self.server = self.stack.enter_context(TALLYD[0].running(users=10**6))
        self.server.send(seconds=0.2)
        before = self.resident_mib()
        self.figures = beside(self.server, case, senders, 3 * bench.seconds)
        self.figures["MiB more 5 s after"] = -before
        self.rested = time.monotonic() + REST_S

    def resident_mib(self):
        return resident_bytes(self.server.pids["server"]) / 2**20

    def end(self):
        """{figure: Spread}; the ledger was right."""
        time.sleep(max(0, self.rested - time.monotonic()))
        self.figures["MiB more 5 s after"] += self.resident_mib()
        self.stack.close()
        return {figure: Spread((value,)) for figure, value in self.figures.items()}


def measure(bench):
    rows, last = {}, None
    nobody = ("nobody", lambda server, _, seconds: server.begin(
        service="idle", every=10, seconds=seconds), lambda server, load: server.note(load, "idle"))
    with contextlib.ExitStack() as stack:
        for case, senders in [(nobody, 0), *itertools.product(cases(), SENDERS)]:
            who = case[0] + (f", {senders} sender{'s' * (senders > 1)}" if senders else "")
            bench.say(f"Beside {who}")
            now = Case(bench, stack, case, senders)
            if last:
                rows[last[0]] = last[1].end()
            last = who, now
        rows[last[0]] = last[1].end()
    return [Table("fair", f"A report of one event each {EVERY_S * 1000:g} ms beside others "
                  f"({TALLYD[0].name})", rows, note=(
        "Each row is one run: percentiles are over its reports, each from when it was due. The "
        "others send again and again, for 3 times the seconds of a round; a row goes on until they "
        "have their last answer. A try is given up after "
        "5 s, as GOST does it, and the report sent again; its time goes on."))]
