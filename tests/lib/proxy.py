"""Stands between tallyd and Redis, and does to the bytes what a test wants."""
import contextlib
import queue
import socket
import threading
import time

from fake_redis import take_command


def end(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Every hook can be set at any time, for all connections.

    delay: seconds that each piece of a reply is kept.
    on_reply(data): (what is passed on instead, whether the connection ends behind it).
    on_command(words): called before each command is passed on; false: it is not, and the
    connection ends.
    """

    def __init__(self, port):
        self.upstream = ("127.0.0.1", port)
        self.delay = 0
        self.on_reply = None
        self.on_command = None
        self.n_accepted = 0
        self.n_open = 0  # connections whose commands are passed on
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        self.go(self.accept)

    def go(self, function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.n_accepted += 1
            try:
                server = socket.create_connection(self.upstream)
            except OSError:
                client.close()
                continue
            replies = queue.SimpleQueue()
            self.go(self.pass_commands, client, server)
            self.go(self.take_replies, server, replies)
            self.go(self.pass_replies, replies, client, server)

    def pass_commands(self, client, server):
        with self.lock:
            self.n_open += 1
        self.pass_each_command(client, server)
        end(server)
        with self.lock:
            self.n_open -= 1

    def pass_each_command(self, client, server):
        data = b""
        with contextlib.suppress(OSError):
            while more := client.recv(65536):
                data += more
                on_command = self.on_command
                if on_command is None:
                    server.sendall(data)
                    data = b""
                    continue
                before = data
                words, data = take_command(data)
                while words:
                    if not on_command(words):
                        return
                    server.sendall(before[:len(before) - len(data)])
                    before = data
                    words, data = take_command(data)

    def take_replies(self, server, replies):
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                replies.put((time.monotonic(), data))
        replies.put((time.monotonic(), None))

    def pass_replies(self, replies, client, server):
        with contextlib.suppress(OSError):
            while True:
                came, data = replies.get()
                time.sleep(max(0, came + self.delay - time.monotonic()))
                if data is None:
                    break
                on_reply = self.on_reply
                data, ends = on_reply(data) if on_reply else (data, False)
                client.sendall(data)
                if ends:
                    break
        end(client)
        end(server)

    def close(self):
        end(self.listener)
        self.listener.close()
