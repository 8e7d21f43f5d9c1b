"""The training itself: one phase, or two where the encoder is fine-tuned later."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from components.trainer.checkpoints import Checkpoints
from components.trainer.config import TrainerConfig
from components.trainer.objective import PixelAccuracy, make_loss
from components.trainer.unet import unfreeze_encoder

_LOG = logging.getLogger("segline.trainer")


@contextlib.contextmanager
def reproducible(config: TrainerConfig) -> Iterator[None]:
    """Seeds and precision of a training; the process may go on to other things afterwards."""
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


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
                loss=make_loss(config.jaccard_weight, ignore_index),
                metrics=[PixelAccuracy(ignore_index)],
            )
            # Variables that come during the first step would have it traced a second time.
            model.optimizer.build(model.trainable_variables)
        if checkpoints and done > phase.first_epoch:
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
            shuffle=False,  # the examples come shuffled, and Keras warns if it is asked to
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
