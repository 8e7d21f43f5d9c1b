"""The Beam pipeline, run for real on small datasets."""

import glob
import json
import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts

from components import schema
from components.errors import UserError
from components.example_gen import dataset, executor
from components.example_gen.config import DatasetConfig, FeaturesConfig, SplitsConfig
from pipeline.terminal import user_message

COUNT = 23


def pictures(encode_picture, bad_value=None):
    rng = np.random.default_rng(0)
    pairs = []
    for index in range(COUNT):
        mask = rng.integers(1, 4, (12, 16)).astype(np.uint8)
        if index == 17 and bad_value:
            mask[3, 3] = bad_value
        image = rng.integers(0, 255, (12, 16, 3)).astype(np.uint8)
        pairs.append((encode_picture(image, "JPEG"), encode_picture(mask)))
    return pairs


@pytest.fixture(scope="module")
def config(make_dataset, encode_picture):
    return DatasetConfig(
        name="numbered",
        data_dir=make_dataset("numbered", pictures(encode_picture)),
        splits=SplitsConfig(train="train[:60%]", validation="train[60%:]", test="test"),
        features=FeaturesConfig(example_id="file_name", slice_by=("kind",)),
        examples_per_shard=4,
    )


def generate(config, classes, folder, beam_args=("--direct_num_workers=2",), driver=True):
    builder = dataset.open_dataset(config)
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=["--direct_running_mode=multi_threading", *beam_args],
        tmp_dir=str(folder),
        unique_id="1",
    )
    executor.Executor(context).Do(
        {},
        {"examples": [artifact]},
        {
            "dataset": config.model_dump_json(),
            "classes": classes.model_dump_json(),
            **({"identity": dataset.identify(builder, config).to_json()} if driver else {}),
        },
    )
    return artifact


def read(folder, split):
    files = sorted(glob.glob(f"{folder}/Split-{split}/*.gz"))
    records = tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
    return [tf.train.Example.FromString(record).features.feature for record in records]


def test_every_example_arrives_in_order_with_its_bytes(config, pet_classes, tmp_path):
    artifact = generate(config, pet_classes, tmp_path)
    assert json.loads(artifact.split_names) == list(schema.SPLITS)
    builder = dataset.open_dataset(config)
    skip = {name: tfds.decode.SkipDecoding() for name in ("image", "segmentation_mask")}
    for split in schema.SPLITS:
        expression = getattr(config.splits, split)
        expected = list(builder.as_dataset(expression, decoders=skip).as_numpy_iterator())
        found = read(tmp_path, split)
        assert len(found) == len(expected) == builder.info.splits[expression].num_examples
        for features, element in zip(found, expected, strict=True):
            assert features[schema.IMAGE].bytes_list.value[0] == element["image"]
            assert features[schema.MASK].bytes_list.value[0] == element["segmentation_mask"]
            assert features[schema.EXAMPLE_ID].bytes_list.value[0] == element["file_name"]


def test_where_no_driver_runs_the_executor_tells_what_the_data_is(config, pet_classes, tmp_path):
    """As on Vertex AI."""
    artifact = generate(config, pet_classes, tmp_path, driver=False)
    identity = dataset.identify(dataset.open_dataset(config), config)
    assert artifact.get_string_custom_property("dataset_fingerprint") == identity.fingerprint
    assert artifact.get_int_custom_property("train_examples") == len(read(tmp_path, "train"))


def test_the_same_bytes_on_every_run(config, pet_classes, tmp_path):
    for name, workers in (("first", 1), ("second", 3)):
        (tmp_path / name).mkdir()
        generate(config, pet_classes, tmp_path / name, (f"--direct_num_workers={workers}",))

    def contents(name):
        root = tmp_path / name
        return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*.gz")}

    assert contents("first") == contents("second")
    assert len(contents("first")) > len(schema.SPLITS)


def test_a_bad_example_is_named_through_beam(make_dataset, encode_picture, pet_classes, tmp_path):
    data_dir = make_dataset("with_a_nine", pictures(encode_picture, bad_value=9))
    config = DatasetConfig(
        name="with_a_nine",
        data_dir=data_dir,
        features=FeaturesConfig(example_id="file_name"),
    )
    with pytest.raises(Exception) as error:  # Beam decides about the class
        generate(config, pet_classes, tmp_path)
    message = user_message(error.value)
    assert message is not None and "\n" not in message
    assert "mask has the value 9 (1 pixels)" in message and "picture_" in message


def test_a_lost_record_fails_the_step(config, pet_classes, tmp_path, monkeypatch):
    class LosesTheFirst(tf.io.TFRecordWriter):
        lost = False

        def write(self, record):
            if self.lost:
                super().write(record)
            self.lost = True

    monkeypatch.setattr(executor.tf.io, "TFRecordWriter", LosesTheFirst)
    with pytest.raises(Exception, match="were written, .* can be read back"):
        generate(config, pet_classes, tmp_path)


def test_a_lost_file_fails_the_step(config, pet_classes, tmp_path, monkeypatch):
    def skip_the_third(self, shard):
        if shard.index != 2:
            yield from process(self, shard)

    process = executor.WriteShard.process
    monkeypatch.setattr(executor.WriteShard, "process", skip_the_third)
    with pytest.raises(RuntimeError, match="files were not written"):
        generate(config, pet_classes, tmp_path)


def test_no_half_written_file_is_left(config, pet_classes, tmp_path):
    generate(config, pet_classes, tmp_path)
    assert not [f for f in os.listdir(tmp_path) if f.endswith(".partial")]


def test_a_user_error_survives_beam_pickling():
    import pickle

    assert str(pickle.loads(pickle.dumps(UserError("what and how")))) == "what and how"
