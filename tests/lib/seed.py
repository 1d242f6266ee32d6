"""The seed of all random choices of a test run; CRASH_SEED makes them again."""
import os
import time

SEED = int(os.environ.setdefault("CRASH_SEED", str(time.time_ns() % 10**6)))
