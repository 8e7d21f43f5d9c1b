"""Time of the lineage questions on stores with 500 and with 5,000 runs.

    python tests/benchmarks/lineage.py [--runs 500 5000] [--rounds 5]

Builds a store as the runs of a year would leave it: nodes, contexts, events and
properties as in a real one, every fifth run trains on the same data, every fiftieth on
new data, the others are cached. Each question is a process of its own, as a user would
start it, and its processor time is taken; the reference, in the same interleaved rounds, is
`import ml_metadata` alone.
The goal is two seconds for each question with 500 runs, and five with 5,000.
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import provenance, run_record
from pipeline.config.loading import load_config
from pipeline.metadata.store import place

GOALS = {500: 2.0, 5000: 5.0}  # seconds, up to so many runs
provenance.code_version = functools.cache(provenance.code_version)  # git, for each run

# Step, its inputs, its outputs (key, type).
CHAIN = (
    ("TfdsExampleGen", (), (("examples", "Examples"),)),
    ("StatisticsGen", ("examples",), (("statistics", "ExampleStatistics"),)),
    ("SchemaGen", ("statistics",), (("schema", "Schema"),)),
    ("ExampleValidator", ("statistics", "schema"), (("anomalies", "ExampleAnomalies"),)),
    ("Transform", ("examples", "schema"), (("transform_graph", "TransformGraph"),)),
    ("Trainer", ("examples", "transform_graph"), (("model", "Model"), ("model_run", "ModelRun"))),
    (
        "Evaluator",
        ("model", "examples", "baseline_model"),
        (("evaluation", "ModelEvaluation"), ("blessing", "ModelBlessing")),
    ),
    ("InfraValidator", ("model", "examples"), (("infra_blessing", "InfraBlessing"),)),
    ("Pusher", ("model", "blessing", "infra_blessing"), (("pushed_model", "PushedModel"),)),
    ("Reporter", ("model", "evaluation", "pushed_model"), (("report", "HtmlReport"),)),
)
METRICS = {"mean_iou": 0.7, "pixel_accuracy": 0.9} | {f"iou_class{n}": 0.5 for n in range(20)}


class StoreBuilder:
    """Writes runs as TFX's launcher does."""

    def __init__(self, path: str, config: dict) -> None:
        connection = mlmd.ConnectionConfig()
        connection.sqlite.filename_uri = path
        self.store = MetadataStore(connection)
        self.config = config
        self.types = {
            name: self.store.put_context_type(mlmd.ContextType(name=name))
            for name in ("pipeline", "pipeline_run", "node")
        }
        self.steps = {
            step: self.store.put_execution_type(mlmd.ExecutionType(name=f"tfx.components.{step}"))
            for step, _, _ in CHAIN
        }
        self.kinds = {
            kind: self.store.put_artifact_type(mlmd.ArtifactType(name=kind))
            for _, _, outputs in CHAIN
            for _, kind in outputs
        }
        self.contexts = self._put_contexts(
            [("pipeline", config["name"])]
            + [("node", f"{config['name']}.{step}") for step, _, _ in CHAIN]
        )
        self.known = {
            context.name.removeprefix(f"{config['name']}."): context
            for context in self.store.get_contexts_by_id(list(self.contexts.values()))
        }
        self.artifacts: dict[int, mlmd.Artifact] = {}
        self.latest: dict[str, int] = {}
        self.baseline: int | None = None

    def _put_contexts(self, names):
        contexts = [mlmd.Context(type_id=self.types[kind], name=name) for kind, name in names]
        return dict(
            zip([name for _, name in names], self.store.put_contexts(contexts), strict=True)
        )

    def add_run(self, number: int) -> None:
        """Adds one run; what is not made anew is cached."""
        run_id = f"2026-{1 + number // 28 % 12:02d}-{1 + number % 28:02d}T03:00:00.{number:06d}"
        ids = self._put_contexts([("pipeline_run", run_id)])
        (context,) = self.store.get_contexts_by_id(list(ids.values()))
        record = run_record.begin(self.store, run_id, self.config, "LocalDagRunner")
        fresh = number % 50 == 0 and CHAIN or (number % 5 == 0 and CHAIN[5:]) or ()
        if fresh:
            self.baseline = self.latest.get("model")
        for step, inputs, outputs in CHAIN:
            made = (step, inputs, outputs) in fresh
            state = mlmd.Execution.COMPLETE if made else mlmd.Execution.CACHED
            execution = mlmd.Execution(type_id=self.steps[step], last_known_state=state)
            settings = {"trainer": "x" * 1500, "code": f"{number - number % 5:016x}"}
            execution.custom_properties["custom_config"].string_value = json.dumps(settings)
            execution.custom_properties["example_splits"].string_value = '["test"]'
            pairs = []
            for key in inputs:
                artifact = self.baseline if key == "baseline_model" else self.latest[key]
                if artifact is not None:
                    pairs.append((mlmd.Artifact(id=artifact), key, mlmd.Event.INPUT))
            for key, kind in outputs:
                artifact = (
                    self._artifact(kind, number) if made else mlmd.Artifact(id=self.latest[key])
                )
                pairs.append((artifact, key, mlmd.Event.OUTPUT))
            ids = self._put(execution, pairs, [context, step])
            for (_, key, kind), artifact_id in zip(pairs, ids, strict=True):
                if kind == mlmd.Event.OUTPUT:
                    self.latest[key] = artifact_id
        run_record.end(self.store, record, run_record.DONE)

    def _artifact(self, kind: str, number: int) -> mlmd.Artifact:
        artifact = mlmd.Artifact(type_id=self.kinds[kind], uri=f"/runs/pets/{kind}/{number}")
        properties = artifact.custom_properties
        if kind == "Examples":
            properties["dataset_fingerprint"].string_value = f"{number // 50:016x}"
            properties["dataset_version"].string_value = f"1.{number // 50}.0"
        elif kind == "ModelEvaluation":
            for name, value in METRICS.items():
                properties[name].double_value = value
        elif kind in ("ModelBlessing", "InfraBlessing"):
            properties["blessed"].int_value = 1
        elif kind == "PushedModel":
            properties["pushed"].int_value = 1
            properties["pushed_version"].string_value = str(1_700_000_000 + number)
            properties["pushed_destination"].string_value = f"/serving/{1_700_000_000 + number}"
        return artifact

    def _put(self, execution, pairs, names):
        events = []
        for artifact, key, kind in pairs:
            event = mlmd.Event(type=kind)
            if artifact.id:
                event.artifact_id = artifact.id
                artifact.CopyFrom(self.artifacts[artifact.id])
            is_blessing = key == "infra_blessing" and kind == mlmd.Event.OUTPUT
            event.path.steps.add(key="blessing" if is_blessing else key)
            event.path.steps.add(index=0)
            events.append((artifact, event))
        run, step = names
        contexts = [run, self.known[self.config["name"]], self.known[step]]
        ids = self.store.put_execution(execution, events, contexts)[1]
        for (artifact, _), artifact.id in zip(events, ids, strict=True):
            self.artifacts[artifact.id] = artifact
        return ids


def _processor_seconds() -> float:
    """Of all processes that have ended: what else the machine does is no part of it."""
    used = os.times()
    return used.children_user + used.children_system


def main() -> None:
    """For each number of runs builds a store, asks, prints medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=list(GOALS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for runs in options.runs:
        goals = [goal for most, goal in GOALS.items() if runs <= most]
        ask(runs, options.rounds, min(goals, default=max(GOALS.values())))


def ask(runs: int, rounds: int, goal: float) -> None:
    """Builds a store, asks each question some times, prints medians and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SEGLINE__RUN__ROOT": folder, "SEGLINE_CONFIG": "pets"}
        config = load_config("pets", environment)
        os.makedirs(config.folder)
        builder = StoreBuilder(place(config), config.model_dump(mode="json"))
        started = time.monotonic()
        for number in range(runs):
            builder.add_run(number)
        size = os.path.getsize(place(config)) / 2**20
        print(f"{runs} runs in {time.monotonic() - started:.0f} s, {size:.0f} MB", flush=True)
        segline = str(Path(sys.executable).with_name("segline"))
        questions = {
            "import ml_metadata": [sys.executable, "-c", "import ml_metadata"],
            "lineage runs": [segline, "lineage", "runs"],
            f"lineage runs --limit {runs}": [segline, "lineage", "runs", "--limit", str(runs)],
            "lineage model": [segline, "lineage", "model"],
            "lineage model --html": [segline, "lineage", "model", "--html", f"{folder}/l.html"],
            "lineage data": [segline, "lineage", "data", "1.0.0"],
            "lineage diff": [segline, "lineage", "diff", "latest~60", "latest"],
        }
        seconds = {name: [] for name in questions}
        for _ in range(rounds):
            for name, command in questions.items():
                before = _processor_seconds()
                subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
                seconds[name].append(_processor_seconds() - before)
    reference = statistics.median(next(iter(seconds.values())))
    for name, found in seconds.items():
        median = statistics.median(found)
        verdict = "" if median <= goal else f"  over the goal of {goal:.0f} s"
        print(f"{name:28} {median:6.2f} s  {median / reference:5.1f} x import{verdict}")


if __name__ == "__main__":
    main()
