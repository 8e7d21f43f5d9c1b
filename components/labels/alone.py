"""One call at a time that writes into a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from components.common.errors import UserError


@contextlib.contextmanager
def alone(path: str, busy: str) -> Iterator[None]:
    """Holds a lock file, which is gone at the end.

    The system lets go of it when the process ends, however it ends.

    Args:
      path: of the lock file; its folder is made.
      busy: the message where another call holds it.

    Raises:
      UserError: another call holds it; or it can't be written, or its disk knows no locks.
    """
    folder = os.path.dirname(path) or "."
    try:
        if not os.path.exists(folder):
            os.makedirs(folder, exist_ok=True)
        file = open(path, "a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise UserError(f"{folder} can't be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(busy) from error
        except OSError as error:
            raise UserError(
                f"{path} can't be locked ({error.strerror}): two calls could write to the same "
                "files. Mount the volume with locks (NFS: version 4, without nolock)."
            ) from error
        if not os.fstat(file.fileno()).st_nlink:  # who held it has ended since it was opened
            raise UserError(busy)
        try:
            yield
        finally:
            os.remove(path)
