"""What an encoder's first layer sees of a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import keras

Channels = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class InputScaling:
    """`scale * picture + offset`, of an RGB picture in [0, 1].

    Of pictures with other bands than three, each has what the colour has whose weights it gets
    (see `inflation.py`): red, green, blue, red, … or, of a single band, the mean of the three.

    Attributes:
      scale: of red, green and blue.
      offset: of red, green and blue.
      blue_first: whether the network takes the channels in the other order.
    """

    scale: Channels
    offset: Channels
    blue_first: bool = False

    @classmethod
    def to_range(cls, low: float, high: float) -> InputScaling:
        """All channels from [0, 1] to [low, high]."""
        return cls((high - low,) * 3, (low,) * 3)

    @classmethod
    def standardised(cls, mean: Iterable[float], deviation: Iterable[float]) -> InputScaling:
        """Each channel to mean 0 and deviation 1.

        Args:
          mean: of a picture in [0, 1], red, green and blue.
          deviation: the same.
        """
        red, green, blue = ((1 / d, -m / d) for m, d in zip(mean, deviation, strict=True))
        scale, offset = zip(red, green, blue, strict=True)
        return cls(scale, offset)

    def apply(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """[batch, height, width, channels] -> the same shape; the very tensor if it's no change."""
        if self != InputScaling.to_range(0, 1):
            scale, offset = (_of_channels(one, x.shape[-1]) for one in (self.scale, self.offset))
            x = keras.layers.Rescaling(scale, offset, name="input_range")(x)
        return keras.ops.flip(x, axis=-1) if self.blue_first else x


def _of_channels(values: Channels, count: int) -> list[float]:
    if count == 1:
        return [sum(values) / len(values)]
    return [values[channel % len(values)] for channel in range(count)]


# What keras.applications was trained on; see keras.applications.imagenet_utils.
SYMMETRIC = InputScaling.to_range(-1, 1)
STANDARDISED = InputScaling.standardised((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CAFFE = InputScaling((255.0,) * 3, (-123.68, -116.779, -103.939), blue_first=True)
