"""Files that are there as a whole or not at all: who reads has the old one or the new."""

from __future__ import annotations

import os
import uuid

import tensorflow as tf

from components.common.errors import UserError


def write_whole(path: str, content: str | bytes, folders: bool = False) -> None:
    """Writes beside, then renames; to a bucket too.

    Args:
      path: of the file; what is there and is no file, such as a pipe, is written to as it is.
      content: of it.
      folders: make those above too.

    Raises:
      UserError: it can't be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as there:
                there.write(data)
            return
        # (Of a link, what it points to.)
        target = path if "://" in path else os.path.realpath(path)
        if folders:
            tf.io.gfile.makedirs(os.path.dirname(target))
        aside = f"{target}.{uuid.uuid4().hex}"
        try:
            with tf.io.gfile.GFile(aside, "wb") as file:
                file.write(data)
            tf.io.gfile.rename(aside, target, overwrite=True)
        except tf.errors.OpError:
            if tf.io.gfile.exists(aside):
                tf.io.gfile.remove(aside)
            raise
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error
    except tf.errors.OpError as error:
        # (TensorFlow names the file, here the one beside.)
        reason = error.message.rpartition("; ")[2]
        raise UserError(f"{path} can't be written: {reason}") from error
