"""Runs of the pipeline `pets` in ML Metadata, without doing them."""

from __future__ import annotations

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import run_record


class Store:
    """An ML Metadata, into which runs are written as TFX writes them; by default in memory."""

    def __init__(self, connection=None):
        if connection is None:
            connection = mlmd.ConnectionConfig()
            connection.fake_database.SetInParent()
        self.store = MetadataStore(connection)

    def type_of(self, kind, name):
        made = getattr(mlmd, f"{kind}Type")(name=name)
        return getattr(self.store, f"put_{kind.lower()}_type")(made)

    def run(self, run_id, steps, outcome, cached=()):
        """steps: name -> (output key, artifact type, custom properties)."""
        record = run_record.begin(self.store, run_id, {}, "test")
        self.steps(run_id, steps, cached)
        run_record.end(self.store, record, outcome)

    def steps(self, run_id, steps, cached=(), failed=()):
        """The executions of a run's steps, as in `run`."""
        for name, outputs in steps.items():
            contexts = [
                mlmd.Context(type_id=self.type_of("Context", kind), name=text)
                for kind, text in (
                    ("pipeline", "pets"),
                    ("pipeline_run", run_id),
                    ("node", f"pets.{name}"),
                )
            ]
            execution = mlmd.Execution(
                type_id=self.type_of("Execution", name),
                last_known_state=(
                    mlmd.Execution.CACHED
                    if name in cached
                    else mlmd.Execution.FAILED
                    if name in failed
                    else mlmd.Execution.COMPLETE
                ),
            )
            pairs = []
            for key, kind, properties in outputs:
                artifact = mlmd.Artifact(
                    type_id=self.type_of("Artifact", kind), uri=f"/{run_id}/{key}"
                )
                for field, value in properties.items():
                    slot = artifact.custom_properties[field]
                    kind_of_value = {int: "int", float: "double", str: "string"}[type(value)]
                    setattr(slot, f"{kind_of_value}_value", value)
                event = mlmd.Event(type=mlmd.Event.OUTPUT)
                event.path.steps.add(key=key)
                event.path.steps.add(index=0)
                pairs.append((artifact, event))
            self.store.put_execution(
                execution, pairs, contexts, reuse_context_if_already_exist=True
            )


def evaluated(mean_iou, blessed, reason="", calibration_error=None):
    """What an Evaluator has made; one of an earlier segline has no calibration error."""
    metrics = {"mean_iou": mean_iou}
    if calibration_error is not None:
        metrics["expected_calibration_error"] = calibration_error
    return [
        ("evaluation", "ModelEvaluation", metrics),
        ("blessing", "ModelBlessing", {"blessed": blessed, "reason": reason}),
    ]


def pushed():
    """What a Pusher has made."""
    return [("pushed_model", "PushedModel", {"pushed": 1})]
