"""What is told and kept of a training run: the log line, the logs, the pictures."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from components.common import palette, schema
from components.common.errors import UserError
from components.trainer.record import PICTURES_FOLDER

_LOG = logging.getLogger("segline.trainer")


class EpochLog(keras.callbacks.Callback):
    """One line in the log for each epoch; stops the run where the loss is no number.

    Args:
      epochs: how many there will be.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Logs the epoch's numbers.

        Raises:
          UserError: the loss is NaN or infinite.
        """
        logs = logs or {}
        if not math.isfinite(logs.get("loss", 0.0)):
            raise UserError(
                f"training diverged: the loss is {logs['loss']} in epoch {epoch + 1}. "
                "Lower trainer.learning_rate, or use float32 precision."
            )
        width = len(str(self._epochs))
        numbers = "  ".join(
            f"{name} {logs[name]:.4f}"
            for name in ("loss", "accuracy", "val_loss", "val_accuracy")
            if name in logs
        )
        seconds = time.monotonic() - self._started
        _LOG.info("epoch %*d/%d  %s  %.0f s", width, epoch + 1, self._epochs, numbers, seconds)


class PredictionPictures(keras.callbacks.Callback):
    """Predicts the same few pictures before training and after each epoch.

    Every grid has a row for each picture: the picture, its true mask, the
    predicted mask, which is black too where the true one counts nowhere, as in padding. It goes
    to TensorBoard and to a PNG file.

    Args:
      images: float32 [count, height, width, channels] in [0, 1].
      masks: uint8 [count, height, width] of class indices.
      num_classes: for the colours.
      folder: the run's log folder.
      shown: which channels are red, green and blue, counted from 0.
    """

    def __init__(
        self,
        images: np.ndarray,
        masks: np.ndarray,
        num_classes: int,
        folder: str,
        shown: Sequence[int] = (0, 1, 2),
    ) -> None:
        super().__init__()
        self._shown = list(shown)
        self._images = images
        self._masks = masks
        self._colors = palette.class_colors(num_classes)
        self._folder = os.path.join(folder, PICTURES_FOLDER)
        self._writer = tf.summary.create_file_writer(os.path.join(folder, "validation"))

    def on_train_begin(self, logs: dict | None = None) -> None:
        """The tutorial's look at the untrained model."""
        if not tf.io.gfile.exists(self._folder):
            tf.io.gfile.makedirs(self._folder)
            self._write(0)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the grid of this epoch."""
        self._write(epoch + 1)

    def _write(self, epoch: int) -> None:
        # Not predict_on_batch: with several workers it would wait for the others.
        predicted = np.argmax(self.model(self._images, training=False), axis=-1)
        predicted = np.where(self._masks == schema.IGNORE_INDEX, schema.IGNORE_INDEX, predicted)
        pictures = (self._images[..., self._shown] * 255).round().astype(np.uint8)
        rows = [
            np.concatenate([picture, self._colors[mask], self._colors[guess]], axis=1)
            for picture, mask, guess in zip(pictures, self._masks, predicted, strict=True)
        ]
        grid = np.concatenate(rows)
        with self._writer.as_default():
            tf.summary.image("picture, true mask, predicted mask", grid[np.newaxis], step=epoch)
        self._writer.flush()
        with tf.io.gfile.GFile(os.path.join(self._folder, f"epoch_{epoch:03d}.png"), "wb") as file:
            Image.fromarray(grid).save(file, "PNG", optimize=True)
