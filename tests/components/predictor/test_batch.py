"""`segline predict --beam`, as it is called: of files and of splits."""

import csv
import glob
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tifffile
import yaml
from geotiffs import write_raster
from lossy_engine import losing
from PIL import Image
from predict_calls import PICTURE_SIZES, bright, call, expected_mask

from components.common.model_digest import digest_of
from components.common.served_model import find_model

pytestmark = pytest.mark.slow


def parquet_rows(folder):
    rows = []
    for file in glob.glob(f"{folder}/predictions-*.parquet"):
        rows += pq.read_table(file).to_pylist()
    return rows


@pytest.mark.parametrize(
    "beam_args",
    [
        "--direct_num_workers=1",
        "--direct_running_mode=multi_threading --direct_num_workers=2",
        "--direct_running_mode=multi_processing --direct_num_workers=2",
    ],
)
def test_beam_gives_the_same_masks_and_loses_nothing(
    folder, serving_folder, tmp_path, capsys, beam_args
):
    arguments = ["predict", "--beam", "--model", serving_folder, folder, "--out", tmp_path]
    assert call(*arguments, "--beam-args", *beam_args.split()) == 1
    shown = capsys.readouterr().out
    assert "5 of 7 predicted" in shown and f"✗ {folder}/text.png: it is no picture\n" in shown
    rows = {row["picture"]: row for row in parquet_rows(tmp_path)}
    assert len(rows) == len(parquet_rows(tmp_path)) == 7
    for file in glob.glob(f"{tmp_path}/predictions-*.parquet"):
        told = pq.read_schema(file).metadata
        assert told[b"segline.model"] == digest_of(find_model(str(serving_folder))).encode()
        assert told[b"segline.flip"] == b"false"
    for path, row in rows.items():
        if path.endswith(("text.png", "half.jpg")):
            assert row["error"] and row["mask_png"] is None
            continue
        mask = np.asarray(Image.open(io.BytesIO(row["mask_png"])))
        np.testing.assert_array_equal(mask, expected_mask(path))
        assert (row["height"], row["width"]) == mask.shape
        assert row["share_light"] == pytest.approx(mask.mean(), abs=1e-6)
        assert row["error"] is None


def test_beam_predicts_a_file_once_however_often_it_is_named(
    folder, serving_folder, tmp_path, monkeypatch
):
    """A picture and a raster, in a folder and by themselves; as a path from here, too."""
    shutil.copytree(folder / "below", tmp_path / "scenes")
    write_raster(tmp_path / "scenes/scene.tif", bright((20, 20), (2, 5, 3, 9)))
    monkeypatch.chdir(tmp_path)
    named = ["scenes/", tmp_path / "scenes/3.png", "scenes/scene.tif", tmp_path / "scenes/*.tif"]
    given = ["predict", "--beam", "--model", serving_folder, *named, "--out", "out"]
    assert call(*given, "--beam-args", "--direct_num_workers=1") == 0
    found = [Path(row["picture"]).resolve() for row in parquet_rows("out")]
    assert sorted(found) == [tmp_path / "scenes/3.png", tmp_path / "scenes/scene.tif"]


@pytest.mark.parametrize("kind", ["parquet", "tfrecord"])
def test_beam_tells_what_was_decided_as_the_others_do(serving_folder, tmp_path, capsys, kind):
    """Of 16 bits nothing says which values are black and white; of two pages one is taken."""
    rng = np.random.default_rng(0)
    for number in range(7):
        pages = rng.integers(0, 3000, (1 + number % 2, 9, 12)).astype(np.uint16)
        tifffile.imwrite(tmp_path / f"deep{number}.tif", pages)
    Image.fromarray(np.full((9, 12, 3), 200, np.uint8)).save(tmp_path / "plain.png")
    assert call("predict", "--model", serving_folder, tmp_path, "--out", tmp_path / "alone") == 0
    with open(tmp_path / "alone/predictions.csv", newline="") as file:
        expected = {row["picture"]: row["notes"] for row in csv.DictReader(file)}
    assert sum(map(bool, expected.values())) == 7
    capsys.readouterr()
    out = tmp_path / "beam"
    pictures = [tmp_path / Path(name).name for name in expected]
    given = ["predict", "--beam", "--model", serving_folder, *pictures, "--out", out]
    assert call(*given, "--format", kind) == 0
    if kind == "parquet":
        found = {row["picture"]: row["notes"] or "" for row in parquet_rows(out)}
        assert found == expected
    shown = capsys.readouterr().out
    told = [line for line in shown.splitlines() if line.startswith("! ")]
    assert told[-1] == "! … and 2 more, whose rows have `notes`" and len(told) == 6
    for line in told[:-1]:
        name, notes = line.removeprefix("! ").split(": ", 1)
        assert notes == expected[name]
    assert "8 of 8 predicted" in shown


@pytest.mark.parametrize("which", range(2))
def test_an_engine_that_loses_pictures_and_says_nothing(
    folder, serving_folder, tmp_path, capsys, which
):
    arguments = ["predict", "--beam", "--model", serving_folder, folder, "--out", tmp_path]
    with losing(which):
        status = call(*arguments, "--beam-args", "--direct_num_workers=1")
    rows = len(parquet_rows(tmp_path))
    told = f"{rows} rows are in {tmp_path}/predictions-*, there are 7: the Beam engine has lost"
    assert status == 1 and rows < 7 and told in capsys.readouterr().err


def test_what_only_tensorflow_refuses_costs_the_others_nothing(folder, model):
    good = (folder / "0.png").read_bytes()
    first, second, third = model.predict_each([good, b"no picture", good])
    assert second.startswith("the model refuses it: InvalidArgumentError: ")
    assert "no JPEG, PNG or GIF that can be decoded at position 0" in second
    for found in (first, third):
        np.testing.assert_array_equal(found.mask, expected_mask(folder / "0.png"))


def test_beam_does_not_mix_two_runs(folder, serving_folder, tmp_path, capsys):
    arguments = ["predict", "--beam", "--model", serving_folder, folder / "below"]
    assert call(*arguments, "--out", tmp_path) == 0
    assert call(*arguments, "--out", tmp_path) == 1
    assert "holds predictions already" in capsys.readouterr().err


def test_beam_and_a_split_of_a_dataset(serving_folder, make_dataset, tmp_path, monkeypatch, capsys):
    """Examples by their ids, into TFRecords."""
    contents = {}
    rng = np.random.default_rng(0)
    for number in range(7):
        buffer = io.BytesIO()
        pixels = rng.integers(0, 255, (9, 11 + number, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG")
        contents[f"picture_{number}"] = buffer.getvalue()
    mask = io.BytesIO()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(mask, "PNG")
    pairs = [(content, mask.getvalue()) for content in contents.values()]
    config = {
        "name": "batch",
        "dataset": {
            "name": "for_prediction",
            "data_dir": make_dataset("for_prediction", pairs),
            "splits": {"train": "train", "validation": "train", "test": "test[2:]"},
            "features": {"example_id": "file_name"},
        },
        "classes": {"values": {"dark": 0, "light": 1}},
    }
    (tmp_path / "batch.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("SEGLINE_CONFIG", str(tmp_path / "batch.yaml"))
    arguments = ["predict", "--beam", "--model", serving_folder, "--format", "tfrecord"]
    assert call(*arguments, "--split", "test", "--out", tmp_path / "out") == 0
    files = glob.glob(f"{tmp_path}/out/predictions-*.tfrecord.gz")
    found = {}
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        png = feature["mask_png"].bytes_list.value[0]
        found[feature["picture"].bytes_list.value[0].decode()] = np.asarray(
            Image.open(io.BytesIO(png))
        )
        assert "error" not in feature
        assert feature["width"].int64_list.value[0] >= 11
    assert len(found) == 5 and set(found) < set(contents)
    for name, mask in found.items():
        np.testing.assert_array_equal(mask, expected_mask(io.BytesIO(contents[name])))

    assert call(*arguments, "--split", "tset", "--out", tmp_path / "other") == 1
    assert "--split: 'tset' does not fit for_prediction" in capsys.readouterr().err


def test_beam_and_a_split_of_a_folder(folder, serving_folder, tmp_path, monkeypatch, capsys):
    """Pictures by their names; of those that can't be predicted the first are named."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for number in range(30):
        name = f"{number:02}.png"
        size = PICTURE_SIZES[number % len(PICTURE_SIZES)]
        content = (folder / "0.png").read_bytes() if number % 3 else b"no picture"
        (images / name).write_bytes(content)
        Image.fromarray(np.zeros(size, np.uint8)).save(masks / name)
    config = {
        "name": "folder",
        "dataset": {
            "data_dir": str(tmp_path / "tfds"),
            "name": "image_folder",
            "folder": {"images": str(images), "masks": str(masks)},
        },
        "classes": {"values": {"dark": 0, "light": 1}},
    }
    (tmp_path / "folder.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("SEGLINE_CONFIG", str(tmp_path / "folder.yaml"))
    arguments = ["predict", "--beam", "--model", serving_folder, "--split", "train"]
    for form in ("parquet", "tfrecord"):
        out = tmp_path / form
        assert call(*arguments, "--format", form, "--out", out) == 1
        shown = capsys.readouterr().out.splitlines()
        first = next(at for at, line in enumerate(shown) if line.startswith("✗"))
        *errors, last, predicted, _ = shown[first:]  # before them TFDS prepares the dataset
        good, rows = map(int, re.match(r"(\d+) of (\d+) predicted", predicted).groups())
        assert len(errors) == 5 and all(re.match(r"✗ \d\d\.png: .", one) for one in errors)
        assert last == f"✗ … and {rows - good - 5} more, whose rows have an `error`"
    found = {row["picture"]: row for row in parquet_rows(tmp_path / "parquet")}
    assert len(found) == rows > 15 and set(found) <= {path.name for path in images.iterdir()}
    for name, row in found.items():
        assert bool(row["error"]) == (int(name[:2]) % 3 == 0)
        if not row["error"]:
            mask = np.asarray(Image.open(io.BytesIO(row["mask_png"])))
            np.testing.assert_array_equal(mask, expected_mask(images / name))
