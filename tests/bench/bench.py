#!/usr/bin/env python3
"""Figures of the real program, side by side with ceilings and peers.

    make bench                                all but scale and soak
    make bench ONLY=events,flush              some of them
    make bench BASE=HEAD~1                    beside the program of another commit
    make bench PEER=NAME=URL                  beside another server, see PEERS.md
    make scale                                up to a million users
    make soak MINUTES=30                      honest load for a long time
    AUTH=NODE:SECRET make bench               with credentials, which old programs ignore

Candidates take turns; a figure is the median of BENCH_ROUNDS rounds of BENCH_SECONDS. Absolute
figures depend on the machine; only what was measured in one run compares. The exit code tells
whether the ledger was right after each run, and nothing of speed.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import platform
import resource
import signal
import subprocess
import sys

sys.dont_write_bytecode = True

import base  # noqa: E402
import events  # noqa: E402
import fair  # noqa: E402
import flush  # noqa: E402
import gosts  # noqa: E402
import plot  # noqa: E402
import rest  # noqa: E402
import scale  # noqa: E402
import settings  # noqa: E402
import soak  # noqa: E402
import tables  # noqa: E402
from candidates import TALLYD, Tallyd, parse_peer  # noqa: E402
from ledger import WrongLedger  # noqa: E402
from load import PROGRAMS, give_up, require  # noqa: E402
from spread import spreads  # noqa: E402

from deadline import BIN, ROOT  # noqa: E402

# What can be measured: each gives tables. The first ones are `make bench`.
FIGURES = {
    "events": events.many,
    "one": events.one_by_one,
    "flush": flush.measure,
    "rest": rest.measure,
    "gosts": gosts.measure,
    "fair": fair.measure,
    "settings": settings.measure,
    "scale": scale.measure,
    "soak": soak.measure,
}
USUAL = [name for name in FIGURES if name not in ("scale", "soak")]
# Without those that do much less than what they stand beside.
PLOTTED = {"events-1": {"Redis alone, HINCRBY"},
           "events-100": {"Redis alone, HINCRBY", "a constant answer"}}
LIBRARIES = ("libmicrohttpd", "libuv", "hiredis", "sqlite3", "libcjson")


@dataclasses.dataclass(frozen=True)
class Bench:
    rounds: int
    seconds: float
    minutes: int
    tallyds: list  # ours, and those of BASE
    peers: list

    @staticmethod
    def say(what):
        print(what, file=sys.stderr, flush=True)

    def alternate(self, title, candidates, measure):
        """{name: {figure: Spread}}: all of them in each round, another one first each time."""
        found = {candidate: [] for candidate in candidates}
        for i in range(self.rounds):
            self.say(f"{title}: round {i + 1} of {self.rounds}")
            start = i % len(candidates)
            for candidate in [*candidates[start:], *candidates[:start]]:
                found[candidate].append(measure(candidate))
        return {getattr(candidate, "name", candidate): spreads(rounds)
                for candidate, rounds in found.items()}


def knob(name, default):
    text = os.environ.get(f"BENCH_{name}") or default
    try:
        return type(default)(text)
    except ValueError:
        give_up(f"BENCH_{name}={text} is no number")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", default=",".join(USUAL), help=",".join(FIGURES))
    parser.add_argument("--base", metavar="COMMIT")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=URL[,PID[,PID]]")
    parser.add_argument("--minutes", type=int, default=30, help="of soak")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "bench")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = [name for name in options.only if name not in FIGURES]
    if unknown:
        give_up(f"there is no figure {unknown[0]}; there are {', '.join(FIGURES)}")
    return options


def of_base(commit):
    if not commit:
        return []
    commit, binary = base.build(commit)
    return [Tallyd(one.name.replace("tallyd", f"tallyd {commit[:7]}"), one.has_redis,
                   str(binary), "BASE") for one in TALLYD]


def tell(*command):
    """What it says, or nothing."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                              check=False).stdout.strip()
    except OSError:
        return ""


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def context(bench, options):
    changed = " with changes" if tell("git", "status", "--porcelain", "src", "include") else ""
    versions = {name: tell("pkg-config", "--modversion", name) for name in LIBRARIES}
    redis = tell("redis-server", "--version").partition("v=")[2].split(" ")[0]
    return {
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(),
                    "kernel": f"{platform.system()} {platform.release()}"},
        "commit": (tell("git", "rev-parse", "--short", "HEAD") or "of no commit") + changed,
        "versions": {**versions, "Redis": redis},
        "options": {"rounds": bench.rounds, "seconds": bench.seconds, "base": options.base,
                    "peers": options.peer, "only": options.only},
    }


def panels(found, bench):
    """What is plotted: reports/s of those tables that are there."""
    kinds = {one.name: one.kind for one in [*bench.tallyds, *events.CEILINGS, *bench.peers]}
    return [(f"{table.title}: reports/s", [(who, kinds[who], row[events.RATE])
                                           for who, row in table.rows.items()
                                           if who not in PLOTTED[table.name]])
            for table in found if table.name in PLOTTED]


def write(options, about, found, shown):
    name = "bench" if options.only[0] in USUAL else options.only[0]
    options.out.mkdir(parents=True, exist_ok=True)
    text = tables.document(about, found)
    (options.out / f"{name}.md").write_text(text)
    (options.out / f"{name}.json").write_text(json.dumps(
        {**about, "tables": [tables.plain(table) for table in found]}, indent=1,
        ensure_ascii=False) + "\n")
    if shown:
        (options.out / f"{name}.svg").write_text(plot.svg(shown))
    print(text)
    print(f"written: {options.out}/{name}.md, .json" + (", .svg" if shown else ""),
          file=sys.stderr)


def check_machine():
    require("redis-server")
    if not pathlib.Path(BIN).exists():
        give_up(f"{BIN} is not there; `make` builds it")
    if not PROGRAMS.exists():
        give_up(f"{PROGRAMS} is not there; `make bench` builds it")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: give_up("ended"))  # and so what it has started


def main():
    options = arguments()
    check_machine()
    peers = [parse_peer(text) for text in options.peer]
    bench = Bench(knob("ROUNDS", 5), knob("SECONDS", 1.0), options.minutes,
                  [*TALLYD, *of_base(options.base)], peers)
    found = []
    try:
        for name in options.only:
            found += FIGURES[name](bench)
    except WrongLedger as wrong:
        give_up(str(wrong))
    write(options, context(bench, options), found, panels(found, bench))


if __name__ == "__main__":
    main()
