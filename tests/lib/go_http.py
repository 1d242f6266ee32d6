"""What Go's http.Transport does for GOST: keep-alive connections that all its senders share."""
import collections
import json
import socket
import threading
import time

MAX_IDLE = 2  # per address, as in Go


class Transport:
    """Posts to one address; a post is tried once, never again.

    address: (host, port). timeout: seconds for a whole exchange, after which its connection is
    closed. A connection serves one exchange at a time; there may be any number at once, but only
    two are kept when idle. One whose answer was broken or left unread is closed.
    statuses: how many whole answers had which.
    """

    def __init__(self, address, timeout=5):
        self.address = address
        self.timeout = timeout
        self.idle = []
        self.in_use = set()
        self.is_dead = False
        self.statuses = collections.Counter()
        self.lock = threading.Lock()

    def post(self, path, body, headers=()):
        """How it ended.

        "ok": 200 with ok true. "refused": another whole answer. "unreached": nothing of it was
        sent. "unanswered": all else, so it may have been accepted or not.
        """
        end = time.monotonic() + self.timeout
        try:
            sock = self.take(end)
        except OSError:
            return "unreached"
        kept = False
        try:
            sock.settimeout(max(0.001, end - time.monotonic()))
            sock.sendall(request_bytes(path, body, headers))
            status, answer, kept = read_answer(sock, end)
        except (OSError, ValueError):
            return "unanswered"
        finally:
            self.give_back(sock, kept)
        with self.lock:
            self.statuses[status] += 1
        return "ok" if status == 200 and says_ok(answer) else "refused"

    def take(self, end):
        with self.lock:
            while self.idle:
                sock = self.idle.pop()
                if not has_ended(sock):
                    self.in_use.add(sock)
                    return sock
                sock.close()
        sock = socket.create_connection(self.address, max(0.001, end - time.monotonic()))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.in_use.add(sock)
            if self.is_dead:
                end_now(sock)
        return sock

    def give_back(self, sock, kept):
        with self.lock:
            self.in_use.discard(sock)
            if kept and len(self.idle) < MAX_IDLE and not self.is_dead:
                self.idle.append(sock)
                return
        sock.close()

    def close_idle(self):
        with self.lock:
            for sock in self.idle:
                sock.close()
            self.idle.clear()

    def die(self):
        """The process has gone: so have its connections."""
        with self.lock:
            self.is_dead = True
            for sock in self.in_use:
                end_now(sock)
        self.close_idle()


def end_now(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def has_ended(sock):
    """The peer has closed it, or sent what nobody asked for. Consumes nothing."""
    try:
        sock.setblocking(False)
        sock.recv(1, socket.MSG_PEEK)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def request_bytes(path, body, headers=()):
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: Go-http-client/1.1",
             f"Content-Length: {len(body)}", "Content-Type: application/json", *headers,
             "Accept-Encoding: gzip"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def parse_head(data):
    """(bytes of the whole message, the first line, {header: value}); None if data is too short.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return end + 4 + int(headers.get("content-length", 0)), first, headers


def read_answer(sock, end):
    """(status, body, whether the connection can be used again); OSError if it breaks off."""
    data = b""
    while True:
        head = parse_head(data)
        if head and len(data) >= head[0]:
            break
        if head and not head[1].split()[1] == "200":  # Go's plugin looks no further
            break
        sock.settimeout(max(0.001, end - time.monotonic()))
        more = sock.recv(65536)
        if not more:
            raise ConnectionError("closed before the answer was whole")
        data += more
    size, first, headers = head
    status = int(first.split()[1])
    kept = (headers.get("connection", "").lower() != "close" and len(data) == size
            and (status == 200 or headers.get("content-length") == "0"))
    return status, data[data.index(b"\r\n\r\n") + 4:], kept


def says_ok(body):
    try:
        return json.loads(body)["ok"] is True
    except (ValueError, KeyError, TypeError):
        return False
