"""Ports for servers under test, below those that the kernel gives to outgoing connections."""
import itertools
import os
import socket

_candidates = itertools.cycle(range(20000, 32000))
for _ in range(os.getpid() * 37 % 12000):
    next(_candidates)


def free_port():
    for port in _candidates:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
