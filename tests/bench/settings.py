"""What settings cost: when the journal is synced, and what kind of counters GOST sends."""
import json
import statistics

from candidates import TALLYD
from flush import OPTIONS
from spread import Spread
from tables import Table

NONE = TALLYD[1]
FSYNC = ("no", "everysec", "always")


def group(bench):
    """How many reports one fdatasync makes stable, with journal_fsync = always.

    A record tells up to which sequence all was synced when it was written: each step of
    that is one group. More than two reports of each connection: there are such steps, for a
    connection sends the next report once the last one is stable.
    """
    with NONE.running(journal_fsync="always", **OPTIONS) as server:
        server.send(connections=64, reports=max(200, int(5000 * bench.seconds)))
        dump = server.daemon.run("--dump-journal").stdout
    steps = sorted({json.loads(line)["syncedSeq"] for line in dump.splitlines()})
    return statistics.median(b - a for a, b in zip(steps, steps[1:]))


def fsync(bench):
    title = "1 event a report, 64 connections, by journal_fsync"
    rows = bench.alternate(title, FSYNC, lambda value: NONE.measure(
        options={"journal_fsync": value}, connections=64, seconds=bench.seconds))
    rows["always"]["reports per sync"] = Spread((group(bench),))
    return Table("fsync", title, rows)


def counters(bench):
    title = "100 events a report, 16 connections, by counters"
    rows = bench.alternate(title, ("delta", "cumulative"), lambda value: NONE.measure(
        options={"counters": value}, cumulative=value == "cumulative", events=100,
        connections=16, seconds=bench.seconds))
    return Table("counters", title, rows)


def measure(bench):
    return [fsync(bench), counters(bench)]
