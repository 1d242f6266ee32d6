"""A Redis client of one connection, just large enough to look at what tallyd wrote."""
import socket


class RedisError(Exception):
    pass


class Resp:
    def __init__(self, path, timeout=60):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(str(path))
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(w), w) for w in words]
        self.sock.sendall(b"".join(parts))

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if rest == b"-1":
            return None
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2].decode()
        return [self.read() for _ in range(int(rest))]

    def __call__(self, *words):
        self.send(*words)
        return self.read()

    def hash(self, key):
        flat = self("HGETALL", key)
        return dict(zip(flat[::2], flat[1::2]))

    def view(self, prefix="user:"):
        """What Redis shows: {id: (usedTraffic, inputBytes, outputBytes)}."""
        keys, cursor = [], "0"
        while True:
            cursor, page = self("SCAN", cursor, "MATCH", prefix + "*", "COUNT", 1000)
            keys += page
            if cursor == "0":
                break
        shown, keys = {}, sorted(set(keys))
        for start in range(0, len(keys), 500):
            some = keys[start:start + 500]
            for key in some:
                self.send("HMGET", key, "usedTraffic", "inputBytes", "outputBytes")
            for key in some:
                shown[key[len(prefix):]] = self.read_totals()
        return shown

    def read_totals(self):
        """Of an HMGET; the error or the fields themselves if they are no numbers."""
        try:
            fields = self.read()
            return tuple(int(field or 0) for field in fields)
        except RedisError as error:
            return str(error)
        except ValueError:
            return fields
