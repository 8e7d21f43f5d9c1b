"""Changes of what is served, in ML Metadata: which version, who, when and why.

Each is an execution of type `segline.Rollout`, with the PushedModel as its input, and those that a
rollback has withdrawn. It is named after the pipeline and the change's number: a second one of that
name is refused, so that each is there once, whoever records it. They are in a context of their own:
a pipeline's runs don't know them.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import readable
from components.pusher.rollout import PUSH, Change, withdrawn
from pipeline.metadata.artifacts import pushed_models, text_of

_TYPE = "segline.Rollout"
_CHANGED, _WITHDRAWN = "pushed_model", "withdrawn"  # what a PushedModel is to a change
_FIELDS = {field.name: field.type for field in dataclasses.fields(Change)}


def record(store: MetadataStore, pipeline: str, changes: Sequence[Change]) -> None:
    """Records the changes that are not recorded yet.

    Args:
      store: ML Metadata.
      pipeline: name of the pipeline.
      changes: all that the serving folder knows, oldest first.
    """
    known = {change.number for change in read(store, pipeline)}
    missing = [index for index, change in enumerate(changes) if change.number not in known]
    if not missing:
        return
    artifacts = {text_of(one, "pushed_version"): one for one in pushed_models(store, pipeline)}
    type_id = store.put_execution_type(mlmd.ExecutionType(name=_TYPE))
    context_type = store.put_context_type(mlmd.ContextType(name=_TYPE))
    for index in missing:
        change = changes[index]
        execution = mlmd.Execution(
            type_id=type_id,
            name=f"{pipeline}/{change.number:08d}",
            last_known_state=mlmd.Execution.COMPLETE,
        )
        for name, value in dataclasses.asdict(change).items():
            slot = execution.custom_properties[name]
            if isinstance(value, str):
                slot.string_value = value
            else:
                slot.int_value = int(value)
        gone = sorted(withdrawn(changes, index))
        pairs = [
            (artifacts[version], _event(role, position))
            for role, versions in ((_CHANGED, [change.version]), (_WITHDRAWN, gone))
            for position, version in enumerate(versions)
            if version in artifacts
        ]
        context = mlmd.Context(type_id=context_type, name=pipeline)
        with contextlib.suppress(errors.AlreadyExistsError):  # another one was faster
            store.put_execution(execution, pairs, [context], reuse_context_if_already_exist=True)


def _event(role: str, position: int) -> mlmd.Event:
    event = mlmd.Event(type=mlmd.Event.INPUT)
    event.path.steps.add().key = role
    event.path.steps.add().index = position
    return event


def read(store: MetadataStore, pipeline: str) -> list[Change]:
    """The changes that are recorded, oldest first."""
    try:
        context = store.get_context_by_type_and_name(_TYPE, pipeline)
    except errors.NotFoundError:
        return []
    executions = store.get_executions_by_context(context.id) if context else []
    return sorted(map(_change, executions), key=lambda change: change.number)


def of_artifact(store: MetadataStore, pushed_id: int) -> list[dict[str, Any]]:
    """What was done with a PushedModel since its push, for people and programs, oldest first."""
    events = store.get_events_by_artifact_ids([pushed_id])
    roles = {
        event.execution_id: event.path.steps[0].key
        for event in events
        if event.type == mlmd.Event.INPUT and event.path.steps
    }
    executions = store.get_executions_by_id(list(roles)) if roles else []
    changes = [(_change(one), roles[one.id]) for one in executions if one.type == _TYPE]
    changes.sort(key=lambda pair: pair[0].number)
    return [
        describe(change, role == _WITHDRAWN) for change, role in changes if change.action != PUSH
    ]


def describe(change: Change, as_withdrawn: bool = False) -> dict[str, Any]:
    """A change as JSON values.

    Args:
      change: the change.
      as_withdrawn: said of a version that it has withdrawn, not of the one that it is about.
    """
    withdrawal = f"withdrawn by a rollback to {change.version}"
    return {
        "action": withdrawal if as_withdrawn else change.action,
        "when": readable.time_text(change.when),
        "by": change.by,
        "why": change.why,
    }


def _change(execution: mlmd.Execution) -> Change:
    values: dict[str, Any] = {}
    for name, kind in _FIELDS.items():
        slot = execution.custom_properties[name]
        values[name] = slot.string_value if kind == "str" else slot.int_value
    return Change(**{**values, "pinned": bool(values["pinned"])})
