"""One of several workers of a training: waits for the chief, then trains with it.

The chief is the Trainer as TFX launches it; it alone writes to ML Metadata. A worker reads
there what the chief was given, and leaves nothing behind.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.components.trainer import fn_args_utils
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import execution_lib

from components.common import lineage
from components.common.errors import UserError
from components.trainer import hyperparameters

TRAINER = "Trainer"
_LOG = logging.getLogger("segline.trainer")
_PAUSE_SECONDS = 2.0
# Not so one that has failed: TFX's launcher tries it again under the same record, whose state
# it leaves as it is meanwhile.
_TRAINED = (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED)
# What infra/kubernetes/training/trainjob.yaml says, and Kubernetes to each pod of an indexed job.
_HOSTS, _INDEX = "SEGLINE_WORKER_HOSTS", "JOB_COMPLETION_INDEX"


def set_tf_config() -> None:
    """Makes TF_CONFIG of the hosts' names and this one's number, where no operator does.

    Raises:
      UserError: there is no such number.
    """
    hosts = [host for host in os.environ.get(_HOSTS, "").split(",") if host]
    if not hosts or "TF_CONFIG" in os.environ:
        return
    index = int(os.environ.get(_INDEX, "-1"))
    if not 0 <= index < len(hosts):
        raise UserError(f"{_INDEX}: {index} is none of the {len(hosts)} hosts in {_HOSTS}")
    task = {"type": "worker", "index": index - 1} if index else {"type": "chief", "index": 0}
    cluster = {"chief": hosts[:1], "worker": hosts[1:]}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})


def train(
    connection: metadata.Metadata, run_id: str, root: str, patience_seconds: float = 1800
) -> None:
    """Trains what the chief of a run trains.

    Args:
      connection: to ML Metadata.
      run_id: the run's id.
      root: the pipeline's, where the chief keeps its checkpoints.
      patience_seconds: how long to wait for the chief to begin.

    Raises:
      UserError: the chief has not begun in that time.
    """
    from components.trainer.run_fn import run_fn

    with connection as handle:
        execution = _wait_for_chief(handle, run_id, patience_seconds)
        if execution.last_known_state in _TRAINED:
            _LOG.info("the chief's model is from an earlier run: nothing to train")
            return
        inputs = execution_lib.get_input_artifacts(handle, execution.id)
    fn_args = fn_args_utils.get_common_fn_args(inputs, lineage.properties_of(execution))
    for found in inputs.get("hyperparameters", []):
        fn_args.hyperparameters = hyperparameters.read_config(found.uri)
    with tempfile.TemporaryDirectory() as folder:
        fn_args.serving_model_dir = folder
        # Nothing is written there; it says where the checkpoints are.
        fn_args.model_run_dir = os.path.join(root, TRAINER, "model_run", "of_the_chief")
        run_fn(fn_args)


def _wait_for_chief(
    handle: metadata.Metadata, run_id: str, patience_seconds: float
) -> mlmd.Execution:
    """The latest execution of the run's Trainer."""
    until = time.monotonic() + patience_seconds
    while True:
        context = handle.store.get_context_by_type_and_name("pipeline_run", run_id)
        found = handle.store.get_executions_by_context(context.id) if context else []
        trainers = [e for e in found if e.type.endswith(f".{TRAINER}")]
        if trainers:
            return max(trainers, key=lambda execution: execution.id)
        if time.monotonic() > until:
            raise UserError(
                f"no Trainer has begun in run {run_id} after {patience_seconds:.0f} s: the chief "
                "must have the same --job-id, and the steps before it must have run"
            )
        time.sleep(_PAUSE_SECONDS)
