"""What made an artifact: the graph of executions and artifacts, from ML Metadata.

Cached executions are no part of it. Where a step was cached, its outputs are those of
the execution that once made them, and that one is in the graph.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import readable, run_record

ARTIFACT, EXECUTION = "artifact", "execution"

# Inputs that are models of earlier runs: the graph ends there. What made those is
# their own lineage; following it would bring in the history of all models.
_EARLIER_MODELS = ("baseline_model", "base_model")

# TFX's own properties, and the Reporter's copy of a lineage.
_BOOKKEEPING = ("is_external", "tfx_version", "state", "lineage")

_STATES = {
    mlmd.Execution.CACHED: "cached",
    mlmd.Execution.COMPLETE: "done",
    mlmd.Execution.FAILED: "failed",
    mlmd.Execution.RUNNING: "running",
}


@dataclasses.dataclass(frozen=True)
class Node:
    """An artifact or an execution.

    Attributes:
      kind: `artifact` or `execution`.
      id: ML Metadata's id; artifacts and executions are counted apart.
      type: type without its module: `Model`, `Trainer`.
      name: the step's id in the pipeline; of an artifact, its key among the outputs, or
        among the inputs where its making is no part of the graph.
      state: of an execution: `done`, `cached`, `failed`, `running`.
      run_id: of an execution: the run that it belongs to.
      uri: of an artifact.
      started: milliseconds since the epoch: begin, or an artifact's making.
      ended: milliseconds since the epoch; for artifacts the same as `started`.
      properties: all that is recorded with it.
    """

    kind: str
    id: int
    type: str
    name: str
    state: str
    run_id: str
    uri: str
    started: int
    ended: int
    properties: dict[str, str | int | float]

    @property
    def key(self) -> str:
        """Unique in its graph: `artifact-12`."""
        return f"{self.kind}-{self.id}"

    @property
    def seconds(self) -> float:
        """How long an execution took."""
        return (self.ended - self.started) / 1000

    @property
    def code(self) -> str:
        """Fingerprint of the source that an execution ran; empty for TFX's own steps."""
        return code_of(self.properties)


@dataclasses.dataclass(frozen=True)
class Edge:
    """An artifact went into an execution, or came out of it.

    Attributes:
      source: key of the node that was there first.
      target: key of the other.
      role: name of the input or output, such as `transform_graph`.
    """

    source: str
    target: str
    role: str


@dataclasses.dataclass(frozen=True)
class Lineage:
    """A graph of makings, and the records of the runs in which they were made.

    Attributes:
      nodes: in the order of their making.
      edges: from what was there first to what came of it.
      runs: run id -> record, for the runs that have one.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    runs: dict[str, run_record.RunRecord]

    def node(self, key: str) -> Node:
        """The node of a key."""
        return next(node for node in self.nodes if node.key == key)

    @property
    def artifacts(self) -> list[Node]:
        """All artifacts."""
        return [node for node in self.nodes if node.kind == ARTIFACT]

    @property
    def executions(self) -> list[Node]:
        """All executions."""
        return [node for node in self.nodes if node.kind == EXECUTION]

    def inputs(self, execution: Node, role: str | None = None) -> list[Node]:
        """What went into an execution, all of it or as one of its inputs."""
        return [
            self.node(edge.source)
            for edge in self.edges
            if edge.target == execution.key and role in (None, edge.role)
        ]

    def outputs(self, execution: Node, role: str | None = None) -> list[Node]:
        """What came out of an execution, all of it or as one of its outputs."""
        return [
            self.node(edge.target)
            for edge in self.edges
            if edge.source == execution.key and role in (None, edge.role)
        ]

    def behind(self, key: str) -> Lineage:
        """The part that led to a node, and what else came out of those executions."""
        kept = {key}
        waiting = [key]
        while waiting:
            target = waiting.pop()
            for edge in self.edges:
                if edge.target == target and edge.source not in kept:
                    kept.add(edge.source)
                    waiting.append(edge.source)
        kept |= {
            edge.target
            for edge in self.edges
            if edge.source in kept and self.node(edge.source).kind == EXECUTION
        }
        return Lineage(
            nodes=tuple(node for node in self.nodes if node.key in kept),
            edges=tuple(edge for edge in self.edges if edge.source in kept and edge.target in kept),
            runs=self.runs,
        )

    def maker(self, artifact: Node) -> Node:
        """The execution that made an artifact."""
        return next(self.node(edge.source) for edge in self.edges if edge.target == artifact.key)

    def to_json(self) -> str:
        """JSON with sorted keys: equal graphs give equal texts."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Lineage:
        """Inverse of `to_json`."""
        values = json.loads(text)
        return cls(
            nodes=tuple(Node(**node) for node in values["nodes"]),
            edges=tuple(Edge(**edge) for edge in values["edges"]),
            runs={key: run_record.RunRecord(**run) for key, run in values["runs"].items()},
        )


def upstream(store: MetadataStore, artifact_ids: Iterable[int]) -> Lineage:
    """All that artifacts were made from, down to the data, and what made them.

    Goes backwards step by step: ML Metadata's own query for it needs a query language that it
    no longer has since 1.21.

    Args:
      store: ML Metadata.
      artifact_ids: of any number of artifacts.

    Returns:
      The graph, the artifacts themselves included. A baseline model, or a model that
      training began with, is in it, but not what made that.
    """
    artifacts, makers = set(artifact_ids), set[int]()
    events: list[mlmd.Event] = []
    ahead = artifacts
    while ahead:
        made = _makings(store, ahead)
        events += made
        new = {event.execution_id for event in made} - makers
        makers |= new
        read = [event for event in _events_of(store, new) if event.type == mlmd.Event.INPUT]
        events += read
        artifacts = artifacts | {event.artifact_id for event in read}
        followed = {event.artifact_id for event in read if role_of(event) not in _EARLIER_MODELS}
        ahead = followed - {event.artifact_id for event in events if _is_output(event)}
    return _lineage(store, artifacts, makers, events)


def _makings(store: MetadataStore, artifact_ids: Iterable[int]) -> list[mlmd.Event]:
    """How artifacts came out of the executions that made them.

    Later executions that have them as outputs are cached ones.
    """
    first: dict[int, mlmd.Event] = {}
    for event in store.get_events_by_artifact_ids(sorted(artifact_ids)):
        if _is_output(event):
            known = first.get(event.artifact_id)
            if known is None or event.execution_id < known.execution_id:
                first[event.artifact_id] = event
    return list(first.values())


def _events_of(store: MetadataStore, execution_ids: Iterable[int]) -> list[mlmd.Event]:
    ids = sorted(execution_ids)
    return list(store.get_events_by_execution_ids(ids)) if ids else []


def judgements(store: MetadataStore, model_id: int) -> list[int]:
    """Ids of what was made of a model: evaluations, blessings, pushes, reports.

    Not what was made of another model, with this one as its baseline.
    """
    return made_of(store, model_id, _EARLIER_MODELS)


def made_of(store: MetadataStore, artifact_id: int, without: Collection[str] = ()) -> list[int]:
    """Ids of what was made of an artifact, in one step.

    Of executions that found their outputs in the cache only the events are read.

    Args:
      store: ML Metadata.
      artifact_id: of the artifact.
      without: names of inputs; who read it as one of these is passed over.
    """
    readers = {
        event.execution_id
        for event in store.get_events_by_artifact_ids([artifact_id])
        if event.type == mlmd.Event.INPUT and role_of(event) not in without
    }
    outputs = {event.artifact_id for event in _events_of(store, readers) if _is_output(event)}
    makings = [event for event in _makings(store, outputs) if event.execution_id in readers]
    makers = sorted({event.execution_id for event in makings})
    complete = {
        execution.id
        for execution in (store.get_executions_by_id(makers) if makers else [])
        if execution.last_known_state == mlmd.Execution.COMPLETE
    }
    return sorted(event.artifact_id for event in makings if event.execution_id in complete)


def role_of(event: mlmd.Event) -> str:
    """Name of the input or output that an event is about."""
    return next((step.key for step in event.path.steps if step.HasField("key")), "")


def state_of(execution: mlmd.Execution) -> str:
    """`done`, `cached`, `failed`, `running`, or ML Metadata's own word."""
    state = execution.last_known_state
    return _STATES.get(state, mlmd.Execution.State.Name(state).lower())


def code_of(properties: Mapping[str, Any]) -> str:
    """Fingerprint of the source among an execution's properties; empty where there is none."""
    return str(properties.get("code") or custom_config(properties).get("code") or "")


def custom_config(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What TFX's own components were told by us; empty where they were not."""
    settings = readable.unfold(properties.get("custom_config"))
    return settings if isinstance(settings, dict) else {}


def properties_of(thing: mlmd.Artifact | mlmd.Execution) -> dict[str, str | int | float]:
    """Properties and custom properties as Python values, without TFX's own bookkeeping."""
    result: dict[str, Any] = {}
    for properties in (thing.properties, thing.custom_properties):
        for key, value in properties.items():
            kind = value.WhichOneof("value")
            if kind in ("string_value", "int_value", "double_value", "bool_value"):
                result[key] = getattr(value, kind)
    for key in _BOOKKEEPING:
        result.pop(key, None)
    return dict(sorted(result.items()))


def _lineage(
    store: MetadataStore,
    artifact_ids: Iterable[int],
    execution_ids: Iterable[int],
    events: Iterable[mlmd.Event],
) -> Lineage:
    """The graph of what `upstream` has found."""
    # The output that it was; of an earlier run's model, the input that it became.
    roles = {event.artifact_id: role_of(event) for event in events}
    roles |= {event.artifact_id: role_of(event) for event in events if _is_output(event)}
    nodes = [
        Node(
            kind=ARTIFACT,
            id=artifact.id,
            type=artifact.type,
            name=roles.get(artifact.id, ""),
            state="",
            run_id="",
            uri=artifact.uri,
            started=artifact.create_time_since_epoch,
            ended=artifact.create_time_since_epoch,
            properties=properties_of(artifact),
        )
        for artifact in store.get_artifacts_by_id(sorted(artifact_ids))
    ]
    for execution in store.get_executions_by_id(sorted(execution_ids)):
        contexts = store.get_contexts_by_execution(execution.id)
        named = {context.type: context.name for context in contexts}
        nodes.append(
            Node(
                kind=EXECUTION,
                id=execution.id,
                type=execution.type.rsplit(".", 1)[-1],
                name=named.get("node", "").split(".", 1)[-1],
                state=state_of(execution),
                run_id=named.get("pipeline_run", ""),
                uri="",
                started=execution.create_time_since_epoch,
                ended=execution.last_update_time_since_epoch,
                properties=properties_of(execution),
            )
        )
    edges = set()
    for event in events:
        pair = f"{ARTIFACT}-{event.artifact_id}", f"{EXECUTION}-{event.execution_id}"
        source, target = pair[::-1] if _is_output(event) else pair
        edges.add(Edge(source, target, role_of(event)))
    run_ids = {node.run_id for node in nodes if node.run_id}
    return Lineage(
        nodes=tuple(sorted(nodes, key=lambda node: (node.started, node.kind == ARTIFACT, node.id))),
        edges=tuple(sorted(edges, key=dataclasses.astuple)),
        runs=run_record.read(store, run_ids),
    )


def _is_output(event: mlmd.Event) -> bool:
    return event.type == mlmd.Event.OUTPUT
