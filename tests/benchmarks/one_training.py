"""A training by the product's own code, without the pipeline around it."""

from __future__ import annotations

import dataclasses
import functools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from components.trainer.config import TrainerConfig
    from pipeline.config.loading import PipelineConfig


@dataclasses.dataclass(frozen=True)
class Training:
    """What came of a training.

    Attributes:
      matrices: int64 [classes, classes] of truth and prediction, for each of the judged sets.
      seconds: of the training.
      processor_seconds: the same, counted in processor time.
    """

    matrices: list[np.ndarray]
    seconds: float
    processor_seconds: float


def load_pictures(config: PipelineConfig, split: str) -> tf.data.Dataset:
    """The pictures of a split as Transform prepares them, in memory.

    Args:
      config: dataset, classes and picture size.
      split: in TFDS's words, such as `train[:90%]`.

    Returns:
      (image, mask) elements: float32 [height, width, 3] in [0, 1] and uint8 [height, width]
      of class indices.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from components.example_gen.dataset import open_dataset
    from components.transform.preprocessing import prepare_images, prepare_masks

    names = config.dataset.features.image, config.dataset.features.mask
    size = config.transform.image_size
    skip = dict.fromkeys(names, tfds.decode.SkipDecoding())
    images, masks = [], []
    for batch in open_dataset(config.dataset).as_dataset(split, decoders=skip).batch(64):
        images.append(prepare_images(batch[names[0]], size)[0])
        mask = prepare_masks(batch[names[1]], size, config.classes)
        masks.append(tf.cast(mask, tf.uint8))
    return tf.data.Dataset.from_tensor_slices((tf.concat(images, 0), tf.concat(masks, 0)))


def train(
    config: TrainerConfig,
    num_classes: int,
    data: tf.data.Dataset,
    judged: Sequence[tf.data.Dataset],
) -> Training:
    """Trains on some pictures and counts the confusion matrices of others.

    Args:
      config: the settings.
      num_classes: of the masks; all pixels count.
      data: from `load_pictures`.
      judged: the same; none of them is looked at during the training.
    """
    import tensorflow as tf

    from components.trainer import input_pipeline
    from components.trainer.counting import confusion_matrices
    from components.trainer.fitting import fit, reproducible
    from components.trainer.sample_weights import resolve_class_weights
    from components.trainer.unet import build_unet

    size = tuple(data.element_spec[1].shape)
    weights = resolve_class_weights(config.class_weights, data, num_classes)
    with reproducible(config):
        started, processor_started = time.perf_counter(), time.process_time()
        model = build_unet(num_classes, size, config.encoder, config.decoder)
        fit(
            model,
            tf.distribute.get_strategy(),
            config,
            functools.partial(input_pipeline.training_batches, data, config, weights),
            data.take(1).batch(1),
            steps_per_epoch=config.steps_per_epoch or len(data) // config.batch_size,
            validation_steps=1,
            ignore_index=None,
            callbacks=[],
        )
        spent = time.perf_counter() - started, time.process_time() - processor_started
        matrices = []
        for pictures in judged:
            matrix = tf.zeros([num_classes, num_classes], tf.int64)
            for images, masks in pictures.batch(32):
                predicted = tf.argmax(model(images, training=False), -1)
                counts = confusion_matrices(tf.cast(masks, tf.int64), predicted, num_classes)
                matrix += tf.reduce_sum(counts, 0)
            matrices.append(matrix.numpy())
    return Training(matrices, *spent)


def class_iou(matrix: np.ndarray) -> np.ndarray:
    """IoU of each class, float64 [classes], from a confusion matrix."""
    right = matrix.diagonal()
    return right / (matrix.sum(0) + matrix.sum(1) - right)
