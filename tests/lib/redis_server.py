"""A private redis-server that can be killed, paused and started again."""
import re
import signal
import subprocess

from deadline import wait_for
from ports import free_port
from resp import RedisError, Resp


class RedisServer:
    def __init__(self, directory, *options):
        self.directory = directory
        self.port = free_port()
        self.socket_path = directory / "redis.sock"
        self.options = options
        self.process = None
        self.password = None

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def url_that_tells_nothing(self):
        """As a Redis that is too old: whoever uses it may do all but be told of edits."""
        self.ask("ACL", "SETUSER", "blind", "reset", "on", ">blind", "~*", "&*", "+@all",
                 "-client|tracking")
        return f"redis://blind:blind@127.0.0.1:{self.port}/0"

    def calls(self, command):
        """How often it was called, by anybody."""
        found = re.search(rf"cmdstat_{re.escape(command)}:calls=(\d+)",
                          self.ask("INFO", "commandstats"))
        return int(found[1]) if found else 0

    def start(self):
        log = open(self.directory / "redis.log", "ab")
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
             "--unixsocket", str(self.socket_path), "--dir", str(self.directory),
             "--save", "", "--appendonly", "no", *self.options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        wait_for(self.answers, "redis-server answers")
        return self

    def answers(self):
        assert self.process.poll() is None, (self.directory / "redis.log").read_text()
        try:
            with_closed = self.client()
        except OSError:
            return False
        try:
            return with_closed("PING") == "PONG"
        except (RedisError, OSError):
            return False
        finally:
            with_closed.close()

    def client(self):
        client = Resp(self.socket_path)
        if self.password:
            client("AUTH", self.password)
        return client

    def ask(self, *words):
        client = self.client()
        try:
            return client(*words)
        finally:
            client.close()

    def hash(self, key):
        client = self.client()
        try:
            return client.hash(key)
        finally:
            client.close()

    def view(self, prefix="user:"):
        client = self.client()
        try:
            return client.view(prefix)
        finally:
            client.close()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None
        self.socket_path.unlink(missing_ok=True)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        if self.process is not None:
            self.kill()
