"""Waiting for conditions. Deadlines are generous, and more so for slow builds of the daemon."""
import os
import pathlib
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.path.abspath(os.environ.get("TALLYD_BIN") or ROOT / "build" / "tallyd")
VALGRIND = os.environ.get("TALLYD_VALGRIND") == "1"
IS_ASAN = "asan" in BIN or "tsan" in BIN
IS_COVERAGE = "coverage" in BIN
IS_RELEASE = not (IS_ASAN or IS_COVERAGE or VALGRIND)


def slowness():
    if VALGRIND:
        return 20
    if IS_ASAN:
        return 4
    return 3 if IS_COVERAGE else 1


def seconds(base):
    """`base` seconds of the release program, in the time of the one under test."""
    return base * slowness()


def wait_for(condition, what, limit=60):
    """The first true result of `condition()`; an AssertionError if there is none in time."""
    end = time.monotonic() + seconds(limit)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds(limit)} s in vain: {what}")
        time.sleep(0.01)
