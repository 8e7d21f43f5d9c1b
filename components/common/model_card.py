"""The saved model's description of itself: `assets.extra/segline.json`."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from components.common import schema

_FOLDER = "assets.extra"  # left alone by TensorFlow and its servers
_FILE = "segline.json"
_OLDER = {"max_megabytes": 64, "max_megapixels": 100}  # limits of models whose card has none


class RequestLimits(NamedTuple):
    """What a model takes in one request.

    Attributes:
      max_megabytes: of all pictures together, in 10^6 bytes.
      max_megapixels: of each picture, in 10^6 pixels.
    """

    max_megabytes: int
    max_megapixels: int

    def fitting(self, pictures: Sequence[bytes]) -> int:
        """How many of the first pictures a request may have together."""
        sizes = itertools.accumulate(map(len, pictures))
        return sum(size <= self.max_megabytes * 10**6 for size in sizes)

    def exceeded(self, size: int, pixels: int) -> str:
        """Which settings a picture exceeds that is sent alone, in words; empty: none.

        Args:
          size: bytes of the encoded picture.
          pixels: height times width.
        """
        told = {
            "max_megabytes": (size, f"{size / 10**6:.1f} MB"),
            "max_megapixels": (pixels, f"{pixels / 10**6:.1f} megapixels"),
        }
        return "; ".join(
            f"{text}, trainer.serving.{name} is {limit}: {math.ceil(value / 10**6)} would do"
            for (name, (value, text)), limit in zip(told.items(), self, strict=True)
            if value > limit * 10**6
        )


def limits_of(card: dict[str, Any]) -> RequestLimits:
    """As a model's card has them; the defaults where an earlier segline has left one out."""
    return RequestLimits(**{name: int(card.get(name) or _OLDER[name]) for name in _OLDER})


def write_card(folder: str, classes: schema.ClassTable, description: dict[str, Any]) -> None:
    """Writes the card into a SavedModel's folder.

    Args:
      folder: the SavedModel.
      classes: the class table.
      description: what else is to be known, as JSON values.
    """
    tf.io.gfile.makedirs(os.path.join(folder, _FOLDER))
    with tf.io.gfile.GFile(os.path.join(folder, _FOLDER, _FILE), "w") as file:
        json.dump({"classes": classes.model_dump(mode="json"), **description}, file, indent=2)


def read_card(folder: str) -> dict[str, Any]:
    """Reads the card of a SavedModel; `classes` is a ClassTable.

    Raises:
      ValueError: there is none, or it can't be read.
    """
    path = os.path.join(folder, _FOLDER, _FILE)
    try:
        with tf.io.gfile.GFile(path) as file:
            card = json.load(file)
        card["classes"] = schema.ClassTable.model_validate(card["classes"])
    except (tf.errors.OpError, ValueError, KeyError) as error:
        raise ValueError(f"{path} can't be read: {error}") from error
    return card
