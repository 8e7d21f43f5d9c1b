"""Large scenes with narrow roads: windows in training, in the served model, and over rasters."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import scipy.ndimage
import tensorflow as tf
import tifffile
from geotiffs import PLACE, UTM, write_raster
from PIL import Image
from rasterio.control import GroundControlPoint

from components.common import schema
from components.common.model_card import read_card
from components.common.served_model import ServedModel
from components.datasets.synthetic_fields import ROAD, draw_scene
from components.evaluator.objects import match_objects, scores
from components.evaluator.verdict import read_verdict
from components.predictor import raster_pieces, rasters
from components.trainer.config import TrainerConfig
from components.trainer.unet import build_unet

SIDE = 512
SETTINGS = {
    "SEGLINE__TRANSFORM__IMAGE_SIZE": "[64, 96]",
    "SEGLINE__TRANSFORM__TILES__OVERLAP": "16",
    "SEGLINE__TRANSFORM__TILES__WINDOWS_PER_PICTURE": "48",
    "SEGLINE__TRAINER__CLASS_WEIGHTS": "none",
    "SEGLINE__TRAINER__ENCODER__NAME": "keras_hub",
    "SEGLINE__TRAINER__ENCODER__WEIGHTS": "none",
    "SEGLINE__TRAINER__DECODER__FILTERS": "[16, 16, 8, 8]",
    "SEGLINE__TRAINER__DECODER__KIND": "separable",
    "SEGLINE__TRAINER__EPOCHS": "9",
    "SEGLINE__TRAINER__BATCH_SIZE": "16",
    "SEGLINE__TRAINER__LEARNING_RATE": "0.005",
    "SEGLINE__TRAINER__JACCARD_WEIGHT": "1",
    "SEGLINE__TRAINER__SAMPLE_PICTURES": "2",
    "SEGLINE__TRAINER__AUGMENTATION__MIN_SCALE": "1",
    "SEGLINE__EVALUATOR__MIN_MEAN_IOU": "0",
    "SEGLINE__EVALUATOR__OBJECTS": "[class_1, class_2]",
    "SEGLINE__DATASET__DATA_DIR": "tfds",
}


def scene(number):
    """Of other sizes too: the test split has one that is lower than a window."""
    picture, mask = draw_scene(number, SIDE)
    height = {20: 41, 21: 300}.get(number, SIDE)
    return picture[:height], mask[:height]


@pytest.fixture(scope="module")
def fields(new_workplace, small_preset):
    """What a person does who has such scenes."""
    place = new_workplace("fields")
    for part, numbers in (("train", range(10)), ("val", range(10, 12)), ("test", range(20, 23))):
        for number in numbers:
            for kind, values in zip(("images", "masks"), scene(number), strict=True):
                folder = place.folder / "scenes" / part / kind
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(folder / f"{number:02d}.png")
    place.made = place.call("segline", "init", "scenes")
    assert place.made.returncode == 0, place.made.stdout + place.made.stderr
    settings = {**SETTINGS, "SEGLINE__TRAINER__ENCODER__PRESET": str(small_preset)}
    ran = place.run(**settings, SEGLINE_CONFIG="scenes.yaml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    place.ran = ran.stdout
    return place


@pytest.fixture(scope="module")
def model(fields):
    return ServedModel(str(fields.folder / "runs/scenes"))


def encoded(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def test_init_proposes_windows_with_the_reason(fields):
    written = (fields.folder / "scenes.yaml").read_text()
    (line,) = (line for line in written.splitlines() if line.startswith("  fit:"))
    assert line.startswith("  fit: tiles  # things of class") and "512 on their shorter" in line
    assert "  tiles:\n    overlap: 32" in written and "  at: picture" in written
    assert "windows show them as they are (transform.fit: tiles)" in " ".join(
        fields.made.stdout.split()
    )


def test_the_metrics_are_those_of_the_served_masks_to_the_pixel(fields, model):
    """Each pixel once, whatever the windows: counted here by NumPy."""
    total, objects = np.zeros((3, 3), np.int64), np.zeros((3, 4))
    for number in (20, 21, 22):
        picture, mask = scene(number)
        (found,) = model.predict([encoded(picture)])
        assert found.mask.shape == mask.shape
        np.add.at(total, (mask, found.mask), 1)
        objects += [match_objects(mask, found.mask, index) for index in range(3)]
    folder = fields.folder / "runs/scenes/artifacts/Evaluator/evaluation"
    verdict = read_verdict(str(next(folder.iterdir())))
    np.testing.assert_array_equal(verdict.matrix, total)
    assert total.sum() == SIDE * (41 + 300 + SIDE)
    for index in (1, 2):
        expected = scores(objects[index], f"class_{index}")
        assert {key: verdict.overall[key] for key in expected} == pytest.approx(
            expected, abs=1e-6, nan_ok=True
        )
    assert objects[1, :3].sum() > 2 and "objects_found_class_0" not in verdict.overall
    # It has learned what a picture of 64x96 would not show.
    assert verdict.overall[schema.class_metric("iou", "class_2")] > 0.3


def test_no_seam_where_the_windows_meet(fields, model):
    """The same network over the whole scene at once, away from the scene's edges."""
    trained = next((fields.folder / "runs/scenes/artifacts/Trainer/model").iterdir())
    config = TrainerConfig.model_validate(read_card(model.path)["trainer"])
    whole = build_unet(3, (SIDE, SIDE), config.encoder, config.decoder)
    whole.load_weights(trained / "unet.weights.h5")
    inner = np.s_[32:-32, 32:-32]
    for number in (50, 51):
        picture = draw_scene(number, SIDE)[0]
        # Said, since Keras's Resizing, whose own default is True, sets it for what follows.
        at_once = np.argmax(whole(picture[None] / 255.0, training=False)[0], -1)
        (found,) = model.predict([encoded(picture)])
        assert np.mean((found.mask == at_once)[inner]) >= 0.998


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (63, 95), (64, 96), (65, 97)])
def test_pictures_of_any_size_are_answered_at_it(model, shape):
    picture = draw_scene(30, SIDE)[0][: shape[0], : shape[1]]
    (found,) = model.predict([encoded(picture)])
    assert found.mask.shape == shape and found.mask.max() <= 2 and 1 / 3 <= found.confidence <= 1


def test_a_batch_of_several_sizes_is_each_ones_own_answer(model):
    """`mask` has room for the largest; beyond a smaller one nothing counts."""
    pictures = [scene(number)[0] for number in (20, 21)]
    serve = tf.saved_model.load(model.path).signatures
    for signature in (schema.SERVING_SIGNATURE, schema.FLIPPED_SIGNATURE):
        answer = serve[signature](image_bytes=tf.constant([encoded(one) for one in pictures]))
        masks = answer[schema.MASK].numpy()
        assert masks.shape == (2, 300, SIDE)
        assert (masks[0, 41:] == schema.IGNORE_INDEX).all() and masks[0, :41].max() <= 2
        for one, png in zip(masks, answer[schema.MASK_PNG_BYTES].numpy(), strict=True):
            own = np.asarray(Image.open(io.BytesIO(png)))
            np.testing.assert_array_equal(one[: len(own)], own)


def test_no_picture_is_named_as_ever(model):
    found = model.predict_each([encoded(scene(20)[0]), b"no picture"])
    assert found[0].mask.shape == (41, SIDE) and "refuses it" in found[1]


def test_report_and_summary_say_how(fields):
    page = Path(fields.folder / "runs/scenes/report.html").read_text()
    assert "seen through windows of it" in page and "counted at the pictures" in page
    assert "96×64 pixels of the picture, overlapping by 16" in page
    assert "48 of each picture in an epoch, 33% of them around a pixel" in page
    assert "10 training and 2 validation pictures, seen through windows of 64x96" in fields.ran
    assert "3 pictures, at their own size" in fields.ran
    assert "<h3>Objects</h3>" in page and "objects of class_2: " in fields.ran


def test_a_raster_comes_back_with_its_place(fields, model):
    """By the command; read by tifffile, which knows nothing of GDAL."""
    picture = draw_scene(40, SIDE)[0]
    write_raster(fields.folder / "scene.tif", picture)
    words = ("segline", "predict", "scene.tif", "--model", "runs/scenes", "--out", "out")
    done = fields.call(*words, "--objects", "class_2")
    assert done.returncode == 0, done.stdout + done.stderr
    mask = tifffile.imread(fields.folder / "out/scene_mask.tif")
    (whole,) = model.predict([encoded(picture)])
    np.testing.assert_array_equal(mask, whole.mask)
    with rasterio.open(fields.folder / "out/scene_mask.tif") as file:
        assert file.crs == UTM and file.transform == PLACE and file.nodata == 255
        assert file.colormap(1)[ROAD][:3] != file.colormap(1)[0][:3]
    with Image.open(fields.folder / "out/scene_overlay.jpg") as overlay:
        assert overlay.size == (SIDE, SIDE)
    objects = json.loads((fields.folder / "out/scene_objects.geojson").read_text())["features"]
    _, count = scipy.ndimage.label(mask == 2, np.ones((3, 3)))
    assert f"out/*_objects.geojson: {count} of class_2" in done.stdout and len(objects) == count
    square_metres = sum(one["properties"]["area_square_metres"] for one in objects)
    assert square_metres == pytest.approx((mask == 2).sum() * 0.5**2)
    with open(fields.folder / "out/predictions.csv") as file:
        (row,) = csv.DictReader(file)
    assert row["width"] == "512" and row["mask"] == "out/scene_mask.tif" and not row["error"]
    shares = np.bincount(whole.mask.ravel(), minlength=3) / SIDE**2
    found = [float(row[f"share_{name}"]) for name in model.classes.names]
    np.testing.assert_allclose(found, shares, atol=1e-6)


@pytest.mark.parametrize("piece", [100, 150, 301])
def test_pieces_give_what_the_whole_gives(model, tmp_path, monkeypatch, piece):
    picture = draw_scene(41, SIDE)[0][:401, :467]
    path = write_raster(tmp_path / "scene.tif", picture, tiled=True, blockxsize=128, blockysize=64)
    monkeypatch.setattr(raster_pieces, "_PIECE", piece)
    rasters.predict_raster(model, path, str(tmp_path / "out/scene"))
    mask = tifffile.imread(tmp_path / "out/scene_mask.tif")
    (whole,) = model.predict([encoded(picture)])
    # (sums in another order turn a pixel that is undecided)
    assert np.mean(mask != whole.mask) < 1e-5
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "scene_mask.tif",
        "scene_overlay.jpg",
    ]


def test_where_a_raster_has_no_data_the_mask_has_none(model, tmp_path):
    picture = draw_scene(42, SIDE)[0].copy()
    picture[:, :200] = 0
    path = write_raster(tmp_path / "scene.tif", picture, nodata=0)
    found = rasters.predict_raster(model, path, str(tmp_path / "scene"))
    mask = tifffile.imread(tmp_path / "scene_mask.tif")
    there = ~(picture == 0).all(-1)
    np.testing.assert_array_equal(mask == 255, ~there)
    shares = np.bincount(mask[there], minlength=3) / there.sum()
    np.testing.assert_allclose(found.shares, shares, atol=1e-6)


def test_deep_bands_are_read_in_one_range_for_all_pieces(model, tmp_path, monkeypatch):
    """12 bits in 16, told; the alpha band is no colour; control points are kept."""
    picture = draw_scene(43, SIDE)[0].copy()
    picture[0, 0] = 255  # 4095: what tells 12 bits
    deep = np.dstack([picture.astype(np.uint16) * 16 + 15, np.full((SIDE, SIDE), 65535, np.uint16)])
    points = [GroundControlPoint(row, row, 11 + row, 48 - row) for row in (0.0, 10.0, 500.0)]
    path = write_raster(
        tmp_path / "scene.tif", deep, photometric="RGB", alpha="YES", gcps=points, transform=None
    )
    monkeypatch.setattr(raster_pieces, "_PIECE", 200)
    found = rasters.predict_raster(model, path, str(tmp_path / "scene"))
    assert "taken as 12 bits" in found.notes[0]
    (whole,) = model.predict([encoded(picture)])
    assert np.mean(tifffile.imread(tmp_path / "scene_mask.tif") != whole.mask) < 1e-5
    with rasterio.open(tmp_path / "scene_mask.tif") as file:
        assert [point.x for point in file.gcps[0]] == [11, 21, 511]


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((9, 9, 5), np.uint8), "5 bands, and a model sees three"),
        (np.full((9, 9, 3), -7, np.int16), "say which values are black and white"),
        (np.full((9, 9, 3), 3.5, np.float32), "it is of floats from 3.5 to 3.5"),
    ],
)
def test_what_is_no_picture_for_the_model_is_told_and_leaves_nothing(
    fields, tmp_path, pixels, message
):
    path = write_raster(tmp_path / "scene.tif", pixels)
    words = ("segline", "predict", path, "--model", "runs/scenes", "--out", str(tmp_path / "out"))
    done = fields.call(*words)
    assert done.returncode == 1 and message in " ".join(done.stdout.split()), done.stdout
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["predictions.csv"]


def test_the_card_says_how_the_model_sees(model):
    card = json.loads(Path(model.path, "assets.extra/segline.json").read_text())
    assert card["fit"] == "tiles" and card["tiles"]["overlap"] == 16
    assert model.fit.fit == "tiles" and model.fit.image_size == (64, 96)
