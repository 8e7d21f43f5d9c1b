"""From one element of a TFDS dataset to one checked, serialized tf.Example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from components import pictures, schema
from components.example_gen.config import BadExamplesConfig, FeaturesConfig

_TFDS_ID = "tfds_id"  # what TFDS calls an element: file and position


class BadExampleError(Exception):
    """An example can't be used; the message says why, in one line, without its id."""


class ExampleEncoder:
    """Encodes the elements of one dataset.

    Args:
      features: the dataset's features.
      config: which of them play which part.
      classes: the values that a mask may have.
      limits: what an example must keep to.
    """

    def __init__(
        self,
        features: tfds.features.FeaturesDict,
        config: FeaturesConfig,
        classes: schema.ClassTable,
        limits: BadExamplesConfig,
    ) -> None:
        self._config = config
        self._classes = classes
        self._limits = limits
        # Raw value -> what is stored for it; -1: no class has it.
        self._stored = np.full(schema.LARGEST_MASK_VALUE + 1, -1)
        for raw, stored in classes.stored_values().items():
            self._stored[raw] = stored
        self._largest_value = max(classes.stored_values())
        self._labels = {
            name: features[name]
            for name in config.slice_by
            if isinstance(features[name], tfds.features.ClassLabel)
        }
        names = {config.image, config.mask, *config.slice_by}
        if config.example_id:
            names.add(config.example_id)
        if schema.PROBLEM in features:
            names.add(schema.PROBLEM)
        skip = tfds.decode.SkipDecoding()
        self.decoders = tfds.decode.PartialDecoding(
            dict.fromkeys(names, True), decoders={config.image: skip, config.mask: skip}
        )

    def id_of(self, element: dict[str, Any]) -> bytes:
        """An element's id: the configured feature, or TFDS's own."""
        return element[self._config.example_id or _TFDS_ID]

    def parts_of(self, element: dict[str, Any]) -> tuple[bytes, bytes]:
        """Image and mask of an element, encoded."""
        return element[self._config.image], element[self._config.mask]

    def encode(self, element: dict[str, Any]) -> tuple[bytes, np.ndarray]:
        """Checks an element and serializes it.

        Args:
          element: as TFDS gives it with `decoders`: image and mask still encoded.

        Returns:
          A serialized tf.Example with the features of `components.schema`, and the
          decoded picture, uint8 [height, width, 3].

        Raises:
          BadExampleError: the image or the mask can't be used.
        """
        config = self._config
        example_id = self.id_of(element)
        if problem := element.get(schema.PROBLEM):
            raise BadExampleError(problem.decode())
        image = self._decode(pictures.decode_image, element[config.image], "image")
        encoded_mask = element[config.mask]
        mask = self._decode(_mask_decoder(encoded_mask), encoded_mask, "mask")
        if image.shape[:2] != mask.shape:
            raise BadExampleError(
                f"the mask is {mask.shape[1]}x{mask.shape[0]}, "
                f"the image {image.shape[1]}x{image.shape[0]} (width x height); "
                "both must have the same size"
            )
        counts = np.bincount(mask.ravel(), minlength=self._largest_value + 1)
        unknown = np.flatnonzero((counts > 0) & (self._stored[: counts.size] < 0))
        if unknown.size:
            raise BadExampleError(
                f"the mask has the value {unknown[0]} ({counts[unknown[0]]} pixels), "
                f"which no class has (classes: {self._classes.describe()}); "
                "add it to classes.values or to classes.ignore_values"
            )
        if mask.dtype != np.uint8 or self._classes.wide:
            stored = self._stored[mask].astype(np.uint8)
            encoded_mask = tf.io.encode_png(stored[..., np.newaxis]).numpy()
        wanted = self._limits.must_show
        if wanted and not any(counts[self._classes.values[name]] for name in wanted):
            raise BadExampleError(f"the mask shows no {' and no '.join(wanted)}")
        feature = {
            schema.IMAGE: _bytes(element[config.image]),
            schema.MASK: _bytes(encoded_mask),
            schema.EXAMPLE_ID: _bytes(example_id),
            schema.HEIGHT: _ints(image.shape[0]),
            schema.WIDTH: _ints(image.shape[1]),
            schema.BRIGHTNESS: _floats(float(image.mean()) / 255),
        }
        for class_name, value in self._classes.values.items():
            share = counts[value] / mask.size
            feature[schema.share_feature(class_name)] = _floats(share)
        for key in config.slice_by:
            feature[key] = self._slice_feature(key, element[key])
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        return example.SerializeToString(deterministic=True), image

    def _decode(
        self, decoder: Callable[[bytes], tf.Tensor], encoded: bytes, what: str
    ) -> np.ndarray:
        pixels = pictures.pixels_of(encoded)
        if pixels and pixels > self._limits.max_pixels:
            raise BadExampleError(
                f"its {what} says it has {pixels / 1e6:,.0f} million pixels, which "
                "dataset.bad_examples.max_pixels does not allow"
            )
        try:
            # TensorFlow takes BMP too, but reads palette BMPs wrongly, without a word.
            if not encoded.startswith(b"BM"):
                return decoder(encoded).numpy()
        except tf.errors.InvalidArgumentError:
            pass
        raise BadExampleError(
            f"its {what} can't be decoded: {len(encoded)} bytes that are no JPEG, PNG or GIF, "
            "or a truncated one"
        )

    def _slice_feature(self, key: str, value: Any) -> tf.train.Feature:
        """A slice reads better by its label's name ("cat") than by its number."""
        if key in self._labels:
            return _bytes(self._labels[key].int2str(int(value)).encode())
        if isinstance(value, bytes):
            return _bytes(value)
        return _ints(int(value))


def _mask_decoder(encoded: bytes) -> Callable[[bytes], tf.Tensor]:
    return pictures.decode_wide_mask if pictures.is_wide(encoded) else pictures.decode_mask


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _ints(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _floats(value: float) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
