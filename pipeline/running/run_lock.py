"""One run of a pipeline at a time on a machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from components.common.errors import UserError

_LOCK_FILE = "run.lock"


@contextlib.contextmanager
def run_lock(folder: str) -> Iterator[None]:
    """Holds a pipeline's folder while a run writes there.

    The system lets go of it when the process ends, however it ends.

    Args:
      folder: the pipeline's.

    Raises:
      UserError: another run holds it.
    """
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, _LOCK_FILE)
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UserError(
                f"another run of this pipeline is under way (process {holder}): wait for its "
                f"end and give the command again. ({path})"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
