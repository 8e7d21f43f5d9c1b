import shutil
import types

import numpy as np
import pytest
import tensorflow_datasets as tfds

from components.common.errors import UserError
from components.example_gen import dataset, leave_out
from components.example_gen.config import DatasetConfig, FeaturesConfig, SplitsConfig


@pytest.fixture(scope="module")
def config(make_dataset, encode_picture):
    picture = encode_picture(np.zeros((40, 50, 3), np.uint8))
    mask = encode_picture(np.ones((40, 50), np.uint8))
    data_dir = make_dataset("ten_pictures", [(picture, mask)] * 10)
    splits = SplitsConfig(train="train[:70%]", validation="train[70%:]", test="test")
    return DatasetConfig(name="ten_pictures", data_dir=data_dir, splits=splits)


def changed(config, **values):
    return config.model_copy(update=values)


def test_identity_counts_the_splits(config):
    identity = dataset.identify(dataset.open_dataset(config), config)
    assert (identity.name, identity.version) == ("ten_pictures", "1.0.0")
    assert identity.splits == {"train": 7, "validation": 3, "test": 10}
    assert dataset.DatasetIdentity.from_json(identity.to_json()) == identity


def test_fingerprint_is_of_the_data_and_not_of_its_place(config, tmp_path):
    here = dataset.identify(dataset.open_dataset(config), config)
    shutil.copytree(config.data_dir, tmp_path / "elsewhere")
    moved = changed(config, data_dir=str(tmp_path / "elsewhere"))
    there = dataset.identify(dataset.open_dataset(moved), moved)
    assert there.fingerprint == here.fingerprint and there.data_path != here.data_path


def test_fingerprint_sees_other_content(config, make_dataset, encode_picture):
    here = dataset.identify(dataset.open_dataset(config), config)
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    mask = encode_picture(np.ones((40, 50), np.uint8))
    other = make_dataset("ten_pictures", [(encode_picture(noise), mask)] * 10)
    moved = changed(config, data_dir=other)
    there = dataset.identify(dataset.open_dataset(moved), moved)
    assert there.splits == here.splits and there.fingerprint != here.fingerprint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "oxford_iit_pet"}, "no dataset 'oxford_iit_pet'.*Did you mean oxford_iiit_pet"),
        ({"version": "9.*.*"}, r"dataset.version: 9\.\*\.\* can't be had.*1\.0\.0"),
    ],
)
def test_unknown_dataset_or_version(config, values, message):
    with pytest.raises(UserError, match=message):
        dataset.open_dataset(changed(config, **values))


def test_a_dataset_that_is_not_prepared_and_may_not_be_downloaded(config):
    unprepared = changed(config, name="synthetic_pets", download=False)
    with pytest.raises(UserError, match="not prepared in .* dataset.download is false"):
        dataset.open_dataset(unprepared)


def test_a_download_that_fails_says_what_to_do(config, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise tfds.download.DownloadError("no route to host")

    error = type("DownloadError", (Exception,), {})
    monkeypatch.setattr(tfds.download, "DownloadError", error, raising=False)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    with pytest.raises(UserError, match="could not be prepared.*SEGLINE__DATASET__DATA_DIR"):
        dataset.open_dataset(changed(config, name="synthetic_pets"))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("valid", "'valid' does not fit .* splits train .10., test .10."),
        ("train[", "does not fit"),
        ("train[:0]", "selects no examples"),
    ],
)
def test_wrong_splits(config, expression, message):
    splits = config.splits.model_copy(update={"validation": expression})
    wrong = changed(config, splits=splits)
    with pytest.raises(UserError, match=f"dataset.splits.validation: .*{message}"):
        dataset.identify(dataset.open_dataset(wrong), wrong)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"image": "picture"}, "features.image: .* no feature 'picture'; it has file_name, image"),
        ({"mask": "file_name"}, "features.mask: 'file_name' is a Text; an Image"),
        ({"example_id": "id"}, "features.example_id: .*'id'"),
        ({"slice_by": ("image_size",)}, "slice_by image_size"),
        ({"slice_by": ("segmentation_mask",)}, "slice_by: 'segmentation_mask' is a Image"),
    ],
)
def test_features_that_are_missing_or_unfit(config, features, message):
    wrong = changed(config, features=FeaturesConfig(**features))
    with pytest.raises(UserError, match=message):
        dataset.check_features(dataset.open_dataset(wrong), wrong)


@pytest.mark.parametrize(("dtype", "bands"), [(np.uint16, 3), (np.float32, 1)])
def test_deep_pictures_are_refused(config, dtype, bands):
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, bands), dtype=dtype),
            "segmentation_mask": tfds.features.Image(shape=(None, None, 1), dtype=np.uint16),
        }
    )
    builder = types.SimpleNamespace(
        info=types.SimpleNamespace(features=features, full_name="deep/1.0.0")
    )
    kind = np.dtype(dtype)
    with pytest.raises(
        UserError, match=f"features.image: 'image' has values of {kind}.*(bands|8 )"
    ):
        dataset.check_features(builder, config)


def test_right_features_pass(config):
    right = changed(config, features=FeaturesConfig(example_id="file_name", slice_by=("kind",)))
    dataset.check_features(dataset.open_dataset(right), right)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("gone.txt", None, "there is no file .*gone.txt"),
        ("empty.txt", "\n \n", "empty.txt names no example; leave the key out"),
        ("other.csv", "name,score\na,1\n", "other.csv has no column example_id"),
        ("none.csv", "example_id,leave_out\na,no\n", "none.csv names no example"),
        ("bytes.txt", b"\xff\xfa\x80", "bytes.txt is no text in UTF-8"),
        ("x.csv", "leave_out,example_id\nno,a\nx,b\n", "b has 'x' in column leave_out; write yes"),
        ("short.csv", "leave_out,example_id\nno,a\nyes\n", "row 2 below .* has no example_id"),
    ],
)
def test_lists_of_what_to_leave_out_that_cant_be_used(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=f"dataset.leave_out: .*{message}"):
        leave_out.read_leave_out(str(path))


@pytest.mark.parametrize(
    "name, content",
    [
        ("plain.txt", "# by hand\n#\na\n\n  b \n#\tc\n"),
        ("plain.csv", "example_id\na\nb\n"),
        ("heads.csv", "Leave_Out , Example_ID\nYES,a\ntrue,b\nno,c\n"),
        ("german.csv", "\ufeffleave_out;example_id;score\r\nyes;a;0,5\r\nyes;b;0,6\r\n;c;0,7\r\n"),
        ("short.csv", "example_id,leave_out\na,y\nb,1\nc\n"),
        ("tabs.tsv", "# note\nexample_id\tleave_out\na\tyes\nb\tyes\n#c\tyes\n"),
    ],
)
def test_lists_of_what_to_leave_out_as_people_and_spreadsheets_write_them(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content.encode())
    assert leave_out.read_leave_out(str(path)) == {"a", "b"}


def test_a_list_of_other_data_stops_the_run():
    assert leave_out.unknown({"a", "b"}, ["a"]) == ["b"]
    with pytest.raises(UserError, match="no split has any of its 2 examples, such as a, b"):
        leave_out.unknown({"a", "b"}, [])


def test_what_may_be_a_comment_is_not_told_as_unknown(tmp_path):
    """An id may begin with #; a line that somebody has taken out, too."""
    path = tmp_path / "list.txt"
    path.write_text("#3.jpg\n#4.jpg\n5.jpg\n")
    assert leave_out.unknown(leave_out.read_leave_out(str(path)), ["#3.jpg", "5.jpg"]) == []


def test_fingerprint_is_of_what_is_left_out_and_not_of_the_lists_form(config, tmp_path):
    whole = dataset.identify(dataset.open_dataset(config), config).fingerprint

    def fingerprint(name, content):
        (tmp_path / name).write_text(content)
        listed = config.model_copy(update={"leave_out": str(tmp_path / name)})
        return dataset.identify(dataset.open_dataset(listed), listed).fingerprint

    one = fingerprint("list.txt", "a\nb\n")
    assert one != whole
    assert fingerprint("list.csv", "example_id\nb\na\n") == one
    assert fingerprint("list.txt", "a\n") not in (one, whole)
