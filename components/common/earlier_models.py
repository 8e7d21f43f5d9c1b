"""The latest blessed model of other data: what training begins with, and data is held against.

A model of the same data is no base for another one: it would have seen every picture for
twice as many epochs, and a run in which nothing has changed would not be cached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import types
from tfx.dsl.input_resolution.strategies import latest_blessed_model_strategy

from components.common import lineage


def latest_of_other_data(
    store: MetadataStore, input_dict: Mapping[str, Sequence[types.Artifact]]
) -> dict[str, list[types.Artifact]]:
    """Chooses among the models that ML Metadata knows.

    Args:
      store: ML Metadata.
      input_dict: `examples` (Examples, of this run), `model` and `model_blessing` (all that
        there are).

    Returns:
      `model` and `model_blessing`, holding the chosen one, or nothing.
    """
    (examples,) = input_dict["examples"]
    now = examples.get_string_custom_property("dataset_fingerprint")
    data = examples_of_models(store, [model.id for model in input_dict["model"]])
    others = [
        model
        for model in input_dict["model"]
        if model.id in data and _fingerprint(data[model.id]) != now
    ]
    return latest_blessed_model_strategy.LatestBlessedModelStrategy().resolve_artifacts(
        store, {"model": others, "model_blessing": list(input_dict["model_blessing"])}
    )


def examples_of_models(store: MetadataStore, model_ids: Iterable[int]) -> dict[int, mlmd.Artifact]:
    """Model -> the Examples that it was trained on, where that is known."""
    model_ids = list(model_ids)
    if not model_ids:
        return {}
    trainers = {
        event.execution_id: event.artifact_id
        for event in store.get_events_by_artifact_ids(model_ids)
        if event.type == mlmd.Event.OUTPUT
    }
    read = {
        trainers[event.execution_id]: event.artifact_id
        for event in store.get_events_by_execution_ids(sorted(trainers))
        if event.type == mlmd.Event.INPUT and lineage.role_of(event) == "examples"
    }
    examples = {
        artifact.id: artifact for artifact in store.get_artifacts_by_id(sorted(set(read.values())))
    }
    return {model: examples[found] for model, found in read.items()}


def _fingerprint(examples: mlmd.Artifact) -> str:
    return examples.custom_properties["dataset_fingerprint"].string_value
