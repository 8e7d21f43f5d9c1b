"""What ML Metadata is told about a run besides what TFX tells: code, stack, config, outcome.

It is a context of type `segline_run`, named after the run's id, as TFX's own
`pipeline_run` context is: whoever has an execution finds its run, and with it this.
"""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from typing import Any

import psutil
from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import provenance

CONTEXT_TYPE = "segline_run"

RUNNING, DONE, FAILED, INTERRUPTED = "running", "done", "failed", "interrupted"
UNFINISHED = "unfinished"  # started on another machine: whether it still runs can't be seen


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What was known when a run began, and how it ended.

    Attributes:
      run_id: TFX's id of the run.
      config: the whole config, as JSON values.
      commit: git commit of segline's source; empty where it is not known.
      dirty: whether the source was changed since the commit; None if not known.
      versions: package -> version.
      runner: name of the runner's class.
      user: who started it.
      host: on which machine.
      process: id of the process; 0: each step has a process of its own.
      process_started: when that process began, seconds since the epoch.
      started: milliseconds since the epoch.
      ended: milliseconds since the epoch; 0: not ended, as far as is known.
      outcome: `done`, `failed`, `interrupted`, or empty: not ended.
      error: the message of a failed run, for people.
      steps: names of all steps of the pipeline, where no process oversees them.
    """

    run_id: str
    config: dict[str, Any]
    commit: str
    dirty: bool | None
    versions: dict[str, str]
    runner: str
    user: str
    host: str
    process: int
    process_started: float
    started: int
    ended: int = 0
    outcome: str = ""
    error: str = ""
    steps: tuple[str, ...] = ()

    def state(self) -> str:
        """How it ended, or else whether its process is still there.

        Empty where no process oversees the run: its steps have to tell.
        """
        if self.outcome or not self.process:
            return self.outcome
        if self.host != platform.node():
            return UNFINISHED
        try:
            begun = psutil.Process(self.process).create_time()
        except psutil.Error:
            return INTERRUPTED
        return RUNNING if abs(begun - self.process_started) < 2 else INTERRUPTED

    @property
    def code(self) -> str:
        """For people: `1a2b3c4d5e6f`, with `, changed` where the source was."""
        if not self.commit:
            return "unknown"
        return self.commit[:12] + (", changed" if self.dirty else "")


def begin(store: MetadataStore, run_id: str, config: dict[str, Any], runner: str) -> RunRecord:
    """Records that this process begins a run.

    Args:
      store: the pipeline's ML Metadata.
      run_id: TFX's id of the run.
      config: the whole config, as JSON values.
      runner: name of the runner's class.

    Returns:
      What was recorded.
    """
    record = _new(run_id, config, runner)
    _write(store, record)
    return record


def _new(run_id: str, config: dict[str, Any], runner: str) -> RunRecord:
    commit, dirty = provenance.code_version()
    return RunRecord(
        run_id=run_id,
        config=config,
        commit=commit,
        dirty=dirty,
        versions=provenance.stack_versions(),
        runner=runner,
        user=_user(),
        host=platform.node(),
        process=os.getpid(),
        process_started=psutil.Process().create_time(),
        started=int(time.time() * 1000),
    )


def ensure(
    store: MetadataStore, run_id: str, config: dict[str, Any], runner: str, steps: Sequence[str]
) -> None:
    """Records a run whose steps are processes of their own; whichever comes first does it.

    A step that begins after the run had ended (somebody has it tried again) opens it anew.

    Args:
      store: the pipeline's ML Metadata.
      run_id: TFX's id of the run.
      config: the whole config, as JSON values.
      runner: name of the runner.
      steps: names of all steps.
    """
    known = read(store, [run_id]).get(run_id)
    if known:
        if known.outcome or tuple(known.steps) != tuple(steps):
            opened = dataclasses.replace(known, outcome="", ended=0, error="", steps=tuple(steps))
            _write(store, opened)
        return
    record = _new(run_id, config, runner)
    with contextlib.suppress(errors.AlreadyExistsError):  # another step was faster
        _write(
            store, dataclasses.replace(record, process=0, process_started=0.0, steps=tuple(steps))
        )


def note_error(store: MetadataStore, run_id: str, error: str) -> None:
    """Keeps the reason why a step has failed, until the run's end is recorded.

    Args:
      store: the pipeline's ML Metadata.
      run_id: TFX's id of the run; nothing is kept of one that was not recorded.
      error: for people: `step: reason`.
    """
    if known := read(store, [run_id]).get(run_id):
        _write(store, dataclasses.replace(known, error=error))


def end(store: MetadataStore, record: RunRecord, outcome: str, error: str = "") -> None:
    """Records how a run has ended.

    Args:
      store: the pipeline's ML Metadata.
      record: from `begin`.
      outcome: `done`, `failed` or `interrupted`.
      error: for people.
    """
    now = int(time.time() * 1000)
    _write(store, dataclasses.replace(record, ended=now, outcome=outcome, error=error))


def read(store: MetadataStore, run_ids: Iterable[str]) -> dict[str, RunRecord]:
    """Reads the records of runs; those that have none are left out."""
    wanted = set(run_ids)
    try:
        if len(wanted) > 20:
            contexts = store.get_contexts_by_type(CONTEXT_TYPE)
        else:
            found = (store.get_context_by_type_and_name(CONTEXT_TYPE, name) for name in wanted)
            contexts = [context for context in found if context is not None]
    except KeyError:  # no run has been recorded yet
        return {}
    return {context.name: _record(context) for context in contexts if context.name in wanted}


def newest(store: MetadataStore, limit: int) -> list[RunRecord]:
    """The records that were begun last, newest first, of all pipelines.

    Those of runs in which no step had a reason to run are among them: TFX knows nothing
    of such a run.
    """
    try:
        contexts = store.get_contexts_by_type(CONTEXT_TYPE)
    except KeyError:  # no run has been recorded yet
        return []
    chosen = sorted(contexts, key=lambda context: context.id, reverse=True)[:limit]
    return [_record(context) for context in chosen]


def _record(context: mlmd.Context) -> RunRecord:
    return RunRecord(**json.loads(context.custom_properties["record"].string_value))


def _write(store: MetadataStore, record: RunRecord) -> None:
    type_id = store.put_context_type(mlmd.ContextType(name=CONTEXT_TYPE))
    context = mlmd.Context(type_id=type_id, name=record.run_id)
    known = store.get_context_by_type_and_name(CONTEXT_TYPE, record.run_id)
    if known is not None:
        context.id = known.id
    context.custom_properties["record"].string_value = json.dumps(dataclasses.asdict(record))
    # For people who look at the store with other tools.
    context.custom_properties["commit"].string_value = record.commit
    context.custom_properties["outcome"].string_value = record.outcome
    store.put_contexts([context])


def who() -> str:
    """Who this process works for: `anna on build-3`."""
    return f"{_user()} on {platform.node()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return str(os.getuid())
