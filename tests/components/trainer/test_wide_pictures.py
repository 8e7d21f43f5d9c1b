"""PNGs of 16 bits at the served model: as in training, or refused; never by their high byte."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.common import picture_formats
from components.common.picture_settings import PictureSettings
from components.trainer.wide_pictures import eight_bits

GREY = np.arange(0, 4096, 17, dtype=np.uint16)[:240].reshape(12, 20)


def png(values):
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def colored(values):
    return tf.io.encode_png(tf.constant(np.dstack([values, values // 2, values // 3]))).numpy()


def taken(batch, value_range):
    settings = PictureSettings(value_range=value_range)
    graph = tf.function(
        lambda encoded: eight_bits(encoded, "image_bytes", settings),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    return graph(tf.constant(batch, tf.string)).numpy().tolist()


@pytest.mark.parametrize("value_range", [(0, 4095), (0, 4080), (0, 65535), (-100, 5000)])
def test_they_are_read_as_the_training_pictures(value_range):
    narrow = png((GREY >> 4).astype(np.uint8))
    batch = [png(GREY), narrow, colored(GREY), b"\xff\xd8\xff"]
    found = taken(batch, value_range)
    assert found[1] == narrow and found[3] == batch[3]
    low, high = value_range
    values = [
        np.dstack(bands).astype(float) for bands in ([GREY] * 3, [GREY, GREY // 2, GREY // 3])
    ]
    for wide, got, right in zip((batch[0], batch[2]), (found[0], found[2]), values, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(got)).convert("RGB")).astype(float)
        assert np.abs(pixels - (right - low) * 255 / (high - low)).max() < 1
        told = picture_formats.for_model(wide, PictureSettings(value_range=value_range))
        trained = np.asarray(Image.open(io.BytesIO(told.encoded)).convert("RGB"))
        np.testing.assert_array_equal(pixels, trained)
    assert taken([], value_range) == []


def test_what_nothing_is_known_of_is_refused():
    narrow = png((GREY >> 4).astype(np.uint8))
    assert taken([narrow], None) == [narrow]
    with pytest.raises(tf.errors.InvalidArgumentError, match="16 bits.*8 bits; at position 1, 2 o"):
        taken([narrow, png(GREY), colored(GREY)], None)
    with pytest.raises(tf.errors.InvalidArgumentError, match="beyond 0 to 1023; at position 1 of"):
        taken([narrow, png(GREY)], (0, 1023))
