"""One writer of what is served."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from components.common import run_record
from components.pusher import version_store
from pipeline.config.loading import PipelineConfig
from pipeline.metadata.store import connect
from pipeline.running.run_lock import step_lock


@contextlib.contextmanager
def serving_lock(config: PipelineConfig) -> Iterator[None]:
    """Holds a pipeline's serving folder, beside a run, but not beside its push.

    A run holds its pipeline's folder for hours, and a rollback can't wait for that: so the push and
    this have a lock of their own. A bucket has none; there the Pusher's lease is taken.

    Args:
      config: of the pipeline.
    """
    if "://" in config.serving_dir:
        opened = functools.partial(connect, config)
        with step_lock(config.folder, "Pusher", run_record.who(), opened):
            yield
        return
    with version_store.locked(config.serving_dir):
        yield
