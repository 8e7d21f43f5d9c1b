"""What a trained model's network says of examples, pixel by pixel, and what its encoder sees."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from components.common import schema
from components.common.bands import channels_of
from components.common.errors import UserError
from components.common.network import encoder_output, take_network
from components.common.picture_fit import MIDDLE_GREY
from components.common.served_model import ServedModel
from components.trainer.random_windows import grid_windows

_AT_A_TIME = 16  # pictures, or windows, that go through the network together


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the network says of a picture, at the size that it sees.

    Attributes:
      probabilities: float32 [n, height, width, C]; n is 1, or with `fit: tiles` the number of
        windows side by side that cover the picture.
      labels: uint8 [n, height, width] of class indices; IGNORE_INDEX in padding, and where a
        window reaches back over another.
      features: float32 [channels], the mean of what the encoder ends with (of which view of
        several: `network.encoder_output`).
      mirrored: as `probabilities`, of the mirror images, turned back; None: not asked for.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    features: np.ndarray
    mirrored: np.ndarray | None = None


class Inference:
    """A SavedModel of segline, asked for probabilities instead of masks.

    Args:
      model: that is asked.

    Raises:
      UserError: there is no network of its size in it.
    """

    def __init__(self, model: ServedModel) -> None:
        self._fit = model.fit
        self._prepare = model.saved_model.signatures[schema.TRANSFORM_SIGNATURE]
        channels = channels_of(model.bands)
        try:
            network = take_network(model.saved_model, self._fit.image_size, channels)
            encoder_output(network)
        except ValueError as error:
            raise UserError(f"{model.path}: {error}; train it again") from error
        spec = tf.TensorSpec([None, *self._fit.image_size, channels], tf.float32)
        self._network = tf.function(network.with_features, input_signature=[spec])

    def see(self, records: Iterable[bytes], flip: bool = False) -> Iterator[Seen]:
        """Looks at examples.

        Args:
          records: serialized tf.Examples with picture and mask.
          flip: look at their mirror images too.

        Yields:
          What was seen of each, in order.

        Raises:
          tf.errors.InvalidArgumentError: a picture or mask can't be decoded.
        """
        remaining = iter(records)
        size = 1 if self._fit.fit == "tiles" else _AT_A_TIME
        while batch := list(itertools.islice(remaining, size)):
            prepared = self._prepare(**{schema.EXAMPLES: tf.constant(batch)})
            images = prepared[schema.IMAGE]
            labels = tf.cast(prepared[schema.MASK], tf.uint8)
            if self._fit.fit == "tiles":
                windows, labels = grid_windows(images[0], labels[0], self._fit, MIDDLE_GREY)
                probabilities, features = self._ask(windows)
                mirrored = self._mirrored(windows) if flip else None
                yield Seen(probabilities, labels.numpy(), features.mean(0), mirrored)
                continue
            probabilities, features = self._ask(images)
            mirrored = self._mirrored(images) if flip else None
            for at in range(len(batch)):
                one = slice(at, at + 1)
                yield Seen(
                    probabilities[one],
                    labels[one].numpy(),
                    features[at],
                    None if mirrored is None else mirrored[one],
                )

    def _ask(self, images: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities float32 [n, height, width, C], features float32 [n, channels]."""
        found = [
            self._network(images[start : start + _AT_A_TIME])
            for start in range(0, images.shape[0], _AT_A_TIME)
        ]
        logits, features = (tf.concat(parts, 0) for parts in zip(*found, strict=True))
        return tf.nn.softmax(logits).numpy(), features.numpy()

    def _mirrored(self, images: tf.Tensor) -> np.ndarray:
        return self._ask(tf.reverse(images, [2]))[0][:, :, ::-1]
