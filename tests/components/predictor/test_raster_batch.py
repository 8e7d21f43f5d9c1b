"""Rasters and pictures with Beam: the masks are those of `segline predict` without it."""

import glob
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import tifffile
from geotiffs import write_raster
from lossy_engine import losing
from PIL import Image

from components.common.served_model import ServedModel
from components.predictor import raster_batch, raster_pieces
from components.predictor.rasters import predict_raster
from pipeline import cli

pytestmark = pytest.mark.slow

ONE_WORKER = "--direct_num_workers=1"


@pytest.fixture(scope="module")
def windows_model(serving_folder, tmp_path_factory):
    """The model whose answers are known, as one that sees windows."""
    folder = tmp_path_factory.mktemp("windows") / "model"
    shutil.copytree(serving_folder / "10", folder)
    card = folder / "assets.extra/segline.json"
    told = json.loads(card.read_text())
    told |= {"fit": "tiles", "image_size": [64, 96], "tiles": {"overlap": 16}}
    card.write_text(json.dumps(told))
    return folder


def scene(seed, shape, dtype=np.uint8):
    """Bright and dark spots, some without data (0)."""
    most = 4095 if dtype == np.uint16 else 255
    pixels = np.random.default_rng(seed).integers(1, most, (*shape, 3)).astype(dtype)
    pixels[: shape[0] // 3, : shape[1] // 4] = 0
    return pixels


@pytest.fixture
def folder(tmp_path):
    """Rasters (two of one name), one of them damaged; a picture, and what is none."""
    root = tmp_path / "pictures"
    (root / "below").mkdir(parents=True)
    write_raster(root / "first.tif", scene(1, (300, 410)), nodata=0)
    write_raster(root / "first.tiff", scene(2, (100, 90)))
    write_raster(root / "below/deep.tif", scene(3, (250, 200), np.uint16))
    bands = np.zeros((50, 60, 5), np.uint8)
    write_raster(root / "five.tif", bands)
    whole = write_raster(root / "damaged.tif", scene(4, (400, 300)), tiled=True, blockxsize=64,
                         blockysize=64, compress="deflate")  # fmt: skip
    with open(whole, "r+b") as file:
        file.seek(250_000)
        file.write(bytes(60_000))
    Image.fromarray(scene(5, (30, 20))).save(root / "picture.png")
    Image.fromarray(scene(6, (30, 20))).save(root / "no_place.tif")
    (root / "text.tif").write_text("no picture")
    return root


def call(model, folder, out, *beam_args):
    words = ["predict", "--beam", "--model", model, folder, "--out", out, "--beam-args"]
    try:
        cli.main([str(word) for word in [*words, *(beam_args or [ONE_WORKER])]])
    except SystemExit as end:
        return end.code
    return 0


def rows_of(out):
    rows = [
        row for file in glob.glob(f"{out}/predictions-*") for row in pq.read_table(file).to_pylist()
    ]
    found = {row["picture"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def without_beam(model, path, tmp_path):
    """The mask, and what else `segline predict` says."""
    found = predict_raster(ServedModel(str(model)), path, str(tmp_path / "alone"))
    with rasterio.open(found.mask) as file:
        return file.read(1), file.profile, file.colormap(1), found


def assert_the_same(row, model, path, tmp_path):
    mask, profile, colors, alone = without_beam(model, path, tmp_path)
    with rasterio.open(row["mask_path"]) as file:
        np.testing.assert_array_equal(file.read(1), mask)
        assert file.profile == profile and file.colormap(1) == colors
    assert (row["width"], row["height"]) == alone.size and row["error"] is None
    assert row["confidence"] == pytest.approx(alone.confidence, rel=1e-6)
    assert row["share_light"] == pytest.approx(alone.shares[1], abs=1e-6)
    assert row["mask_png"] is None
    assert row["notes"] == ("; ".join(alone.notes) or None)


@pytest.mark.parametrize("piece", [100, 2048])
def test_rasters_and_pictures_together(windows_model, folder, tmp_path, monkeypatch, capsys, piece):
    monkeypatch.setattr(raster_pieces, "_PIECE", piece)
    out = folder / "out"  # among the pictures: masks are no pictures
    assert call(windows_model, folder, out) == 1
    shown = capsys.readouterr().out
    assert "5 of 8 predicted" in shown
    rows = rows_of(out)
    for name, told in {
        "first.tif": "count as no data",
        "below/deep.tif": "taken as 12 bits (0 to 4095)",
    }.items():
        assert told in rows[str(folder / name)]["notes"]
        assert f"! {folder / name}: {rows[str(folder / name)]['notes']}\n" in shown
    good = {"first.tif", "first.tiff", "below/deep.tif"}
    for name in good:
        assert_the_same(rows[str(folder / name)], windows_model, str(folder / name), tmp_path)
    light = tifffile.imread(rows[str(folder / "first.tif")]["mask_path"])
    expected = scene(1, (300, 410)).astype(float).mean(-1) > 127.5
    there = ~(scene(1, (300, 410)) == 0).all(-1)
    np.testing.assert_array_equal(light, np.where(there, expected, 255))
    for name in ("picture.png", "no_place.tif"):
        row = rows[str(folder / name)]
        assert row["mask_png"] and row["mask_path"] is None and row["error"] is None
    assert "5 bands, and a model sees three" in rows[str(folder / "five.tif")]["error"]
    assert "can't be read as a raster" in rows[str(folder / "damaged.tif")]["error"]
    assert rows[str(folder / "text.tif")]["error"]
    masks = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.tif"))
    (other,) = set(masks) - {"first_mask.tif", "below/deep_mask.tif"}
    assert len(masks) == 3 and other.startswith("first-") and other.endswith("_mask.tif")
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_several_workers_share_a_raster(windows_model, tmp_path, mode):
    """Four pieces, in whichever worker."""
    path = write_raster(tmp_path / "scene.tif", scene(7, (2300, 2500)), tiled=True)
    given = (f"--direct_running_mode={mode}", "--direct_num_workers=2")
    assert call(windows_model, path, tmp_path / "out", *given) == 0
    (row,) = rows_of(tmp_path / "out").values()
    assert row["mask_path"] == str(tmp_path / "out/scene_mask.tif")
    assert_the_same(row, windows_model, path, tmp_path)


def test_what_is_done_twice_does_no_harm(windows_model, folder, tmp_path, monkeypatch):
    """Each piece is segmented twice, and both attempts go on; each mask is put together twice."""
    monkeypatch.setattr(raster_pieces, "_PIECE", 100)
    once, together = raster_batch._PieceHandler.run_inference, raster_batch._write_mask

    def twice(self, pieces, *more):
        return [*once(self, pieces, *more), *once(self, pieces, *more)]

    def together_twice(*given):
        first, second = together(*given), together(*given)
        assert first == second
        return second

    monkeypatch.setattr(raster_batch._PieceHandler, "run_inference", twice)
    monkeypatch.setattr(raster_batch, "_write_mask", together_twice)
    path = str(folder / "first.tif")
    assert call(windows_model, path, tmp_path / "out") == 0
    (row,) = rows_of(tmp_path / "out").values()
    assert_the_same(row, windows_model, path, tmp_path)


def test_pieces_that_an_engine_loses_are_told(windows_model, folder, tmp_path, monkeypatch):
    """Wherever one of its bundles goes missing: never a mask with a hole in it."""
    monkeypatch.setattr(raster_pieces, "_PIECE", 100)
    path = str(folder / "first.tif")
    with losing(None) as bundles:
        assert call(windows_model, path, tmp_path / "whole") == 0
    whole = tifffile.imread(tmp_path / "whole/first_mask.tif")
    told = set()
    for which in range(len(bundles)):
        out = tmp_path / str(which)
        with losing(which):
            status = call(windows_model, path, out)
        rows = list(rows_of(out).values())
        if status:
            told.update("lost" in row["error"] for row in rows)
        else:
            assert_the_same(rows[0], windows_model, path, tmp_path)
        for mask in out.rglob("*.tif"):
            np.testing.assert_array_equal(tifffile.imread(mask), whole)
    assert told == {True}


def test_a_raster_whose_mask_would_go_to_a_bucket_is_refused(model, folder):
    plans = raster_batch._planned(
        ("x", [str(folder / "first.tif")]),
        *(model.fit, model.pictures, None, None),
        has_place=False,
    )
    ((plan, pieces),) = plans
    assert "--out must be a folder on a disk" in plan.error and not pieces
