"""How pictures of any shape meet the rectangle that the model sees."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
import tensorflow as tf

from components.common import schema
from components.common.windows import TilesConfig

WholeFit = Literal["stretch", "pad"]
Fit = Literal[WholeFit, "tiles"]
WHOLE_FITS: tuple[WholeFit, ...] = ("stretch", "pad")

MIDDLE_GREY = 0.5  # of padding: zero to an encoder that wants -1 to 1

# The encoder halves the picture five times.
Side = Annotated[int, pydantic.Field(ge=32, le=2048, multiple_of=32)]


class PictureFit(schema.Config):
    """How pictures and masks are prepared."""

    image_size: tuple[Side, Side] = pydantic.Field(
        default=(128, 128),
        description="height and width that the model sees, in pixels, multiples of 32",
    )
    fit: Fit = pydantic.Field(
        default="stretch",
        description="`stretch`: to that size, as in the tutorial. `pad`: in their own "
        "proportions, with padding around them that counts nowhere. `tiles`: windows of that "
        "size, at the pictures' own resolution",
    )
    tiles: TilesConfig = TilesConfig()

    @pydantic.model_validator(mode="after")
    def _check(self) -> PictureFit:
        if self.tiles != TilesConfig() and self.fit != "tiles":
            raise ValueError(f"tiles: only with `fit: tiles`; here it is `{self.fit}`")
        overlap = self.tiles.overlap or 0
        if overlap >= min(self.image_size):
            raise ValueError(
                f"tiles.overlap: {overlap} is all of a window of {self.image_size[1]}x"
                f"{self.image_size[0]} (image_size); take half a window at most"
            )
        return self


def content_box(size: tf.Tensor, model_size: tuple[int, int], fit: WholeFit) -> tf.Tensor:
    """The part of the model's rectangle that a picture fills.

    `stretch`: all of it, whatever becomes of the picture's proportions. `pad`: as much as
    its proportions allow, in the middle; the rest is padding (a "letterbox").

    Args:
      size: int64 [..., 2], height and width of pictures, both at least 1.
      model_size: height and width of the rectangle.
      fit: how pictures are fitted in.

    Returns:
      int64 [..., 4]: top, left, height, width; in pixels of the rectangle.
    """
    whole = tf.constant(model_size, tf.int64)
    if fit == "stretch":
        inner = tf.zeros_like(size) + whole
    else:
        # Each side where the other one fills its own, rounded; only one of them can fill it.
        other = tf.reverse(size, [-1])
        inner = (size * whole[::-1] + other // 2) // other
        inner = tf.clip_by_value(inner, 1, whole)
    return tf.concat([(whole - inner) // 2, inner], axis=-1)


def place(
    content: tf.Tensor, box: tf.Tensor, model_size: tuple[int, int], padding: float
) -> tf.Tensor:
    """Puts a fitted picture or mask into the rectangle.

    Args:
      content: [height, width, …] of the box's size.
      box: int64 [4], from `content_box`.
      model_size: height and width of the rectangle.
      padding: value of what is around it.

    Returns:
      [*model_size, …], of the same type.
    """
    before = box[:2]
    after = tf.constant(model_size, tf.int64) - before - box[2:]
    placed = _surrounded(content, before, after, padding)
    return tf.ensure_shape(placed, [*model_size, *content.shape[2:]])


def enlarged(content: tf.Tensor, size: tf.Tensor | tuple[int, int], padding: float) -> tf.Tensor:
    """Pads a picture or mask below and to the right where it is smaller than a size.

    Args:
      content: [height, width, …].
      size: int64 [2], the least height and width.
      padding: value of what is added.

    Returns:
      [height, width, …], of the same type.
    """
    missing = tf.convert_to_tensor(size, tf.int64) - tf.shape(content, tf.int64)[:2]
    after = tf.maximum(missing, 0)
    return _surrounded(content, tf.zeros_like(after), after, padding)


def _surrounded(
    content: tf.Tensor, before: tf.Tensor, after: tf.Tensor, padding: float
) -> tf.Tensor:
    around = tf.stack([before, after], axis=1)
    rest = tf.zeros([tf.rank(content) - 2, 2], tf.int64)
    padded = tf.pad(
        content, tf.concat([around, rest], 0), constant_values=tf.cast(padding, content.dtype)
    )
    return tf.ensure_shape(padded, [None, None, *content.shape[2:]])


def cut_out(content: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """The picture's part of something that lies over the rectangle: [height, width, …]."""
    top, left, height, width = tf.unstack(box)
    return content[top : top + height, left : left + width]


def inside(boxes: tf.Tensor, model_size: tuple[int, int]) -> tf.Tensor:
    """Which pixels of the rectangle are the picture's: bool [batch, *model_size].

    Args:
      boxes: int64 [batch, 4].
      model_size: height and width of the rectangle.
    """
    top, left, height, width = tf.unstack(boxes[:, tf.newaxis], axis=-1)
    rows, columns = (tf.range(side, dtype=tf.int64)[tf.newaxis] for side in model_size)
    in_rows = (rows >= top) & (rows < top + height)
    in_columns = (columns >= left) & (columns < left + width)
    return in_rows[:, :, tf.newaxis] & in_columns[:, tf.newaxis, :]
