"""The `segline` command. Thin: it parses, calls, and prints.

Nothing heavy is imported here, so that `segline --help` answers at once.
"""

from __future__ import annotations

import argparse
import sys

import rich.console

from components.common import provenance, stack
from components.common.errors import UserError
from pipeline.commands import (
    config,
    data,
    export,
    gc,
    init,
    kubeflow,
    label,
    lineage,
    metrics,
    predict,
    serving,
    watch,
)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `segline` command.

    Args:
      arguments: default: those of the process. Exits with status 1 on an error of
        the user's, 2 on a wrong call.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        with stack.native_log_held():
            options.function(options)
    except UserError as error:
        rich.console.Console(stderr=True, highlight=False).print(
            f"segline: {error}", markup=False, soft_wrap=True, style="red"
        )
        sys.exit(1)


def make_parser() -> argparse.ArgumentParser:
    """All subcommands and their options."""
    parser = argparse.ArgumentParser(
        prog="segline", description="TFX pipelines for image segmentation."
    )
    version = f"segline {provenance.version()} ({provenance.stack()})"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="command")
    for module in (
        *(init, data, config, predict, export, label, lineage, serving, watch, gc, metrics),
        kubeflow,
    ):
        module.add(commands)
    return parser
