"""Locks of the system on files: it lets go of them when a process ends, however it ends."""

from __future__ import annotations

import fcntl
from typing import TextIO

from components.common.errors import UserError


def take(file: TextIO, kind: int) -> bool:
    """Locks an open file until it is closed.

    Args:
      file: open for writing.
      kind: of `fcntl.flock`: LOCK_EX or LOCK_SH; with LOCK_NB it does not wait.

    Returns:
      Whether it is held; False: another process holds it.

    Raises:
      UserError: its disk knows no locks.
    """
    try:
        fcntl.flock(file, kind)
    except BlockingIOError:
        return False
    except OSError as error:
        raise UserError(
            f"{file.name} can't be locked ({error.strerror}): two processes could write to the "
            "same files. Mount the volume with locks (NFS: version 4, without nolock)."
        ) from error
    return True
