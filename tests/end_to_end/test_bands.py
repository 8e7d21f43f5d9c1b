"""Pictures of four bands of 16 bits, of which only the last one tells: from init to a request."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tifffile
from geotiffs import write_raster
from PIL import Image

from components.common import schema
from components.common.bands import from_npy
from components.common.served_model import ServedModel
from components.evaluator.verdict import read_verdict
from components.predictor import rasters

SIDE = 64
SETTINGS = {
    "SEGLINE__TRANSFORM__IMAGE_SIZE": "[64, 64]",
    "SEGLINE__TRAINER__CLASS_WEIGHTS": "none",
    "SEGLINE__TRAINER__ENCODER__NAME": "keras_hub",
    "SEGLINE__TRAINER__ENCODER__WEIGHTS": "none",
    "SEGLINE__TRAINER__DECODER__FILTERS": "[16, 16, 8, 8]",
    "SEGLINE__TRAINER__DECODER__KIND": "separable",
    "SEGLINE__TRAINER__EPOCHS": "12",
    "SEGLINE__TRAINER__BATCH_SIZE": "8",
    "SEGLINE__TRAINER__LEARNING_RATE": "0.005",
    "SEGLINE__TRAINER__SAMPLE_PICTURES": "2",
    "SEGLINE__EVALUATOR__MIN_MEAN_IOU": "0.5",
    "SEGLINE__DATASET__DATA_DIR": "tfds",
}
TEST = range(40, 46)


def drawn(number, height=SIDE, width=SIDE):
    """Noise in all bands; near infrared is brighter within an ellipse. Reflectances in 10^-4."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[:height, :width]
    center, radii = rng.uniform(0.3, 0.7, 2), rng.uniform(0.15, 0.35, 2)
    inside = ((rows / height - center[0]) / radii[0]) ** 2
    mask = (inside + ((columns / width - center[1]) / radii[1]) ** 2 < 1).astype(np.uint8)
    picture = rng.normal([900, 1100, 700, 1500], 150, (height, width, 4))
    picture[..., 3] += 1400.0 * mask
    return picture.clip(0).round().astype(np.uint16), mask


def write_tiff(path, pixels, **options):
    tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig", **options)
    return str(path)


@pytest.fixture(scope="module")
def satellite(new_workplace, small_preset):
    """What a person does who has such pictures."""
    place = new_workplace("satellite")
    for part, numbers in (("train", range(32)), ("val", range(32, 38)), ("test", TEST)):
        for number in numbers:
            folder = place.folder / "scenes" / part
            picture, mask = drawn(number)
            for kind in ("images", "masks"):
                (folder / kind).mkdir(parents=True, exist_ok=True)
            write_tiff(folder / f"images/{number:02d}.tif", picture)
            Image.fromarray(mask).save(folder / f"masks/{number:02d}.png")
    place.made = place.call("segline", "init", "scenes")
    assert place.made.returncode == 0, place.made.stdout + place.made.stderr
    settings = {**SETTINGS, "SEGLINE__TRAINER__ENCODER__PRESET": str(small_preset)}
    ran = place.run(**settings, SEGLINE_CONFIG="scenes.yaml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    place.ran = ran.stdout
    place.root_folder = place.folder / "runs/scenes"
    return place


@pytest.fixture(scope="module")
def model(satellite):
    return ServedModel(str(satellite.folder / "runs/scenes"))


def saved(pixels):
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    return buffer.getvalue()


def test_init_keeps_all_bands(satellite):
    written = (satellite.folder / "scenes.yaml").read_text()
    assert "  bands: {count: 4, depth: uint16}  # " in written
    assert "4 bands of uint16, all of which the model sees" in " ".join(
        satellite.made.stdout.split()
    )


def test_what_only_the_fourth_band_shows_is_learned_and_counted_to_the_pixel(satellite, model):
    total = np.zeros((2, 2), np.int64)
    for number in TEST:
        picture, mask = drawn(number)
        (found,) = model.predict([saved(picture)])
        np.add.at(total, (mask, found.mask), 1)
    (folder,) = (satellite.root_folder / "artifacts/Evaluator/evaluation").iterdir()
    verdict = read_verdict(str(folder))
    np.testing.assert_array_equal(verdict.matrix, total)
    assert verdict.overall[schema.MEAN_IOU] > 0.7  # of other bands it would be a guess


def test_examples_have_the_files_values(satellite):
    (folder,) = (satellite.root_folder / "artifacts/TfdsExampleGen/examples").iterdir()
    files = [str(one) for one in (folder / "Split-test").iterdir()]
    found = {}
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        name = feature[schema.EXAMPLE_ID].bytes_list.value[0].decode()
        found[Path(name).stem] = from_npy(feature[schema.IMAGE].bytes_list.value[0])
    assert sorted(found) == [str(number) for number in TEST]
    for number in TEST:
        np.testing.assert_array_equal(found[str(number)], drawn(number)[0])


def test_the_scale_is_that_of_the_training_split_alone(satellite):
    (folder,) = (satellite.root_folder / "artifacts/Transform/transform_graph").iterdir()
    layer = tft.TFTransformOutput(str(folder)).transform_features_layer()
    picture, mask = drawn(TEST[0])
    png = tf.io.encode_png(mask[..., None]).numpy()
    features = {schema.IMAGE: [[saved(picture)]], schema.MASK: [[png]]}
    found = layer({key: tf.constant(one) for key, one in features.items()})[schema.IMAGE][0]
    training = np.stack([drawn(number)[0] for number in range(32)]).reshape(-1, 4)
    low, high = np.percentile(training, [1, 99], axis=0)
    np.testing.assert_allclose(found, ((picture - low) / (high - low)).clip(0, 1), atol=0.004)


def test_requests_as_arrays_and_pngs_and_as_rest_sends_them(model):
    """TensorFlow Serving's REST interface has bytes in base64, in a field called b64."""
    picture, _ = drawn(TEST[1])
    forms = [saved(picture), tf.io.encode_png(picture).numpy()]
    body = json.loads(json.dumps({"b64": base64.b64encode(forms[0]).decode()}))
    forms.append(base64.b64decode(body["b64"]))
    masks = [found.mask for found in model.predict(forms)]
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (37, 5), (200, 130)])
def test_pictures_of_other_sizes_are_answered_at_theirs(model, size):
    (found,) = model.predict([saved(drawn(3, *size)[0])])
    assert found.mask.shape == size


def test_other_bands_and_depths_are_refused_by_name(model):
    picture, _ = drawn(TEST[0])
    wrong = [picture[..., :3], picture.astype(np.uint8), picture.astype(np.float32)]
    good, *refused = model.predict_each([saved(one) for one in (picture, *wrong)])
    assert good.mask.shape == (SIDE, SIDE)
    assert all("no .npy or PNG of 4 bands of uint16" in one for one in refused)


def test_files_are_predicted_as_they_lie(satellite, model, tmp_path):
    """By the command: a good one, and others that are told by what is wrong with them."""
    picture, _ = drawn(TEST[2], 80, 50)
    folder = tmp_path / "new"
    folder.mkdir()
    write_tiff(folder / "good.tif", picture)
    write_tiff(folder / "big_endian.tif", picture, byteorder=">")
    tifffile.imwrite(  # as GDAL writes it: bands one after the other, the fourth called alpha
        folder / "planar.tif",
        np.moveaxis(picture, -1, 0),
        photometric="rgb",
        planarconfig="separate",
        extrasamples=["unassalpha"],
    )
    write_tiff(folder / "three.tif", picture[..., :3])
    write_tiff(folder / "eight.tif", picture.astype(np.uint8))
    Image.fromarray(picture[..., :3].astype(np.uint8)).save(folder / "photo.jpg")
    words = ("segline", "predict", str(folder), "--model", "runs/scenes", "--out", str(tmp_path))
    done = satellite.call(*words)
    assert done.returncode == 1
    with open(tmp_path / "predictions.csv") as file:
        rows = {Path(row["picture"]).name: row for row in csv.DictReader(file)}
    (whole,) = model.predict([saved(picture)])
    for name in ("good", "big_endian", "planar"):
        assert not rows[f"{name}.tif"]["error"], rows
        np.testing.assert_array_equal(Image.open(tmp_path / f"{name}_mask.png"), whole.mask)
        with Image.open(tmp_path / f"{name}_overlay.jpg") as overlay:
            assert overlay.size == (50, 80)
    assert "3 bands, not 4" in rows["three.tif"]["error"]
    assert "values are of uint8, not of uint16" in rows["eight.tif"]["error"]
    assert "3 bands, not 4" in rows["photo.jpg"]["error"]


@pytest.mark.parametrize("profile", [{}, {"photometric": "RGB", "alpha": "YES"}, {"nodata": 0}])
def test_rasters_of_bands_come_back_with_their_place(model, tmp_path, profile):
    """A fourth band is one, whatever GDAL calls it; what has no data is in no share."""
    picture, _ = drawn(TEST[3], 90, 120)
    picture[:20] = 0
    path = write_raster(tmp_path / "scene.tif", picture, **profile)
    found = rasters.predict_raster(model, path, str(tmp_path / "scene"))
    mask = tifffile.imread(tmp_path / "scene_mask.tif")
    (whole,) = model.predict([saved(picture)])
    there = np.ones(mask.shape, bool)
    there[:20] = "nodata" not in profile
    np.testing.assert_array_equal(mask[there], whole.mask[there])
    assert (mask[~there] == schema.IGNORE_INDEX).all()
    np.testing.assert_allclose(found.shares[1], (mask[there] == 1).mean(), atol=1e-6)
    with Image.open(tmp_path / "scene_overlay.jpg") as overlay:
        assert overlay.size == (120, 90)


def test_beam_predicts_them_too(satellite, model, tmp_path):
    """Pictures and rasters; what has other bands is told, beside what has not."""
    picture, _ = drawn(TEST[2])
    write_tiff(tmp_path / "good.tif", picture)
    write_tiff(tmp_path / "three.tif", picture[..., :3])
    write_raster(tmp_path / "scene.tif", picture)
    write_raster(tmp_path / "eight.tif", picture.astype(np.uint8))
    words = ("--beam", str(tmp_path), "--model", "runs/scenes", "--out", str(tmp_path / "out"))
    done = satellite.call("segline", "predict", *words, SEGLINE_CONFIG="scenes.yaml")
    assert done.returncode == 1 and "2 of 4 predicted" in done.stdout, done.stdout + done.stderr
    (whole,) = model.predict([saved(picture)])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/scene_mask.tif"), whole.mask)


def test_the_report_says_what_the_model_sees(satellite):
    page = (satellite.root_folder / "report.html").read_text()
    assert "4 of uint16" in page and "1st to its 99th percentile" in page
    assert "64×64×4" in page  # the network's input
    assert "6 kinds of requests" in satellite.ran  # a PNG, and one band more, among them
