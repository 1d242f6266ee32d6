"""Ports for servers under test, below those that the kernel gives to outgoing connections."""
import itertools
import socket

BLOCK = 500


def claim_block():
    """Ports that no other process of tests takes until this one ends, and what claims them.

    The claim is the name of an abstract socket: only one process can have it, it goes with that
    process, and it is known just where the ports are, in this network namespace.
    """
    for first in range(20000, 32000, BLOCK):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0tallyd-test-ports-{first}")
        except OSError:
            claim.close()
            continue
        return itertools.cycle(range(first, first + BLOCK)), claim
    raise RuntimeError("all ports for tests are claimed")


_candidates, _claim = claim_block()


def free_port():
    for port in _candidates:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
