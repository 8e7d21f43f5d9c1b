"""Pictures of many bands in the features of TFDS's datasets: encoded files, or their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow.core.framework import tensor_pb2

from components.common import picture_formats
from components.common.bands import NPY_START, BandsConfig, taken, to_npy


def encoded_picture(feature: tfds.features.FeatureConnector) -> tfds.decode.Decoder:
    """What leaves a picture as bytes: those of its file, or TensorFlow's of its numbers."""
    return _as_tensors() if is_of_numbers(feature) else tfds.decode.SkipDecoding()


def is_of_numbers(feature: tfds.features.FeatureConnector) -> bool:
    """Whether a feature has a picture's values themselves, and no encoded file."""
    if isinstance(feature, tfds.features.Image):
        # TFDS keeps a float's four bytes as the channels of a PNG, and puts them together itself.
        return bool(np.issubdtype(feature.np_dtype, np.floating))
    return bool(feature.np_dtype != np.object_)


def _serialized(example: Any, feature: tfds.features.FeatureConnector) -> tf.Tensor:
    return tf.io.serialize_tensor(feature.decode_example(example))


_as_tensors = tfds.decode.make_decoder(output_dtype=tf.string)(_serialized)


def picture_of_bands(content: bytes, bands: BandsConfig, of_numbers: bool) -> bytes:
    """A picture as examples have it, an .npy, of what a dataset has.

    Args:
      content: as `encoded_picture` leaves it.
      bands: what must be in it.
      of_numbers: whether those are a tensor's.

    Raises:
      OSError: it is not, or it can't be read.
    """
    if content.startswith(NPY_START):  # of our own datasets
        return content
    if of_numbers:
        numbers = tf.make_ndarray(tensor_pb2.TensorProto.FromString(content))
        return to_npy(taken(numbers, bands))
    return picture_formats.for_model(content, bands=bands).encoded
