"""A model whose answers are known: bright pixels are `light`, others `dark`."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from predict_calls import PICTURE_SIZES

from components.common import pictures, schema
from components.common.model_card import write_card
from components.common.served_model import ServedModel
from components.trainer.request_check import check_request

CLASSES = schema.ClassTable(values={"dark": 0, "light": 1})
SIZE = (8, 8)


class Brightness(tf.Module):
    """Keeps to the contract of `serving_default`; needs no training."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(self, image_bytes):
        def segment(one):
            image = tf.cast(pictures.decode_image(one), tf.float32)
            light = tf.cast(tf.reduce_mean(image, -1, keepdims=True) > 127.5, tf.uint8)
            small = tf.image.resize(light, SIZE, method="nearest")[..., 0]
            return small, tf.io.encode_png(light), tf.reduce_mean(image) / 255

        checked = check_request(image_bytes, schema.IMAGE_BYTES, 64, 100)
        mask, png, confidence = tf.map_fn(
            segment, checked, fn_output_signature=(tf.uint8, tf.string, tf.float32)
        )
        return {
            schema.MASK: mask,
            schema.MASK_PNG_BYTES: png,
            schema.CONFIDENCE: tf.reshape(confidence, [-1]),
        }


@pytest.fixture(scope="session")
def serving_folder(tmp_path_factory):
    """Versions 9 and 10, and one that is not complete."""
    folder = tmp_path_factory.mktemp("pipeline") / "serving"
    module = Brightness()
    for version in ("9", "10"):
        path = str(folder / version)
        tf.saved_model.save(module, path, {schema.SERVING_SIGNATURE: module.serve})
        write_card(path, CLASSES, {})
    (folder / "11").mkdir()
    return folder


@pytest.fixture(scope="session")
def model(serving_folder):
    return ServedModel(str(serving_folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five noisy pictures (PNG: exact values), one in a folder below; two broken ones."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("pictures")
    (root / "below").mkdir()
    for number, size in enumerate(PICTURE_SIZES):
        pixels = rng.integers(0, 255, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / ("below" if number == 3 else "") / f"{number}.png")
    (root / "text.png").write_text("no picture")
    whole = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)).save(whole, "JPEG")
    (root / "half.jpg").write_bytes(whole.getvalue()[:700])
    return root
