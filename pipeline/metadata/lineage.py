"""Answers about models, data and runs, from ML Metadata.

Every answer is a dict of JSON values; `lineage_view` shows it to people.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import lineage, readable, schema
from components.common.errors import UserError
from components.common.export_files import ARTIFACT_TYPE, BLESSED, FILE, PUSHED_FOLDER
from components.common.lineage import Lineage, Node
from pipeline.metadata import rollouts
from pipeline.metadata.artifacts import made_by, text_of, version_state
from pipeline.metadata.history import Run

_UNKNOWN = "not recorded: the run was not started by segline"


def model_graph(store: MetadataStore, model: mlmd.Artifact) -> Lineage:
    """What a model was made from, and what was found out about it.

    Args:
      store: ML Metadata.
      model: a PushedModel: its own evaluation and check only; a Model, or an export: all that the
        model had.
    """
    if model.type == "Model":
        return lineage.upstream(store, [model.id, *lineage.judgements(store, model.id)])
    near = lineage.upstream(store, [model.id])
    maker = near.maker(near.node(f"{lineage.ARTIFACT}-{model.id}"))
    (trained,) = near.inputs(maker, "model")
    graph = lineage.upstream(store, [model.id, *lineage.judgements(store, trained.id)])
    if model.type == ARTIFACT_TYPE:  # where it was pushed to is of interest too
        return graph
    return graph.behind(f"{lineage.ARTIFACT}-{model.id}")


def describe_model(store: MetadataStore, model: mlmd.Artifact) -> dict[str, Any]:
    """Everything upstream of a model.

    Args:
      store: ML Metadata.
      model: from `find_model`.

    Returns:
      `model`, `data`, `schema`, `transform`, `training`, `code`, `stack`,
      `evaluations`, `serving_checks`, `pushes`; of an export `export`, and of a model `exports`
      where there are some.
    """
    graph = model_graph(store, model)
    trainer = next(node for node in graph.executions if node.type == "Trainer")
    trained = graph.outputs(trainer, "model")[0]
    transform = _maker_of_input(graph, trainer, "transform_graph")
    examples = graph.inputs(trainer, "examples")[0]
    schema_node = graph.inputs(transform, "schema")[0]
    settings = lineage.custom_config(trainer.properties)
    record = graph.runs.get(trainer.run_id)
    exports = _exports(graph)
    if model.type == ARTIFACT_TYPE:
        shown: dict[str, Any] = {"export": exports[model.id]}
    else:
        shown = {"exports": list(exports.values())} if exports else {}
    return {
        **shown,
        "model": {
            "id": trained.id,
            "uri": trained.uri,
            "trained": readable.time_text(trained.started),
        },
        "data": _data(examples),
        "schema": {"uri": schema_node.uri, "made": readable.time_text(schema_node.started)},
        "transform": {
            "uri": graph.outputs(transform, "transform_graph")[0].uri,
            **lineage.custom_config(transform.properties).get("transform", {}),
        },
        "training": {
            "run": trainer.run_id,
            "started": readable.time_text(trainer.started),
            "took": readable.duration_text(trainer.seconds),
            "weights_fingerprint": settings.get("weights", ""),
            "base_model": _earlier_model(store, graph, trainer, "base_model"),
            "settings": settings.get("trainer", {}),
            "temperature": _temperature(graph, trained),
            "found_by_tuner": _found_by_tuner(graph, trainer),
        },
        "code": {
            "commit": record.commit if record else _UNKNOWN,
            **({"changed_since": record.dirty} if record else {}),
            "fingerprints": {node.name: node.code for node in graph.executions if node.code},
        },
        "stack": record.versions if record else _UNKNOWN,
        "evaluations": [
            _evaluation(store, graph, node) for node in graph.executions if node.name == "Evaluator"
        ],
        "serving_checks": [
            {"run": node.run_id, **_blessing(graph.outputs(node, "blessing")[0])}
            for node in graph.executions
            if node.name == "InfraValidator"
        ],
        "pushes": [
            _push(store, graph, node, output)
            for node in graph.executions
            if node.name == "Pusher"
            for output in graph.outputs(node)
            if output.properties.get("pushed")
        ],
    }


def describe_data(store: MetadataStore, pipeline: str, name: str) -> dict[str, Any]:
    """Everything downstream of a dataset: the models that were trained on it.

    Args:
      store: ML Metadata, which several pipelines may share.
      pipeline: name of the pipeline.
      name: a fingerprint, the beginning of one, or a dataset's version.

    Returns:
      `datasets`, each with its `models`.

    Raises:
      UserError: ML Metadata knows no such dataset.
    """
    examples = made_by(store, pipeline, "TfdsExampleGen", "Examples")
    found = [
        artifact
        for artifact in examples
        if text_of(artifact, "dataset_fingerprint").startswith(name)
        or text_of(artifact, "dataset_version") == name
    ]
    if not found:
        known = sorted({text_of(artifact, "dataset_fingerprint") for artifact in examples})
        raise UserError(
            f"{name}: no run has seen such data; known fingerprints: {', '.join(known) or 'none'}"
        )
    datasets = []
    for artifact in found:
        made = lineage.made_of(store, artifact.id)
        outputs = store.get_artifacts_by_id(made) if made else []
        models = [output.id for output in outputs if output.type == "Model"]
        node = next(
            node
            for node in lineage.upstream(store, [artifact.id]).artifacts
            if node.id == artifact.id
        )
        datasets.append({**_data(node), "models": [_trained_on(store, model) for model in models]})
    return {"datasets": datasets}


# The steps whose outputs `describe_run` looks at.
DESCRIBED_OUTPUTS_OF = ("Trainer", "Evaluator", "InfraValidator", "Pusher")


def describe_run(run: Run) -> dict[str, Any]:
    """A run in a few values."""
    metrics = run.metrics()
    return {
        "id": run.id,
        "state": run.state,
        "started": readable.time_text(run.started),
        "took": readable.duration_text((run.ended - run.started) / 1000),
        "verdict": run.verdict(),
        "metrics": metrics,
        "steps": {step.name: step.state for step in run.steps.values()},
        "code": run.record.code if run.record else _UNKNOWN,
        "error": run.record.error if run.record else "",
        "model": _uri(run.output("Trainer", "model")),
        "pushed": _pushed_to(run),
    }


def compare(first: Run, second: Run) -> dict[str, dict[str, dict[str, Any]]]:
    """What differs between two runs.

    Args:
      first: a run.
      second: another.

    Returns:
      Section (`data`, `config`, `code`, `stack`, `metrics`, `outcome`) -> name ->
      `first` and `second`; what is the same is left out.
    """
    before, after = _facts(first), _facts(second)
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for section in before:
        names = dict.fromkeys([*before[section], *after[section]])
        different = {
            name: {"first": before[section].get(name), "second": after[section].get(name)}
            for name in names
            if before[section].get(name) != after[section].get(name)
        }
        if different:
            result[section] = different
    return result


def _facts(run: Run) -> dict[str, dict[str, Any]]:
    examples = run.output("TfdsExampleGen", "examples")
    record = run.record
    return {
        "data": {
            name: value
            for name, value in (lineage.properties_of(examples) if examples else {}).items()
            if name.startswith("dataset") or name.endswith("_examples")
        },
        "config": readable.flatten(record.config) if record else {},
        "code": {
            **({"commit": record.commit, "changed since": record.dirty} if record else {}),
            **{step.name: step.code for step in run.steps.values() if step.code},
        },
        "stack": dict(record.versions) if record else {},
        "metrics": dict(run.metrics()),
        "outcome": {"state": run.state, "verdict": run.verdict()},
    }


def _trained_on(store: MetadataStore, model_id: int) -> dict[str, Any]:
    (model,) = store.get_artifacts_by_id([model_id])
    judged = lineage.judgements(store, model_id)
    artifacts = store.get_artifacts_by_id(judged) if judged else []
    metrics = [
        lineage.properties_of(artifact)
        for artifact in artifacts
        if artifact.type == "ModelEvaluation"
    ]
    blessed = [
        artifact.custom_properties["blessed"].int_value
        for artifact in artifacts
        if artifact.type == "ModelBlessing"
    ]
    return {
        "id": model_id,
        "uri": model.uri,
        "trained": readable.time_text(model.create_time_since_epoch),
        "blessed": bool(blessed and blessed[-1]),
        "metrics": metrics[-1] if metrics else {},
        "versions": _versions(artifacts),
    }


def _versions(artifacts: Iterable[mlmd.Artifact]) -> dict[str, str]:
    """Pushed version -> `served`, `kept` or `gone`."""
    return {
        text_of(artifact, "pushed_version"): version_state(text_of(artifact, "pushed_destination"))
        for artifact in artifacts
        if artifact.type == "PushedModel" and artifact.custom_properties["pushed"].int_value
    }


def _evaluation(store: MetadataStore, graph: Lineage, evaluator: Node) -> dict[str, Any]:
    evaluation = graph.outputs(evaluator, "evaluation")[0]
    return {
        "run": evaluator.run_id,
        "split": json.loads(str(evaluator.properties["example_splits"]))[0],
        **_blessing(graph.outputs(evaluator, "blessing")[0]),
        "baseline": _earlier_model(store, graph, evaluator, "baseline_model"),
        "metrics": {
            name: value for name, value in evaluation.properties.items() if isinstance(value, float)
        },
    }


def _temperature(graph: Lineage, trained: Node) -> float | None:
    """Of a model's confidence, as its evaluations have it; None: not calibrated, or evaluated."""
    for node in graph.executions:
        if node.name == "Evaluator" and trained in graph.inputs(node, "model"):
            value = graph.outputs(node, "evaluation")[0].properties.get(schema.TEMPERATURE)
            return None if value is None else float(value)
    return None


def _earlier_model(
    store: MetadataStore, graph: Lineage, execution: Node, role: str
) -> dict[str, Any] | None:
    """A model of an earlier run that an execution was given; None: it was given none."""
    for model in graph.inputs(execution, role):
        made = store.get_artifacts_by_id(lineage.judgements(store, model.id))
        return {"id": model.id, "uri": model.uri, "versions": list(_versions(made))}
    return None


def _found_by_tuner(graph: Lineage, trainer: Node) -> dict[str, Any] | None:
    """Hyperparameters, their score and the number of trials; None: nothing was searched."""
    for found in graph.inputs(trainer, "hyperparameters"):
        return {"run": graph.maker(found).run_id, **found.properties}
    return None


def _blessing(artifact: Node) -> dict[str, Any]:
    return {
        "blessed": bool(artifact.properties.get("blessed")),
        "reason": artifact.properties.get("reason", ""),
        "counted_at": artifact.properties.get(schema.EVALUATED_AT, "model"),
    }


def _push(store: MetadataStore, graph: Lineage, pusher: Node, pushed: Node) -> dict[str, Any]:
    record = graph.runs.get(pusher.run_id)
    changes = rollouts.of_artifact(store, pushed.id)
    destination = str(pushed.properties["pushed_destination"])
    return {
        "version": pushed.properties["pushed_version"],
        "state": version_state(destination),
        "destination": destination,
        "pushed": readable.time_text(pushed.started),
        "by": f"{record.user} on {record.host}" if record else _UNKNOWN,
        "run": pusher.run_id,
        **({"changes": changes} if changes else {}),
    }


def _exports(graph: Lineage) -> dict[int, dict[str, Any]]:
    """Artifact's id -> what became of an export."""
    return {
        export.id: _export(graph, exporter, export)
        for exporter in graph.executions
        if exporter.name == "Exporter"
        for export in graph.outputs(exporter)
    }


def _export(graph: Lineage, exporter: Node, export: Node) -> dict[str, Any]:
    properties = dict(export.properties)
    destinations = [
        str(pushed.properties["pushed_destination"])
        for pusher in graph.executions
        if pusher.name == "Pusher" and export in graph.inputs(pusher, "exports")
        for pushed in graph.outputs(pusher)
        if pushed.properties.get("pushed")
    ]
    blessed = bool(properties.pop(BLESSED, 0))
    file = str(properties.pop(FILE))
    return {
        FILE: file,
        "run": exporter.run_id,
        BLESSED: blessed,
        **properties,
        "pushed_to": [os.path.join(one, PUSHED_FOLDER, file) for one in destinations if blessed],
    }


def _data(examples: Node) -> dict[str, Any]:
    properties = examples.properties
    return {
        "name": properties.get("dataset", ""),
        "version": properties.get("dataset_version", ""),
        "fingerprint": properties.get("dataset_fingerprint", ""),
        "examples": {split: properties.get(f"{split}_examples") for split in schema.SPLITS},
        "uri": examples.uri,
        "made": readable.time_text(examples.started),
    }


def _maker_of_input(graph: Lineage, execution: Node, role: str) -> Node:
    return graph.maker(graph.inputs(execution, role)[0])


def _uri(artifact: mlmd.Artifact | None) -> str:
    return artifact.uri if artifact else ""


def _pushed_to(run: Run) -> str:
    pushed = run.output("Pusher", "pushed_model")
    return text_of(pushed, "pushed_destination") if pushed else ""
