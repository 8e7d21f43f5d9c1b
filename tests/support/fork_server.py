"""The program behind forked.py: `python fork_server.py SOCKET`."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import importlib
import json
import os
import random
import runpy
import selectors
import shutil
import signal
import socket
import sys
import threading
from importlib import metadata
from pathlib import Path

# What whole runs import of others; what is missing in a stack is left to the child.
PRELOADED = (
    "tfx.components",
    "tfx.orchestration.local.local_dag_runner",
    "tfx.orchestration.beam.beam_dag_runner",
    "tensorflow_model_analysis",
    "tensorflow_datasets",
    "keras_hub",
    "keras_tuner",
    "matplotlib.pyplot",
    "pydantic",
    "rich.console",
    "rich.table",
)


def preload() -> None:
    """Imports everything, as quietly as a run does."""
    import gc

    gc.disable()
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    gc.enable()


class Server:
    """Forks for each request.

    Args:
      listener: where requests come from.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._connections = selectors.DefaultSelector()
        self._connections.register(listener, selectors.EVENT_READ, self._accept)

    def serve(self) -> list[str]:
        """Returns in the children only, with what they are to run."""
        while True:
            for key, _ in self._connections.select():
                if command := key.data(key.fileobj):
                    return command
            if len(self._connections.get_map()) == 1:  # nobody is there any more
                sys.exit()

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self._connections.register(connection, selectors.EVENT_READ, self._receive)

    def _receive(self, connection: socket.socket) -> list[str] | None:
        """A request; without one the connection only keeps the server alive, until it ends."""
        content, streams, _, _ = socket.recv_fds(connection, 1, 2)
        self._connections.unregister(connection)
        if not content:
            connection.close()
            return None
        with connection.makefile("r", encoding="utf-8") as file:
            request = json.loads(file.readline())
        pid = os.fork()
        if not pid:
            return self._become(request, streams)
        for descriptor in streams:
            os.close(descriptor)
        connection.sendall(f"{pid}\n".encode())
        watch = os.pidfd_open(pid)
        end = functools.partial(self._end, pid, connection)
        self._connections.register(watch, selectors.EVENT_READ, end)
        # It ends before the process only where the test has been ended.
        kill = functools.partial(self._kill, pid)
        self._connections.register(connection, selectors.EVENT_READ, kill)
        return None

    def _become(self, request: dict, streams: list[int]) -> list[str]:
        """Makes this process the one that was asked for."""
        for key in self._connections.get_map().values():
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
            else:
                os.close(key.fd)
        os.setsid()
        for target, source in enumerate(streams, start=1):
            os.dup2(source, target)
        for source in streams:
            os.close(source)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["cwd"])
        return request["command"]

    def _kill(self, pid: int, connection: socket.socket) -> None:
        if connection.fileno() >= 0:  # not closed just now by _end
            self._connections.unregister(connection)
            os.killpg(pid, signal.SIGKILL)

    def _end(self, pid: int, connection: socket.socket, watch: int) -> None:
        """Tells how a process has ended."""
        self._connections.unregister(watch)
        os.close(watch)
        _, status, usage = os.wait4(pid, 0)
        end = [os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime]
        with connection, contextlib.suppress(OSError):
            if connection in self._connections.get_map():
                self._connections.unregister(connection)
            connection.sendall(f"{json.dumps(end)}\n".encode())


def unshare(command: list[str]) -> list[str]:
    """What `unshare --user --map-user=U --map-group=G COMMAND` does, up to the command."""
    _, kind, user, group, *rest = command
    assert kind == "--user", command
    uid, gid = os.getuid(), os.getgid()
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(0x10000000):  # CLONE_NEWUSER
        raise OSError(ctypes.get_errno(), "unshare")
    for file, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{user.removeprefix('--map-user=')} {uid} 1"),
        ("gid_map", f"{group.removeprefix('--map-group=')} {gid} 1"),
    ):
        Path(f"/proc/self/{file}").write_text(content)
    return rest


def run(command: list[str]) -> None:
    """What Python does with the command, in this process."""
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(  # noqa: SIM115
        2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(write_through=True)
    random.seed()
    sys.modules["numpy"].random.seed()
    constants = sys.modules["tensorflow_datasets"].core.constants
    constants.DATA_DIR = constants.get_default_data_dir()  # below HOME, as at its import
    if command[0] == "unshare":
        command = unshare(command)
    program, *arguments = command
    if program not in (sys.executable, "python"):
        (entry,) = metadata.entry_points(group="console_scripts", name=program)
        sys.argv = command
        sys.exit(entry.load()())
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, os.path.dirname(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")


def status_of(command: list[str]) -> int:
    """Runs a command; what Python would exit with."""
    try:
        run(command)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    path = sys.argv[1]
    del sys.path[0]  # the children's business
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        preload()
        if os.fork():
            os._exit(0)  # ready
        os.setsid()
        server = os.getpid()
        try:
            todo = Server(listening).serve()
        finally:
            if os.getpid() == server:
                shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    status = status_of(todo)
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # As multiprocessing ends its forks: to take all modules apart costs half a second.
    os._exit(status)
