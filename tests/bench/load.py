"""A tallyd in a directory of its own, and wrk's load on it."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

from deadline import BIN, wait_for  # noqa: E402
from redis_server import RedisServer  # noqa: E402
from tallyd import Daemon  # noqa: E402


def knob(name, default):
    return int(os.environ.get(f"BENCH_{name}") or default)


def give_up(why):
    sys.exit(f"bench: {why}")


def require(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            give_up(f"{tool} is not installed")


READ_TOKEN = "read-token-of-the-bench"


def give_secrets(daemon):
    """The node that reports, where there is AUTH=NODE:SECRET; an old program looks at none."""
    node, colon, secret = os.environ.get("AUTH", "").partition(":")
    if colon:
        (daemon.directory / "first-node").write_text(f"name = {node}\nsecret = {secret}\n")
        (daemon.directory / "read-token").write_text(READ_TOKEN)


def redis_is_up(daemon):
    headers = {"Authorization": f"Bearer {READ_TOKEN}"} if os.environ.get("AUTH") else {}
    return daemon.get("/readyz", **headers).json()["redis"] == "up"


@contextlib.contextmanager
def running(binary=BIN, redis=False, **options):
    """(tallyd, its Redis or None), both new: no Redis takes what a second data directory has."""
    with tempfile.TemporaryDirectory(prefix="tallyd-bench-") as name, \
            contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        server = None
        if redis:
            server = RedisServer(directory).start()
            stack.callback(server.close)
            options["redis_url"] = server.url
        daemon = Daemon(directory / "tallyd", binary=binary, log_level="warn", **options)
        give_secrets(daemon)
        daemon.start()
        stack.callback(daemon.stop)
        if redis:
            wait_for(lambda: redis_is_up(daemon), "tallyd takes the Redis for its own")
        yield daemon, server
        assert not redis or redis_is_up(daemon), daemon.log()


def load(daemon, seconds, connections=16, events=1):
    """(reports answered ok, how many per second)."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "report.lua"),
         f"http://127.0.0.1:{daemon.port}"],
        env={**os.environ, "EVENTS": str(events)}, capture_output=True, text=True, check=True)
    reports, rate, errors = done.stdout.split("RESULT ")[1].split()
    if errors != "0":
        give_up(f"{errors} of {reports} reports were not answered ok")
    return int(reports), float(rate)
