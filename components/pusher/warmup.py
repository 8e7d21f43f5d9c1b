"""Requests that TensorFlow Serving sends a version itself, before it gives it to others.

Its first requests take many times as long as the later ones: memory is laid out, kernels are
chosen. A server answers them at loading where the version has a file of such requests
(tensorflow/serving 9d981c5: g3doc/saved_model_warmup.md): PredictionLogs in a TFRecord file without
compression (servables/tensorflow/saved_model_warmup_util.cc, RunSavedModelWarmupUntracked), 1,000
at most. Other readers of SavedModels leave `assets.extra` alone. The protos come with TFX.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import prediction_log_pb2

from components.common import schema
from components.common.band_tensors import has_png
from components.common.bands import bands_of, channels_of, to_npy
from components.common.model_card import limits_of, read_card
from components.common.served_model import fit_of

FILE = "assets.extra/tf_serving_warmup_requests"
_PICTURES = 8
# Twice what the network sees in each direction: pictures are larger, as a rule.
_SCALE = 2


def drawn_pictures(model: str) -> list[bytes]:
    """Noise of twice the size that the network sees, the same each time.

    Args:
      model: the SavedModel.

    Returns:
      A JPEG and a PNG file: each has a decoder of its own. Of a model that sees other bands, an
      .npy file, and a PNG where one can hold them.

    Raises:
      ValueError: it is no model of segline's.
    """
    card = read_card(model)
    bands = bands_of(card)
    shape = *(_SCALE * side for side in fit_of(card).image_size), channels_of(bands)
    noise = np.random.default_rng(0)
    if bands is None:
        pixels = noise.integers(0, 256, shape, np.uint8)
        return [_encoded(pixels, "JPEG"), _encoded(pixels, "PNG")]
    depth = np.dtype(bands.depth)
    values = noise.random(shape) if depth.kind == "f" else noise.integers(0, 256, shape)
    pixels = values.astype(depth)
    pngs = [tf.io.encode_png(pixels).numpy()] if has_png(bands) else []
    return [to_npy(pixels), *pngs]


def split_pictures(files: Sequence[str]) -> list[bytes]:
    """The first pictures of a split, as they are.

    Args:
      files: gzipped TFRecord files of the split.

    Returns:
      Up to 8 encoded pictures.
    """
    spec = {schema.IMAGE: tf.io.FixedLenFeature([1], tf.string)}
    examples = tf.data.TFRecordDataset(sorted(files), "GZIP").take(_PICTURES)
    return [
        tf.io.parse_single_example(example, spec)[schema.IMAGE].numpy()[0] for example in examples
    ]


def write_requests(version: str, pictures: Sequence[bytes]) -> None:
    """Writes a version's warm-up: each picture alone, then all of them in one request.

    Of large pictures fewer: with a request that the model refuses, a server would not load it.

    Args:
      version: folder of the SavedModel.
      pictures: encoded, at least one.
    """
    limits = limits_of(read_card(version))
    taken = [picture for picture in pictures if limits.fitting([picture])]
    together = taken[: limits.fitting(taken)]
    batches = [[picture] for picture in taken] + ([together] if len(together) > 1 else [])
    path = os.path.join(version, FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.TFRecordWriter(path) as writer:
        for batch in batches:
            writer.write(_request(batch).SerializeToString())


def _request(batch: Sequence[bytes]) -> prediction_log_pb2.PredictionLog:
    """A call of `serving_default`; the server asks the version that it loads, whatever its name."""
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = schema.SERVING_SIGNATURE
    request.inputs[schema.IMAGE_BYTES].CopyFrom(tf.make_tensor_proto(list(batch)))
    return log


def _encoded(pixels: np.ndarray, form: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()
