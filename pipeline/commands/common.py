"""What several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich.console

if TYPE_CHECKING:
    from ml_metadata import MetadataStore

    from pipeline.config.loading import PipelineConfig


def add_config(command: argparse.ArgumentParser) -> None:
    """Adds `--config`."""
    command.add_argument(
        "--config", help="name or path of the pipeline's config; default: SEGLINE_CONFIG"
    )


def add_run_argument(command: argparse.ArgumentParser, name: str, default: str = "latest") -> None:
    """Adds an argument that names a run."""
    command.add_argument(
        name,
        nargs="?",
        default=default,
        metavar="RUN",
        help="an id, its beginning, latest, or latest~1: the one before; default: %(default)s",
    )


def positive(text: str) -> int:
    """A type for argparse: integers from 1."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


positive.__name__ = "positive integer"  # as argparse's message calls it


def config_and_store(
    options: argparse.Namespace, write: bool = False
) -> tuple[PipelineConfig, MetadataStore]:
    """The chosen config, and its ML Metadata, for reading or for writing too."""
    from pipeline.config.loading import load_config
    from pipeline.metadata.store import open_store

    config = load_config(options.config)
    return config, open_store(config, write)


def answer(
    options: argparse.Namespace, answer: Any, show: Callable[[rich.console.Console], None]
) -> None:
    """Prints an answer as JSON where that is asked for."""
    import json

    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        console = rich.console.Console(highlight=False)
        if not console.is_terminal:
            console.width = 160
        show(console)


def write(path: str, text: str) -> str:
    """Writes a page.

    Raises:
      UserError: it can't be written there.
    """
    from components.common.whole_files import write_whole

    write_whole(path, text)
    return path


def quiet_console() -> rich.console.Console:
    """A console; what the libraries have to say at import is kept from it."""
    import logging
    import os
    import warnings

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    console = rich.console.Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    return console
