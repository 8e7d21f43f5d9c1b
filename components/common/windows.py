"""Windows over a large picture: where they lie, and how much each counts where they overlap.

The same numbers for whoever cuts: the model's graph, and a reader of rasters.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import pydantic
import tensorflow as tf

from components.common import schema


class TilesConfig(schema.Config):
    """Windows at the picture's own resolution; for `transform.fit: tiles`."""

    overlap: Annotated[int, pydantic.Field(ge=0)] | None = pydantic.Field(
        default=None,
        description="of neighbouring windows, in the model's pixels; null: a quarter of "
        "image_size's shorter side",
    )
    scale: float = pydantic.Field(
        default=1.0,
        gt=0,
        le=4,
        description="the model's pixels for each of the picture's, along a side: 0.5 shows it "
        "windows of twice the size at half the resolution",
    )
    windows_per_picture: pydantic.PositiveInt = pydantic.Field(
        default=8, description="random windows that training takes from a picture in an epoch"
    )
    rare_share: Annotated[float, pydantic.Field(ge=0, le=1)] = pydantic.Field(
        default=0.33,
        description="share of those that lie around a pixel of one of the picture's classes, each "
        "class as often as another; the rest lie anywhere",
    )


def footprint(
    model_size: tuple[int, int], tiles: TilesConfig
) -> tuple[tuple[int, int], tuple[int, int]]:
    """What a window covers of the picture, in the picture's own pixels.

    Args:
      model_size: height and width that the network sees.
      tiles: the settings.

    Returns:
      Height and width of a window, and of what neighbours share, as the picture's pixels.
    """
    overlap = min(model_size) // 4 if tiles.overlap is None else tiles.overlap
    height, width = (max(1, round(side / tiles.scale)) for side in model_size)
    shared = round(overlap / tiles.scale)
    return (height, width), (min(shared, height - 1), min(shared, width - 1))


def starts(length: tf.Tensor | int, window: int, overlap: int) -> tf.Tensor:
    """Where the windows begin along one side: regularly, the last one at the end.

    Args:
      length: of the side; at least `window`.
      window: its length.
      overlap: of neighbours, less than `window`.

    Returns:
      int64 [n], from 0 to `length - window`.
    """
    last = tf.cast(length, tf.int64) - window
    regular = tf.range(tf.constant(0, tf.int64), last, window - overlap, dtype=tf.int64)
    return tf.concat([regular, last[tf.newaxis]], 0)


def weights(window: int, overlap: int) -> tf.Tensor:
    """How much a window counts at each of its pixels, along one side.

    1 in the middle, and a squared sine towards its ends: where two regular neighbours
    overlap, their weights have the sum 1, without a step.

    Args:
      window: its length.
      overlap: of neighbours.

    Returns:
      float32 [window], all above 0.
    """
    position = tf.range(window, dtype=tf.float32) + 0.5
    depth = tf.minimum(position, window - position) / max(overlap, 1)
    return tf.sin(tf.minimum(depth, 1.0) * (3.141592653589793 / 2)) ** 2


@dataclasses.dataclass(frozen=True)
class Span:
    """A piece of one side, of some windows, and the part of it that it decides.

    Attributes:
      begin: first pixel.
      end: behind the last one.
      keep_from: first pixel that no window outside the piece has a part in.
      keep_to: behind the last such.
    """

    begin: int
    end: int
    keep_from: int
    keep_to: int


def spans(length: int, window: int, overlap: int, most: int) -> list[Span]:
    """Cuts a side into pieces whose windows are those of the whole.

    Segmented each for itself, what they keep is what the whole picture would get.

    Args:
      length: of the side, in pixels.
      window: length of a window.
      overlap: of neighbouring windows, less than `window`.
      most: pixels of a piece; more where all windows that share a pixel need them.
    """
    if length <= window:
        return [Span(0, length, 0, length)]
    stride = window - overlap
    begins = [*range(0, length - window, stride), length - window]
    at_a_time = max(0, most - window) // stride + 1
    found: list[Span] = []
    first = following = 0  # windows: of the next piece, and the next that is in none yet
    while following < len(begins):
        last = min(max(first + at_a_time - 1, following), len(begins) - 1)
        following = last + 1
        kept = found[-1].keep_to if found else 0
        keep_to = begins[following] if following < len(begins) else length
        found.append(Span(begins[first], begins[last] + window, kept, keep_to))
        # The first window of the next piece: none before it reaches beyond what is kept.
        while first < following and begins[first] + window <= keep_to:
            first += 1
    return found


def ample(window: int, overlap: int) -> int:
    """Pixels of a piece that has more windows of its own than it shares with the next.

    Args:
      window: length of a window.
      overlap: of neighbouring windows, less than `window`.
    """
    stride = window - overlap
    sharing = -(-window // stride) - 1  # windows that reach into the next one
    return window + max(2 * sharing, 1) * stride
