"""One call at a time that writes into a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from components.common import file_locks
from components.common.errors import UserError


@contextlib.contextmanager
def alone(path: str, busy: str) -> Iterator[None]:
    """Holds a lock file, which is gone at the end.

    Args:
      path: of the lock file; its folder is made.
      busy: the message where another call holds it.

    Raises:
      UserError: another call holds it; or it can't be written, or its disk knows no locks.
    """
    folder = os.path.dirname(path) or "."
    try:
        if not os.path.exists(folder):  # else a file there is told by what opens it
            os.makedirs(folder, exist_ok=True)
        file = open(path, "a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise UserError(f"{folder} can't be written: {error.strerror}") from error
    with file:
        if not file_locks.take(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            raise UserError(busy)
        if not os.fstat(file.fileno()).st_nlink:  # who held it has ended since it was opened
            raise UserError(busy)
        try:
            yield
        finally:
            os.remove(path)
