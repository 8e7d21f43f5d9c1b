"""`segline predict` in front of the screen, as it is called."""

import contextlib
import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyproj
import pytest
import shapely
from geotiffs import PLACE, write_raster
from PIL import Image
from predict_calls import PICTURE_SIZES, bright, call, expected_mask
from pycocotools.coco import COCO
from rasterio.features import rasterize
from shapely.geometry import shape

pytestmark = pytest.mark.slow


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
    for number, size in enumerate(PICTURE_SIZES):
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
