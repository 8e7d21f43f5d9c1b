"""Which earlier model a training begins with, and taking over its weights."""

import os

import numpy as np
import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import standard_artifacts

from components.trainer import warm_start
from components.trainer.config import DecoderConfig, EncoderConfig
from components.trainer.unet import build_unet

pytestmark = pytest.mark.slow

SCRATCH = EncoderConfig(weights="none", alpha=0.35)


@pytest.fixture
def store():
    config = mlmd.ConnectionConfig()
    config.fake_database.SetInParent()
    return MetadataStore(config)


def trained_on(store, fingerprint):
    """A Model in the store, made by a Trainer from examples of a fingerprint."""
    types = {
        name: store.put_artifact_type(mlmd.ArtifactType(name=name))
        for name in ("Examples", "TransformGraph", "Model")
    }
    trainer = store.put_execution_type(mlmd.ExecutionType(name="Trainer"))
    (execution,) = store.put_executions([mlmd.Execution(type_id=trainer)])
    made = {}
    for name, kind, role in (
        ("Examples", mlmd.Event.INPUT, "examples"),
        ("TransformGraph", mlmd.Event.INPUT, "transform_graph"),
        ("Model", mlmd.Event.OUTPUT, "model"),
    ):
        artifact = mlmd.Artifact(type_id=types[name])
        artifact.custom_properties["dataset_fingerprint"].string_value = (
            fingerprint if name == "Examples" else ""
        )
        (made[name],) = store.put_artifacts([artifact])
        event = mlmd.Event(execution_id=execution, artifact_id=made[name], type=kind)
        event.path.steps.add().key = role
        store.put_events([event])
    model = standard_artifacts.Model()
    model.id = made["Model"]
    return model


def blessing(model, blessed=1):
    artifact = standard_artifacts.ModelBlessing()
    artifact.set_int_custom_property("current_model_id", model.id)
    artifact.set_int_custom_property("blessed", blessed)
    return artifact


def resolve(store, fingerprint, models, blessings):
    examples = standard_artifacts.Examples()
    examples.set_string_custom_property("dataset_fingerprint", fingerprint)
    chosen = warm_start.LatestModelOfOtherDataStrategy().resolve_artifacts(
        store, {"examples": [examples], "model": models, "model_blessing": blessings}
    )
    return [model.id for model in chosen["model"]]


def test_the_first_training_has_nothing_to_begin_with(store):
    assert resolve(store, "a", [], []) == []


def test_it_is_the_latest_blessed_model_of_other_data(store):
    models = [trained_on(store, data) for data in "abcd"]
    blessings = [blessing(models[0]), blessing(models[1]), blessing(models[2], 0)]
    assert resolve(store, "e", models, blessings) == [models[1].id]
    assert resolve(store, "b", models, blessings) == [models[0].id]


def test_models_of_the_same_data_and_of_unknown_data_are_none(store):
    same = trained_on(store, "a")
    unknown = standard_artifacts.Model()
    unknown.id = store.put_artifacts(
        [mlmd.Artifact(type_id=store.get_artifact_type("Model").id)]
    ).pop()
    assert resolve(store, "a", [same, unknown], [blessing(same), blessing(unknown)]) == []


def unet(num_classes=2, filters=(8, 8, 8, 8)):
    return build_unet(num_classes, (32, 32), SCRATCH, DecoderConfig(filters=filters))


def test_weights_are_taken_over(tmp_path):
    folder = str(tmp_path / "Format-Serving")
    before, after = unet(), unet()
    warm_start.save_weights(before, folder)
    assert os.listdir(tmp_path)  # beside the SavedModel: it is not pushed
    assert warm_start.load_weights(after, folder) == ""
    for left, right in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("other", [{"num_classes": 3}, {"filters": (8, 8, 8, 16)}], ids=str)
def test_a_model_of_other_layers_stays_as_it_was(tmp_path, other):
    warm_start.save_weights(unet(), str(tmp_path / "Format-Serving"))
    model = unet(**other)
    before = model.get_weights()
    assert "layers" in warm_start.load_weights(model, str(tmp_path / "Format-Serving"))
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_model_without_weights_to_begin_with(tmp_path):
    assert "no weights" in warm_start.load_weights(unet(), str(tmp_path / "Format-Serving"))
