"""One run of a pipeline at a time on a machine; on a cluster, one writer of what runs share."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator

from ml_metadata import MetadataStore

from components.common import file_locks
from components.common.errors import UserError
from pipeline.metadata.lease import lease

_LOCK_FILE = "run.lock"
# They write to folders that the next run goes on from, or that are served; the others write to
# folders of their own execution.
_ALONE = ("Tuner", "Trainer", "Pusher")
_PAUSE_SECONDS = 2.0
_LOG = logging.getLogger("segline")


@contextlib.contextmanager
def run_lock(folder: str, wait: bool = False) -> Iterator[None]:
    """Holds a pipeline's folder while a run writes there.

    The system lets go of it when the process ends, however it ends.

    Args:
      folder: the pipeline's.
      wait: for the end of who holds it.

    Raises:
      UserError: another run holds it, or its disk knows no locks.
    """
    os.makedirs(folder, exist_ok=True)
    with _held(os.path.join(folder, _LOCK_FILE), fcntl.LOCK_EX, f"process {os.getpid()}", wait):
        yield


@contextlib.contextmanager
def step_lock(
    folder: str, step: str, run_id: str, connect: Callable[[], MetadataStore]
) -> Iterator[None]:
    """Holds what one step of a run writes to, on a volume that many machines mount.

    Steps of several runs may work side by side, but a training, a search and a push wait for
    each other; nothing may tidy up meanwhile. A machine that dies loses its locks: at once
    on one machine, after the lease (90 s) of NFS's server. A bucket knows no locks: there the
    steps that must be alone hold a lease in ML Metadata, which a dead one loses after minutes.

    Args:
      folder: the pipeline's.
      step: name of the step.
      run_id: for the message of those who wait.
      connect: opens ML Metadata, where the folder is in a bucket.

    Raises:
      UserError: the volume knows no locks.
    """
    holder = f"run {run_id}"
    if "://" in folder:
        alone = step in _ALONE
        with lease(connect, f"{folder}/{step}", holder) if alone else contextlib.nullcontext():
            yield
        return
    os.makedirs(folder, exist_ok=True)
    with contextlib.ExitStack() as locks:
        locks.enter_context(_held(os.path.join(folder, _LOCK_FILE), fcntl.LOCK_SH, "", True))
        if step in _ALONE:
            path = os.path.join(folder, f"{step.lower()}.lock")
            locks.enter_context(_held(path, fcntl.LOCK_EX, holder, True))
        yield


@contextlib.contextmanager
def _held(path: str, kind: int, holder: str, wait: bool) -> Iterator[None]:
    """A lock on a file, which then says who has it (a shared one does not)."""
    told = False
    with open(path, "a+", encoding="utf-8") as file:
        while not file_locks.take(file, kind | fcntl.LOCK_NB):
            file.seek(0)
            other = file.read().strip() or "unknown"
            if not wait:
                raise UserError(
                    f"another run of this pipeline is under way ({other}): wait for its "
                    f"end and give the command again. ({path})"
                )
            if not told:
                _LOG.info("waiting: %s is held by %s", path, other)
                told = True
            time.sleep(_PAUSE_SECONDS)
        if holder:
            file.truncate(0)
            file.write(holder)
            file.flush()
        yield
