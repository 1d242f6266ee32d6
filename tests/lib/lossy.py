"""A network between GOST and tallyd that loses requests and answers, and never hides it.

It is no reverse proxy: an answer that it loses was never read to its end, so that tallyd's TCP
sees a reset; and an answer that it passes on keeps its last byte unread until GOST is known to
have read it, so that whatever GOST does to its connection happens to tallyd's as well, and
before anything that GOST sends afterwards.
"""
import collections
import contextlib
import random
import select
import socket
import struct
import threading
import time

from go_http import end_now, parse_head

# What can happen to a request, or to the answer.
FATES = (
    "pass",       # nothing
    "delay",      # it is passed on after a while
    "slow",       # its answer is passed on after a while
    "lose",       # its answer is lost, nothing of it read
    "half",       # its answer is lost, some of it read
    "torn",       # its answer breaks off at GOST, and is lost
    "drop",       # it never reaches tallyd
    "cut",        # only its beginning reaches tallyd
)
TCP_INFO_BYTES_ACKED = 120  # its offset, see linux/tcp.h


class Gone(Exception):
    """One of the two sides has closed or reset its connection."""


class Lossy:
    """Listens at `address` for tallyd at `upstream`.

    weights: {fate: how often}, may be set at any time. delay: the longest, in seconds; to be
    far below GOST's timeout. counts: how many requests met each fate.
    """

    def __init__(self, upstream, seed=0, weights=None, delay=0.1):
        self.upstream = upstream
        self.weights = weights or {"pass": 1}
        self.delay = delay
        self.rng = random.Random(seed)
        self.counts = collections.Counter()
        self.lock = threading.Lock()
        self.passages = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = self.listener.getsockname()
        self.go(self.accept)

    def go(self, function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            passage = Passage(self, client)
            with self.lock:
                self.passages.add(passage)
            self.go(passage.run)

    def choose(self):
        """(fate, a number in [0, 1) for its details)."""
        with self.lock:
            fate = self.rng.choices(list(self.weights), list(self.weights.values()))[0]
            self.counts[fate] += 1
            return fate, self.rng.random()

    def wait_for_the_gone(self, passage):
        """Until tallyd knows of every connection that GOST has closed by now."""
        passage.is_waiting = True
        while True:
            with self.lock:
                if not any(other.has_to_end() for other in self.passages):
                    break
            time.sleep(0.0005)
        passage.is_waiting = False

    def forget(self, passage):
        with self.lock:
            self.passages.remove(passage)
            passage.client.close()

    def close(self):
        end_now(self.listener)
        self.listener.close()


class Passage:
    """One connection of GOST, and the one to tallyd that belongs to it."""

    def __init__(self, lossy, client):
        self.lossy = lossy
        self.client = client
        self.server = None
        self.n_acked = 0
        self.is_waiting = False  # to send a request: tallyd has nothing of it

    def has_to_end(self):
        return not self.is_waiting and has_hung_up(self.client)

    def run(self):
        """Ends both as soon as either has gone or a fate wants it."""
        try:
            while self.serve():
                pass
        except (Gone, OSError, ValueError):
            pass
        finally:
            if self.server is not None:
                self.server.close()  # a reset if anything is unread
            self.lossy.forget(self)

    def serve(self):
        """One request. True if another may follow on this connection."""
        request = self.read_request()
        self.take_last_byte()
        fate, number = self.lossy.choose()
        if fate == "drop":
            linger_not(self.client)
            return False
        if fate == "delay":
            self.wait(number)
        self.lossy.wait_for_the_gone(self)
        if has_hung_up(self.client):
            return False
        self.open_server()
        if fate == "cut":
            self.server.sendall(request[:1 + int(number * (len(request) - 1))])
            if number < 0.5:
                linger_not(self.server)
            linger_not(self.client)
            return False
        self.server.sendall(request)
        self.wait_for_answer()
        return self.answer(fate, number)

    def read_request(self):
        """A whole one, as bytes."""
        data = b""
        while True:
            head = parse_head(data)
            if head and len(data) >= head[0]:
                return data
            if not data:
                self.wait_for_request()
            try:
                more = self.client.recv(65536)
            except OSError:
                if self.server is not None:  # it may not have read the last answer
                    linger_not(self.server)
                raise
            if not more:
                if not data:
                    self.take_last_byte()
                raise Gone
            data += more

    def wait_for_request(self):
        poll = select.poll()
        poll.register(self.client, select.POLLIN)
        if self.server is not None:
            poll.register(self.server, select.POLLRDHUP)
        if all(fd != self.client.fileno() for fd, _ in poll.poll()):
            raise Gone

    def open_server(self):
        if self.server is None:
            self.server = socket.create_connection(self.lossy.upstream)
            self.server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def wait_for_answer(self):
        """Until some of it is there. Reads nothing."""
        poll = select.poll()
        poll.register(self.server, select.POLLIN)
        poll.register(self.client, select.POLLRDHUP)
        if any(fd == self.client.fileno() for fd, _ in poll.poll()):
            raise Gone

    def answer(self, fate, number):
        if fate == "lose":
            if number < 0.5:
                linger_not(self.server)
            if number < 0.25:
                linger_not(self.client)
            return False
        if fate in ("half", "torn"):
            some = self.server.recv(1 + int(number * 40))  # every answer is longer
            if fate == "torn":
                self.client.sendall(some)
            return False
        if fate == "slow":
            self.wait(number)
        return self.pass_answer()

    def wait(self, number):
        """A part of the longest delay, while GOST is there."""
        poll = select.poll()
        poll.register(self.client, select.POLLRDHUP)
        if poll.poll(1000 * self.lossy.delay * number):
            raise Gone

    def pass_answer(self):
        """All of it, the last byte of which stays unread."""
        data = b""
        while True:
            piece = self.server.recv(65536, socket.MSG_PEEK)
            if not piece:
                self.client.sendall(data)
                return False
            head = parse_head(data + piece)
            if head and len(data + piece) >= head[0]:
                break
            data += self.server.recv(len(piece))
        if len(piece) > 1:
            self.server.recv(len(piece) - 1)
        if has_hung_up(self.client):
            return False
        self.n_acked = n_acked(self.client) + len(data + piece)
        self.client.sendall(data + piece)
        return True

    def take_last_byte(self):
        """GOST asks again or has closed: has the last answer been delivered?"""
        if self.server is None:
            return
        if n_acked(self.client) < self.n_acked:
            raise Gone
        with contextlib.suppress(BlockingIOError):
            self.server.recv(1, socket.MSG_DONTWAIT)


def linger_not(sock):
    """Its close will be a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def n_acked(sock):
    """How many bytes of ours the peer's TCP has acknowledged."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("Q", info, TCP_INFO_BYTES_ACKED)[0]


def has_hung_up(sock):
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))
