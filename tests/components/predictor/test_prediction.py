"""`segline predict`, in front of the screen and with Beam, as it is called."""

import contextlib
import csv
import glob
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pyproj
import pytest
import shapely
import tensorflow as tf
import tifffile
import yaml
from geotiffs import PLACE, write_raster
from lossy_engine import losing
from PIL import Image
from pycocotools.coco import COCO
from rasterio.features import rasterize
from shapely.geometry import shape

from components.common.model_digest import digest_of
from components.common.served_model import find_model
from pipeline import cli

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
SIZES = [(10, 14), (30, 20), (8, 8), (25, 40), (16, 9)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five noisy pictures (PNG: exact values), one in a folder below; two broken ones."""
    root = tmp_path_factory.mktemp("pictures")
    (root / "below").mkdir()
    for number, size in enumerate(SIZES):
        pixels = RNG.integers(0, 255, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / ("below" if number == 3 else "") / f"{number}.png")
    (root / "text.png").write_text("no picture")
    whole = io.BytesIO()
    Image.fromarray(RNG.integers(0, 255, (40, 40, 3)).astype(np.uint8)).save(whole, "JPEG")
    (root / "half.jpg").write_bytes(whole.getvalue()[:700])
    return root


def expected_mask(path):
    """What the model is known to do, with NumPy."""
    return (np.asarray(Image.open(path), np.float64).mean(axis=-1) > 127.5).astype(np.uint8)


def call(*arguments):
    """The exit status."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code
    return 0


def test_a_model_that_can_not_flip(folder, serving_folder, tmp_path, capsys):
    for beam in ([], ["--beam"]):
        status = call(
            *("predict", "--flip", *beam, "--model", serving_folder, folder, "--out", tmp_path)
        )
        assert status == 1
        assert "can't flip: leave --flip out, or train again" in capsys.readouterr().err


def test_objects_are_what_hangs_together(serving_folder, tmp_path, capsys):
    """Read by COCO's own reader; counted by NumPy."""
    pixels = np.zeros((2, 40, 60, 3), np.uint8)
    places = [[(2, 5, 3, 9), (20, 31, 40, 55)], [(10, 12, 10, 12), (12, 14, 12, 14)]]
    for picture, boxes in zip(pixels, places, strict=True):
        for top, bottom, left, right in boxes:
            picture[top:bottom, left:right] = 255
    pixels[0, 25, 45] = 0  # a hole
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    out = tmp_path / "out"
    files = [tmp_path / "0.png", tmp_path / "1.png"]
    given = ("predict", "--model", serving_folder, *files, "--out", out, "--objects")
    assert call(*given, "bird") == 1
    assert "has no class 'bird', only dark, light" in capsys.readouterr().err
    assert call(*given, "light") == 0
    assert "3 of light" in capsys.readouterr().out
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(out / "objects.json")
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == ["light"]
    places[1] = [(10, 14, 10, 14)]  # they touch at a corner
    for image, picture, boxes in zip(coco.loadImgs(coco.getImgIds()), pixels, places, strict=True):
        assert image["file_name"].endswith(".png") and image["width"] == 60
        found = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert [one["bbox"] for one in found] == [
            [left, top, right - left, bottom - top] for top, bottom, left, right in boxes
        ]
        masks = [coco.annToMask(one) for one in found]
        np.testing.assert_array_equal(sum(masks), picture[..., 0] // 255)
        assert [one["area"] for one in found] == [mask.sum() for mask in masks]
    assert call(*given, "light", "--beam") == 1
    assert "--objects does not go with --beam" in capsys.readouterr().err


def bright(shape, *boxes):
    """Dark, with bright boxes: top, bottom, left, right."""
    picture = np.zeros((*shape, 3), np.uint8)
    for top, bottom, left, right in boxes:
        picture[top:bottom, left:right] = 255
    return picture


def test_objects_as_geojson(serving_folder, tmp_path, capsys):
    """A picture in pixels, a raster in degrees (brought back by pyproj), of both the counts."""
    first = bright((40, 60), (2, 5, 3, 9), (20, 31, 40, 55), (31, 33, 55, 58))
    first[25, 45] = 0
    second = bright((30, 50), (0, 30, 10, 12), (5, 8, 30, 45))
    Image.fromarray(first).save(tmp_path / "first.png")
    write_raster(tmp_path / "second.tif", second)
    out = tmp_path / "out"
    files = [tmp_path / "first.png", tmp_path / "second.tif"]
    given = ["predict", "--model", serving_folder, *files, "--out", out]
    assert call(*given, "--objects-format", "geojson") == 1
    assert "say of which classes, too" in capsys.readouterr().err
    assert call(*given, "--objects", "light", "dark", "--objects-format", "geojson") == 0
    shown = capsys.readouterr().out
    assert f"objects in {out}/*_objects.geojson: 4 of dark, 4 of light" in shown
    assert not (out / "objects.json").exists()

    back = pyproj.Transformer.from_crs("OGC:CRS84", "EPSG:32632", always_xy=True)

    def pixels(points):
        x, y = back.transform(*points.T)
        return np.stack(~PLACE @ (x, y), axis=1)

    for name, picture in (("first", first), ("second", second)):
        found = json.loads((out / f"{name}_objects.geojson").read_text())["features"]
        shapes = [shape(one["geometry"]) for one in found]
        if name == "second":
            shapes = [shapely.transform(one, pixels) for one in shapes]
            assert {one["properties"]["area_square_metres"] for one in found} >= {15.0, 11.25}
        classes = [{"dark": 1, "light": 2}[one["properties"]["class"]] for one in found]
        again = rasterize(zip(shapes, classes, strict=True), picture.shape[:2])
        np.testing.assert_array_equal(again, 1 + picture[..., 0] // 255)
        assert sum(one["properties"]["area_pixels"] for one in found) == again.size

    assert call(*given, "--objects", "light") == 0  # COCO, but for the raster
    told = f"objects in {out}/objects.json and {out}/*_objects.geojson: 4 of light"
    assert told in capsys.readouterr().out
    coco = json.loads((out / "objects.json").read_text())
    assert [Path(image["file_name"]).name for image in coco["images"]] == ["first.png"]
    assert len(coco["annotations"]) == 2


def test_objects_of_a_raster_that_has_no_place_are_told_in_pixels(serving_folder, tmp_path, capsys):
    write_raster(tmp_path / "plan.tif", bright((20, 20), (2, 5, 3, 9)), crs=None)
    given = ["predict", "--model", serving_folder, tmp_path / "plan.tif", "--out", tmp_path]
    assert call(*given, "--objects", "light") == 0
    shown = capsys.readouterr().out
    assert "plan.tif: it has no coordinate system: its objects are in pixels" in shown
    (one,) = json.loads((tmp_path / "plan_objects.geojson").read_text())["features"]
    assert shape(one["geometry"]).bounds == (3, 2, 9, 5)
    assert one["properties"] == {"class": "light", "area_pixels": 18, "box": [3, 2, 6, 3]}


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_a_folder(folder, serving_folder, tmp_path, capsys, batch_size):
    out = tmp_path / "out"
    status = call(
        "predict", "--model", serving_folder, "--batch-size", batch_size, folder, "--out", out
    )
    assert status == 1  # two were broken
    shown = capsys.readouterr().out
    assert "5 of 7 predicted" in shown and "serving/10" in shown
    assert "✗" in shown and "text.png: it is no picture" in shown and "half.jpg: " in shown

    with open(out / "predictions.csv") as file:
        rows = {row["picture"]: row for row in csv.DictReader(file)}
    assert len(rows) == 7
    for number, size in enumerate(SIZES):
        path = folder / ("below" if number == 3 else "") / f"{number}.png"
        row, mask = rows[str(path)], expected_mask(path)
        image = Image.open(row["mask"])
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), mask)
        assert Image.open(row["overlay"]).size == (size[1], size[0])
        assert (int(row["width"]), int(row["height"])) == (size[1], size[0])
        assert float(row["share_light"]) == pytest.approx(mask.mean(), abs=1e-6)
        assert float(row["share_dark"]) == pytest.approx(1 - mask.mean(), abs=1e-6)
        assert row["error"] == ""
    assert rows[str(folder / "text.png")]["error"] == "it is no picture"
    assert (out / "below" / "3_mask.png").exists()


def test_good_pictures_only_give_status_0(folder, serving_folder, tmp_path):
    pictures = [folder / "0.png", folder / "below"]
    assert call("predict", "--model", serving_folder, *pictures, "--out", tmp_path) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png", "--out", "{}"], "there is no file or folder nowhere.png"),
        (["--out", "{}"], "name pictures or folders, or"),
        (["x.png", "--split", "test", "--out", "{}"], "--split and --beam-args need --beam"),
        (["--beam", "--split", "test", "x.png", "--out", "{}"], "not both"),
        (["{}", "--out", "/dev/null/x"], "no pictures in"),
        ([__file__, "--out", "/dev/null/x"], "--out: /dev/null/x can't be made"),
        ([__file__, "--model", "{}", "--out", "{}/out"], "no model in"),
    ],
)
def test_wrong_calls_get_one_clear_line(tmp_path, capsys, arguments, message):
    arguments = [argument.replace("{}", str(tmp_path)) for argument in arguments]
    assert call("predict", *arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("segline: ") and error.count("\n") == 1
    assert message in error


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
    for number in range(7):
        buffer = io.BytesIO()
        pixels = RNG.integers(0, 255, (9, 11 + number, 3)).astype(np.uint8)
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
        size = SIZES[number % len(SIZES)]
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


def test_many_pictures_have_a_progress_bar_in_a_terminal(serving_folder, tmp_path):
    """A real terminal, as far as the command can tell."""
    for number in range(20):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    ours, theirs = pty.openpty()
    command = Path(sys.executable).with_name("segline")
    process = subprocess.Popen(
        [command, "predict", tmp_path, "--model", serving_folder, "--out", tmp_path / "out"],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how the end is told
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait() == 0
    assert b"predicting" in shown and b"20 of 20 predicted" in shown
