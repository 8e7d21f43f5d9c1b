"""What `segline watch` does."""

from __future__ import annotations

import argparse
import logging
import os
import time

import rich.console

from components.common.errors import UserError
from components.common.whole_files import write_whole
from components.data_validation.config import DriftConfig
from components.pusher import server_files
from components.reporter import watch_page
from components.watcher import comparison, reference, request_log
from components.watcher.comparison import Finding
from components.watcher.observer import Observer
from components.watcher.verdict import Watched
from pipeline.commands import kubeflow
from pipeline.commands.common import answer, config_and_store
from pipeline.commands.watch_view import as_dict, print_watch, reason_text
from pipeline.config.loading import PipelineConfig, absolute
from pipeline.kubeflow.schedule import parse_interval
from pipeline.metadata.watched import stable
from pipeline.running import notices, receivers

_FOLDER = "watch"  # below the pipeline's, for what a version says of its own data


def watch(console: rich.console.Console, options: argparse.Namespace) -> bool:
    """Reads, compares and tells.

    Args:
      console: where to.
      options: of the command.

    Returns:
      Whether requests have drifted so far that retraining has a reason.

    Raises:
      UserError: there is nothing to watch, or nothing to watch by.
    """
    since = _since(options.since)
    config, store = config_and_store(options)
    served = stable(store, config)
    drift = config.data_validation.drift or DriftConfig()
    observer = Observer(served.model)
    with console.status(f"asking version {served.version} about its own data, once"):
        told = reference.reference_of(
            served.version,
            served.data,
            observer,
            config.watch.pictures,
            os.path.join(config.folder, _FOLDER),
        )
    which = request_log.Which(
        since=since,
        served_since=served.since,
        service=config.pusher.rollout.model_name,
        endpoint=server_files.endpoint_of(served.version),
        slices=told.slices(),
    )
    with console.status("reading requests"):
        requests = request_log.read(options.logs, observer, which)
    with console.status(f"comparing {requests.table.count:,} requests"):
        findings = comparison.compare(
            told, requests.table, drift.max_divergence, config.watch.least_requests
        )
    watched = Watched(
        pipeline=config.name,
        version=served.version,
        since=served.since,
        requests=requests,
        findings=findings,
        least=config.watch.least_requests,
        refused=told.refused,
    )
    path = ""
    if findings:  # else the page of the last watch that could judge stays
        path = options.out or os.path.join(config.folder, "watch.html")
        write_page(path, watch_page.render(watched, told))
    end(options, config, watched, path)
    return watched.drifted


def end(options: argparse.Namespace, config: PipelineConfig, watched: Watched, path: str) -> None:
    """Tells the receivers and whoever is here, and starts a run where that is wanted.

    They are told whether or not Kubeflow can be reached.

    Args:
      options: of the command.
      config: of the pipeline.
      watched: what was found.
      path: of the page; empty: nothing could be judged, and there is none.

    Raises:
      UserError: Kubeflow can't be reached, or refuses the run.
    """
    if options.notify and watched.drifted:
        _notify(config, [one for one in watched.findings if one.drifted], path)
    run = ""
    try:
        run = retrain(options, config, watched.drifted)
    finally:
        answer(
            options,
            as_dict(watched, path, run),
            lambda shown: print_watch(shown, watched, path, run),
        )


def write_page(path: str, page: str) -> None:
    """Writes the page, to a bucket too.

    Raises:
      UserError: it can't be written there.
    """
    try:
        write_whole(path, page, folders=True)
    except UserError as error:
        raise UserError(f"{error}; name another file with --out") from error


def _since(text: str | None) -> float:
    if not text:
        return 0.0
    return time.time() - parse_interval(text, "--since").interval_seconds


def retrain(options: argparse.Namespace, config: PipelineConfig, drifted: bool) -> str:
    """Starts a run on Kubeflow where that is wanted.

    Args:
      options: what `kubeflow.add_cluster` has added.
      config: of the pipeline.
      drifted: whether there is a reason.

    Returns:
      Its id; empty: none was started.

    Raises:
      UserError: Kubeflow can't be reached, or refuses it.
    """
    if not drifted or not config.watch.retrain:
        return ""
    try:
        return kubeflow.submit(options, config, f"{config.name} after drift", True, {})
    except UserError as error:
        raise UserError(f"watch.retrain: {error}") from error


def _notify(config: PipelineConfig, drifted: list[Finding], path: str) -> None:
    # Who could not be told is told here: a scheduled watch has no other witness.
    logging.getLogger("segline").setLevel(logging.WARNING)
    notice = notices.of_drift(config, reason_text(drifted), absolute(path))
    receivers.tell(config.run.notify, notice)
