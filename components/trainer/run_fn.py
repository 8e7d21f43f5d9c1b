"""What TFX's Trainer calls: prepares the data, trains the model, exports it."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import os
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from components import schema
from components.trainer import (
    callbacks,
    distribution,
    input_pipeline,
    record,
    sample_weights,
    warm_start,
)
from components.trainer.checkpoints import Checkpoints, checkpoint_folder
from components.trainer.config import TrainerConfig
from components.trainer.export import export_model
from components.trainer.unet import build_unet, unfreeze_encoder

_LOG = logging.getLogger("segline.trainer")


def run_fn(fn_args: FnArgs) -> None:
    """Trains on the training split and writes the saved model.

    Args:
      fn_args: TFX's; `custom_config` holds `trainer` (TrainerConfig) and
        `classes` (ClassTable) as JSON.
    """
    config = TrainerConfig.model_validate_json(fn_args.custom_config["trainer"])
    classes = schema.ClassTable.model_validate_json(fn_args.custom_config["classes"])
    strategy = distribution.make_strategy()
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    try:
        _train_and_export(fn_args, config, classes, strategy)
    finally:
        keras.config.set_dtype_policy("float32")  # the process may go on to other steps


def _train_and_export(
    fn_args: FnArgs,
    config: TrainerConfig,
    classes: schema.ClassTable,
    strategy: tf.distribute.Strategy,
) -> None:
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    train_examples = input_pipeline.read_examples(fn_args.train_files)
    train_count = input_pipeline.count_examples(train_examples)
    validation_examples = input_pipeline.read_examples(fn_args.eval_files)
    validation_count = input_pipeline.count_examples(validation_examples)
    image_size = transform.transformed_feature_spec()[schema.IMAGE].shape[:2]
    _LOG.info(
        "%d training and %d validation pictures of %dx%d on %s",
        train_count,
        validation_count,
        *image_size,
        distribution.describe(strategy),
    )

    with strategy.scope():
        model = distribution.trainable_model(
            build_unet(len(classes), tuple(image_size), config.encoder, config.decoder)
        )
        base = _begin_with(model, fn_args.base_model)
    with tempfile.TemporaryDirectory(prefix="segline-cache-") as folder:
        train = input_pipeline.cached(
            input_pipeline.prepared_pictures(train_examples, transform), config, f"{folder}/train"
        )
        validation = input_pipeline.cached(
            input_pipeline.prepared_pictures(validation_examples, transform),
            config,
            f"{folder}/validation",
        )
        weights = sample_weights.resolve_class_weights(config.class_weights, train, len(classes))
        if weights is not None:
            _LOG.info("class weights: %s", _by_name(classes, weights))
        steps_per_epoch = config.steps_per_epoch or max(1, train_count // config.batch_size)
        validation_steps = None
        if config.validation_subsplits > 1:
            batches = validation_count // config.batch_size // config.validation_subsplits
            validation_steps = max(1, batches)
        facts = {
            "image_size": list(image_size),
            "trainer": config.model_dump(mode="json"),
            "class_weights": None if weights is None else _by_name(classes, weights),
            "training_examples": train_count,
            "validation_examples": validation_count,
            "steps_per_epoch": steps_per_epoch,
            "device": distribution.describe(strategy),
            "base_model": base,
        }
        checkpoints = None
        if distribution.number_of_workers() == 1:
            checkpoints = Checkpoints(
                checkpoint_folder(
                    fn_args.model_run_dir,
                    fn_args.transform_graph_path,
                    [*fn_args.train_files, *fn_args.eval_files],
                    fn_args.custom_config,
                    base,
                )
            )
            checkpoints.continue_logs(fn_args.model_run_dir)
        if distribution.is_chief():
            tf.io.gfile.makedirs(fn_args.model_run_dir)
            layers = record.describe_layers(model)
            record.write_training(fn_args.model_run_dir, {**facts, "layers": layers})
        fit(
            model,
            strategy,
            config,
            functools.partial(input_pipeline.training_batches, train, config, weights),
            input_pipeline.validation_batches(validation, config),
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            ignore_index=schema.IGNORE_INDEX if classes.ignore_values else None,
            callbacks=_callbacks(
                config,
                input_pipeline.prepared_pictures(
                    validation_examples.take(config.sample_pictures), transform
                ),
                len(classes),
                fn_args.model_run_dir,
            ),
            checkpoints=checkpoints,
        )

    if distribution.is_chief():
        export_model(model, transform, classes, fn_args.serving_model_dir, facts)
        warm_start.save_weights(model, fn_args.serving_model_dir)
    if checkpoints:
        checkpoints.remove()


def _begin_with(model: keras.Model, base_model: str | None) -> str:
    """Takes over an earlier model's weights; returns where it is, or nothing if it can't."""
    if not base_model:
        return ""
    reason = warm_start.load_weights(model, base_model)
    if reason:
        _LOG.warning("%s can't be begun with: %s", base_model, reason)
        return ""
    _LOG.info("beginning with the weights of %s", base_model)
    return base_model


def fit(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    config: TrainerConfig,
    train: Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset,
    *,
    steps_per_epoch: int,
    validation_steps: int | None,
    ignore_index: int | None,
    callbacks: list[keras.callbacks.Callback],
    checkpoints: Checkpoints | None = None,
) -> None:
    """Trains in one phase, or in two where the encoder is fine-tuned later.

    What a checkpoint has behind it is not trained again: the result is that of a training
    which was never ended.

    Args:
      model: the U-Net, its encoder frozen or not.
      strategy: that the model was built under.
      config: epochs, learning rate, fine-tuning.
      train: gives endless training batches, from the one of a number on. It is called for
        each phase: a dataset that was read before shuffles differently.
      validation: validation batches.
      steps_per_epoch: training batches in an epoch.
      validation_steps: validation batches looked at after an epoch; None: all.
      ignore_index: mask value that counts neither in the loss nor in the accuracy.
      callbacks: for all phases.
      checkpoints: where the state is kept; None: nowhere.
    """
    done = checkpoints.epochs_done if checkpoints else 0
    if done:
        _LOG.info("going on after epoch %d, which a training that was ended had reached", done)
    kept = [checkpoints] if checkpoints else []
    for phase in phases(config):
        if phase.last_epoch < done:
            continue
        with strategy.scope():
            if phase.fine_tunes:
                unfreeze_encoder(model, config.encoder.fine_tune_beyond_stride)
            model.compile(
                optimizer=keras.optimizers.Adam(phase.learning_rate),
                loss=keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True, ignore_class=ignore_index
                ),
                metrics=[PixelAccuracy(ignore_index)],
            )
        if done > phase.first_epoch:
            checkpoints.restore(model)
        if done == phase.last_epoch:
            continue
        first_epoch = max(phase.first_epoch, done)
        model.fit(
            train(first_epoch * steps_per_epoch),
            initial_epoch=first_epoch,
            epochs=phase.last_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_data=validation,
            validation_steps=validation_steps,
            callbacks=[keras.callbacks.LearningRateScheduler(phase.rate), *callbacks, *kept],
            verbose=0,
        )


@dataclasses.dataclass(frozen=True)
class Phase:
    """Epochs that are trained with one set of trainable layers.

    Attributes:
      first_epoch: counted from 0.
      last_epoch: exclusive.
      learning_rate: at the phase's start.
      cosine: whether it falls to zero until the phase's end.
      fine_tunes: whether a pretrained encoder trains too.
    """

    first_epoch: int
    last_epoch: int
    learning_rate: float
    cosine: bool
    fine_tunes: bool

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        if not self.cosine:
            return self.learning_rate
        done = (epoch - self.first_epoch) / (self.last_epoch - self.first_epoch)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


def phases(config: TrainerConfig) -> list[Phase]:
    """One phase, or two where the encoder is fine-tuned later."""
    cosine = config.learning_rate_schedule == "cosine"
    tuned_from = config.encoder.fine_tune_from_epoch
    if tuned_from is None or tuned_from >= config.epochs:
        return [Phase(0, config.epochs, config.learning_rate, cosine, False)]
    tuning = Phase(tuned_from, config.epochs, config.encoder.fine_tune_learning_rate, cosine, True)
    if tuned_from == 0:
        return [tuning]
    return [Phase(0, tuned_from, config.learning_rate, False, False), tuning]


@keras.saving.register_keras_serializable("segline")
class PixelAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """The tutorial's `accuracy`, over the pixels that count.

    Args:
      ignore_index: mask value of pixels that don't; None: all count.
    """

    def __init__(self, ignore_index: int | None = None, name: str = "accuracy") -> None:
        super().__init__(name=name)
        self._ignore_index = ignore_index

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tf.Variable:
        """Adds a batch: y_true [B, H, W] of indices, y_pred [B, H, W, C] of logits."""
        if self._ignore_index is not None:
            sample_weight = keras.ops.cast(
                keras.ops.not_equal(y_true, self._ignore_index), "float32"
            )
        return super().update_state(y_true, y_pred, sample_weight)


def _callbacks(
    config: TrainerConfig, samples: tf.data.Dataset, num_classes: int, folder: str
) -> list[keras.callbacks.Callback]:
    result: list[keras.callbacks.Callback] = [callbacks.EpochLog(config.epochs)]
    if not distribution.is_chief():
        return result
    result.append(keras.callbacks.TensorBoard(folder, write_graph=False))
    history = os.path.join(folder, record.HISTORY_FILE)
    result.append(keras.callbacks.CSVLogger(history, append=True))
    if config.sample_pictures:
        pairs = list(samples.as_numpy_iterator())
        images, masks = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
        result.append(callbacks.PredictionPictures(images, masks, num_classes, folder))
    return result


def _by_name(classes: schema.ClassTable, weights: np.ndarray) -> dict[str, Any]:
    return {
        name: round(float(weight), 4) for name, weight in zip(classes.names, weights, strict=True)
    }
