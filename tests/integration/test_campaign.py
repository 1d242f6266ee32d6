"""A short crash campaign; `make crash CYCLES=1000` is a long one."""
import os
import pathlib
import subprocess
import sys

import pytest

from deadline import seconds
from seed import SEED

CAMPAIGN = pathlib.Path(__file__).resolve().parents[1] / "crash" / "campaign.py"
CYCLES = int(os.environ.get("CRASH_CYCLES", 20))


@pytest.mark.long
def test_no_byte_is_lost_or_counted_twice_whatever_is_killed():
    done = subprocess.run(
        [sys.executable, str(CAMPAIGN), f"--cycles={CYCLES}", f"--seed={SEED}",
         "--check-every=5"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=seconds(60 + 6 * CYCLES), check=False)
    print(done.stdout)
    assert done.returncode == 0, f"seed {SEED}"
