"""Where a pipeline's ML Metadata lies, and how it is opened for reading."""

from __future__ import annotations

import os
import time

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.errors import UserError
from pipeline.config import PipelineConfig

_ATTEMPTS = 5


def metadata_path(config: PipelineConfig) -> str:
    """The SQLite file of a pipeline."""
    return os.path.abspath(os.path.join(config.folder, "metadata.db"))


def open_store(config: PipelineConfig) -> MetadataStore:
    """Opens a pipeline's ML Metadata for reading, also while a run writes to it.

    Raises:
      UserError: there is none yet, or it can't be read.
    """
    path = metadata_path(config)
    if not os.path.isfile(path):
        raise UserError(
            f"{config.name} has not run yet: there is no {path} "
            "(SEGLINE_CONFIG or --config chooses the pipeline)"
        )
    connection = mlmd.ConnectionConfig()
    connection.sqlite.filename_uri = path
    connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READONLY
    connection.retry_options.max_num_retries = _ATTEMPTS  # where a writer holds the lock
    for attempt in range(_ATTEMPTS):
        try:
            return MetadataStore(connection)
        except (errors.StatusError, RuntimeError) as error:
            reason = error
            # A run that was killed while it wrote leaves a half-written transaction;
            # SQLite takes it back when the file is next opened for writing.
            connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE
            time.sleep(0.3 * attempt)
    raise UserError(f"{path} can't be read: {reason}") from reason
