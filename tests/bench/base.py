"""Another commit's program, and what a report costs this one and that one.

CPU per report is what speed is judged by: other work on the machine disturbs it less than it
does reports per second.
"""
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

from load import give_up, knob, load, require, running

from deadline import BIN, ROOT

SECONDS = knob("SECONDS", 2)
ROUNDS = knob("ROUNDS", 9)


def unpack(commit, tree):
    """What is there is whole: it gets its name at the end."""
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tree.parent) as name:
        archive = subprocess.run(["git", "-C", ROOT, "archive", commit], capture_output=True,
                                 check=True).stdout
        unpacked = pathlib.Path(name) / "tree"
        unpacked.mkdir()
        subprocess.run(["tar", "-x", "-C", unpacked], input=archive, check=True)
        unpacked.rename(tree)


def build(name):
    """(commit, its program), made with our variables in build/base/<commit>, which stays."""
    found = subprocess.run(["git", "-C", ROOT, "rev-parse", "--verify", "--quiet",
                            f"{name}^{{commit}}"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        give_up(f"there is no commit {name}")
    commit = found.stdout.strip()
    tree = ROOT / "build" / "base" / commit
    if not tree.exists():
        unpack(commit, tree)
    # Variables of the make that runs us are in the environment; its job server is not ours.
    kept = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    made = subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "-C", tree], env=kept,
                          capture_output=True, text=True, check=False)
    if made.returncode != 0:
        give_up(f"{name} cannot be built:\n{made.stderr}")
    return commit, tree / pathlib.Path(BIN).relative_to(ROOT)


def cpu_us(process):
    """utime + stime of /proc/PID/stat, in ns instead of ticks: the clock of that process.

    It is what clock_getcpuclockid() returns; threads that have ended are in it.
    """
    return time.clock_gettime_ns(~process.pid << 3 | 2) / 1000


def measure(binary, redis, events):
    """What one run of a program comes to: {figure: value}."""
    with running(binary, redis) as (daemon, server):
        processes = {"tallyd": daemon.process}
        if server:
            processes["Redis"] = server.process
        before = {name: cpu_us(process) for name, process in processes.items()}
        reports, rate = load(daemon, SECONDS, events=events)
        figures = {f"CPU µs per report, {name}": (cpu_us(process) - before[name]) / reports
                   for name, process in processes.items()}
    return {**figures, "reports/s": rate}


def alternate(base, redis, events):
    """[(figures of BASE, figures of now)]; who is first changes, so that a drift cancels."""
    pairs = []
    for i in range(ROUNDS):
        order = (base, BIN) if i % 2 == 0 else (BIN, base)
        run = {binary: measure(binary, redis, events) for binary in order}
        pairs.append((run[base], run[BIN]))
    return pairs


def tell(shape, pairs):
    print(shape)
    for figure in pairs[0][0]:
        before, now = ([figures[figure] for figures in side] for side in zip(*pairs))
        ratios = [b / a for a, b in zip(before, now)]
        digits = 0 if figure == "reports/s" else 1
        print(f"  {figure + ':':28} {statistics.median(ratios):.2f}   "
              f"({min(ratios):.2f} to {max(ratios):.2f}; from "
              f"{statistics.median(before):.{digits}f} to {statistics.median(now):.{digits}f})",
              flush=True)


def compare_to(name):
    require("wrk", "redis-server", "git")
    commit, base = build(name)
    print(f"now to BASE ({commit[:12]}): medians of {ROUNDS} alternations of {SECONDS} s\n"
          "(lowest to highest; from the median of BASE to that of now)", flush=True)
    for events in 1, 100:
        for redis in True, False:
            tell(f"{events} event{'s' if events > 1 else ''}, "
                 f"{'with Redis' if redis else 'redis_url = none'}",
                 alternate(base, redis, events))
