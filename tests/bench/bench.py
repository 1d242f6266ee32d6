#!/usr/bin/env python3
"""Figures of the real program under wrk, as ratios of runs that alternate. `make bench`.

    make bench
    make bench BASE=HEAD~1               CPU per report of this program to that of a commit
    AUTH=NODE:SECRET make bench BASE=...      with credentials, which old programs ignore

BENCH_SECONDS is the length of a run, BENCH_ROUNDS how many of each a median is of.
Absolute figures depend on the machine; only what was measured in one run compares.
"""
import argparse
import json
import statistics
import sys

sys.dont_write_bytecode = True

from base import compare_to  # noqa: E402
from load import knob, load, require, running  # noqa: E402

SECONDS = knob("SECONDS", 3)
ROUNDS = knob("ROUNDS", 5)


def rate(options, **shape):
    with running(**options) as (daemon, _):
        return load(daemon, SECONDS, **shape)[1]


def compare(name, base, other, **shape):
    """How the two compare, run in turn; the median of the rounds' ratios."""
    pairs = [(rate(base, **shape), rate(other, **shape)) for _ in range(ROUNDS)]
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"{name}: {ratio:.2f}   ({statistics.median(b for _, b in pairs):.0f} to "
          f"{statistics.median(a for a, _ in pairs):.0f} reports/s)", flush=True)


def groups(connections):
    """How many reports one fdatasync makes stable, with journal_fsync = always.

    A record tells up to which sequence all was synced when it was written: each step of
    that is one group.
    """
    with running(journal_fsync="always", sync_interval="1h", emergency_flush_size=10**6,
                 max_pending_users=10**6) as (daemon, _):
        per_second = load(daemon, SECONDS, connections)[1]
        dump = daemon.run("--dump-journal").stdout
    steps = sorted({json.loads(line)["syncedSeq"] for line in dump.splitlines()})
    sizes = [b - a for a, b in zip(steps, steps[1:])]
    print(f"journal_fsync always, {connections} connections: the median group has "
          f"{statistics.median(sizes):.0f} reports, {len(sizes)} groups "
          f"({per_second:.0f} reports/s)", flush=True)


def figures():
    require("wrk", "redis-server")
    groups(64)
    compare("journal_fsync everysec to no", {"journal_fsync": "no"},
            {"journal_fsync": "everysec"})
    compare("journal_fsync always to everysec, 64 connections",
            {"journal_fsync": "everysec"}, {"journal_fsync": "always"}, connections=64)
    compare("counters cumulative to delta, 100 events", {"counters": "delta"},
            {"counters": "cumulative"}, events=100)
    compare("with Redis to without, 100 events", {},
            {"redis": True, "journal_fsync": "everysec"}, events=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--base", metavar="COMMIT", help="only what a report costs, now to COMMIT")
    base = parser.parse_args().base
    if base:
        compare_to(base)
    else:
        figures()


if __name__ == "__main__":
    main()
