"""What `segline label` takes of a run."""

import json
from types import SimpleNamespace

import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.example_gen import leaks
from pipeline.commands import label_run


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
