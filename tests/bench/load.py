"""The sender (send.c), and what it has sent."""
import array
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

from deadline import ROOT  # noqa: E402
from spread import percentile  # noqa: E402

PROGRAMS = pathlib.Path(os.environ.get("BENCH_PROGRAMS") or
                        ROOT / "build" / "release" / "tests" / "bench")
PACKAGES = {"redis-server": "redis-server", "git": "git", "tar": "tar", "make": "make"}


def give_up(why):
    sys.exit(f"bench: {why}")


def require(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            give_up(f"{tool} is not installed; it is in Debian's package {PACKAGES[tool]}")


def program(name):
    path = PROGRAMS / name
    if not path.exists():
        give_up(f"{path} is not there; `make bench` builds it")
    return str(path)


def said_by(name, *arguments):
    """What one of our programs prints."""
    done = subprocess.run([program(name), *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        give_up(f"{name} has failed: {done.stderr.strip()}")
    return done.stdout


@dataclasses.dataclass(frozen=True)
class Load:
    """reports: how many were answered 200, each counted once; failed: tries that were not."""
    reports: int
    events: int
    input_bytes: int
    output_bytes: int
    failed: int
    began: int  # ns, as `time.monotonic_ns()`
    ended: int
    samples: array.array  # when a report was due and how long it took, in ns, in turn

    @property
    def seconds(self):
        return (self.ended - self.began) / 1e9

    @property
    def rate(self):
        return self.reports / self.seconds

    def took_ms(self, since=0, until=1 << 63):
        """How long those took that were due in that time."""
        return [took / 1e6 for due, took in zip(self.samples[::2], self.samples[1::2])
                if since <= due < until]


def latencies(took_ms):
    """As figures. Of no reports at all there are none."""
    if not took_ms:
        give_up("no report was sent in the time that is looked at")
    return {"p50 ms": percentile(took_ms, 50), "p99 ms": percentile(took_ms, 99),
            "worst ms": max(took_ms)}


class Sender:
    """One that runs. Options are those of send.c: True is a flag, None is left out."""

    def __init__(self, url, nice=0, **options):
        self.samples = tempfile.NamedTemporaryFile(prefix="tallyd-bench-samples-")
        options["samples"] = self.samples.name
        given = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
                 for name, value in options.items() if value not in (None, False)]
        self.process = subprocess.Popen(
            ["nice", "-n", str(nice), program("send"), *given, url],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_until_begun(self):
        self.began = json.loads(self._line())["began"]
        return self

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            give_up(f"the sender ended: {self.process.stderr.read().strip()}")
        return line

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.result()

    def result(self):
        """Waits for its end."""
        end = json.loads(self._line())
        self.process.communicate()
        samples = array.array("Q", self.samples.read())
        self.samples.close()
        return Load(end["reports"], end["events"], end["inputBytes"], end["outputBytes"],
                    end["failed"], self.began, end["ended"], samples)


def send(url, **options):
    return Sender(url, **options).wait_until_begun().result()
