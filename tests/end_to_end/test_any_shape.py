"""Pictures of other proportions than the model's: padded, and counted at their own size."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.common import schema
from components.common.confusion import mean_iou
from components.common.served_model import ServedModel
from components.evaluator.verdict import read_verdict

SIZES = ((40, 96), (96, 40), (64, 64), (33, 70))  # height, width
IGNORED = 255
SETTINGS = {
    "SEGLINE__TRANSFORM__IMAGE_SIZE": "[32, 64]",
    "SEGLINE__TRAINER__ENCODER__NAME": "keras_hub",
    "SEGLINE__TRAINER__ENCODER__WEIGHTS": "none",
    "SEGLINE__TRAINER__DECODER__FILTERS": "[16, 16, 8, 8]",
    "SEGLINE__TRAINER__EPOCHS": "8",
    "SEGLINE__TRAINER__BATCH_SIZE": "8",
    "SEGLINE__TRAINER__LEARNING_RATE": "0.01",
    "SEGLINE__TRAINER__SAMPLE_PICTURES": "1",
    "SEGLINE__EVALUATOR__AT": "picture",
    "SEGLINE__EVALUATOR__MIN_MEAN_IOU": "0",
    "SEGLINE__DATASET__DATA_DIR": "tfds",
}


def draw(number):
    """A bright disc on dark noise; its mask has 0 and 1, and an edge that is ignored."""
    random = np.random.default_rng(number)
    height, width = SIZES[number % len(SIZES)]
    picture = random.integers(0, 90, (height, width, 3), dtype=np.uint8)
    radius = min(height, width) / 4
    y, x = (random.uniform(radius, side - radius) for side in (height, width))
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot(rows - y, columns - x)
    picture[distance < radius] += 150
    mask = (distance < radius).astype(np.uint8)
    mask[np.abs(distance - radius) < 1] = IGNORED
    return picture, mask


@pytest.fixture(scope="module")
def settings(small_preset):
    """The run's, without its config's name."""
    return {**SETTINGS, "SEGLINE__TRAINER__ENCODER__PRESET": str(small_preset)}


@pytest.fixture(scope="module")
def padded(new_workplace, settings):
    """What a person does who has such pictures."""
    place = new_workplace("padded")
    first = 0
    for part, count in (("train", 64), ("val", 8), ("test", 12)):
        for kind in ("images", "masks"):
            (place.folder / "discs" / part / kind).mkdir(parents=True)
        for number in range(first, first + count):
            for kind, values in zip(("images", "masks"), draw(number), strict=True):
                Image.fromarray(values).save(
                    place.folder / "discs" / part / kind / f"{number:03d}.png"
                )
        first += count
    made = place.call("segline", "init", "discs")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "0.42 to 2.4 times as wide as high: padded" in made.stdout
    written = (place.folder / "discs.yaml").read_text()
    assert "  fit: pad  # the pictures are 0.42 to 2.4 times as wide as high" in written
    ran = place.run(**settings, SEGLINE_CONFIG="discs.yaml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    place.ran = ran.stdout
    return place


def pictures_of(place, part="test"):
    """(name, encoded picture, mask) of a split's files."""
    for path in sorted((place.folder / "discs" / part / "images").iterdir()):
        mask = Image.open(path.parent.parent / "masks" / path.name)
        yield path.name, path.read_bytes(), np.asarray(mask)


def letterbox(height, width):
    """Top, left, height and width of such a picture in the model's 32x64, by real numbers."""
    scale = min(32 / height, 64 / width)
    inner = [max(1, int(np.floor(side * scale + 0.5))) for side in (height, width)]
    return (32 - inner[0]) // 2, (64 - inner[1]) // 2, *inner


def latest(place, step, key):
    folder = place.folder / "runs" / "discs" / "artifacts" / step / key
    return str(max(folder.iterdir(), key=lambda path: int(path.name)))


def test_the_metrics_are_those_of_the_served_masks_at_the_pictures_own_size(padded):
    """Counted here by NumPy, from the files that a client sends and gets."""
    model = ServedModel(str(padded.folder / "runs/discs"))
    total, ranked = np.zeros((2, 2), np.int64), {}
    for name, encoded, mask in pictures_of(padded):
        (prediction,) = model.predict([encoded])
        assert prediction.mask.shape == mask.shape
        counted = mask != IGNORED
        matrix = np.zeros((2, 2), np.int64)
        np.add.at(matrix, (mask[counted], prediction.mask[counted]), 1)
        total += matrix
        ranked[name] = mean_iou(matrix)
    verdict = read_verdict(latest(padded, "Evaluator", "evaluation"))
    np.testing.assert_array_equal(verdict.matrix, total)
    assert total.sum() > 12 * 33 * 40  # far more pixels than the model sees
    for name, score in (*verdict.ranking.best, *verdict.ranking.worst):
        assert score == pytest.approx(ranked[Path(name).name])
    assert verdict.overall[schema.MEAN_IOU] > 0.6  # it has learned, padding or not


def test_padding_is_in_no_answer(padded):
    """`mask` has it as what does not count; the confidence is that of the picture's pixels."""
    serve = tf.saved_model.load(ServedModel(str(padded.folder / "runs/discs")).path).signatures
    for _, encoded, mask in list(pictures_of(padded))[: len(SIZES)]:
        for signature in (schema.SERVING_SIGNATURE, schema.FLIPPED_SIGNATURE):
            answer = serve[signature](image_bytes=tf.constant([encoded]))
            top, left, height, width = letterbox(*mask.shape)
            content = np.zeros((32, 64), bool)
            content[top : top + height, left : left + width] = True
            found = answer[schema.MASK].numpy()[0]
            assert (found[~content] == schema.IGNORE_INDEX).all() and found[content].max() <= 1
            assert (
                np.asarray(Image.open(io.BytesIO(answer[schema.MASK_PNG_BYTES][0].numpy()))).shape
                == mask.shape
            )
            assert 0.5 <= answer[schema.CONFIDENCE].numpy()[0] <= 1


def test_what_the_model_sees_is_the_picture_in_its_own_proportions(padded):
    """Held against Pillow's bilinear enlargement and NumPy's nearest neighbours."""
    serve = tf.saved_model.load(ServedModel(str(padded.folder / "runs/discs")).path).signatures
    for _, encoded, mask in list(pictures_of(padded))[: len(SIZES)]:
        example = tf.train.Example()
        buffer = io.BytesIO()
        Image.fromarray(mask).save(buffer, "PNG")
        for name, value in (("image", encoded), ("mask", buffer.getvalue())):
            example.features.feature[name].bytes_list.value.append(value)
        seen = serve[schema.TRANSFORM_SIGNATURE](
            examples=tf.constant([example.SerializeToString()])
        )
        top, left, height, width = letterbox(*mask.shape)
        assert seen[schema.CONTENT_BOX].numpy().tolist() == [[top, left, height, width]]
        truth = np.full((32, 64), IGNORED)
        rows = np.floor((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
        columns = np.floor((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
        truth[top : top + height, left : left + width] = mask[rows][:, columns]
        np.testing.assert_array_equal(seen[schema.MASK].numpy()[0], truth)
        picture = seen[schema.IMAGE].numpy()[0]
        outside = np.ones((32, 64), bool)
        outside[top : top + height, left : left + width] = False
        assert np.unique(picture[outside]).tolist() in ([0.5], [])
        # Where rows and columns of the picture are met, by interpolation written out.
        pixels = np.asarray(Image.open(io.BytesIO(encoded))).astype(float) / 255
        places = [
            np.clip((np.arange(inner) + 0.5) * own / inner - 0.5, 0, own - 1)
            for inner, own in ((height, mask.shape[0]), (width, mask.shape[1]))
        ]
        low = [np.floor(place).astype(int) for place in places]
        high = [np.minimum(one + 1, own - 1) for one, own in zip(low, mask.shape, strict=True)]
        dy, dx = (place - one for place, one in zip(places, low, strict=True))
        dy, dx = dy[:, None, None], dx[None, :, None]
        upper = pixels[low[0]][:, low[1]] * (1 - dx) + pixels[low[0]][:, high[1]] * dx
        lower = pixels[high[0]][:, low[1]] * (1 - dx) + pixels[high[0]][:, high[1]] * dx
        content = picture[top : top + height, left : left + width]
        np.testing.assert_allclose(content, upper * (1 - dy) + lower * dy, atol=1e-5)


def test_a_blessing_at_another_size_is_no_baseline(padded, settings):
    """Told, and the model is judged by its floors alone."""
    settings = {**settings, "SEGLINE_CONFIG": "discs.yaml"}
    another = {"SEGLINE__EVALUATOR__AT": "model", "SEGLINE__TRAINER__SEED": "7"}
    ran = padded.run(**settings | another)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "no baseline: the models blessed before were counted at another size" in ran.stdout
    runs = json.loads(padded.call("segline", "lineage", "runs", "--json", **settings).stdout)
    assert [run["verdict"] for run in runs] == ["pushed", "pushed"]
    assert runs[0]["metrics"][schema.MEAN_IOU] != runs[1]["metrics"][schema.MEAN_IOU]


def test_report_and_summary_say_how(padded):
    page = Path(padded.folder / "runs/discs/report.html").read_text()
    assert "counted at the model&#39;s size" in page and "padded" in page
    assert "12 pictures, at their own size" in padded.ran
