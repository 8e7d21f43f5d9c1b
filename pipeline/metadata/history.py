"""What ML Metadata knows of a pipeline's runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from ml_metadata import ListOptions, MetadataStore, OrderByField
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import run_record
from components.common.errors import UserError
from components.common.lineage import code_of, properties_of, role_of, state_of

LATEST = "latest"
_FEW = 100  # executions: a handful of runs
_NEWEST = ListOptions(limit=1, order_by=OrderByField.ID, is_asc=False)


@dataclasses.dataclass
class StepRecord:
    """One step of a run.

    Attributes:
      name: the component's id in the pipeline.
      state: `done`, `cached`, `failed`, `running` or `interrupted`.
      started: milliseconds since the epoch.
      ended: likewise.
      execution: what ML Metadata has of it.
      outputs: the artifacts, by output key.
    """

    name: str
    state: str
    started: int
    ended: int
    execution: mlmd.Execution
    outputs: dict[str, list[mlmd.Artifact]]

    @property
    def code(self) -> str:
        """Fingerprint of the source that it ran; empty for TFX's own steps."""
        return code_of(properties_of(self.execution))

    def output(self, key: str) -> mlmd.Artifact | None:
        """The first artifact of an output, or None."""
        return next(iter(self.outputs.get(key, [])), None)


@dataclasses.dataclass
class Run:
    """One run of a pipeline.

    Attributes:
      id: TFX's id.
      pipeline: the pipeline's name.
      state: `done`, `failed`, `interrupted`, `running`, or `unfinished`: it can't be
        seen from here whether it still runs.
      started: milliseconds since the epoch.
      ended: of what was done last.
      steps: by name, in the order in which they were started.
      record: code, stack and config; None of a run that segline did not start.
    """

    id: str
    pipeline: str
    state: str
    started: int
    ended: int
    steps: dict[str, StepRecord]
    record: run_record.RunRecord | None

    def output(self, step: str, key: str) -> mlmd.Artifact | None:
        """An artifact of this run, made in it or cached; None where it did not get so far."""
        return self.steps[step].output(key) if step in self.steps else None

    def made(self, step: str, key: str) -> mlmd.Artifact:
        """The same, of a step that is done.

        Raises:
          LookupError: it has not made it.
        """
        if found := self.output(step, key):
            return found
        raise LookupError(f"run {self.id}: {step} has made no {key}")

    def artifacts(self) -> dict[str, mlmd.Artifact]:
        """The artifacts by the names under which the report wants them."""
        wanted = {
            "examples": ("TfdsExampleGen", "examples"),
            "statistics": ("StatisticsGen", "statistics"),
            "anomalies": ("ExampleValidator", "anomalies"),
            "drift": ("DriftValidator", "anomalies"),
            "model": ("Trainer", "model"),
            "model_run": ("Trainer", "model_run"),
            "evaluation": ("Evaluator", "evaluation"),
            "blessing": ("Evaluator", "blessing"),
            "infra_blessing": ("InfraValidator", "blessing"),
            "pushed_model": ("Pusher", "pushed_model"),
        }
        found = {name: self.output(*place) for name, place in wanted.items()}
        return {name: artifact for name, artifact in found.items() if artifact is not None}

    def exports(self) -> list[mlmd.Artifact]:
        """The ModelExports; empty where none were asked for, or it did not get so far."""
        step = self.steps.get("Exporter")
        return step.outputs.get("exports", []) if step else []

    def metrics(self) -> dict[str, float]:
        """Metrics of the evaluated split; empty where there are none."""
        evaluation = self.output("Evaluator", "evaluation")
        properties = evaluation.custom_properties if evaluation else {}
        return {
            name: value.double_value
            for name, value in sorted(properties.items())
            if value.HasField("double_value")
        }

    def verdict(self) -> str:
        """`pushed`, `blessed`, `not blessed`, `not servable`, or empty: none yet."""
        blessing = self.output("Evaluator", "blessing")
        infra = self.output("InfraValidator", "blessing")
        pushed = self.output("Pusher", "pushed_model")
        if blessing is None:
            return ""
        if not blessing.custom_properties["blessed"].int_value:
            return "not blessed"
        if infra is not None and not infra.custom_properties["blessed"].int_value:
            return "not servable"
        is_pushed = pushed is not None and pushed.custom_properties["pushed"].int_value
        return "pushed" if is_pushed else "blessed"


def read_run(store: MetadataStore, run_id: str) -> Run:
    """Reads a run.

    Args:
      store: the pipeline's ML Metadata.
      run_id: the run's id.

    Returns:
      What is known of it.

    Raises:
      KeyError: ML Metadata knows no such run.
    """
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    if context is None:
        raise KeyError(run_id)
    (run,) = _read(store, [context])
    return run


def list_runs(
    store: MetadataStore,
    pipeline: str,
    limit: int | None = None,
    *,
    before: Run | None = None,
    outputs_of: Collection[str] | None = None,
) -> list[Run]:
    """Reads a pipeline's runs, newest first.

    Args:
      store: ML Metadata, which several pipelines may share.
      pipeline: name of the pipeline.
      limit: the newest so many; None: all.
      before: only those that were begun before this one.
      outputs_of: the steps whose outputs are wanted, None: all. Of thousands of runs, the
        outputs take longest to read.
    """
    contexts = _run_contexts(store)
    contexts.sort(key=lambda context: (context.create_time_since_epoch, context.id), reverse=True)
    if before is not None:
        names = [context.name for context in contexts]
        contexts = contexts[names.index(before.id) + 1 :] if before.id in names else []
    count = limit or len(contexts)
    while True:  # other pipelines' runs may be among them
        found = _read(store, contexts[:count], outputs_of)
        runs = [run for run in found if run.pipeline in (pipeline, "")]
        if count >= len(contexts) or (limit is not None and len(runs) >= limit):
            return runs[:limit]
        count *= 2


def find_run(store: MetadataStore, pipeline: str, name: str) -> Run:
    """Finds a run by what a user calls it.

    Args:
      store: ML Metadata.
      pipeline: name of the pipeline.
      name: an id, the beginning of one, `latest`, or `latest~2`: two before it.

    Raises:
      UserError: there is no such run, or several.
    """
    base, _, back = name.partition("~")
    if base == LATEST and (not back or back.isdigit()):
        runs = list_runs(store, pipeline, int(back or 0) + 1)
        if len(runs) <= int(back or 0):
            raise UserError(f"{name}: {pipeline} has only {len(runs)} runs")
        return runs[-1]
    contexts = [context for context in _run_contexts(store) if context.name.startswith(name)]
    runs = [run for run in _read(store, contexts) if run.pipeline == pipeline]
    exact = [run for run in runs if run.id == name]
    if len(exact or runs) != 1:
        found = f"{len(runs)} runs begin so" if runs else f"there is no such run of {pipeline}"
        raise UserError(f"{name}: {found}; `segline lineage runs` lists them")
    return (exact or runs)[0]


def _run_contexts(store: MetadataStore) -> list[mlmd.Context]:
    return list(store.get_contexts_by_type("pipeline_run"))


def _node_names(store: MetadataStore, executions: Sequence[mlmd.Execution]) -> dict[int, str]:
    """Execution id -> `pipeline.step`.

    Of few, each is asked for. Of many, the type tells it, where only one node has that type;
    all executions of a node are read only where several share one, as two resolvers do, or
    the nodes of two pipelines.
    """
    if len(executions) <= _FEW:
        return {
            execution.id: context.name
            for execution in executions
            for context in store.get_contexts_by_execution(execution.id)
            if context.type == "node"
        }
    nodes = store.get_contexts_by_type("node")
    by_type: dict[int, list[mlmd.Context]] = {}
    for node in nodes:
        for execution in store.get_executions_by_context(node.id, _NEWEST):
            by_type.setdefault(execution.type_id, []).append(node)
    known = {kind: found[0].name for kind, found in by_type.items() if len(found) == 1}
    names = {one.id: known[one.type_id] for one in executions if one.type_id in known}
    if unclear := {one.type_id for one in executions} - set(known):
        shared = [node for kind in unclear for node in by_type.get(kind, [])]
        # A type that no node has now is one of before.
        for node in shared if unclear <= set(by_type) else nodes:
            names |= {one.id: node.name for one in store.get_executions_by_context(node.id)}
    return names


def _read(
    store: MetadataStore,
    contexts: Sequence[mlmd.Context],
    outputs_of: Collection[str] | None = None,
) -> list[Run]:
    """Reads runs with few queries."""
    records = run_record.read(store, [context.name for context in contexts])
    executions = {context.id: store.get_executions_by_context(context.id) for context in contexts}
    all_of_them = [execution for found in executions.values() for execution in found]
    names = _node_names(store, all_of_them)
    ids = [
        one.id
        for one in all_of_them
        if outputs_of is None or names.get(one.id, "").partition(".")[2] in outputs_of
    ]
    outputs: dict[int, list[mlmd.Event]] = {}
    for event in store.get_events_by_execution_ids(ids) if ids else []:
        if event.type == mlmd.Event.OUTPUT:
            outputs.setdefault(event.execution_id, []).append(event)
    wanted = {event.artifact_id for events in outputs.values() for event in events}
    artifacts = {artifact.id: artifact for artifact in store.get_artifacts_by_id(sorted(wanted))}
    runs = []
    for context in contexts:
        pipeline, steps = "", {}
        for execution in sorted(executions[context.id], key=lambda execution: execution.id):
            pipeline, _, name = names.get(execution.id, "").partition(".")
            step = StepRecord(
                name=name,
                state=state_of(execution),
                started=execution.create_time_since_epoch,
                ended=execution.last_update_time_since_epoch,
                execution=execution,
                outputs={},
            )
            if step.state in ("done", "cached"):  # otherwise they are half-written
                for event in outputs.get(execution.id, []):
                    step.outputs.setdefault(role_of(event), []).append(artifacts[event.artifact_id])
            steps[step.name] = step
        runs.append(_run(context.name, pipeline, steps, records.get(context.name)))
    return runs


def _run(
    run_id: str, pipeline: str, steps: dict[str, StepRecord], record: run_record.RunRecord | None
) -> Run:
    state = record.state() if record else ""
    state = state or _state_from(steps, record.steps if record else ())
    if state in (run_record.INTERRUPTED, run_record.FAILED):
        for step in steps.values():
            if step.state == "running":  # so it was left
                step.state = state
    started = [step.started for step in steps.values()]
    ended = [step.ended for step in steps.values()]
    return Run(
        id=run_id,
        pipeline=pipeline,
        state=state,
        started=record.started if record else min(started, default=0),
        ended=record.ended if record and record.ended else max(ended, default=0),
        steps=steps,
        record=record,
    )


def _state_from(steps: dict[str, StepRecord], expected: Sequence[str]) -> str:
    """The state of a run that no process oversees."""
    states = {step.state for step in steps.values()}
    if "failed" in states:
        return run_record.FAILED
    if "running" in states or not set(expected) <= set(steps):
        return run_record.UNFINISHED
    return run_record.DONE
