"""Finding artifacts of a pipeline in ML Metadata."""

from __future__ import annotations

import os

from ml_metadata import ListOptions, MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common.errors import UserError

LATEST = "latest"

# Filter queries.
PUSHED = "type = 'PushedModel' AND custom_properties.pushed.int_value = 1"
BLESSED = "type = 'ModelBlessing' AND custom_properties.blessed.int_value = 1"


def find_model(store: MetadataStore, pipeline: str, name: str) -> mlmd.Artifact:
    """Finds a pushed or a trained model.

    Args:
      store: ML Metadata, which several pipelines may share.
      pipeline: name of the pipeline.
      name: a pushed version, the path of one, the path of a Trainer's model, or
        `latest`: what was pushed last.

    Returns:
      A PushedModel or a Model.

    Raises:
      UserError: ML Metadata knows no such model.
    """
    pushes = of_pipeline(
        pipeline, "type = 'PushedModel' AND custom_properties.pushed.int_value = 1"
    )
    if name == LATEST:
        pushed = read_artifacts(store, pushes)
        if not pushed:
            raise UserError("no model has been pushed yet")
        return pushed[-1]
    path = os.path.realpath(name)
    version = quoted(os.path.basename(path))
    for artifact in reversed(
        read_artifacts(
            store, f"{pushes} AND custom_properties.pushed_version.string_value = {version}"
        )
    ):
        destination = artifact.custom_properties["pushed_destination"].string_value
        if os.sep not in name or os.path.realpath(destination) == path:
            return artifact
    for folder in (path, os.path.dirname(path)):  # the artifact's, or the SavedModel in it
        query = of_pipeline(pipeline, f"type = 'Model' AND uri = {quoted(folder)}")
        for artifact in read_artifacts(store, query):
            return artifact
    raise UserError(
        f"{name}: ML Metadata knows no such model; give a pushed version, its path, or the "
        "path of a Trainer's model (`segline lineage runs --json` has them)"
    )


def find_blessing(store: MetadataStore, pipeline: str) -> mlmd.Artifact | None:
    """The ModelBlessing of the model that was blessed last; None: none ever was."""
    query = of_pipeline(
        pipeline, "type = 'ModelBlessing' AND custom_properties.blessed.int_value = 1"
    )
    return next(reversed(read_artifacts(store, query)), None)


def earlier_blessed(
    store: MetadataStore, pipeline: str, blessing: mlmd.Artifact | None, metric: str
) -> float | None:
    """A metric of the model that was blessed last, another than the one in question.

    Args:
      store: ML Metadata.
      pipeline: name of the pipeline.
      blessing: the ModelBlessing of the model in question; None: there is none.
      metric: name of the metric.

    Returns:
      None where no other model was blessed.
    """
    found = read_artifacts(store, of_pipeline(pipeline, BLESSED))
    earlier = [one for one in found if blessing is None or one.id < blessing.id]
    if not earlier:
        return None
    events = store.get_events_by_artifact_ids([earlier[-1].id])
    makers = [event.execution_id for event in events if event.type == mlmd.Event.OUTPUT]
    made = store.get_events_by_execution_ids(makers[:1])
    siblings = [event.artifact_id for event in made if event.type == mlmd.Event.OUTPUT]
    for artifact in store.get_artifacts_by_id(siblings):
        if metric in artifact.custom_properties:
            return artifact.custom_properties[metric].double_value
    return None


def name_of(model: mlmd.Artifact) -> str:
    """For people: `version 1795422112`, `model 18`."""
    version = text_of(model, "pushed_version")
    return f"version {version}" if version else f"model {model.id}"


def version_state(destination: str) -> str:
    """Whether a pushed version is what a server takes.

    Args:
      destination: the version's folder.

    Returns:
      `served`: the latest version that is there; `kept`: there, but not the latest;
      `gone`.
    """
    if not os.path.isdir(destination):
        return "gone"
    versions = [name for name in os.listdir(os.path.dirname(destination)) if name.isdigit()]
    latest = max(versions, key=int)
    return "served" if os.path.basename(destination) == latest else "kept"


def of_pipeline(pipeline: str, query: str) -> str:
    """A query for the artifacts of one pipeline."""
    return f"{query} AND contexts_p.type = 'pipeline' AND contexts_p.name = {quoted(pipeline)}"


def read_artifacts(store: MetadataStore, query: str) -> list[mlmd.Artifact]:
    """Artifacts that a filter query finds, oldest first."""
    return sorted(store.get_artifacts(ListOptions(filter_query=query)), key=lambda a: a.id)


def quoted(text: str) -> str:
    """Text as a filter query's literal.

    Raises:
      UserError: it can't be one.
    """
    if "'" in text:
        raise UserError(f"{text}: ' can't be part of a name here")
    return f"'{text}'"


def text_of(artifact: mlmd.Artifact, key: str) -> str:
    """A custom property; empty where there is none."""
    return artifact.custom_properties[key].string_value
