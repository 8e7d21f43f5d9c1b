"""Ports that are nobody else's: neither another test process's nor another checkout's."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

# Below those that Linux gives to outgoing connections.
_PORTS = range(20_000, 32_000)
_locks = []


def free_port() -> int:
    """A port of loopback that nobody listens on; it is ours until this process ends."""
    folder = Path(tempfile.gettempdir(), f"segline-test-ports-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    for port in random.sample(_PORTS, len(_PORTS)):
        lock = open(folder / str(port), "a")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _locks.append(lock)
        return port
    raise RuntimeError(f"no port of {_PORTS} is free")
