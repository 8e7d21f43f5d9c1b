"""Where `segline label` keeps what it makes, and what it takes of a run."""

import json
from types import SimpleNamespace

import pytest
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common.errors import UserError
from components.example_gen import leaks
from pipeline.commands import label_run
from pipeline.commands.label_run import local_folder


def test_out_goes_before_a_root_in_a_bucket():
    assert local_folder(None, "runs/pets/label-check") == "runs/pets/label-check"
    assert local_folder("here", "gs://bucket/runs/pets/label-check") == "here"


@pytest.mark.parametrize(
    "out, otherwise, message",
    [
        (None, "gs://bucket/pets", "run.root: gs://bucket/pets is not on this machine; .* --out"),
        ("s3://bucket/round", "runs", "--out: s3://bucket/round is not on this machine"),
        (None, "file:///runs/pets", "run.root: file:///runs/pets is not on this machine"),
    ],
)
def test_buckets_are_refused_with_a_remedy(out, otherwise, message):
    with pytest.raises(UserError, match=message):
        local_folder(out, otherwise)


class FinishedRun:
    """A run of which only the files are there."""

    id = "a run"

    def __init__(self, folder):
        self.folder = folder
        settings = mlmd.Value(string_value=json.dumps({"config": "{}"}))
        execution = mlmd.Execution(custom_properties={"custom_config": settings})
        self.steps = {"Trainer": SimpleNamespace(execution=execution)}
        for path in ("model/Format-Serving", "transform_graph", "examples/Split-train"):
            (folder / path).mkdir(parents=True)
        (folder / "examples/Split-validation").mkdir()
        for split in ("train", "validation"):
            tf.io.TFRecordWriter(str(folder / f"examples/Split-{split}/1.gz"), "GZIP").close()

    def output(self, step, key):
        return mlmd.Artifact(uri=str(self.folder / key)) if step != "Tuner" else None


def test_which_pictures_are_alike_comes_with_the_training(tmp_path):
    run = FinishedRun(tmp_path)
    training, model = label_run.training_of(run)
    assert list(training.alike) == []  # an older segline has not looked
    assert model == str(tmp_path / "model/Format-Serving")
    leaks.write_alike(str(tmp_path / "examples"), [["a", "b"]])
    training, _ = label_run.training_of(run)
    assert list(training.alike) == [["a", "b"]]
    assert training.custom_config == {"config": "{}"}
