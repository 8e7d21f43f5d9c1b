"""Where a pipeline's ML Metadata lies, and how it is opened for reading."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common.errors import UserError
from pipeline.config.loading import PipelineConfig
from pipeline.config.metadata import TlsConfig
from pipeline.metadata.postgresql import mend_stores

_LOG = logging.getLogger("segline")
_ATTEMPTS = 5
PATIENCE_SECONDS = 120.0


def connection_config(config: PipelineConfig) -> mlmd.ConnectionConfig:
    """How to reach a pipeline's ML Metadata; holds the password, where there is one.

    Raises:
      UserError: the password is not where the config says.
    """
    settings = config.run.metadata
    connection = mlmd.ConnectionConfig()
    if settings.backend == "sqlite":
        path = os.path.abspath(os.path.join(config.folder, "metadata.db"))
        connection.sqlite.filename_uri = path
        connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        return connection
    password = settings.password.read() if settings.password else ""
    if settings.backend == "postgresql":
        mend_stores()
        server = connection.postgresql
        server.dbname, server.port = settings.database, str(settings.port or 5432)
    else:
        server = connection.mysql
        server.database, server.port = settings.database, settings.port or 3306
    server.host, server.user, server.password = settings.host, settings.user, password
    if settings.tls:
        _encrypt(connection, settings.tls)
    return connection


def _encrypt(connection: mlmd.ConnectionConfig, tls: TlsConfig) -> None:
    if connection.HasField("postgresql"):
        options = connection.postgresql.ssloption
        options.sslmode, options.sslrootcert = "verify-full", tls.ca
        options.sslcert, options.sslkey = tls.cert or "", tls.key or ""
    else:
        # Not verify_server_cert: with it ML Metadata 1.16's client takes no certificate at all.
        options = connection.mysql.ssl_options
        options.ca = tls.ca
        options.cert, options.key = tls.cert or "", tls.key or ""


def check_not_lost(config: PipelineConfig) -> None:
    """Makes sure that a new store does not begin among the artifacts of a lost one.

    Executions are numbered from 1 in a new store, and outputs lie in folders by that number:
    a new run would mix its files with those of the old ones.

    Raises:
      UserError: there are artifacts, but no store.
    """
    connection = connection_config(config)
    artifacts = config.artifacts_dir
    if (
        connection.HasField("sqlite")
        and not os.path.exists(connection.sqlite.filename_uri)
        and os.path.isdir(artifacts)
        and os.listdir(artifacts)
    ):
        raise UserError(
            f"there is no ML Metadata at {connection.sqlite.filename_uri}, but {artifacts} has "
            "the outputs of earlier runs. Put the store's backup back; to begin anew without it, "
            f"move the outputs away: mv {artifacts} {artifacts}.old (what is served stays)."
        )


def connect(config: PipelineConfig) -> MetadataStore:
    """Opens a pipeline's ML Metadata for writing; makes it where there is none yet.

    A server that restarts is waited for, since not every cluster tries a failed step again.
    Where two first runs make the tables at the same moment, ML Metadata fails in one and asks
    it to come back.

    Raises:
      UserError: it could not be opened in `PATIENCE_SECONDS`.
    """
    connection = connection_config(config)
    patience = 0.0 if connection.HasField("sqlite") else PATIENCE_SECONDS
    end, told = time.monotonic() + patience, False
    while True:
        try:
            with _native_log() as log:
                return MetadataStore(connection)
        except (errors.StatusError, RuntimeError) as error:
            reason = log.errors[-1] if log.errors else _first_line(error)
            if time.monotonic() >= end:
                raise UserError(
                    f"ML Metadata at {place(config)} can't be used: {reason}"
                ) from error
        if not told:
            first_words = reason.split(". ")[0]
            _LOG.warning("ML Metadata can't be used yet, it is waited for: %s", first_words)
            told = True
        time.sleep(3.0)


def open_store(config: PipelineConfig, write: bool = False) -> MetadataStore:
    """Opens a pipeline's ML Metadata for reading, also while a run writes to it.

    Args:
      config: of the pipeline.
      write: open it for writing too.

    Raises:
      UserError: there is none yet, or it can't be reached or read.
    """
    connection = connection_config(config)
    name = place(config)
    if connection.HasField("sqlite"):
        if not os.path.isfile(connection.sqlite.filename_uri):
            raise UserError(
                f"{config.name} has not run yet: there is no {name} "
                "(SEGLINE_CONFIG or --config chooses the pipeline)"
            )
        modes = mlmd.SqliteMetadataSourceConfig
        connection.sqlite.connection_mode = modes.READWRITE if write else modes.READONLY
    connection.retry_options.max_num_retries = _ATTEMPTS  # where a writer holds the lock
    for attempt in range(_ATTEMPTS):
        try:
            with _native_log() as log:
                return MetadataStore(connection)
        except (errors.StatusError, RuntimeError) as error:
            reason = log.errors[-1] if log.errors else _first_line(error)
            if connection.HasField("sqlite"):
                # A run that was killed while it wrote leaves a half-written transaction;
                # SQLite takes it back when the file is next opened for writing.
                connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE
            time.sleep(0.3 * attempt)
    raise UserError(f"ML Metadata at {name} can't be read: {reason}")


def place(config: PipelineConfig) -> str:
    """Where ML Metadata is, for people: a path, or `mysql://user@host:port/database`."""
    connection = connection_config(config)
    kind = connection.WhichOneof("config")
    if kind == "sqlite":
        return connection.sqlite.filename_uri
    server = getattr(connection, kind)
    return f"{kind}://{server.user}@{server.host}:{server.port}/{config.run.metadata.database}"


@dataclasses.dataclass
class _NativeLog:
    errors: list[str]


@contextlib.contextmanager
def _native_log() -> Iterator[_NativeLog]:
    """Keeps ML Metadata's C++ log from the terminal; it alone says why a server refused."""
    log = _NativeLog([])
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield log
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines = file.read().decode(errors="replace").splitlines()
            log.errors = [line.split("] ", 1)[-1] for line in lines if line.startswith("E")]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
