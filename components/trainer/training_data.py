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
from components.common.bands import BandsConfig, channels_of
from components.common.model_card import RequestLimits
from components.common.picture_fit import PictureFit
from components.trainer import input_pipeline
from components.trainer.config import TrainerConfig
from components.trainer.request_check import count_servable

_LOG = logging.getLogger("segline.trainer")


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Training and validation split, prepared by the Transform step's graph.

    Attributes:
      transform: output of the Transform step.
      fit: size of what the model sees, and how the pictures are fitted in.
      train: (image, mask) elements, cached as the config says; with `fit: tiles` pictures of
        any size.
      validation: those of the validation split; windows with `fit: tiles`.
      train_count: pictures for training.
      validation_count: pictures for validation.
      validation_examples: serialized tf.Examples.
      bands: what is in a picture; None: red, green and blue.
    """

    transform: tft.TFTransformOutput
    fit: PictureFit
    train: tf.data.Dataset
    validation: tf.data.Dataset
    train_count: int
    validation_count: int
    validation_examples: tf.data.Dataset
    bands: BandsConfig | None = None

    @property
    def channels(self) -> int:
        """Of a picture."""
        return channels_of(self.bands)

    @property
    def tiled(self) -> bool:
        """Whether the model sees windows of the pictures."""
        return self.fit.fit == "tiles"

    def samples(self, count: int) -> tf.data.Dataset:
        """Of the first pictures of the validation split, what the model sees."""
        # Not from the cache, which is filled by whoever reads all.
        pictures = input_pipeline.prepared_pictures(
            self.validation_examples.take(count),
            self.transform,
            self.channels if self.tiled else None,
        )
        return input_pipeline.sample_windows(pictures, self.fit) if self.tiled else pictures

    def ignore_index(self, classes: schema.ClassTable) -> int | None:
        """What the masks have where a pixel doesn't count; None: all count."""
        return classes.ignore_index if self.fit.fit == "stretch" else schema.IGNORE_INDEX

    def steps_per_epoch(self, config: TrainerConfig) -> int:
        """Training batches in an epoch, at least one."""
        elements = self.train_count
        if self.tiled:
            elements *= self.fit.tiles.windows_per_picture
        return config.steps_per_epoch or max(1, elements // config.batch_size)

    def validation_steps(self, config: TrainerConfig) -> int | None:
        """Validation batches after an epoch; None: all."""
        if config.validation_subsplits == 1:
            return None
        elements = self.validation_elements()
        return max(1, elements // config.batch_size // config.validation_subsplits)

    def validation_elements(self) -> int:
        """Pictures of the validation split, or windows that cover them."""
        if self.tiled:
            return input_pipeline.count_examples(self.validation)
        return self.validation_count


@contextlib.contextmanager
def training_data(fn_args: FnArgs, config: TrainerConfig) -> Iterator[TrainingData]:
    """The data that TFX gives to a Trainer or Tuner, as long as it is needed.

    Args:
      fn_args: TFX's: the splits' files and the Transform step's graph.
      config: where prepared pictures are kept.

    Raises:
      FileNotFoundError: a split has no files.
      UserError: a picture is larger than the served model would take.
    """
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    fit = PictureFit.model_validate_json(fn_args.custom_config["transform"])
    tiled = fit.fit == "tiles"
    told = fn_args.custom_config.get("bands")
    bands = BandsConfig.model_validate_json(told) if told else None
    packed = channels_of(bands) if tiled else None
    splits = {
        schema.TRAIN: input_pipeline.read_examples(fn_args.train_files),
        schema.VALIDATION: input_pipeline.read_examples(fn_args.eval_files),
    }
    limits = RequestLimits(config.serving.max_megabytes, config.serving.max_megapixels)
    counts = {split: count_servable(one, split, limits) for split, one in splits.items()}
    with tempfile.TemporaryDirectory(prefix="segline-cache-") as folder:
        pictures = {
            split: input_pipeline.cached(
                input_pipeline.prepared_pictures(examples, transform, packed),
                config,
                f"{folder}/{split}",
            )
            for split, examples in splits.items()
        }
        validation = pictures[schema.VALIDATION]
        data = TrainingData(
            transform,
            fit,
            pictures[schema.TRAIN],
            input_pipeline.validation_windows(validation, fit) if tiled else validation,
            counts[schema.TRAIN],
            counts[schema.VALIDATION],
            splits[schema.VALIDATION],
            bands,
        )
        _LOG.info(
            "%d training and %d validation pictures%s of %dx%d",
            data.train_count,
            data.validation_count,
            ", seen through windows" if tiled else "",
            *fit.image_size,
        )
        yield data
