"""The real program, started in a directory of its own."""
import contextlib
import itertools
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess

from client import Client
from deadline import BIN, VALGRIND, seconds, slowness, wait_for
from ports import free_port

ERROR_LINE = re.compile(r"^(\S+Z |<3>)error ", re.MULTILINE)
CRASHES = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error", "Assertion")
VALGRIND_COMMAND = ("valgrind", "-q", "--error-exitcode=9", "--leak-check=full")


total_conns = itertools.count(1)


def stats(client, input_bytes=0, output_bytes=0, **members):
    """One event as GOST sends it: no two are equal. A member that is None is left out."""
    event = {
        "kind": "handler", "service": "service-0", "client": client, "type": "stats",
        "stats": {"totalConns": next(total_conns), "currentConns": 0, "inputBytes": input_bytes,
                  "outputBytes": output_bytes, "totalErrs": 0},
    }
    event.update(members)
    return {name: value for name, value in event.items() if value is not None}


def report(*events):
    return json.dumps({"events": list(events)}, separators=(",", ":"))


def environment(extra=None):
    """Ours without what would configure tallyd."""
    kept = {name: os.environ[name] for name in
            ("PATH", "HOME", "LANG", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS",
             "GCOV_PREFIX", "GCOV_PREFIX_STRIP", "TMPDIR") if name in os.environ}
    kept.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    kept.update(extra or {})
    return kept


def run_tool(*arguments, env=None):
    """Runs tallyd to its end, as for --help."""
    return subprocess.run([BIN, *map(str, arguments)], env=environment(env),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=seconds(60), check=False)


class Daemon:
    def __init__(self, directory, redis_url="none", env=None, config="", wrapper=(),
                 binary=BIN, **options):
        self.directory = directory
        self.data_dir = directory / "data"
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.config_path = directory / "tallyd.conf"
        self.stderr_path = directory / "stderr.log"
        self.stdout_path = directory / "stdout.log"
        self.env = env
        self.wrapper = wrapper
        self.binary = binary
        self.options = {"listen": f"127.0.0.1:{self.port}", "data_dir": self.data_dir,
                        "redis_url": redis_url}
        # A Redis that keeps up is not to be taken for a silent one because the machine is busy.
        self.options["redis_timeout"] = 3000 * slowness()
        self.options.update(options)
        self.process = None
        self.expects_errors = False
        directory.mkdir(parents=True, exist_ok=True)
        self.config_path.write_text(config)
        self.stderr_path.touch()

    # Life and death.

    def command(self, *arguments):
        given = {k: v for k, v in self.options.items() if v is not None}
        return [*map(str, self.wrapper), *(VALGRIND_COMMAND if VALGRIND else ()),
                str(self.binary), "--config", str(self.config_path),
                *(f"--{name.replace('_', '-')}={value}" for name, value in given.items()),
                *arguments]

    def spawn(self):
        """Starts the process and waits for nothing."""
        assert self.process is None
        self.log_start = self.stderr_path.stat().st_size
        with open(self.stderr_path, "ab") as err, open(self.stdout_path, "ab") as out:
            self.process = subprocess.Popen(
                self.command(), env=environment(self.env), cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        return self

    def start(self):
        self.spawn()
        wait_for(self.is_ready, "tallyd is ready")
        return self

    def is_ready(self):
        code = self.process.poll()
        assert code is None, f"tallyd ended with {code}:\n{self.log()}"
        try:
            return self.get("/readyz").status == 200
        except OSError:
            return False

    def wait_exit(self, limit=60):
        """The exit code, once it has ended."""
        try:
            code = self.process.wait(seconds(limit))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"tallyd did not end:\n{self.log()}") from None
        self.process = None
        return code

    def start_and_fail(self):
        """Starts a process that is to end by itself: (exit code, what it said)."""
        self.expects_errors = True
        code = self.spawn().wait_exit()
        return code, self.log()

    def run(self, *arguments):
        """One pass over the same configuration, as for --salvage."""
        return subprocess.run(self.command(*arguments), env=environment(self.env),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=seconds(60), check=False)

    def send_signal(self, number):
        self.process.send_signal(number)

    @contextlib.contextmanager
    def standing_still(self):
        """Every thread of it has stopped, until the end."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        self.send_signal(signal.SIGSTOP)
        wait_for(lambda: all(") T " in (task / "stat").read_text() for task in tasks.iterdir()),
                 "every thread has stopped")
        try:
            yield
        finally:
            self.send_signal(signal.SIGCONT)

    def stop(self, expect=0, number=signal.SIGTERM):
        self.send_signal(number)
        code = self.wait_exit()
        assert code == expect, f"exit code {code} instead of {expect}:\n{self.log()}"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def finish(self):
        """What every test ends with: a clean stop and a clean log."""
        if self.process is not None:
            code = self.process.poll()
            assert code is None, f"tallyd ended by itself with {code}:\n{self.log()}"
            self.stop()
        text = self.all_logs()
        for sign in CRASHES:
            assert sign not in text, text
        if not self.expects_errors:
            assert not ERROR_LINE.search(text), text

    def log(self):
        """What the last process said."""
        with open(self.stderr_path, "rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def all_logs(self):
        return self.stderr_path.read_text(errors="replace")

    # Talking to it.

    def client(self, timeout=60):
        return Client(self.address, timeout)

    def request(self, method, path, body=None, headers=None):
        client = self.client()
        try:
            return client.request(method, path, body, headers)
        finally:
            client.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def post(self, path, body=None, **headers):
        return self.request("POST", path, body, headers)

    def report(self, *events, query=""):
        """Posts one report, which must be accepted."""
        answer = self.post("/observer" + query, report(*events))
        assert (answer.status, answer.body) == (200, b'{"ok":true}'), answer

    def status(self):
        answer = self.get("/throttle-sync-status")
        assert answer.status == 200, answer
        assert answer.json()["success"] is True
        return answer.json()["data"]

    def force_sync(self):
        answer = self.post("/force-sync")
        assert answer.status == 200, answer
        assert answer.json()["success"] is True
        return answer.json()["data"]

    def traffic(self, quoted_id):
        answer = self.get(f"/users/{quoted_id}/traffic")
        assert answer.status == 200, answer
        return answer.json()

    # What it wrote.

    @property
    def database(self):
        return self.data_dir / "tally.db"

    def sql(self, statement, *values):
        with contextlib.closing(sqlite3.connect(self.database, timeout=60)) as db, db:
            return db.execute(statement, values).fetchall()

    def users(self):
        """What SQLite holds: {id: (used, input, output)}."""
        return {row[0]: row[1:] for row in self.sql(
            "select id, used_traffic, input_bytes, output_bytes from users")}
