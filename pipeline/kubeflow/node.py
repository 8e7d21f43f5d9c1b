"""What a container on Kubeflow does: runs one node of the pipeline through TFX's launcher.

`python -m pipeline.kubeflow.node --config JSON --node Trainer --run-id ID` builds the same
pipeline as everywhere, and launches one node of it against the shared ML Metadata, so that
resolvers, caching, custom drivers and lineage are those of the local runner.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

import rich.console

from components.common.errors import UserError
from pipeline.config.loading import PipelineConfig, load_config, override_config
from pipeline.running.imports import heavy_imports
from pipeline.running.terminal import ConsoleHandler, print_error

RUNNER = "Kubeflow Pipelines"


def main(arguments: list[str] | None = None) -> None:
    """Runs one node, or decides about all; exits with status 1 where that fails.

    Args:
      arguments: default: those of the process.
    """
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
    parser.add_argument("--run-id", default="", help="default: the job's id")
    parser.add_argument("--job-id", required=True, help="Kubeflow's id of the run")
    parser.add_argument("--report", help="where the report is copied to")
    options = parser.parse_args(arguments)
    console = rich.console.Console(highlight=False, soft_wrap=True)
    ours = logging.getLogger("segline")
    ours.setLevel(logging.INFO)
    ours.propagate = False  # absl would say everything a second time
    ours.addHandler(ConsoleHandler(console))
    doing = "Looking for changes" if options.changed else options.node[0]
    try:
        if options.config_file:
            config = load_config(options.config_file)
        else:
            config = PipelineConfig.model_validate_json(options.config)
        config = override_config(config, options.overrides)
        if options.changed:
            write_changed(config, options.changed, console)
        else:
            run_id = options.run_id or options.job_id
            for node in options.node:
                doing = node
                run_node(config, node, run_id, console, options.report)
    except Exception as error:
        print_error(console, error, f"{doing} failed.")
        sys.exit(1)


def write_changed(config: PipelineConfig, path: str, console: rich.console.Console) -> None:
    """Decides whether the nodes have a reason to run, and says why.

    Args:
      config: the run's config.
      path: gets `true` or `false`.
      console: where the reasons are printed.

    Raises:
      UserError: the dataset or ML Metadata can't be opened.
    """
    from ml_metadata import MetadataStore

    from pipeline.changes import changes
    from pipeline.metadata.store import connection_config

    # Not open_store: in the first run there is nothing to be opened yet.
    reasons = changes(MetadataStore(connection_config(config)), config)
    for reason in reasons:
        console.print(reason, markup=False)
    if not reasons:
        console.print("Nothing has changed since the latest blessed model: no step will run.")
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("true" if reasons else "false")


def run_node(
    config: PipelineConfig,
    node_id: str,
    run_id: str,
    console: rich.console.Console,
    report: str | None = None,
) -> None:
    """Runs one node of a run.

    Args:
      config: the run's config.
      node_id: which node.
      run_id: the run's id; the nodes of a run have the same.
      console: where progress is printed.
      report: where the Reporter's page is copied to, for Kubeflow's own pages.

    Raises:
      UserError: there is no such node.
      Exception: whatever the node raises.
    """
    with heavy_imports():
        from ml_metadata import MetadataStore
        from tfx.orchestration import metadata
        from tfx.orchestration.local import runner_utils
        from tfx.orchestration.portable.launcher import Launcher

        from components.common import run_record
        from pipeline.ir import compile_pipeline
        from pipeline.kubeflow import training_worker
        from pipeline.metadata.store import connection_config
        from pipeline.running.reported_run import reported_steps

    pipeline = compile_pipeline(config, run_id)
    nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in pipeline.nodes}
    if node_id not in nodes:
        raise UserError(f"there is no node {node_id!r}, only {', '.join(nodes)}")
    if config.run.metadata.backend == "sqlite":
        os.makedirs(config.folder, exist_ok=True)
    connection = connection_config(config)
    settings = config.model_dump(mode="json")
    if node_id == training_worker.TRAINER and _follows_a_chief():
        training_worker.train(metadata.Metadata(connection), run_id)
        return
    run_record.ensure(MetadataStore(connection), run_id, settings, RUNNER, list(nodes))
    deployment = runner_utils.extract_local_deployment_config(pipeline)
    launcher = Launcher(
        pipeline_node=nodes[node_id],
        mlmd_connection=metadata.Metadata(connection),
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node_id),
    )
    with reported_steps(console):
        launcher.launch()
    if report:
        _copy_report(config, run_id, report)


def _follows_a_chief() -> bool:
    """Whether TF_CONFIG makes this process a worker beside another one that is the chief."""
    from components.trainer import distribution

    return distribution.number_of_workers() > 1 and not distribution.is_chief()


def _copy_report(config: PipelineConfig, run_id: str, target: str) -> None:
    from tfx.dsl.io import fileio

    from components.reporter.executor import REPORT_FILE
    from pipeline.metadata.history import read_run
    from pipeline.metadata.store import open_store

    report = read_run(open_store(config), run_id).made("Reporter", "report")
    os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
    with fileio.open(os.path.join(report.uri, REPORT_FILE), "rb") as source:
        content = source.read()
    with open(target, "wb") as copy:
        copy.write(content)


if __name__ == "__main__":
    main()
