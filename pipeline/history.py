"""What ML Metadata knows of a run."""

from __future__ import annotations

import dataclasses

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

_STATES = {
    mlmd.Execution.CACHED: "cached",
    mlmd.Execution.COMPLETE: "done",
    mlmd.Execution.FAILED: "failed",
    mlmd.Execution.RUNNING: "running",
}


@dataclasses.dataclass
class StepRecord:
    """One step of a run.

    Attributes:
      name: the component's id in the pipeline.
      state: `done`, `cached`, `failed` or `running`.
      outputs: the artifacts, by output key.
    """

    name: str
    state: str
    outputs: dict[str, list[mlmd.Artifact]]

    def output(self, key: str) -> mlmd.Artifact | None:
        """The first artifact of an output, or None."""
        return next(iter(self.outputs.get(key, [])), None)


def state_of(execution: mlmd.Execution) -> str:
    """`done`, `cached`, `failed`, `running`, or ML Metadata's own word."""
    state = execution.last_known_state
    return _STATES.get(state, mlmd.Execution.State.Name(state).lower())


def read_run(store: MetadataStore, run_id: str) -> dict[str, StepRecord]:
    """Reads the steps of a run.

    Args:
      store: the pipeline's ML Metadata.
      run_id: the run's id.

    Returns:
      The steps by name, in the order in which they were started.

    Raises:
      KeyError: ML Metadata knows no such run.
    """
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    if context is None:
        raise KeyError(run_id)
    steps = {}
    for execution in sorted(store.get_executions_by_context(context.id), key=lambda e: e.id):
        contexts = store.get_contexts_by_execution(execution.id)
        node = next(c.name for c in contexts if c.type == "node")
        name = node.split(".", 1)[-1]
        outputs: dict[str, list[mlmd.Artifact]] = {}
        events = [
            event
            for event in store.get_events_by_execution_ids([execution.id])
            if event.type == mlmd.Event.OUTPUT
        ]
        artifacts = {
            artifact.id: artifact
            for artifact in store.get_artifacts_by_id([event.artifact_id for event in events])
        }
        for event in events:
            key = next((step.key for step in event.path.steps if step.HasField("key")), "")
            outputs.setdefault(key, []).append(artifacts[event.artifact_id])
        steps[name] = StepRecord(name, state_of(execution), outputs)
    return steps
