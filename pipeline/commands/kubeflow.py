"""`segline kubeflow …`."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import shlex
import tempfile
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from components.common.errors import UserError
from pipeline.commands.common import add_config, positive, quiet_console

if TYPE_CHECKING:
    from pipeline.config.loading import PipelineConfig
    from pipeline.kubeflow.client import Cluster


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    kubeflow = commands.add_parser(
        "kubeflow", help="run the pipeline on Kubeflow Pipelines, once or on a schedule"
    )
    verbs = kubeflow.add_subparsers(required=True, metavar="verb")
    compile_ = verbs.add_parser("compile", help="write the package for Kubeflow Pipelines v2")
    compile_.add_argument("--out", metavar="FILE", help="default: <name>.yaml")
    compile_.set_defaults(function=_compile)

    submit = verbs.add_parser("submit", help="start a run")
    submit.add_argument("--run-name", help="for people; default: the pipeline's name")
    submit.set_defaults(function=_submit)

    schedule = verbs.add_parser(
        "schedule",
        help="run it again and again",
        description="Makes the recurring run of a name be as described: the same again changes "
        "nothing, other content replaces it.",
    )
    when = schedule.add_mutually_exclusive_group(required=True)
    when.add_argument(
        "--cron", metavar="EXPR", help="six fields, seconds first: '0 0 3 * * *' is daily at three"
    )
    when.add_argument("--every", metavar="TIME", help="90m, 6h, 1d")
    when.add_argument("--disable", action="store_true", help="stop it for the time being")
    when.add_argument("--delete", action="store_true", help="remove it")
    schedule.add_argument("--name", help="of the recurring run; default: the pipeline's name")
    schedule.add_argument("--catch-up", action="store_true", help="make up for missed runs")
    schedule.set_defaults(function=_schedule)

    status = verbs.add_parser("status", help="the schedule, and the latest runs")
    status.add_argument(
        "--limit", type=positive, default=10, metavar="N", help="default: %(default)s"
    )
    status.set_defaults(function=_status)

    stop = verbs.add_parser(
        "stop",
        help="end runs that are under way",
        description="Ends one run, or all that have taken too long: a pod that never gets its "
        "GPU would block a schedule for ever.",
    )
    which = stop.add_mutually_exclusive_group(required=True)
    which.add_argument("run", nargs="?", metavar="RUN", help="Kubeflow's id of a run")
    which.add_argument("--older-than", metavar="TIME", help="90m, 6h, 1d")
    stop.set_defaults(function=_stop)

    for verb in (submit, schedule):
        verb.add_argument(
            "--set",
            nargs="*",
            default=[],
            metavar="KEY=VALUE",
            help="overrides for these runs, such as trainer.epochs=2",
        )
    for verb in (submit, schedule, status, stop):
        add_cluster(verb)
    for verb in (compile_, submit, schedule):
        verb.add_argument(
            "--only-if-changed",
            action="store_true",
            help="a first task decides: train only where data, config, code or libraries are "
            "others than those of the latest blessed model",
        )
    for verb in (compile_, submit, schedule, status, stop):
        add_config(verb)


def _compile(options: argparse.Namespace) -> None:
    console = quiet_console()
    config = _config(options)
    path = options.out or f"{config.name}.yaml"
    _kubeflow_runner().write_package(config, path, options.only_if_changed)
    console.print(path, soft_wrap=True)


def add_cluster(command: argparse._ActionsContainer) -> None:
    """Adds what says where Kubeflow Pipelines is."""
    command.add_argument("--host", help="default: KF_PIPELINES_ENDPOINT, or kfp's configuration")
    command.add_argument("--namespace", help="of the user; default: kfp's configuration")
    command.add_argument("--token", metavar="FILE", help="file with a bearer token")
    command.add_argument("--experiment", help="default: the pipeline's name")


def submit(
    options: argparse.Namespace,
    config: PipelineConfig,
    name: str,
    only_if_changed: bool,
    parameters: dict[str, str],
) -> str:
    """Starts a run and returns its id.

    Args:
      options: what `add_cluster` has added.
      config: of the pipeline.
      name: of the run, for people.
      only_if_changed: whether its first task decides.
      parameters: of the run.
    """
    cluster = _cluster(options)
    with _package(config, only_if_changed) as package:
        return cluster.submit(package, options.experiment or config.name, name, parameters)


def _submit(options: argparse.Namespace) -> None:
    console = quiet_console()
    config = _config(options)
    name = options.run_name or config.name
    console.print(submit(options, config, name, options.only_if_changed, _parameters(options)))


def _schedule(options: argparse.Namespace) -> None:
    from pipeline.kubeflow.schedule import parse_cron, parse_interval

    console = quiet_console()
    config = _config(options)
    experiment = options.experiment or config.name
    name = options.name or config.name
    if options.disable:
        _cluster(options).disable(experiment, name)
        console.print(f"{name}: disabled")
        return
    if options.delete:
        gone = _cluster(options).delete(experiment, name)
        wait = "disabled; a run of it is under way: give the command again when that has ended"
        console.print(f"{name}: {'deleted' if gone else wait}", soft_wrap=True)
        return
    when = parse_cron(options.cron) if options.cron else parse_interval(options.every, "--every")
    cluster = _cluster(options)
    with _package(config, options.only_if_changed) as package:
        done = cluster.schedule(
            package, experiment, name, when, _parameters(options), options.catch_up
        )
    console.print(f"{name}: {done}, {when}")


def _stop(options: argparse.Namespace) -> None:
    from pipeline.kubeflow.schedule import parse_interval

    console = quiet_console()
    experiment = options.experiment or _config(options).name
    older_than = 0
    if options.older_than:
        older_than = parse_interval(options.older_than, "--older-than").interval_seconds
    stopped = _cluster(options).stop(experiment, options.run, older_than)
    for run in stopped:
        console.print(f"{run.id}: ended, begun {run.created}")
    if options.run and not stopped:
        raise UserError(f"{options.run}: no such run of {experiment} is under way")


def _status(options: argparse.Namespace) -> None:
    from rich.table import Table

    console = quiet_console()
    config = _config(options)
    experiment = options.experiment or config.name
    recurring, runs = _cluster(options).status(experiment, options.limit)
    for found in recurring:
        console.print(f"{found['name']}: {found['state'].lower()}, {found['schedule']}")
    if not recurring:
        console.print("no schedule")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("run", "state", "begun", "name", "error"):
        table.add_column(heading)
    for run in runs:
        table.add_row(run.id, run.state.lower(), run.created, run.name, run.error)
    console.print(table)


def _config(options: argparse.Namespace) -> PipelineConfig:
    from pipeline.config.loading import load_config, override_config

    config = load_config(options.config)
    for override in getattr(options, "set", []):
        override_config(config, override)  # a wrong one is found here, not on the cluster
    return config


def _parameters(options: argparse.Namespace) -> dict[str, str]:
    return {"overrides": shlex.join(options.set)} if options.set else {}


@contextlib.contextmanager
def _package(config: PipelineConfig, only_if_changed: bool) -> Iterator[str]:
    """Path of the compiled package, for as long as it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f"{config.name}.yaml")
        _kubeflow_runner().write_package(config, path, only_if_changed)
        yield path


def _kubeflow_runner() -> ModuleType:
    _check_kfp()
    from pipeline.kubeflow import runner

    return runner


def _check_kfp() -> None:
    if importlib.util.find_spec("kfp.client") is None:
        raise UserError("this needs kfp: pip install 'segline[kubeflow]'")


def _cluster(options: argparse.Namespace) -> Cluster:
    _check_kfp()
    from pipeline.kubeflow.client import Cluster

    token = None
    if options.token:
        try:
            with open(options.token, encoding="utf-8") as file:
                token = file.read().strip()
        except OSError as error:
            raise UserError(f"--token: {options.token} can't be read: {error.strerror}") from error
    return Cluster(options.host, options.namespace, token)
