"""A customer of a proxy, who goes through it wherever it lets him."""
import base64
import http.client
import socket

from client import Response
from deadline import seconds

KINDS = ("socks5", "connect", "forward")  # forward: plain HTTP, which the proxy reads


class Customer:
    """ports: {"socks5": PORT, "http": PORT} of a proxy on 127.0.0.1.

    For one thread: it keeps its tunnels open as long as the other end does.
    """

    def __init__(self, ports, user, password):
        self.ports = ports
        self.user = user
        self.password = password
        self.tunnels = {}

    def close(self):
        for sock in self.tunnels.values():
            sock.close()
        self.tunnels.clear()

    def credential(self):
        pair = f"{self.user}:{self.password}".encode()
        return "Proxy-Authorization: Basic " + base64.b64encode(pair).decode()

    def dial(self, kind, host, port):
        """A connection to there; with "forward": to the proxy, for one request."""
        sock = socket.create_connection(
            ("127.0.0.1", self.ports["socks5" if kind == "socks5" else "http"]),
            timeout=seconds(60))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if kind == "socks5":
                self.begin_socks5(sock, host, port)
            elif kind == "connect":
                self.begin_tunnel(sock, host, port)
        except BaseException:
            sock.close()
            raise
        return sock

    def begin_socks5(self, sock, host, port):
        name, password = self.user.encode(), self.password.encode()
        sock.sendall(b"\x05\x01\x02")
        expect(sock, b"\x05\x02")
        sock.sendall(b"\x01" + bytes([len(name)]) + name + bytes([len(password)]) + password)
        expect(sock, b"\x01\x00")
        sock.sendall(b"\x05\x01\x00" + socks5_address(host) + port.to_bytes(2, "big"))
        expect(sock, b"\x05\x00\x00")
        family = read(sock, 1)[0]
        read(sock, {1: 4, 4: 16}[family] + 2)

    def begin_tunnel(self, sock, host, port):
        authority = f"{bracketed(host)}:{port}"
        sock.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
                     f"{self.credential()}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += read(sock, 1)
        if head.split()[1] != b"200":
            raise ConnectionRefusedError(f"the proxy says {head!r}")

    def ask(self, kind, host, port, method, path, headers=None, body=b""):
        """What is at host:port answers to this. The Host header is its address, if none is
        given."""
        if kind == "forward":
            with self.dial(kind, host, port) as sock:
                return self.exchange(sock, method, f"http://{bracketed(host)}:{port}{path}", {
                    "Host": f"{bracketed(host)}:{port}", **(headers or {}),
                    "Connection": "close"}, body, [self.credential()])[0]
        where = (kind, host, port)
        is_kept = where in self.tunnels
        sock = self.tunnels.pop(where, None) or self.dial(*where)
        asked = (method, path, {"Host": f"{bracketed(host)}:{port}", **(headers or {})}, body)
        try:
            answer, stays = self.exchange(sock, *asked)
        except (OSError, http.client.HTTPException):
            sock.close()
            if not is_kept:
                raise
            sock = self.dial(*where)
            answer, stays = self.exchange(sock, *asked)
        if stays:
            self.tunnels[where] = sock
        else:
            sock.close()
        return answer

    @staticmethod
    def exchange(sock, method, target, headers, body, lines=()):
        """(the answer, whether the connection stays)."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), *lines]
        if body or method not in ("GET", "HEAD"):
            lines.append(f"Content-Length: {len(body)}")
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        with http.client.HTTPResponse(sock, method=method) as answer:
            answer.begin()
            found = Response(answer.status, {k.lower(): v for k, v in answer.getheaders()},
                             answer.read())
            return found, not answer.will_close


def bracketed(host):
    return f"[{host}]" if ":" in host else host


def socks5_address(host):
    for family, code in ((socket.AF_INET, 1), (socket.AF_INET6, 4)):
        try:
            return bytes([code]) + socket.inet_pton(family, host)
        except OSError:
            pass
    return b"\x03" + bytes([len(host)]) + host.encode()


def read(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionRefusedError("the proxy has hung up")
        data += more
    return data


def expect(sock, wanted):
    found = read(sock, len(wanted))
    if found != wanted:
        raise ConnectionRefusedError(f"the proxy says {found!r}")
