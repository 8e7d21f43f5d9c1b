"""From one element of a TFDS dataset to one checked, serialized tf.Example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from components import pictures, schema
from components.errors import UserError
from components.example_gen.config import FeaturesConfig

_TFDS_ID = "tfds_id"  # what TFDS calls an element: file and position


class ExampleEncoder:
    """Encodes the elements of one dataset.

    Args:
      features: the dataset's features.
      config: which of them play which part.
      classes: the values that a mask may have.
    """

    def __init__(
        self,
        features: tfds.features.FeaturesDict,
        config: FeaturesConfig,
        classes: schema.ClassTable,
    ) -> None:
        self._config = config
        self._classes = classes
        self._known = np.asarray(classes.lookup_table()) >= 0
        self._labels = {
            name: features[name]
            for name in config.slice_by
            if isinstance(features[name], tfds.features.ClassLabel)
        }
        names = {config.image, config.mask, *config.slice_by}
        if config.example_id:
            names.add(config.example_id)
        skip = tfds.decode.SkipDecoding()
        self.decoders = tfds.decode.PartialDecoding(
            dict.fromkeys(names, True), decoders={config.image: skip, config.mask: skip}
        )

    def encode(self, element: dict[str, Any], split: str) -> bytes:
        """Checks an element and serializes it.

        Args:
          element: as TFDS gives it with `decoders`: image and mask still encoded.
          split: for messages.

        Returns:
          A serialized tf.Example with the features of `components.schema`.

        Raises:
          UserError: the image or the mask can't be used; names the example.
        """
        config = self._config
        example_id = element[config.example_id or _TFDS_ID]
        name = f"example {example_id.decode(errors='replace')!r} of split {split}"
        image = _decode(pictures.decode_image, element[config.image], f"{name}: its image")
        mask = _decode(pictures.decode_mask, element[config.mask], f"{name}: its mask")
        if image.shape[:2] != mask.shape:
            raise UserError(
                f"{name}: the mask is {mask.shape[1]}x{mask.shape[0]}, "
                f"the image {image.shape[1]}x{image.shape[0]} (width x height); "
                "both must have the same size"
            )
        counts = np.bincount(mask.ravel(), minlength=256)
        unknown = np.flatnonzero((counts > 0) & ~self._known)
        if unknown.size:
            raise UserError(
                f"{name}: the mask has the value {unknown[0]} ({counts[unknown[0]]} pixels), "
                f"which no class has (classes: {self._classes.describe()}). "
                "Add it to classes.values or to classes.ignore_values."
            )
        feature = {
            schema.IMAGE: _bytes(element[config.image]),
            schema.MASK: _bytes(element[config.mask]),
            schema.EXAMPLE_ID: _bytes(example_id),
            schema.HEIGHT: _ints(image.shape[0]),
            schema.WIDTH: _ints(image.shape[1]),
        }
        for class_name, value in self._classes.values.items():
            share = counts[value] / mask.size
            feature[schema.share_feature(class_name)] = _floats(share)
        for key in config.slice_by:
            feature[key] = self._slice_feature(key, element[key])
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        return example.SerializeToString(deterministic=True)

    def _slice_feature(self, key: str, value: Any) -> tf.train.Feature:
        """A slice reads better by its label's name ("cat") than by its number."""
        if key in self._labels:
            return _bytes(self._labels[key].int2str(int(value)).encode())
        if isinstance(value, bytes):
            return _bytes(value)
        return _ints(int(value))


def _decode(decoder: Callable[[bytes], tf.Tensor], encoded: bytes, what: str) -> np.ndarray:
    try:
        # TensorFlow takes BMP too, but reads palette BMPs wrongly, without a word.
        if not encoded.startswith(b"BM"):
            return decoder(encoded).numpy()
    except tf.errors.InvalidArgumentError:
        pass
    raise UserError(
        f"{what} can't be decoded: {len(encoded)} bytes that are no JPEG, PNG or GIF, "
        "or a truncated one. Mend or remove the example in the dataset."
    )


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _ints(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _floats(value: float) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
