"""What exports are calibrated on and judged on: pictures of the examples, or windows of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from components.common import pictures, schema
from components.common.examples import bytes_of
from components.common.exported_model import device_picture
from components.common.picture_fit import PictureFit
from components.common.windows import footprint

_BATCH = 16
_WINDOWS = 4  # of a picture, along each side, where a model sees windows


@dataclasses.dataclass(frozen=True)
class Batch:
    """Pictures and their truth.

    Attributes:
      encoded: JPEG, PNG or GIF.
      truths: uint8 [height, width] each, class indices; IGNORE_INDEX where pixels don't count.
    """

    encoded: list[bytes]
    truths: list[np.ndarray]


def calibration_pictures(
    files: Sequence[str], total: int, wanted: int, fit: PictureFit
) -> Iterator[np.ndarray]:
    """Pictures that int8's ranges are taken from, spread evenly over a split.

    Args:
      files: gzipped TFRecord files of the training split.
      total: how many examples they have.
      wanted: how many pictures at most.
      fit: of the model.

    Yields:
      float32 [1, *image_size, 3], from 0 to 255; of a model that sees windows, one of each picture.
    """
    step = max(1, total // wanted)
    examples = _records(files).shard(step, 0).take(wanted)
    for number, example in enumerate(examples.as_numpy_iterator()):
        (encoded,) = bytes_of(example, schema.IMAGE)
        if fit.fit == "tiles":
            windows = list(_windows(example, fit, None))
            if not windows:
                continue
            encoded = windows[number % len(windows)][0]
        yield device_picture(encoded, fit)[0].numpy()[np.newaxis]


def evaluation_batches(
    files: Sequence[str], model: tf.Module, fit: PictureFit, classes: schema.ClassTable, at: str
) -> Iterator[Batch]:
    """The evaluated split, with the truth at the size at which pixels are counted.

    Args:
      files: its gzipped TFRecord files.
      model: the SavedModel.
      fit: of the model. With `fit: tiles` up to 16 windows of each picture, spread evenly, take
        the picture's place: a device sees windows.
      classes: the class table.
      at: `model` or `picture`, as `evaluator.at` has it.
    """
    prepared = model.signatures[schema.TRANSFORM_SIGNATURE]
    lookup = classes.lookup_table(unknown=pictures.NO_INDEX)
    for batch in _records(files).batch(_BATCH).as_numpy_iterator():
        if fit.fit == "tiles":
            pairs = [pair for example in batch for pair in _windows(example, fit, lookup)]
            for start in range(0, len(pairs), _BATCH):
                part = pairs[start : start + _BATCH]
                yield Batch([one for one, _ in part], [truth for _, truth in part])
            continue
        encoded = [bytes_of(example, schema.IMAGE)[0] for example in batch]
        if at == "model":
            masks = prepared(**{schema.EXAMPLES: tf.constant(batch)})[schema.MASK]
            truths = list(masks.numpy().astype(np.uint8))
        else:
            truths = [_truth(example, lookup) for example in batch]
        yield Batch(encoded, truths)


def _windows(
    example: bytes, fit: PictureFit, lookup: list[int] | None
) -> Iterator[tuple[bytes, np.ndarray]]:
    """Windows of a picture as PNG files, and their truth where a look-up is given.

    A picture that is smaller than a window has none.
    """
    image = pictures.decode_image(tf.constant(bytes_of(example, schema.IMAGE)[0])).numpy()
    truth = np.zeros(image.shape[:2], np.uint8) if lookup is None else _truth(example, lookup)
    (height, width), _ = footprint(fit.image_size, fit.tiles)
    if image.shape[0] < height or image.shape[1] < width:
        return
    for top in _spread(image.shape[0] - height, height):
        for left in _spread(image.shape[1] - width, width):
            part = slice(top, top + height), slice(left, left + width)
            yield tf.io.encode_png(image[part]).numpy(), truth[part]


def _spread(last: int, window: int) -> list[int]:
    """Up to `_WINDOWS` beginnings from 0 to `last`, no more than cover the side."""
    count = min(_WINDOWS, -(-last // window) + 1)
    return sorted({int(start) for start in np.linspace(0, last, count).round()})


def _truth(example: bytes, lookup: list[int]) -> np.ndarray:
    mask = pictures.decode_mask(tf.constant(bytes_of(example, schema.MASK)[0]))
    return pictures.class_indices(mask, lookup).numpy().astype(np.uint8)


def _records(files: Sequence[str]) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(sorted(files), "GZIP")
