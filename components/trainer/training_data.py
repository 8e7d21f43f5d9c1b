"""The prepared pictures of a training, and how many steps they make."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import Iterator

import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from components.common import schema
from components.common.picture_fit import Fit
from components.trainer import input_pipeline
from components.trainer.config import TrainerConfig

_LOG = logging.getLogger("segline.trainer")


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Training and validation split, prepared by the Transform step's graph.

    Attributes:
      transform: output of the Transform step.
      image_size: height and width of the prepared pictures.
      fit: how the Transform step has fitted them in.
      train: (image, mask) elements, cached as the config says.
      validation: the same of the validation split.
      train_count: pictures for training.
      validation_count: pictures for validation.
      validation_examples: serialized tf.Examples.
    """

    transform: tft.TFTransformOutput
    image_size: tuple[int, int]
    fit: Fit
    train: tf.data.Dataset
    validation: tf.data.Dataset
    train_count: int
    validation_count: int
    validation_examples: tf.data.Dataset

    def samples(self, count: int) -> tf.data.Dataset:
        """The first pictures of the validation split, as `validation` has them."""
        # Not from the cache, which is filled by whoever reads all.
        return input_pipeline.prepared_pictures(
            self.validation_examples.take(count), self.transform
        )

    def ignore_index(self, classes: schema.ClassTable) -> int | None:
        """What the masks have where a pixel doesn't count; None: all count."""
        return schema.IGNORE_INDEX if self.fit == "pad" else classes.ignore_index

    def steps_per_epoch(self, config: TrainerConfig) -> int:
        """Training batches in an epoch, at least one."""
        return config.steps_per_epoch or max(1, self.train_count // config.batch_size)

    def validation_steps(self, config: TrainerConfig) -> int | None:
        """Validation batches after an epoch; None: all."""
        if config.validation_subsplits == 1:
            return None
        batches = self.validation_count // config.batch_size // config.validation_subsplits
        return max(1, batches)


@contextlib.contextmanager
def training_data(fn_args: FnArgs, config: TrainerConfig) -> Iterator[TrainingData]:
    """The data that TFX gives to a Trainer or Tuner, as long as it is needed.

    Args:
      fn_args: TFX's: the splits' files and the Transform step's graph.
      config: where prepared pictures are kept.

    Raises:
      FileNotFoundError: a split has no files.
    """
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    splits = {
        schema.TRAIN: input_pipeline.read_examples(fn_args.train_files),
        schema.VALIDATION: input_pipeline.read_examples(fn_args.eval_files),
    }
    with tempfile.TemporaryDirectory(prefix="segline-cache-") as folder:
        pictures = {
            split: input_pipeline.cached(
                input_pipeline.prepared_pictures(examples, transform), config, f"{folder}/{split}"
            )
            for split, examples in splits.items()
        }
        data = TrainingData(
            transform,
            tuple(transform.transformed_feature_spec()[schema.IMAGE].shape[:2]),
            fn_args.custom_config.get("fit", "stretch"),
            pictures[schema.TRAIN],
            pictures[schema.VALIDATION],
            input_pipeline.count_examples(splits[schema.TRAIN]),
            input_pipeline.count_examples(splits[schema.VALIDATION]),
            splits[schema.VALIDATION],
        )
        _LOG.info(
            "%d training and %d validation pictures of %dx%d",
            data.train_count,
            data.validation_count,
            *data.image_size,
        )
        yield data
