"""From example files to batches, in the tutorial's order:

cache, shuffle, batch, repeat, augment, weigh, prefetch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.common import schema
from components.common.errors import UserError
from components.common.picture_fit import MIDDLE_GREY, PictureFit
from components.common.pictures import unpack_image, unpack_indices
from components.trainer.augmentation import augment
from components.trainer.config import TrainerConfig
from components.trainer.random_windows import grid_windows, random_windows
from components.trainer.sample_weights import add_sample_weights

_NUMBERED = re.compile(r"(.*)-(\d{5})-of-(\d{5})(?:\..*)?")
_TRANSFORM_BATCH = 32  # examples that go through the transform graph together
_BATCHES_AT_A_TIME = 4  # augmented beside one another: bounds the memory for large pictures
_BATCHES_AHEAD = 2
_WHOLE = PictureFit()
_SHUFFLED_BYTES = 512 * 2**20  # of windows
_PICTURES_AHEAD = 16  # large ones, shuffled outside the cache


def read_examples(file_patterns: Sequence[str]) -> tf.data.Dataset:
    """Serialized tf.Examples of a split, in the files' order.

    tf.data's autotuning is off for these and all that is made of them. Its thread looks at
    the pipeline at intervals that double, and an iterator that ends can miss to wake it:
    Keras makes an iterator for each epoch's validation, and waited for the last one's thread,
    idle, up to as long again as the epoch had taken (TensorFlow 2.16; with 2.21 one training
    of two took 24 s longer so).

    Raises:
      FileNotFoundError: no file matches.
      UserError: a file is empty (TensorFlow would read it as no examples), or one of a
        numbered series is missing.
    """
    files = sorted(file for pattern in file_patterns for file in tf.io.gfile.glob(pattern))
    if not files:
        raise FileNotFoundError(f"no example files match {', '.join(file_patterns)}")
    _check_complete(files)
    fixed = tf.data.Options()
    fixed.autotune.enabled = False
    examples = tf.data.TFRecordDataset(files, compression_type="GZIP", num_parallel_reads=None)
    return examples.with_options(fixed)


def _check_complete(files: Sequence[str]) -> None:
    problems = [f"{file} is empty" for file in files if not tf.io.gfile.stat(file).length]
    series: dict[tuple[str, int], set[int]] = {}
    for file in files:
        if numbered := _NUMBERED.fullmatch(file):
            name, number, count = numbered.groups()
            series.setdefault((name, int(count)), set()).add(int(number))
    for (name, count), found in series.items():
        missing = sorted(set(range(count)) - found)
        problems += [f"{name}: file {number} of {count} is missing" for number in missing]
    if problems:
        raise UserError(
            f"the examples are damaged: {problems[0]}. Put the file back, or have all steps "
            "done again: SEGLINE__RUN__CACHE=false make run"
        )


def count_examples(dataset: tf.data.Dataset) -> int:
    """Number of elements, found by reading all."""
    return int(dataset.reduce(np.int64(0), lambda count, _: count + 1).numpy())


def prepared_pictures(
    examples: tf.data.Dataset, transform: tft.TFTransformOutput, packed: int | None = None
) -> tf.data.Dataset:
    """Applies the Transform step's graph.

    Args:
      examples: serialized tf.Examples.
      transform: output of the Transform step.
      packed: their channels, where it leaves pictures at their own sizes; None: it doesn't.

    Returns:
      (image, mask) elements: float32 [height, width, channels] in [0, 1] (float16 where they were
      packed) and uint8 [height, width] of class indices.
    """
    spec = transform.raw_feature_spec()
    spec = {name: spec[name] for name in (schema.IMAGE, schema.MASK)}
    layer = transform.transform_features_layer()

    def prepare(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = layer(tf.io.parse_example(serialized, spec))
        if packed:
            return features[schema.IMAGE], features[schema.MASK]
        return features[schema.IMAGE], tf.cast(features[schema.MASK], tf.uint8)

    def unpack(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return unpack_image(image, packed or 3), unpack_indices(mask)

    size = 1 if packed else _TRANSFORM_BATCH  # large pictures: one at a time
    prepared = examples.batch(size).map(prepare, num_parallel_calls=tf.data.AUTOTUNE).unbatch()
    return prepared.map(unpack) if packed else prepared


def cached(dataset: tf.data.Dataset, config: TrainerConfig, folder: str) -> tf.data.Dataset:
    """Keeps prepared pictures where the config says, `folder` being for `disk`."""
    if config.cache == "none":
        return dataset
    if config.cache == "disk":
        tf.io.gfile.makedirs(folder)
        return dataset.cache(f"{folder}/pictures")
    return dataset.cache()


def training_batches(
    pictures: tf.data.Dataset,
    config: TrainerConfig,
    class_weights: np.ndarray | None,
    first_batch: int = 0,
    fit: PictureFit = _WHOLE,
) -> tf.data.Dataset:
    """Endless augmented batches; the same ones at every call.

    Args:
      pictures: (image, mask) elements, cached.
      config: batch size, shuffling, augmentation, seed.
      class_weights: float32 [num_classes], or None for no sample weights.
      first_batch: how many are passed over, by a training that goes on.
      fit: with `tiles` the pictures have any size, and batches are of their windows.

    Returns:
      Batches of (image, mask) or, with class weights, (image, mask, weight).
    """

    weigh = add_sample_weights(class_weights) if class_weights is not None else None

    def change(batch: tuple[tf.Tensor, tf.Tensor], step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        seed = tf.stack([tf.constant(config.seed, tf.int64), step])
        changed = augment(*batch, tf.cast(seed, tf.int32), config.augmentation)
        return weigh(*changed) if weigh else changed

    if fit.fit == "tiles":
        batches = _windows(pictures, config, fit).batch(config.batch_size)
    else:
        shuffled = pictures.shuffle(config.shuffle_buffer, seed=config.seed)
        batches = shuffled.batch(config.batch_size).repeat()
    # Each step's changes come from the seed and the step's number alone.
    steps = tf.data.Dataset.range(np.iinfo(np.int32).max)
    batches = tf.data.Dataset.zip((batches, steps)).skip(first_batch)
    return batches.map(change, _BATCHES_AT_A_TIME).prefetch(_BATCHES_AHEAD)


def _windows(pictures: tf.data.Dataset, config: TrainerConfig, fit: PictureFit) -> tf.data.Dataset:
    """Endless random windows, others in each epoch."""
    ahead = config.shuffle_buffer if config.cache == "memory" else _PICTURES_AHEAD
    endless = pictures.shuffle(ahead, seed=config.seed).repeat()

    def cut(number: tf.Tensor, pair: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        seed = tf.cast(tf.stack([tf.constant(config.seed, tf.int64), number]), tf.int32)
        return random_windows(*pair, seed, fit, MIDDLE_GREY)

    windows = endless.enumerate().map(cut, _BATCHES_AT_A_TIME).unbatch()
    image, _ = windows.element_spec
    held = min(config.shuffle_buffer, max(1, _SHUFFLED_BYTES // (4 * image.shape.num_elements())))
    return windows.shuffle(held, seed=config.seed)


def validation_windows(pictures: tf.data.Dataset, fit: PictureFit) -> tf.data.Dataset:
    """(image, mask) elements that cover large pictures, each of their pixels counted once."""

    def cut(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return grid_windows(image, mask, fit, MIDDLE_GREY)

    return pictures.map(cut).unbatch()


def sample_windows(pictures: tf.data.Dataset, fit: PictureFit) -> tf.data.Dataset:
    """Of each large picture the window in which the most classes are: (image, mask)."""

    def best(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, masks = grid_windows(image, mask, fit, MIDDLE_GREY)
        pixels = tf.reshape(masks, [tf.shape(masks)[0], -1])
        kinds = tf.map_fn(
            lambda one: tf.size(tf.unique(one)[0]), pixels, fn_output_signature=tf.int32
        )
        return images[tf.argmax(kinds)], masks[tf.argmax(kinds)]

    return pictures.map(best)


def validation_batches(pictures: tf.data.Dataset, config: TrainerConfig) -> tf.data.Dataset:
    """One pass of unchanged batches; validation is never weighted."""
    return pictures.batch(config.batch_size).prefetch(_BATCHES_AHEAD)
