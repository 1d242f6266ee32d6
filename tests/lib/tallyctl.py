"""The operator's program."""
import os
import pathlib
import subprocess

from deadline import BIN, seconds
from tallyd import environment

CTL = os.path.abspath(os.environ.get("TALLYCTL_BIN") or pathlib.Path(BIN).parent / "tallyctl")
CRASHES = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error", "Assertion")


def tallyctl(*arguments, env=None, stdin=""):
    """Runs it to its end, without what would configure it."""
    done = subprocess.run(
        [CTL, *map(str, arguments)], env=environment(env), input=stdin, capture_output=True,
        text=True, timeout=seconds(60), check=False)
    assert not any(sign in done.stderr for sign in CRASHES), done.stderr
    assert done.returncode in (0, 1, 64, 69, 70, 74, 77), done
    return done
