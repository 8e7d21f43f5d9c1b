"""Finding artifacts of a pipeline in ML Metadata."""

from __future__ import annotations

import os

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import schema
from components.common.errors import UserError
from components.common.export_files import ARTIFACT_TYPE, FILE, SHA256, is_export, sha256_of
from components.pusher import places, rollout

LATEST = "latest"


def find_model(store: MetadataStore, pipeline: str, name: str) -> mlmd.Artifact:
    """Finds a pushed or a trained model.

    Args:
      store: ML Metadata, which several pipelines may share.
      pipeline: name of the pipeline.
      name: a pushed version, the path of one, the path of a Trainer's model, that of an export's
        file, wherever it was copied to, or `latest`: what was pushed last.

    Returns:
      A PushedModel, a Model or a ModelExport.

    Raises:
      UserError: ML Metadata knows no such model.
    """
    if is_export(name):
        return find_export(store, pipeline, name)
    pushed = pushed_models(store, pipeline)
    if name == LATEST:
        if not pushed:
            raise UserError("no model has been pushed yet")
        return pushed[-1]
    path = places.served_folder(os.path.realpath(name))
    version = os.path.basename(path)
    for artifact in reversed(pushed):
        if text_of(artifact, "pushed_version") == version:
            destination = text_of(artifact, "pushed_destination")
            if os.sep not in name or os.path.realpath(destination) == path:
                return artifact
    for folder in (path, os.path.dirname(path)):  # the artifact's, or the SavedModel in it
        for artifact in store.get_artifacts_by_uri(folder):
            contexts = store.get_contexts_by_artifact(artifact.id)
            if artifact.type == "Model" and ("pipeline", pipeline) in {
                (context.type, context.name) for context in contexts
            }:
                return artifact
    raise UserError(
        f"{name}: ML Metadata knows no such model; give a pushed version, its path, the "
        "path of a Trainer's model, or an export's file (`segline lineage runs --json` has them)"
    )


def find_export(store: MetadataStore, pipeline: str, path: str) -> mlmd.Artifact:
    """Finds the ModelExport of a file by its content.

    Raises:
      UserError: there is no such file, or no run of the pipeline has made it.
    """
    if not os.path.isfile(path):
        raise UserError(f"there is no file {path}")
    digest = sha256_of(path)
    for artifact in reversed(made_by(store, pipeline, "Exporter", ARTIFACT_TYPE)):
        if text_of(artifact, SHA256) == digest:
            return artifact
    raise UserError(f"{path}: no run of {pipeline} has made a file of this content")


def find_blessing(store: MetadataStore, pipeline: str) -> mlmd.Artifact | None:
    """The ModelBlessing of the model that was blessed last; None: none ever was."""
    return next(reversed(blessings(store, pipeline)), None)


def pushed_models(store: MetadataStore, pipeline: str) -> list[mlmd.Artifact]:
    """A pipeline's PushedModels that were pushed, oldest first."""
    return [
        artifact
        for artifact in made_by(store, pipeline, "Pusher", "PushedModel")
        if artifact.custom_properties["pushed"].int_value
    ]


def blessings(store: MetadataStore, pipeline: str) -> list[mlmd.Artifact]:
    """A pipeline's ModelBlessings that say yes, oldest first."""
    return [
        artifact
        for artifact in made_by(store, pipeline, "Evaluator", "ModelBlessing")
        if artifact.custom_properties["blessed"].int_value
    ]


def made_by(store: MetadataStore, pipeline: str, step: str, kind: str) -> list[mlmd.Artifact]:
    """The artifacts of one type that a step of a pipeline has made, oldest first.

    ML Metadata has them by the step's context, with the artifacts that the step has read:
    nothing of other steps, nor of other pipelines in the store.
    """
    return of_context(store, "node", f"{pipeline}.{step}", kind)


def of_context(
    store: MetadataStore, context_type: str, name: str, kind: str | None = None
) -> list[mlmd.Artifact]:
    """The artifacts of a context, of one type or of all, oldest first."""
    context = store.get_context_by_type_and_name(context_type, name)
    found = store.get_artifacts_by_context(context.id) if context else []
    return sorted((a for a in found if kind in (None, a.type)), key=lambda a: a.id)


def earlier_blessed(
    store: MetadataStore, pipeline: str, blessing: mlmd.Artifact | None, metric: str
) -> float | None:
    """A metric of the model that was blessed last, another than the one in question.

    One that was counted at another size (evaluator.at) is not comparable, and passed over.

    Args:
      store: ML Metadata.
      pipeline: name of the pipeline.
      blessing: the ModelBlessing of the model in question; None: there is none.
      metric: name of the metric.

    Returns:
      None where no other model was blessed.
    """
    found = blessings(store, pipeline)
    earlier = [
        one
        for one in found
        if blessing is None or (one.id < blessing.id and _at(one) == _at(blessing))
    ]
    if not earlier:
        return None
    events = store.get_events_by_artifact_ids([earlier[-1].id])
    makers = [event.execution_id for event in events if event.type == mlmd.Event.OUTPUT]
    made = store.get_events_by_execution_ids(sorted(makers)[:1])
    siblings = [event.artifact_id for event in made if event.type == mlmd.Event.OUTPUT]
    for artifact in store.get_artifacts_by_id(siblings):
        if metric in artifact.custom_properties:
            return artifact.custom_properties[metric].double_value
    return None


def _at(blessing: mlmd.Artifact) -> str:
    return text_of(blessing, schema.EVALUATED_AT) or "model"


def name_of(model: mlmd.Artifact) -> str:
    """For people: `version 1795422112`, `model 18`, `model_int8.tflite`."""
    if model.type == ARTIFACT_TYPE:
        return text_of(model, FILE)
    version = text_of(model, "pushed_version")
    return f"version {version}" if version else f"model {model.id}"


def version_state(destination: str) -> str:
    """Whether a pushed version is what a server takes.

    Args:
      destination: the version's folder, in plain sight.

    Returns:
      `served`: the latest version in plain sight; `kept`: there, but not the latest; `canary`;
      `withdrawn`: still there, out of servers' sight; `gone`.
    """
    folder, version = os.path.split(destination.rstrip("/"))
    place = places.find(folder, version)
    if place is None:
        return "gone"
    known = rollout.read(folder)
    if known and version == known.now.canary:
        return "canary"
    if place != destination.rstrip("/"):
        return "withdrawn"
    return "served" if version == places.shown(folder)[-1] else "kept"


def text_of(artifact: mlmd.Artifact, key: str) -> str:
    """A custom property; empty where there is none."""
    return artifact.custom_properties[key].string_value
