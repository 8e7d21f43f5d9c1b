"""What a run shows in Kubeflow's own pages: the report, and the metrics."""

from __future__ import annotations

import json
import os

from pipeline.config.loading import PipelineConfig
from pipeline.metadata.history import read_run
from pipeline.metadata.store import open_store


def copy_report(config: PipelineConfig, run_id: str, target: str) -> None:
    """Copies a run's report to where Kubeflow takes it from.

    Args:
      config: the run's config.
      run_id: the run's id.
      target: path of the copy.
    """
    from tfx.dsl.io import fileio

    from components.reporter.executor import REPORT_FILE

    report = read_run(open_store(config), run_id).made("Reporter", "report")
    os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
    with fileio.open(os.path.join(report.uri, REPORT_FILE), "rb") as source:
        content = source.read()
    with open(target, "wb") as copy:
        copy.write(content)


def write_metrics(config: PipelineConfig, run_id: str, executor_input: str) -> None:
    """Tells Kubeflow the metrics of the evaluated split.

    Kubeflow's launcher reads what a task says about its artifacts from a file
    (kubeflow/pipelines@2.5.0 backend/src/v2/component/launcher_v2.go:531, :851).

    Args:
      config: the run's config.
      run_id: the run's id.
      executor_input: JSON that names the file, and the artifact `metrics`.
    """
    outputs = json.loads(executor_input)["outputs"]
    (artifact,) = outputs["artifacts"]["metrics"]["artifacts"]
    artifact["metadata"] = read_run(open_store(config), run_id).metrics()
    path = outputs["outputFile"]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"artifacts": {"metrics": {"artifacts": [artifact]}}}, file)
