"""A readable terminal: libraries' chatter goes to a log file, the user sees the steps."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.markup import escape

from components.common.errors import UserError
from pipeline.running.storage_faults import explain

_WIDTH_WITHOUT_TERMINAL = 100


@contextlib.contextmanager
def quiet_terminal(log_path: str) -> Iterator[Console]:
    """Sends everything that this process prints to a log file, except the console.

    It works on the file descriptors, because TensorFlow, Beam and gRPC write from
    C++. What the `segline` loggers say goes to both.

    Args:
      log_path: file that the output is appended to; its folder is made.

    Yields:
      A console on the real standard output.
    """
    os.makedirs(os.path.dirname(log_path), exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    python_streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_LogStream, python_streams)
    with os.fdopen(os.dup(saved[0]), "w", encoding="utf-8") as stream:
        width = None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
        console = Console(file=stream, width=width, highlight=False)
        handler = ConsoleHandler(console)
        root, ours = logging.getLogger(), logging.getLogger("segline")
        log_stream = os.fdopen(os.dup(2), "w", encoding="utf-8")
        to_log = logging.StreamHandler(_LogStream(log_stream))
        to_log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        old_level = root.level
        root.addHandler(to_log)
        root.setLevel(logging.INFO)
        ours.addHandler(handler)
        try:
            yield console
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            ours.removeHandler(handler)
            root.removeHandler(to_log)
            root.setLevel(old_level)
            with contextlib.suppress(OSError):
                log_stream.close()
            sys.stdout, sys.stderr = python_streams
            _drop_unwritten(python_streams)
            for descriptor, original in enumerate(saved, start=1):
                os.dup2(original, descriptor)
                os.close(original)


def _drop_unwritten(streams: tuple[TextIO, TextIO]) -> None:
    """Empties stdout's and stderr's buffers: what a full disk did not take is no output."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor, stream in enumerate(streams, start=1):
        os.dup2(nowhere, descriptor)
        stream.flush()
    os.close(nowhere)


class _LogStream:
    """A stream whose failures are nobody's business.

    Beam's workers print an exception before they report it: where the disk of the log is
    full, the report would never be sent, and the run would wait for it for ever.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


class ConsoleHandler(logging.Handler):
    """Shows our own log records below the step that they belong to."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one record, dimmed."""
        self._console.print(f"    [dim]{escape(record.getMessage())}[/dim]", soft_wrap=True)


def user_message(error: BaseException, store: str = "its store") -> str | None:
    """The UserError behind an exception, if there is one.

    Beam gives a worker's exception as text in another exception; there the
    message is found by its class name in the traceback. A failure of the storage is the
    user's too.

    Args:
      error: any exception.
      store: where ML Metadata is, for the message.

    Returns:
      The message for the user; None if the exception is not the user's to mend.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, UserError):
            return _without_beam(str(seen))
        seen = seen.__cause__ or seen.__context__
    name = f"{UserError.__module__}.{UserError.__qualname__}"
    found = re.search(rf"{re.escape(name)}: (.*?)(?=\n\n|\nTraceback|\Z)", str(error), re.DOTALL)
    return _without_beam(found.group(1)) if found else explain(error, store)


def _without_beam(message: str) -> str:
    """Cuts off the note that Beam adds about its own step."""
    return re.sub(r"\s*\[while running '.*", "", message, flags=re.DOTALL).strip()


def print_error(
    console: Console, error: BaseException, title: str, store: str = "its store"
) -> None:
    """Shows what the user can mend as a message, any other exception whole."""
    console.print(f"[bold red]{escape(title)}[/bold red]", soft_wrap=True)
    message = user_message(error, store)
    if message is None:
        message = "".join(traceback.format_exception(error)).rstrip()
    console.print(escape(message), soft_wrap=True)
