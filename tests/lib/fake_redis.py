"""A peer that speaks Redis's protocol, or not: it answers each command as a test wants."""
import contextlib
import re
import socket
import threading

HEADER = re.compile(rb"\*(\d+)\r\n")


def take_command(data):
    """(words, the rest), or (None, data) while it is not whole."""
    header = HEADER.match(data)
    if not header:
        return None, data
    words, at = [], header.end()
    for _ in range(int(header[1])):
        end = data.find(b"\r\n", at)
        if end < 0:
            return None, data
        length = int(data[at + 1:end])
        at = end + 2 + length + 2
        if at > len(data):
            return None, data
        words.append(data[end + 2:end + 2 + length])
    return words, data[at:]


class FakeRedis(threading.Thread):
    """Sends `reply(words)` for each command. `seen` holds the commands of all connections."""

    def __init__(self, reply):
        super().__init__(daemon=True)
        self.reply = reply
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        data = b""
        with connection, contextlib.suppress(OSError):
            while more := connection.recv(65536):
                data += more
                words, data = take_command(data)
                while words:
                    self.seen.append(words)
                    connection.sendall(self.reply(words))
                    words, data = take_command(data)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def bulk(data):
    return b"$%d\r\n%s\r\n" % (len(data), data)


class Free:
    """An empty Redis that anybody may link with; all that writes users gets `on_write`."""

    def __init__(self, on_write):
        self.on_write = on_write
        self.strings = {}

    def __call__(self, words):
        if words[0] == b"SET":
            self.strings[words[1]] = words[2]
        if words[0] == b"GET":
            value = self.strings.get(words[1])
            return bulk(value) if value else b"$-1\r\n"
        return {b"SET": b"+OK\r\n", b"SETRANGE": b":32\r\n", b"SCAN": b"*2\r\n$1\r\n0\r\n*0\r\n",
                b"CLIENT": bulk(b""), b"INFO": bulk(b"redis_version:7.0.15\r\n"),
                }.get(words[0], self.on_write)
