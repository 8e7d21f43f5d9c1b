"""Windows of large pictures for training: random ones, and a grid that covers all."""

from __future__ import annotations

import tensorflow as tf

from components.common import schema, windows
from components.common.picture_fit import PictureFit, enlarged
from components.trainer.sliding_window import to_model_size

Pair = tuple[tf.Tensor, tf.Tensor]


def random_windows(
    image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, fit: PictureFit, padding: float
) -> Pair:
    """Some windows of a picture, those of its rarer classes more often.

    A share of them (`rare_share`) lies around a pixel of one of the classes that the mask has,
    each class as often as another, after nnU-Net's oversampling (Isensee et al., Nature Methods
    2021).

    Args:
      image: float [height, width, bands], prepared; any size.
      mask: uint8 [height, width] of class indices.
      seed: int32 [2]; the same seed takes the same windows.
      fit: their size, scale and number.
      padding: value of the pixels around a picture that is smaller than a window.

    Returns:
      float32 [n, *image_size, bands] and uint8 [n, *image_size].
    """
    size, _ = windows.footprint(fit.image_size, fit.tiles)
    image, mask = _padded(image, mask, size, padding)
    free = tf.shape(mask) - tf.constant(size)
    seeds = tf.random.split(seed, fit.tiles.windows_per_picture)
    values, _, counts = tf.unique_with_counts(tf.reshape(tf.cast(mask, tf.int32), [-1]))
    is_class = values != schema.IGNORE_INDEX
    values, counts = tf.boolean_mask(values, is_class), tf.boolean_mask(counts, is_class)

    def start(seed: tf.Tensor) -> tf.Tensor:
        chance = tf.random.stateless_uniform([7], seed)
        anywhere = _up_to(chance[:2], free)

        def around_a_class() -> tf.Tensor:
            which = _up_to(chance[3], tf.size(values) - 1)
            number = _up_to(chance[4], counts[which] - 1)
            at = tf.where(tf.cast(mask, tf.int32) == values[which])[number]
            begin = tf.cast(at, tf.int32) - _up_to(chance[5:7], tf.constant(size) - 1)
            return tf.clip_by_value(begin, 0, free)

        rare = (chance[2] < fit.tiles.rare_share) & (tf.size(values) > 0)
        return tf.cond(rare, around_a_class, lambda: anywhere)

    begins = tf.map_fn(start, seeds, fn_output_signature=tf.TensorSpec([2], tf.int32))
    return _cut(image, mask, begins, fit.image_size, size)


def grid_windows(image: tf.Tensor, mask: tf.Tensor, fit: PictureFit, padding: float) -> Pair:
    """Windows side by side that cover a picture; each pixel of the mask counts in one of them.

    Args:
      image: float [height, width, bands], prepared; any size.
      mask: uint8 [height, width] of class indices.
      fit: their size and scale.
      padding: value of the pixels around a picture that is smaller than a window.

    Returns:
      float32 [n, *image_size, bands] and uint8 [n, *image_size]; where the last window of a row
      or column reaches back over its neighbour, its mask is IGNORE_INDEX.
    """
    size, _ = windows.footprint(fit.image_size, fit.tiles)
    image, mask = _padded(image, mask, size, padding)
    rows, columns = (
        tf.cast(windows.starts(tf.shape(mask)[side], size[side], 0), tf.int32) for side in (0, 1)
    )
    begins = tf.stack(tf.meshgrid(rows, columns, indexing="ij"), -1)
    images, masks = _cut(image, mask, tf.reshape(begins, [-1, 2]), fit.image_size, size)
    # At the model's scale, where they are counted.
    in_rows = _again(rows, size[0], fit.image_size[0])
    in_columns = _again(columns, size[1], fit.image_size[1])
    seen = in_rows[:, None, :, None] | in_columns[None, :, None, :]
    seen = tf.reshape(seen, [-1, *fit.image_size])
    return images, tf.where(seen, tf.constant(schema.IGNORE_INDEX, tf.uint8), masks)


def _again(begins: tf.Tensor, window: int, side: int) -> tf.Tensor:
    """bool [windows, side]: which rows (or columns) the window before has already."""
    covered = tf.concat([[0], begins[:-1] + window], 0) - begins
    covered = tf.cast(tf.round(tf.cast(covered, tf.float32) * (side / window)), tf.int32)
    return tf.range(side)[None] < covered[:, None]


def _cut(
    image: tf.Tensor,
    mask: tf.Tensor,
    begins: tf.Tensor,
    model_size: tuple[int, int],
    size: tuple[int, int],
) -> Pair:
    def cut(begin: tf.Tensor) -> Pair:
        rows, columns = (slice(begin[side], begin[side] + size[side]) for side in (0, 1))
        return image[rows, columns], mask[rows, columns]

    images, masks = tf.map_fn(
        cut,
        begins,
        fn_output_signature=(
            tf.TensorSpec([*size, image.shape[-1]], image.dtype),
            tf.TensorSpec(size, tf.uint8),
        ),
    )
    images = tf.cast(images, tf.float32)
    if size == model_size:
        return images, masks
    nearest = tf.image.resize(masks[..., tf.newaxis], model_size, method="nearest")[..., 0]
    return to_model_size(images, model_size), nearest


def _padded(image: tf.Tensor, mask: tf.Tensor, size: tuple[int, int], padding: float) -> Pair:
    mask = enlarged(mask, size, schema.IGNORE_INDEX)
    return enlarged(image, size, padding), mask


def _up_to(chance: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
    """A random integer from 0 to `most`, of a random number in [0, 1)."""
    return tf.minimum(tf.cast(chance * tf.cast(most + 1, tf.float32), tf.int32), most)
