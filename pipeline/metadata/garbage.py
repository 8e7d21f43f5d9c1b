"""Old runs' files: which of them nobody needs any more, and their removal.

ML Metadata forgets nothing: records stay, and the lineage of what is kept stays whole. The
artifacts whose files go are marked as deleted.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator

import tensorflow as tf
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import lineage, run_record
from components.common.errors import UserError
from components.common.export_files import ARTIFACT_TYPE
from pipeline.config.loading import PipelineConfig
from pipeline.metadata.artifacts import (
    blessings,
    of_context,
    pushed_models,
    text_of,
    version_state,
)
from pipeline.metadata.history import Run, list_runs

_SYSTEM = ".system"  # TFX's own, for what an execution needs while it runs
# What a training or a search that was ended goes on from; by step and folder.
_UNFINISHED = (("Trainer", "checkpoints"), ("Tuner", "trials"))


@dataclasses.dataclass(frozen=True)
class Removable:
    """A folder that can go.

    Attributes:
      path: of the folder.
      size: bytes.
      artifacts: whose files they are; none: of an execution that did not get to its end.
    """

    path: str
    size: int
    artifacts: tuple[mlmd.Artifact, ...]


def find_garbage(
    store: MetadataStore, config: PipelineConfig, keep_runs: int, keep_blessed: int | None
) -> list[Removable]:
    """Files of a pipeline that neither a kept run nor a kept model is made from.

    Args:
      store: ML Metadata.
      config: of the pipeline.
      keep_runs: the newest so many runs keep all that they used and made.
      keep_blessed: so do the models that were blessed last; None: all of them. Pushed
        versions that are still there are kept in any case.

    Returns:
      The largest first.

    Raises:
      UserError: a run is under way.
    """
    runs = list_runs(store, config.name)
    if busy := _under_way(runs):
        raise UserError(f"run {busy.id} is {busy.state}: wait for its end")
    kept = _kept(store, config, runs[:keep_runs], keep_blessed)
    known = [a for a in of_context(store, "pipeline", config.name) if a.uri]
    live = {_place(artifact) for artifact in known if artifact.id in kept}
    others: dict[str, list[mlmd.Artifact]] = {}
    for artifact in known:
        if artifact.state != mlmd.Artifact.DELETED and artifact.id not in kept:
            others.setdefault(_place(artifact), []).append(artifact)
    since = min((run.started for run in runs[:keep_runs]), default=0)
    found = [
        Removable(path, _size(path), tuple(others.get(_tail(path), ())))
        for path in _folders(config.artifacts_dir, since)
        if _tail(path) not in live
    ]
    return sorted(found, key=lambda one: (-one.size, one.path))


def remove(store: MetadataStore, garbage: Iterable[Removable]) -> None:
    """Marks and removes; what a removal that is ended leaves goes with the next one."""
    for one in garbage:
        for artifact in one.artifacts:
            artifact.state = mlmd.Artifact.DELETED
            artifact.custom_properties["state"].string_value = "deleted"  # TFX's own word
        if one.artifacts:
            store.put_artifacts(list(one.artifacts))
        tf.io.gfile.rmtree(one.path)


def _under_way(runs: Iterable[Run]) -> Run | None:
    """A run that may still write; one on another machine, unless a later one has ended."""
    for run in runs:
        if run.state == run_record.RUNNING:
            return run
    newest = next(iter(runs), None)
    return newest if newest and newest.state == run_record.UNFINISHED else None


def _place(artifact: mlmd.Artifact) -> str:
    """Of several artifacts of one output, each has a folder in the output's own."""
    path = artifact.uri.rstrip("/")
    return _tail(os.path.dirname(path) if artifact.type == ARTIFACT_TYPE else path)


def _tail(path: str) -> str:
    """`<step>/<output>/<execution>`: a store's executions are numbered, wherever its files lie."""
    return "/".join(path.rstrip("/").split("/")[-3:])


def _kept(
    store: MetadataStore, config: PipelineConfig, runs: Iterable[Run], keep_blessed: int | None
) -> set[int]:
    """Ids of the artifacts that stay."""
    of_runs = {
        artifact.id
        for run in runs
        for step in run.steps.values()
        for artifacts in step.outputs.values()
        for artifact in artifacts
    }
    blessed = blessings(store, config.name)
    if keep_blessed is not None:
        blessed = blessed[-keep_blessed:]
    pushed = [
        artifact
        for artifact in pushed_models(store, config.name)
        if version_state(text_of(artifact, "pushed_destination")) != "gone"
    ]
    graph = lineage.upstream(store, {artifact.id for artifact in (*blessed, *pushed)})
    models = {node.id for node in graph.artifacts if node.type == "Model"}
    judged = {found for model in models for found in lineage.judgements(store, model)}
    return (
        _with_siblings(store, lineage.upstream(store, of_runs))
        | _with_siblings(store, graph)
        | _with_siblings(store, lineage.upstream(store, models | judged))
    )


def _with_siblings(store: MetadataStore, graph: lineage.Lineage) -> set[int]:
    """Ids of a graph's artifacts, and of what else was made with them (a model's logs)."""
    executions = [node.id for node in graph.executions]
    events = store.get_events_by_execution_ids(executions) if executions else []
    made = {event.artifact_id for event in events if event.type == mlmd.Event.OUTPUT}
    return made | {node.id for node in graph.artifacts}


def _folders(root: str, since: int) -> Iterator[str]:
    """Folders below the pipeline's root that hold an execution's files each.

    Args:
      root: `<root>/<step>/<output>/<execution>` are artifacts.
      since: milliseconds since the epoch; what a training or a search left after that is
        what the next run goes on from.
    """
    for step in _below(root):
        for output in _below(step):
            if os.path.basename(output) == _SYSTEM:
                # TFX empties them itself where it can.
                for kind in _below(output):
                    yield from (folder for folder in _below(kind) if any(_files(folder)))
                continue
            unfinished = (os.path.basename(step), os.path.basename(output)) in _UNFINISHED
            for folder in _below(output):
                if not unfinished or _changed(folder) < since:
                    yield folder


def _below(folder: str) -> list[str]:
    """The folders in a folder."""
    if not tf.io.gfile.isdir(folder):
        return []
    paths = [os.path.join(folder, name.rstrip("/")) for name in tf.io.gfile.listdir(folder)]
    return sorted(path for path in paths if tf.io.gfile.isdir(path))


def _files(folder: str) -> Iterator[str]:
    for parent, _, names in tf.io.gfile.walk(folder):
        yield from (os.path.join(parent, name) for name in names)


def _size(folder: str) -> int:
    return sum(tf.io.gfile.stat(path).length for path in _files(folder))


def _changed(folder: str) -> int:
    """Milliseconds since the epoch of the latest change of a file in it."""
    times = [tf.io.gfile.stat(path).mtime_nsec // 10**6 for path in _files(folder)]
    return max(times, default=0)
