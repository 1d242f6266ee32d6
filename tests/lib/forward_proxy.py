"""A stand-in for the proxy beside tallyd: its customers get wherever this machine gets.

As GOST does, it asks for a name and a password, connects from loopback to what is on loopback,
and adds nothing to what it passes on: no header tells that somebody else has asked.
"""
import base64
import contextlib
import socket
import threading


class ForwardProxy:
    """users: {name: password}. names: {host name: address}, beside those that the machine knows.
    ports: {"socks5": PORT, "http": PORT}; the latter also takes CONNECT.
    """

    def __init__(self, users, names):
        self.users = users
        self.names = names
        self.ports = {}
        for kind, serve in (("socks5", self.serve_socks5), ("http", self.serve_http)):
            listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            self.ports[kind] = listener.getsockname()[1]
            self.go(self.accept, listener, serve)

    @staticmethod
    def go(function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def accept(self, listener, serve):
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.go(self.serve, client, serve)

    @staticmethod
    def serve(client, serve):
        with client, client.makefile("rb", buffering=0) as file, \
                contextlib.suppress(OSError, EOFError):
            serve(client, file)

    def reach(self, host, port):
        server = socket.create_connection((self.names.get(host, host), port), timeout=60)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server

    def serve_socks5(self, client, file):
        read_exactly(file, read_exactly(file, 2)[1])
        client.sendall(b"\x05\x02")
        name = read_exactly(file, read_exactly(file, 2)[1]).decode()
        password = read_exactly(file, read_exactly(file, 1)[0]).decode()
        if self.users.get(name) != password:
            client.sendall(b"\x01\x01")
            return
        client.sendall(b"\x01\x00")
        family = read_exactly(file, 4)[3]
        if family == 3:
            host = read_exactly(file, read_exactly(file, 1)[0]).decode()
        elif family == 1:
            host = socket.inet_ntop(socket.AF_INET, read_exactly(file, 4))
        else:
            host = socket.inet_ntop(socket.AF_INET6, read_exactly(file, 16))
        port = int.from_bytes(read_exactly(file, 2), "big")
        try:
            server = self.reach(host, port)
        except OSError:
            client.sendall(b"\x05\x05\x00\x01" + bytes(6))
            return
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))
        relay(client, server)

    def serve_http(self, client, file):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += read_exactly(file, 1)
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        method, target, version = first.split(" ")
        own = [line for line in lines if line.lower().startswith("proxy-authorization:")]
        if not own or not self.knows(own[0].split()[-1]):
            client.sendall(b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n")
            return
        is_tunnel = method == "CONNECT"
        authority, _, path = (target if is_tunnel else target.split("://", 1)[1]).partition("/")
        host, _, port = authority.rpartition(":")
        try:
            server = self.reach(host.strip("[]"), int(port))
        except OSError:
            client.sendall(b"HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n")
            return
        if is_tunnel:
            client.sendall(b"HTTP/1.1 200 X\r\n\r\n")
        else:
            kept = [line for line in lines if not line.lower().startswith("proxy-")]
            server.sendall("\r\n".join([f"{method} /{path} {version}", *kept, "", ""])
                           .encode("latin-1"))
        relay(client, server)

    def knows(self, credential):
        name, _, password = base64.b64decode(credential).decode().partition(":")
        return self.users.get(name) == password


def read_exactly(file, size):
    data = b""
    while len(data) < size:
        more = file.read(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def relay(client, server):
    ForwardProxy.go(copy, server, client)
    copy(client, server)
    server.close()


def copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
