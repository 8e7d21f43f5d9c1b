"""Whether a run would make another model than the one that was blessed last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ml_metadata import MetadataStore

from components.common import lineage, provenance, readable
from components.common.lineage import Lineage
from components.example_gen import dataset
from pipeline.config.loading import PipelineConfig
from pipeline.ir import compile_pipeline, parameters
from pipeline.metadata.artifacts import find_blessing

# Settings that say where a run takes place, and nothing about the model.
_ELSEWHERE = ("run.", "kubeflow.", "watch.", "dataset.data_dir", "dataset.download")


def changes(store: MetadataStore, config: PipelineConfig) -> list[str]:
    """Compares data, config, code and libraries with those of the latest blessed model.

    Args:
      store: ML Metadata.
      config: of the run that may follow.

    Returns:
      A line for each difference; none: the run would be served from the cache.

    Raises:
      UserError: the dataset can't be opened.
    """
    builder = dataset.open_dataset(config.dataset)
    blessing = find_blessing(store, config.name)
    if blessing is None:
        return ["no model has been blessed yet"]
    graph = lineage.upstream(store, [blessing.id])
    evaluator = graph.maker(graph.node(f"{lineage.ARTIFACT}-{blessing.id}"))
    record = graph.runs.get(evaluator.run_id)
    if record is None:
        return [f"no record tells how run {evaluator.run_id} made the latest blessed model"]
    identity = dataset.identify(builder, config.dataset)
    return [
        *_data_changes(graph, identity),
        *_differences(
            "config", _settings(record.config), _settings(config.model_dump(mode="json"))
        ),
        *_code_changes(graph, config),
        *_differences("library", record.versions, provenance.stack_versions()),
    ]


def _data_changes(graph: Lineage, identity: dataset.DatasetIdentity) -> Iterator[str]:
    (trainer,) = (node for node in graph.executions if node.type == "Trainer")
    (examples,) = graph.inputs(trainer, "examples")
    before = examples.properties.get("dataset_fingerprint")
    if before != identity.fingerprint:
        yield f"data: {identity.name} {identity.version}: {before} -> {identity.fingerprint}"


def _code_changes(graph: Lineage, config: PipelineConfig) -> Iterator[str]:
    now = parameters(compile_pipeline(config, "changes"))
    for node in graph.executions:
        if node.code and node.code != lineage.code_of(now.get(node.name, {})):
            yield f"code: {node.name}"
        weights = lineage.custom_config(node.properties).get("weights", "")
        if weights != lineage.custom_config(now.get(node.name, {})).get("weights", ""):
            yield f"encoder weights: another file than {weights or 'none'}"


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that are set: a section without a value would stand beside its own keys."""
    return {
        key: value
        for key, value in readable.flatten(config).items()
        if value != "null" and not key.startswith(_ELSEWHERE)
    }


def _differences(kind: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*before, *now]):
        first, second = before.get(name, "(none)"), now.get(name, "(none)")
        if first != second:
            yield f"{kind}: {name}: {first} -> {second}"
