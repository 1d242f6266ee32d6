#!/usr/bin/env python3
"""Figures of the real program under wrk, as ratios of runs that alternate. `make bench`.

Absolute figures depend on the machine; only what was measured in one run compares.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
sys.dont_write_bytecode = True

from redis_server import RedisServer  # noqa: E402
from tallyd import Daemon  # noqa: E402

SECONDS = int(os.environ.get("BENCH_SECONDS", 3))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 5))


def load(daemon, connections=16, events=1):
    """Reports per second that are answered ok."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", str(HERE / "report.lua"),
         f"http://127.0.0.1:{daemon.port}"],
        env={**os.environ, "EVENTS": str(events)}, capture_output=True, text=True, check=True)
    rate, errors = done.stdout.split("RESULT ")[1].split()[:2]
    assert errors == "0", done.stdout
    return float(rate)


class Bench:
    def __init__(self, directory):
        self.directory = directory
        self.redis = RedisServer(directory / "redis")
        self.n = 0

    def daemon(self, **options):
        self.n += 1
        return Daemon(self.directory / f"tallyd{self.n}",
                      **{"redis_url": "none", "log_level": "warn", **options}).start()

    def rate(self, options, **shape):
        daemon = self.daemon(**options)
        try:
            return load(daemon, **shape)
        finally:
            daemon.stop()

    def compare(self, name, base, other, **shape):
        """How the two compare, run in turn; the median of the rounds' ratios."""
        pairs = [(self.rate(base, **shape), self.rate(other, **shape)) for _ in range(ROUNDS)]
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{name}: {ratio:.2f}   ({statistics.median(b for _, b in pairs):.0f} to "
              f"{statistics.median(a for a, _ in pairs):.0f} reports/s)", flush=True)
        return ratio

    def groups(self, connections):
        """How many reports one fdatasync makes stable, with journal_fsync = always.

        A record tells up to which sequence all was synced when it was written: each step of
        that is one group.
        """
        daemon = self.daemon(journal_fsync="always", sync_interval="1h",
                             emergency_flush_size=10**6, max_pending_users=10**6)
        rate = load(daemon, connections)
        dump = daemon.run("--dump-journal").stdout
        daemon.stop()
        steps = sorted({json.loads(line)["syncedSeq"] for line in dump.splitlines()})
        groups = [b - a for a, b in zip(steps, steps[1:])]
        print(f"journal_fsync always, {connections} connections: the median group has "
              f"{statistics.median(groups):.0f} reports, {len(groups)} groups "
              f"({rate:.0f} reports/s)", flush=True)


def main():
    with tempfile.TemporaryDirectory(prefix="tallyd-bench-") as name:
        directory = pathlib.Path(name)
        (directory / "redis").mkdir()
        bench = Bench(directory)
        bench.groups(64)
        bench.compare("journal_fsync everysec to no", {"journal_fsync": "no"},
                      {"journal_fsync": "everysec"})
        bench.compare("journal_fsync always to everysec, 64 connections",
                      {"journal_fsync": "everysec"}, {"journal_fsync": "always"},
                      connections=64)
        bench.compare("counters cumulative to delta, 100 events", {"counters": "delta"},
                      {"counters": "cumulative"}, events=100)
        redis = bench.redis.start()
        try:
            bench.compare("with Redis to without, 100 events", {},
                          {"redis_url": redis.url, "journal_fsync": "everysec"}, events=100)
        finally:
            redis.close()


if __name__ == "__main__":
    main()
