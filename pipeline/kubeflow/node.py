"""What a container on Kubeflow does: runs one node of the pipeline through TFX's launcher.

`python -m pipeline.kubeflow.node --config JSON --node Trainer --job-id ID` builds the same
pipeline as everywhere, and launches one node of it against the shared ML Metadata, so that
resolvers, caching, custom drivers and lineage are those of the local runner.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import sys

import rich.console

from components.common import cpus
from components.common.errors import UserError
from pipeline.config.loading import PipelineConfig, load_config, override_config
from pipeline.running.imports import heavy_imports
from pipeline.running.run_lock import step_lock
from pipeline.running.terminal import ConsoleHandler, print_error, user_message

RUNNER = "Kubeflow Pipelines"


def main(arguments: list[str] | None = None) -> None:
    """Does one task of a run; exits with status 1 where it fails.

    Args:
      arguments: default: those of the process.
    """
    options = _parser().parse_args(arguments)
    cpus.let_beam_count_them()
    console = rich.console.Console(highlight=False, soft_wrap=True)
    ours = logging.getLogger("segline")
    ours.setLevel(logging.INFO)
    ours.propagate = False  # absl would say everything a second time
    ours.addHandler(ConsoleHandler(console))
    doing, config = _title(options), None
    try:
        check_run_id(options.job_id)
        if options.config_file:
            config = load_config(options.config_file)
        else:
            config = PipelineConfig.model_validate_json(options.config)
        config = override_config(config, options.overrides)
        for node in options.node or ():
            doing = node
            run_node(config, node, options.job_id, console)
        _do_the_rest(options, config, console)
    except Exception as error:
        print_error(console, error, f"{doing} failed.")
        if config and not (options.ended or options.verdict):
            _record_failure(config, options.job_id, doing, error)
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.kubeflow.node", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", help="the config as JSON")
    source.add_argument("--config-file", help="a config's name or path")
    parser.add_argument("--overrides", default="", help="such as trainer.epochs=2")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--node",
        nargs="+",
        help="ids of the nodes, in their order. Where TF_CONFIG lists several workers, the "
        "Trainer is the chief's, and the others train with it",
    )
    what.add_argument(
        "--changed",
        metavar="FILE",
        help="no node: write `true` or `false`, whether there is a reason to run them",
    )
    what.add_argument(
        "--ended",
        action="store_true",
        help="no node: record how the run has ended, and tell whom the config names",
    )
    what.add_argument(
        "--verdict", action="store_true", help="no node: fail where the model was refused"
    )
    parser.add_argument("--job-id", required=True, help="Kubeflow's id of the run")
    parser.add_argument("--report", help="where the report is copied to")
    parser.add_argument("--executor-input", help="Kubeflow's, as JSON: where metrics are told")
    return parser


def _title(options: argparse.Namespace) -> str:
    if options.node:
        return options.node[0]
    if options.changed:
        return "Looking for changes"
    return "The end of the run" if options.ended else "The verdict"


def check_run_id(run_id: str) -> None:
    """Makes sure that this is the id of one run.

    Raises:
      UserError: it holds a placeholder that nobody has filled in: all runs would have the
        same, and from the second on TFX would take every step for done.
    """
    if not run_id or "{{" in run_id:
        raise UserError(
            f"--job-id: {run_id!r} is no run's id: Kubeflow has not put one there. This needs "
            "Kubeflow Pipelines 2.5 or newer, and a package that this version of segline compiled."
        )


def _do_the_rest(
    options: argparse.Namespace, config: PipelineConfig, console: rich.console.Console
) -> None:
    if options.changed:
        write_changed(config, options.changed, options.job_id, console)
    if options.ended or options.verdict:
        from pipeline.kubeflow import run_end

        function = run_end.end_run if options.ended else run_end.check_verdict
        function(config, options.job_id)
    if options.report or options.executor_input:
        from pipeline.kubeflow import pages

        if options.report:
            pages.copy_report(config, options.job_id, options.report)
        if options.executor_input:
            pages.write_metrics(config, options.job_id, options.executor_input)


def write_changed(
    config: PipelineConfig, path: str, run_id: str, console: rich.console.Console
) -> None:
    """Decides whether the nodes have a reason to run, and says why.

    Args:
      config: the run's config.
      path: gets `true` or `false`.
      run_id: the run's id. A run without a reason is recorded as done.
      console: where the reasons are printed.

    Raises:
      UserError: the dataset or ML Metadata can't be opened.
    """
    from components.common import run_record
    from pipeline.changes import changes
    from pipeline.metadata.store import connect

    store = connect(config)
    settings = config.model_dump(mode="json")
    run_record.ensure(store, run_id, settings, RUNNER, ())
    reasons = changes(store, config)
    for reason in reasons:
        console.print(reason, markup=False)
    if not reasons:
        console.print("Nothing has changed since the latest blessed model: no step will run.")
        run_record.end(store, run_record.read(store, [run_id])[run_id], run_record.DONE)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("true" if reasons else "false")


def run_node(
    config: PipelineConfig, node_id: str, run_id: str, console: rich.console.Console
) -> None:
    """Runs one node of a run.

    Args:
      config: the run's config.
      node_id: which node.
      run_id: the run's id; the nodes of a run have the same.
      console: where progress is printed.

    Raises:
      UserError: there is no such node.
      Exception: whatever the node raises.
    """
    with heavy_imports():
        from tfx.orchestration import metadata
        from tfx.orchestration.local import runner_utils
        from tfx.orchestration.portable.launcher import Launcher

        from components.common import run_record
        from pipeline.ir import compile_pipeline
        from pipeline.kubeflow import training_worker
        from pipeline.metadata.store import connect, connection_config
        from pipeline.running.reported_run import reported_steps

    training_worker.set_tf_config()
    pipeline = compile_pipeline(config, run_id)
    nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in pipeline.nodes}
    if node_id not in nodes:
        raise UserError(f"there is no node {node_id!r}, only {', '.join(nodes)}")
    if config.run.metadata.backend == "sqlite":
        os.makedirs(config.folder, exist_ok=True)
    connection = connection_config(config)
    settings = config.model_dump(mode="json")
    if node_id == training_worker.TRAINER and _follows_a_chief():
        training_worker.train(metadata.Metadata(connection), run_id, config.artifacts_dir)
        return
    run_record.ensure(connect(config), run_id, settings, RUNNER, list(nodes))
    deployment = runner_utils.extract_local_deployment_config(pipeline)
    launcher = Launcher(
        pipeline_node=nodes[node_id],
        mlmd_connection=metadata.Metadata(connection),
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node_id),
    )
    # The cache is asked under the lock: what another run has just made is taken from there.
    reconnect = functools.partial(connect, config)
    with step_lock(config.folder, node_id, run_id, reconnect), reported_steps(console):
        launcher.launch()


def _record_failure(config: PipelineConfig, run_id: str, step: str, error: Exception) -> None:
    """Leaves the reason to the task that tells of the run's end."""
    from ml_metadata import MetadataStore

    from components.common import run_record
    from pipeline.metadata.store import connection_config

    reason = user_message(error) or repr(error)
    try:
        store = MetadataStore(connection_config(config))
        run_record.note_error(store, run_id, f"{step}: {reason}")
    except Exception as second:  # ML Metadata may be what has failed
        logging.getLogger("segline").warning("the reason can't be recorded: %s", second)


def _follows_a_chief() -> bool:
    """Whether TF_CONFIG makes this process a worker beside another one that is the chief."""
    from components.trainer import distribution

    return distribution.number_of_workers() > 1 and not distribution.is_chief()


if __name__ == "__main__":
    main()
