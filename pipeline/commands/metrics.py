"""`segline metrics`."""

from __future__ import annotations

import argparse
import threading

from components.common.errors import UserError
from pipeline.commands.common import add_config, positive, quiet_console


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    command = commands.add_parser(
        "metrics",
        help="the pipeline's state as numbers, for Prometheus",
        description="Prints the numbers in the OpenMetrics format: last success, duration, "
        "failure and refusal of the last run, mean IoU and expected calibration error of the "
        "model that was blessed last, examples set aside, drifted features.",
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--serve", type=positive, metavar="PORT", help="answer on this port, until it is ended"
    )
    where.add_argument("--push", metavar="URL", help="send them to a Pushgateway")
    add_config(command)
    command.set_defaults(function=_metrics)


def _metrics(options: argparse.Namespace) -> None:
    console = quiet_console()
    import prometheus_client

    from pipeline.config.loading import load_config
    from pipeline.metadata.store import open_store
    from pipeline.running import open_metrics

    config = load_config(options.config)
    numbers = open_metrics.registry(config.name, lambda: open_store(config))
    if options.serve:
        prometheus_client.start_http_server(options.serve, registry=numbers)
        console.print(f"http://0.0.0.0:{options.serve}/metrics")
        threading.Event().wait()
    elif options.push:
        key = {"pipeline": config.name}
        try:
            prometheus_client.push_to_gateway(options.push, "segline", numbers, key)
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(f"--push: {options.push} can't be reached: {reason}") from error
    else:
        print(open_metrics.text(numbers), end="")
