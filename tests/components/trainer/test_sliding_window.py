"""The blended windows against a loop in NumPy, for pictures and windows of many sizes."""

import numpy as np
import pytest
import tensorflow as tf

from components.common import windows
from components.common.windows import TilesConfig
from components.trainer.sliding_window import SlidingWindow

CLASSES = 3


def network(pictures):
    """Has to know where in the window a pixel lies, as a U-Net's padding does."""
    place = tf.linspace(-1.0, 1.0, pictures.shape[1])[:, None] * tf.linspace(
        0.5, 1.0, pictures.shape[2]
    )
    return tf.nn.softmax(3 * pictures + place[None, ..., None] * [1.0, -1.0, 0.5])


def blended(picture, size, overlap):
    """The same by loops: mask and confidence of one picture."""
    height, width = (max(side, one) for side, one in zip(picture.shape[:2], size, strict=True))
    padded = np.full((height, width, CLASSES), 0.5, np.float32)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    total = np.zeros((height, width, CLASSES))
    counted = np.zeros((height, width, 1))

    def ramp(length, shared):
        position = np.arange(length) + 0.5
        depth = np.minimum(position, length - position) / max(shared, 1)
        return np.sin(np.minimum(depth, 1) * np.pi / 2) ** 2

    weight = np.outer(ramp(size[0], overlap[0]), ramp(size[1], overlap[1]))[..., None]

    def begins(length, window, shared):
        found = list(range(0, length - window, window - shared))
        return [*found, length - window]

    for top in begins(height, size[0], overlap[0]):
        for left in begins(width, size[1], overlap[1]):
            place = np.s_[top : top + size[0], left : left + size[1]]
            total[place] += network(tf.constant(padded[place][None])).numpy()[0] * weight
            counted[place] += weight
    total = (total / counted)[: picture.shape[0], : picture.shape[1]]
    return total.argmax(-1), total.max(-1).mean()


@pytest.mark.parametrize(
    ("shape", "model", "overlap"),
    [
        ((32, 32), (32, 32), 8),  # fits whole
        ((33, 64), (32, 32), 8),
        ((100, 75), (32, 64), 16),
        ((90, 71), (32, 32), 0),
        ((20, 150), (32, 32), 12),  # lower than a window
        ((1, 1), (32, 64), 4),
        ((1, 300), (32, 32), 4),  # one pixel high
        ((97, 40), (64, 32), 31),
    ],
)
def test_every_pixel_is_what_the_loops_say(shape, model, overlap):
    picture = np.random.default_rng(0).random((*shape, CLASSES), np.float32)
    slide = SlidingWindow(model, TilesConfig(overlap=overlap), CLASSES, padding=0.5)
    segment = tf.function(lambda picture: slide.segment(picture, network))
    mask, confidence = segment(tf.constant(picture))
    wanted, sure = blended(picture, model, (overlap, overlap))
    assert mask.dtype == tf.uint8 and mask.shape == shape
    np.testing.assert_array_equal(mask, wanted)
    assert confidence.numpy() == pytest.approx(sure, abs=1e-5)


@pytest.mark.parametrize("most", [0, 70, 100])
@pytest.mark.parametrize(("shape", "overlap"), [((97, 150), 8), ((90, 131), 0), ((75, 101), 20)])
def test_pieces_however_small_keep_what_the_whole_gives(shape, overlap, most):
    """Cut by `spans`, each segmented by itself."""
    picture = np.random.default_rng(5).random((*shape, CLASSES), np.float32)
    slide = SlidingWindow((32, 32), TilesConfig(overlap=overlap), CLASSES, padding=0.5)
    spec = tf.TensorSpec([None, None, CLASSES], tf.float32)
    segment = tf.function(lambda one: slide.segment(one, network)[0], input_signature=[spec])
    found = np.full(shape, 255, np.uint8)
    down, across = (windows.spans(side, 32, overlap, most) for side in shape)
    for rows in down:
        for columns in across:
            piece = segment(picture[rows.begin : rows.end, columns.begin : columns.end]).numpy()
            kept = piece[rows.keep_from - rows.begin :, columns.keep_from - columns.begin :]
            kept = kept[: rows.keep_to - rows.keep_from, : columns.keep_to - columns.keep_from]
            found[rows.keep_from : rows.keep_to, columns.keep_from : columns.keep_to] = kept
    wanted, _ = blended(picture, (32, 32), (overlap, overlap))
    np.testing.assert_array_equal(found, wanted)


def test_a_whole_picture_in_one_window_is_the_network_alone():
    picture = np.random.default_rng(1).random((64, 32, CLASSES), np.float32)
    slide = SlidingWindow((64, 32), TilesConfig(), CLASSES, padding=0.5)
    mask, _ = slide.segment(tf.constant(picture), network)
    np.testing.assert_array_equal(mask, np.argmax(network(picture[None])[0], -1))


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_at_another_scale_the_mask_has_the_pictures_own_size(scale):
    """Flat patches: resizing there and back changes nothing within them."""
    patches = np.random.default_rng(2).integers(0, CLASSES, (3, 4))
    picture = np.eye(CLASSES, dtype=np.float32)[np.kron(patches, np.ones((50, 50), int))]
    slide = SlidingWindow((32, 32), TilesConfig(overlap=8, scale=scale), CLASSES, padding=0.5)
    mask, _ = slide.segment(tf.constant(picture), lambda seen: tf.nn.softmax(5 * seen))
    assert mask.shape == (150, 200)
    inner = np.s_[5:45, 5:45]
    for row in range(3):
        for column in range(4):
            patch = mask.numpy()[50 * row : 50 * row + 50, 50 * column : 50 * column + 50]
            assert (patch[inner] == patches[row, column]).all()


@pytest.mark.parametrize("length", [32, 33, 57, 100, 1000])
@pytest.mark.parametrize("overlap", [0, 8, 16])
def test_windows_cover_everything_and_overlap_by_no_less(length, overlap):
    begins = windows.starts(length, 32, overlap).numpy()
    assert begins[0] == 0 and begins[-1] == length - 32
    assert (np.diff(begins) > 0).all() and (np.diff(begins) <= 32 - overlap).all()


def test_regular_neighbours_weigh_one_together():
    weight = windows.weights(32, 8).numpy()
    assert (weight > 0).all()
    np.testing.assert_allclose(weight[-8:] + weight[:8], 1, atol=1e-6)
    np.testing.assert_allclose(weight[8:-8], 1)
