"""The Beam pipeline, run for real on small datasets."""

import glob
import io
import json
import os
import re
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from example_generation import generate
from PIL import Image

from components.common import schema
from components.common.errors import UserError
from components.datasets import synthetic_pets
from components.example_gen import dataset, leaks, quarantine, shards
from components.example_gen.config import (
    BadExamplesConfig,
    DatasetConfig,
    FeaturesConfig,
    LeaksConfig,
    SplitsConfig,
)
from pipeline.config.beam import BeamStepConfig

pytestmark = pytest.mark.slow

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
        leaks=LeaksConfig(max_fraction=None),  # its splits share pictures
        name="numbered",
        data_dir=make_dataset("numbered", pictures(encode_picture)),
        splits=SplitsConfig(train="train[:60%]", validation="train[60%:]", test="test"),
        features=FeaturesConfig(example_id="file_name", slice_by=("kind",)),
        examples_per_shard=4,
    )


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


def test_the_files_are_hardly_larger_than_the_datasets(
    config, make_dataset, encode_picture, pet_classes, tmp_path
):
    """The goal in docs/benchmarks.md is 1.2 times."""
    drawn = [synthetic_pets.draw_pet(seed) for seed in range(COUNT)]
    pairs = [(encode_picture(image, "JPEG"), encode_picture(mask)) for image, mask, *_ in drawn]
    changed = {"name": "drawn", "data_dir": make_dataset("drawn", pairs), "examples_per_shard": 10}
    config = config.model_copy(update=changed)
    generate(config, pet_classes, tmp_path)
    theirs = dataset.open_dataset(config).info.splits["test"].filepaths
    ours = glob.glob(f"{tmp_path}/Split-test/*")
    assert sum(map(os.path.getsize, ours)) < 1.2 * sum(map(os.path.getsize, theirs))


def test_pictures_that_are_in_training_too_are_told(config, pet_classes, tmp_path):
    """The dataset's test split has the pictures of its train split."""
    artifact = generate(config, pet_classes, tmp_path)
    ids = {
        split: {
            one[schema.EXAMPLE_ID].bytes_list.value[0].decode() for one in read(tmp_path, split)
        }
        for split in schema.SPLITS
    }
    found = leaks.read_leaks(str(tmp_path))
    assert {(one.split, one.example_id) for one in found} == {
        ("test", name) for name in ids["test"] & ids["train"]
    }
    assert all(one.train_id == one.example_id and one.distance == 0 for one in found)
    assert artifact.get_int_custom_property("test_in_train") == len(found) > 0
    assert artifact.get_int_custom_property("validation_in_train") == 0


def test_where_no_driver_runs_the_executor_tells_what_the_data_is(config, pet_classes, tmp_path):
    """As on Vertex AI."""
    artifact = generate(config, pet_classes, tmp_path, driver=False)
    identity = dataset.identify(dataset.open_dataset(config), config)
    assert artifact.get_string_custom_property("dataset_fingerprint") == identity.fingerprint
    assert artifact.get_int_custom_property("train_examples") == len(read(tmp_path, "train"))


def test_the_same_bytes_on_every_run(config, pet_classes, tmp_path):
    """However the files were grouped into units of work."""
    for name, workers in (("first", 1), ("second", 3)):
        (tmp_path / name).mkdir()
        args = ("--direct_running_mode=multi_threading", f"--direct_num_workers={workers}")
        args = BeamStepConfig(args=args).pipeline_args()
        generate(config, pet_classes, tmp_path / name, args)

    def contents(name):
        root = tmp_path / name
        return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*.gz")}

    assert contents("first") == contents("second")
    assert len(contents("first")) > len(schema.SPLITS)


@pytest.fixture(scope="module")
def damaged(make_dataset, encode_picture):
    """Data in which four examples of 23 can't be used, and two have others' ids."""
    pairs = pictures(encode_picture, bad_value=9)  # number 17
    pairs[3] = (pairs[3][0][:60], pairs[3][1])
    pairs[4] = (pairs[4][0], encode_picture(np.ones((5, 5), np.uint8)))
    pairs[20] = (b"", pairs[20][1])
    names = [f"picture_{index}" for index in range(COUNT)]
    names[8] = names[9] = "picture_2"
    return make_dataset("damaged", pairs, names=names)


REASONS = {
    "picture_3": "its image can't be decoded: 60 bytes",
    "picture_4": "the mask is 5x5, the image 16x12",
    "picture_17": "the mask has the value 9 (1 pixels)",
    "picture_20": "its image can't be decoded: 0 bytes",
    "picture_2": "another example before it has the same id",
}


def config_of(data_dir, max_fraction, **bad_examples):
    return DatasetConfig(
        leaks=LeaksConfig(max_fraction=None),  # its splits share pictures
        name="damaged",
        data_dir=data_dir,
        splits=SplitsConfig(train="train", validation="test[:50%]", test="test"),
        features=FeaturesConfig(example_id="file_name"),
        bad_examples=BadExamplesConfig(max_fraction=max_fraction, **bad_examples),
        examples_per_shard=4,
    )


def test_what_can_not_be_used_is_set_aside_and_nothing_is_lost(damaged, pet_classes, tmp_path):
    artifact = generate(config_of(damaged, 0.5), pet_classes, tmp_path)
    report = quarantine.read_report(str(tmp_path))
    for split in schema.SPLITS:
        good = [example[schema.EXAMPLE_ID].bytes_list.value[0] for example in read(tmp_path, split)]
        assert len(set(good)) == len(good)
        assert artifact.get_int_custom_property(f"{split}_examples") == len(good)
        assert artifact.get_int_custom_property(f"{split}_set_aside") == len(report[split])
    told = sorted((one.example_id, one.reason) for one in report["train"])
    assert [name for name, _ in told].count("picture_2") == 2
    assert {name for name, _ in told} == set(REASONS)
    for name, reason in told:
        assert reason.startswith(REASONS[name])
    records = [
        tf.train.Example.FromString(record).features.feature
        for record in tf.data.TFRecordDataset(
            glob.glob(f"{tmp_path}/quarantine/train-*.gz"), "GZIP"
        ).as_numpy_iterator()
    ]
    kept = [
        tuple(one[key].bytes_list.value[0].decode() for key in ("example_id", "reason"))
        for one in records
    ]
    assert sorted(kept) == told
    assert len(told) + len(read(tmp_path, "train")) == COUNT
    seen = [
        np.asarray(Image.open(io.BytesIO(one[schema.MASK].bytes_list.value[0])))
        for one in read(tmp_path, "train")
    ]
    assert quarantine.read_pixels(str(tmp_path))["train"] == {
        name: sum(int((mask == value).sum()) for mask in seen)
        for name, value in pet_classes.values.items()
    }
    originals = {
        (element["image"], element["segmentation_mask"])
        for element in dataset.open_dataset(config_of(damaged, 0.5))
        .as_dataset(
            "train",
            decoders=dict.fromkeys(("image", "segmentation_mask"), tfds.decode.SkipDecoding()),
        )
        .as_numpy_iterator()
    }
    for one in records:
        parts = tuple(one[key].bytes_list.value[0] for key in (schema.IMAGE, schema.MASK))
        assert parts in originals
    files = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert not [name for name in files if "attempt" in name or "partial" in name]


def test_too_much_that_can_not_be_used_stops_the_run(damaged, pet_classes, tmp_path):
    with pytest.raises(UserError) as error:
        generate(config_of(damaged, 0.1), pet_classes, tmp_path)
    told = str(error.value)
    by_split = re.split(r"\n(?=\d)", told)  # all at once: no split comes in the next attempt
    assert [re.search(r"split (\w+) can't", one)[1] for one in by_split] == list(schema.SPLITS)
    first, *lines = by_split[0].splitlines()
    assert first.startswith("6 of the 23 examples of split train can't be used (26.1%; dataset.")
    assert "max_fraction allows 10.0%" in first
    assert len(lines) == 6
    assert "  picture_17: the mask has the value 9 (1 pixels)" in "\n".join(lines)


def test_a_long_list_is_cut(make_dataset, encode_picture, pet_classes, tmp_path):
    pairs = [(b"", mask) for _, mask in pictures(encode_picture)]
    config = config_of(make_dataset("damaged", pairs), 0.5)
    with pytest.raises(UserError) as error:
        generate(config, pet_classes, tmp_path)
    lines = str(error.value).splitlines()
    assert lines[21] == "  … and 3 more" and " of split validation " in lines[22]


def test_a_lost_record_fails_the_step(config, pet_classes, tmp_path, monkeypatch):
    class LosesTheFirst(tf.io.TFRecordWriter):
        lost = False

        def write(self, record):
            if self.lost:
                super().write(record)
            self.lost = True

    monkeypatch.setattr(shards.tf.io, "TFRecordWriter", LosesTheFirst)
    with pytest.raises(Exception, match="were written, .* can be read back"):
        generate(config, pet_classes, tmp_path)


def test_a_lost_file_fails_the_step(config, pet_classes, tmp_path, monkeypatch):
    def skip_the_third(self, unit):
        yield from process(self, [shard for shard in unit if shard.index != 2] or unit[:1])

    process = shards.WriteShards.process
    monkeypatch.setattr(shards.WriteShards, "process", skip_the_third)
    with pytest.raises(RuntimeError, match="files were not written"):
        generate(config, pet_classes, tmp_path)


def test_a_user_error_survives_beam_pickling():
    import pickle

    assert str(pickle.loads(pickle.dumps(UserError("what and how")))) == "what and how"


def test_ids_that_are_paths_write_nothing_outside_the_artifact(
    make_dataset, encode_picture, pet_classes, tmp_path
):
    names = [f"../../../evil_{index}" for index in range(COUNT - 2)]
    names += ["/tmp/segline_evil", "<script>alert(1)</script>"]
    config = DatasetConfig(
        leaks=LeaksConfig(max_fraction=None),  # its splits share pictures
        name="paths",
        data_dir=make_dataset("paths", pictures(encode_picture, bad_value=9), names=names),
        splits=SplitsConfig(train="train[:60%]", validation="train[60%:]", test="test"),
        features=FeaturesConfig(example_id="file_name"),
        bad_examples=BadExamplesConfig(max_fraction=0.5),
    )
    folder = tmp_path / "artifact" / "1"
    folder.mkdir(parents=True)
    generate(config, pet_classes, folder)
    (bad,) = quarantine.read_report(str(folder))["test"]
    assert bad.example_id == names[17]
    outside = [
        path for path in tmp_path.rglob("*") if path.is_file() and folder not in path.parents
    ]
    assert not outside and not os.path.exists("/tmp/segline_evil")
    allowed = {"Split-train", "Split-validation", "Split-test", "quarantine"}
    allowed |= {"leaks.json", "alike.json"}
    assert {path.name for path in folder.iterdir()} <= allowed


def test_pictures_that_are_trained_on_twice_are_kept_as_a_group(
    make_dataset, encode_picture, config, pet_classes, tmp_path
):
    drawn = [synthetic_pets.draw_pet(seed) for seed in (0, 1, 1, 1, 1, 2)]
    pairs = [(encode_picture(image, "JPEG"), encode_picture(mask)) for image, mask, *_ in drawn]
    changed = {"name": "doubles", "data_dir": make_dataset("doubles", pairs)}
    generate(config.model_copy(update=changed), pet_classes, tmp_path)
    pictures = {}
    for one in read(tmp_path, "train"):
        name = one[schema.EXAMPLE_ID].bytes_list.value[0].decode()
        pictures.setdefault(one[schema.IMAGE].bytes_list.value[0], []).append(name)
    expected = [sorted(names) for names in pictures.values() if len(names) > 1]
    assert len(expected) == 1
    assert [sorted(names) for names in leaks.read_alike(str(tmp_path))] == expected


def ids_of(folder, split):
    return [one[schema.EXAMPLE_ID].bytes_list.value[0].decode() for one in read(folder, split)]


def test_what_a_list_names_is_left_out_and_counted(config, pet_classes, tmp_path, caplog):
    skip = {name: tfds.decode.SkipDecoding() for name in ("image", "segmentation_mask")}
    elements = dataset.open_dataset(config).as_dataset(config.splits.train, decoders=skip)
    names = [one["file_name"].decode() for one in elements.as_numpy_iterator()]
    table = tmp_path / "labels.csv"
    marks = {names[0]: "yes", names[5]: "yes", names[6]: "no", "nobody": "yes"}
    lines = [f"{mark},{name},train,0.1" for name, mark in marks.items()]
    table.write_text("\n".join(["leave_out,example_id,split,score", *lines]))
    listed = config.model_copy(update={"leave_out": str(table)})
    artifact = generate(listed, pet_classes, tmp_path)
    wanted = [name for name in names if name not in (names[0], names[5])]
    assert ids_of(tmp_path, "train") == wanted
    assert artifact.get_int_custom_property("train_left_out") == 2
    assert artifact.get_int_custom_property("train_set_aside") == 0
    assert quarantine.read_left_out(artifact.uri)["train"] == [names[0], names[5]]
    assert "names 1 examples that no split has, such as: nobody" in caplog.text


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_left_out_however_they_are_composed(
    config, make_dataset, encode_picture, pet_classes, tmp_path, form
):
    """A Mac writes ü as two characters, in the names of files or in the list."""
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    names = [f"#{index} tür" if index % 2 else f"{index} tür" for index in range(COUNT)]
    names = [unicodedata.normalize(form, name) for name in names]
    made = make_dataset("composed", pictures(encode_picture), names=names)
    changed = config.model_copy(update={"name": "composed", "data_dir": made})
    listed = tmp_path / "list.txt"
    listed.write_text(unicodedata.normalize(other, "2 tür\n#7 tür\n"), encoding="utf-8")
    generate(changed.model_copy(update={"leave_out": str(listed)}), pet_classes, tmp_path)
    assert sorted(ids_of(tmp_path, "test")) == sorted(set(names) - {names[2], names[7]})
