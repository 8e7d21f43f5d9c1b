"""The training's state after each epoch: one that was ended goes on where it was.

Keras's BackupAndRestore writes weights and epoch one after the other, and knows nothing of
phases; here a file's name is its epoch, and it is complete or not there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence

import keras
import tensorflow as tf

from components.trainer.record import trim_history

_ORIGIN_FILE = "log_folder.txt"


class Checkpoints(keras.callbacks.Callback):
    """Saves weights and optimizer after each epoch; keeps the latest.

    It must be the last of the callbacks: what the others write of an epoch is there
    before the epoch counts as done.

    Args:
      folder: for this training alone; see `checkpoint_folder`. It outlives the process, and is
        every worker's where there are several.
      saves: whether this process writes; of several workers one does, and all restore.

    Attributes:
      epochs_done: how many epochs the latest checkpoint has behind it; 0: there is none.
    """

    def __init__(self, folder: str, saves: bool = True) -> None:
        super().__init__()
        self._folder = folder
        self._saves = saves
        self.epochs_done = max(self._saved(), default=0)

    def continue_logs(self, log_folder: str) -> None:
        """Brings the logs of the training that was ended into this one's folder.

        Args:
          log_folder: where this process logs; other than before in another run.
        """
        tf.io.gfile.makedirs(self._folder)
        tf.io.gfile.makedirs(log_folder)
        origin = os.path.join(self._folder, _ORIGIN_FILE)
        if self.epochs_done and tf.io.gfile.exists(origin):
            with tf.io.gfile.GFile(origin) as file:
                before = file.read()
            if before != log_folder and tf.io.gfile.exists(before):
                _copy_tree(before, log_folder)
            trim_history(log_folder, self.epochs_done)
        with tf.io.gfile.GFile(origin, "w") as file:
            file.write(log_folder)

    def restore(self, model: keras.Model) -> None:
        """Loads the latest checkpoint.

        Args:
          model: compiled as it was when it was saved.
        """
        model.optimizer.build(model.trainable_variables)
        with tempfile.TemporaryDirectory() as folder:
            local = os.path.join(folder, "state.weights.h5")
            tf.io.gfile.copy(self._path(self.epochs_done), local)
            model.load_weights(local)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves aside and renames."""
        done = epoch + 1
        self.epochs_done = done
        if not self._saves:
            return
        with tempfile.TemporaryDirectory() as folder:
            local = os.path.join(folder, "state.weights.h5")
            self.model.save_weights(local)
            tf.io.gfile.makedirs(self._folder)
            partial = f"{self._path(done)}.partial"
            tf.io.gfile.copy(local, partial, overwrite=True)
            tf.io.gfile.rename(partial, self._path(done), overwrite=True)
        for older in self._saved():
            if older < done:
                tf.io.gfile.remove(self._path(older))

    def remove(self) -> None:
        """The training is through: nobody will go on with it."""
        if self._saves and tf.io.gfile.exists(self._folder):
            tf.io.gfile.rmtree(self._folder)

    def _saved(self) -> list[int]:
        paths = tf.io.gfile.glob(os.path.join(self._folder, "epoch_*.weights.h5"))
        return [int(re.findall(r"\d+", os.path.basename(path))[0]) for path in paths]

    def _path(self, epochs: int) -> str:
        return os.path.join(self._folder, f"epoch_{epochs:05d}.weights.h5")


def checkpoint_folder(model_run_dir: str, *inputs: Sequence[str] | dict[str, str] | str) -> str:
    """The folder for a training's checkpoints: the same for the same training.

    Args:
      model_run_dir: `<root>/Trainer/model_run/<id>` of the ModelRun artifact; a worker beside
        the chief has another last part.
      *inputs: all that decides about the result.

    Returns:
      `<root>/Trainer/checkpoints/<fingerprint of the inputs>`.
    """
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
    root = os.path.dirname(os.path.dirname(model_run_dir.rstrip("/")))
    return os.path.join(root, "checkpoints", digest)


def _copy_tree(source: str, target: str) -> None:
    for folder, _, files in tf.io.gfile.walk(source):
        below = os.path.relpath(folder, source)
        tf.io.gfile.makedirs(os.path.join(target, below))
        for name in files:
            tf.io.gfile.copy(
                os.path.join(folder, name), os.path.join(target, below, name), overwrite=True
            )
