"""`segline watch`."""

from __future__ import annotations

import argparse
import sys

from pipeline.commands.common import add_config, quiet_console
from pipeline.commands.kubeflow import add_cluster

DRIFTED = 3  # exit status


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    command = commands.add_parser(
        "watch",
        help="hold what a served model is asked against what it was trained on",
        description="Reads logs of requests and answers, results of predict --beam, and pictures; "
        "says what has moved since the served version was trained, by how much, and whether "
        "retraining has a reason. "
        f"Exits with {DRIFTED} where it has. Nothing leaves this machine but, with --notify, "
        "names and numbers.",
    )
    command.add_argument(
        "logs",
        nargs="+",
        metavar="LOG",
        help="events of KServe's logger as JSON lines (or as it stores them), Parquet of predict "
        "--beam, pictures, and folders of all that",
    )
    command.add_argument(
        "--since", metavar="TIME", help="only requests of the last 90m, 6h, 1d; default: all"
    )
    command.add_argument(
        "--out", metavar="FILE", help="the page; default: watch.html in the pipeline's folder"
    )
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument(
        "--notify", action="store_true", help="tell the receivers of run.notify of a drift"
    )
    command.add_argument(
        "--exit-zero", action="store_true", help=f"exit with 0, not {DRIFTED}, on drift too"
    )
    add_cluster(command.add_argument_group("for watch.retrain"))
    add_config(command)
    command.set_defaults(function=_watch)


def _watch(options: argparse.Namespace) -> None:
    console = quiet_console()
    from pipeline.commands.watching import watch

    if watch(console, options) and not options.exit_zero:
        sys.exit(DRIFTED)
