"""HTTP clients: a polite one on http.client, and a raw one that sends what it likes."""
import http.client
import json
import socket
import struct

from deadline import seconds


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # names in lower case
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}>"


def connect(address, timeout=60):
    """`address` is (host, port), or the path of a unix socket."""
    if isinstance(address, tuple):
        return socket.create_connection(address[:2], timeout=seconds(timeout))
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(seconds(timeout))
    sock.connect(str(address))
    return sock


class _Connection(http.client.HTTPConnection):
    def __init__(self, address, timeout):
        host = address[0] if isinstance(address, tuple) else "localhost"
        if ":" in host:
            host = f"[{host}]"
        super().__init__(host, timeout=seconds(timeout))
        self.address = address
        self.limit = timeout

    def connect(self):
        self.sock = connect(self.address, self.limit)
        if isinstance(self.address, tuple):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Client:
    """One keep-alive connection; it reconnects after it was closed."""

    def __init__(self, address, timeout=60):
        self.connection = _Connection(address, timeout)

    def request(self, method, path, body=None, headers=None):
        if isinstance(body, str):
            body = body.encode()
        try:
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, found, answer.read())
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise

    def post(self, path, body=None, **headers):
        return self.request("POST", path, body, headers)

    def get(self, path):
        return self.request("GET", path)

    def close(self):
        self.connection.close()


class RawClient:
    """A socket that is read as HTTP answers."""

    def __init__(self, address, timeout=60):
        self.sock = connect(address, timeout)
        self.file = self.sock.makefile("rb")

    def send(self, data):
        self.sock.sendall(data)

    def send_whatever_it_takes(self, data):
        """Sends until the peer has had enough. True if all of it was sent."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def read_answer(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("closed before an answer")
        status = int(line.split()[1])
        headers = {}
        while True:
            line = self.file.readline().strip()
            if not line:
                break
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        body = b""
        if status != 100:
            body = self.file.read(int(headers["content-length"]))
        return Response(status, headers, body)

    def is_closed_by_peer(self):
        """Waits for the end: true if nothing more came before it."""
        try:
            return self.file.read(1) == b""
        except (ConnectionResetError, BrokenPipeError):
            return True

    def reset(self):
        """Ends the connection with a reset instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()


def post_bytes(path, body, *headers):
    """A whole POST as bytes."""
    if isinstance(body, str):
        body = body.encode()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def get_bytes(path, *headers):
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()
