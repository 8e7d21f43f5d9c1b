"""What `segline label` takes of a run: its examples, its model, and how that was trained."""

from __future__ import annotations

import json
import os

import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.utils import json_utils, path_utils

from components.common import schema
from components.common.errors import UserError
from components.common.examples import split_files
from components.example_gen.leaks import read_alike
from components.example_gen.leave_out import read_leave_out
from components.labels import marks
from components.labels.folds import Training
from pipeline.config.loading import PipelineConfig
from pipeline.metadata.history import Run

_FOUND_FILE = "best_hyperparameters.txt"  # tfx@1.16.0 components/tuner/executor.py


def local_folder(out: str | None, otherwise: str = "") -> str:
    """`--out`, or else a folder of the pipeline.

    Raises:
      UserError: it is in a bucket, where nothing can be trained.
    """
    folder = out or otherwise
    if "://" in folder:
        key = "--out" if out else "run.root"
        raise UserError(f"{key}: {folder} is not on this machine; name a folder that is with --out")
    return folder


def left_out_now(config: PipelineConfig, table: str) -> frozenset[str]:
    """The ids that `dataset.leave_out` names; a table that is not there yet names none.

    Raises:
      UserError: the list can't be used.
    """
    if is_in_use(config, table):
        return frozenset(name for name, row in marks.read(table).items() if row.leave_out)
    return read_leave_out(config.dataset.leave_out)


def is_in_use(config: PipelineConfig, table: str) -> bool:
    """Whether `dataset.leave_out` names this table."""
    path = config.dataset.leave_out
    return path is not None and os.path.realpath(path) == os.path.realpath(table)


def files_of(run: Run, split: str) -> list[str]:
    """The TFRecord files of a split.

    Raises:
      UserError: the run has made no examples, or they are gone.
    """
    examples = _output(run, "TfdsExampleGen", "examples")
    files = split_files(examples.uri, split)
    if not files:
        raise UserError(f"{run.id}: its examples are gone: {examples.uri}; run it again")
    return files


def training_of(run: Run) -> tuple[Training, str]:
    """How a run's model was trained, and where its SavedModel is.

    Raises:
      UserError: the run has not got to the end of its training, or its files are gone.
    """
    model = path_utils.serving_model_path(_output(run, "Trainer", "model").uri)
    graph = _output(run, "Transform", "transform_graph")
    for path in (model, graph.uri):
        if not tf.io.gfile.exists(path):
            raise UserError(f"{run.id}: its files are gone: {path}; run it again")
    told = run.steps["Trainer"].execution.custom_properties["custom_config"].string_value
    training = Training(
        files_of(run, schema.TRAIN),
        files_of(run, schema.VALIDATION),
        graph.uri,
        json_utils.loads(told),
        _found(run),
        read_alike(_output(run, "TfdsExampleGen", "examples").uri),
    )
    return training, model


def _found(run: Run) -> dict | None:
    """What the run's Tuner has found; None: it has none."""
    found = run.output("Tuner", "best_hyperparameters")
    if found is None:
        return None
    with tf.io.gfile.GFile(os.path.join(found.uri, _FOUND_FILE)) as file:
        return json.load(file)


def _output(run: Run, step: str, key: str) -> mlmd.Artifact:
    artifact = run.output(step, key)
    if artifact is None:
        raise UserError(
            f"{run.id}: {step} has not come to its end; `segline lineage runs` lists the runs"
        )
    return artifact
