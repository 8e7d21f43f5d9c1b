"""Processes that need not import TFX: forks of one that has.

Half of what a short run takes is imports. A server imports TensorFlow, TFX and the like once
for all processes of the tests, and nothing of ours; it starts none of their threads. For each
process that a test asks for it forks: the child has its own environment, working directory,
standard streams and exit status, it can be killed, and runs our code as `python` would.

    process = forked.Server.shared(folder).start(["segline", "config", "show"], cwd, environment)
    output, _ = process.communicate()
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

# A limit for what hangs, not for what is slow: others may be using the machine.
HANGS = 3600.0
_SERVER = Path(__file__).with_name("fork_server.py")


_cpu_seconds: list[float] = []


def cpu_seconds() -> float:
    """What the processes that have ended, and those they waited for, have used together."""
    return sum(_cpu_seconds)


def add_cpu_seconds(seconds: float) -> None:
    """What a process has used that another process has asked for."""
    _cpu_seconds.append(seconds)


class Process:
    """Like `subprocess.Popen`, as far as the tests use it.

    Attributes:
      cpu_seconds: what it and the processes it waited for have used; None while it runs.
    """

    def __init__(
        self, connection: socket.socket, args: list[str], stdout: int, stderr: int | None
    ) -> None:
        self._told = connection.makefile("r", encoding="utf-8")
        connection.close()
        self.args = args
        self.stdout = os.fdopen(stdout, encoding="utf-8")
        self.stderr = None if stderr is None else os.fdopen(stderr, encoding="utf-8")
        self.pid: int = json.loads(self._told.readline())
        self.returncode: int | None = None
        self.cpu_seconds: float | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        with self._told:
            end = self._told.readline()
        # Without an end, the server has gone, and with it what could be known.
        self.returncode, self.cpu_seconds = json.loads(end) if end else (-signal.SIGKILL, None)
        _cpu_seconds.append(self.cpu_seconds or 0)
        self._ended.set()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exception: object) -> None:
        """Waits for its end, as Popen does."""
        for stream in filter(None, (self.stdout, self.stderr)):
            stream.close()
        self.wait()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float = HANGS) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout: float = HANGS) -> tuple[str, str | None]:
        """All that it prints (stderr: None where that goes to stdout), once it has ended."""
        streams = [stream for stream in (self.stdout, self.stderr) if stream]
        texts: dict[int, str] = {}

        def read(stream) -> None:
            with stream:
                texts[id(stream)] = stream.read()

        readers = [threading.Thread(target=read, args=[one], daemon=True) for one in streams]
        for reader in readers:
            reader.start()
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        for reader in readers:
            reader.join()
        return texts[id(self.stdout)], texts[id(self.stderr)] if self.stderr else None


class Server:
    """The connection with a server.

    Attributes:
      address: path of its socket.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        # As long as somebody holds such a connection, the server stays.
        self._lifeline = self._connect()

    @classmethod
    def shared(cls, folder: Path) -> Server:
        """The server of all test processes that share a folder; the first one starts it."""
        with open(folder / "fork-server.lock", "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            if address := file.read():
                with contextlib.suppress(OSError):
                    return cls(address)
            # Paths of sockets are short; those of the tests' folders are not always.
            place = tempfile.mkdtemp(prefix="segline-")
            environment = os.environ | {"PYTHONWARNINGS": "ignore", "HOME": place}
            command = [sys.executable, str(_SERVER), f"{place}/socket"]
            with open(f"{place}/log", "w+") as log:
                # It goes on in the background once it is ready.
                kept = {"stdout": log, "stderr": log}
                if subprocess.run(command, cwd=place, env=environment, **kept).returncode:
                    log.seek(0)
                    raise RuntimeError(f"the fork server did not start: {log.read()}")
            file.truncate(0)
            file.write(f"{place}/socket")
            file.flush()
            return cls(f"{place}/socket")

    def close(self) -> None:
        self._lifeline.close()

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.address)
        return connection

    def start(
        self,
        command: list[str],
        cwd: Path,
        environment: dict[str, str],
        *,
        merged: bool = False,
        output: int | None = None,
    ) -> Process:
        """Starts a process.

        Args:
          command: `segline …`, `tfx …`, or the path of this Python with a script or `-m`.
          cwd: its working directory.
          environment: all of it.
          merged: whether stderr goes where stdout goes.
          output: where both go, a file descriptor; default: pipes.
        """
        ours: list[int | None] = [None, None]
        theirs = [output, output]
        if output is None:
            ours[0], theirs[0] = os.pipe()
            ours[1], theirs[1] = (None, theirs[0]) if merged else os.pipe()
        request = json.dumps({"command": command, "cwd": str(cwd), "environment": environment})
        connection = self._connect()
        socket.send_fds(connection, [b"x"], theirs)
        connection.sendall(request.encode() + b"\n")
        if output is None:
            for descriptor in set(theirs):
                os.close(descriptor)
        if ours[0] is None:
            ours[0] = os.open(os.devnull, os.O_RDONLY)
        return Process(connection, command, ours[0], ours[1])
