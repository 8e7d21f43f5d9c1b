"""A pushed model, loaded and ready to be asked."""

from __future__ import annotations

import dataclasses
import functools
import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from components.common import schema
from components.common.bands import bands_of
from components.common.errors import UserError
from components.common.export_files import is_export
from components.common.model_card import limits_of, read_card
from components.common.one_by_one import each_or_reason
from components.common.picture_fit import PictureFit
from components.common.picture_settings import PictureSettings

_SERVING_FOLDER = "serving"


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model says of one picture.

    Attributes:
      mask_png: PNG of class indices, at the picture's own size.
      confidence: mean probability of the winning class, over the model's pixels.
    """

    mask_png: bytes
    confidence: float

    @functools.cached_property
    def mask(self) -> np.ndarray:
        """uint8 [height, width] of class indices."""
        return np.asarray(Image.open(io.BytesIO(self.mask_png)))

    def shares(self, num_classes: int) -> np.ndarray:
        """Share of the pixels that each class has: float64 [num_classes], sum 1."""
        return np.bincount(self.mask.ravel(), minlength=num_classes) / self.mask.size


class ServedModel:
    """A SavedModel of segline.

    Args:
      path: the SavedModel, a folder of versions, or the pipeline's folder above it; of
        several versions the latest is taken.
      flip: average the predictions of a picture and of its mirror image, for twice the work.

    Attributes:
      path: the SavedModel that was loaded.
      classes: its class table.
      fit: size of what the network sees, and how pictures are fitted in.
      pictures: how the pictures were read that it learned from, but for their orientation:
        a mask has to lie over what a viewer shows.
      bands: what it sees of a picture; None: red, green and blue of 8 bits.
      limits: of a request.
      saved_model: what TensorFlow has loaded, with all of its signatures.

    Raises:
      UserError: there is no model, or it is not one of segline's.
    """

    def __init__(self, path: str, flip: bool = False) -> None:
        self.path = find_model(path)
        signature = schema.FLIPPED_SIGNATURE if flip else schema.SERVING_SIGNATURE
        try:
            card = read_card(self.path)
            self.classes: schema.ClassTable = card["classes"]
            self.fit = fit_of(card)
            self.pictures = reading_of(card)
            self.bands = bands_of(card)
            self.limits = limits_of(card)
            # A signature does not keep what it is a part of.
            self.saved_model = tf.saved_model.load(self.path)
            signatures = self.saved_model.signatures
            if flip and signature not in signatures and schema.SERVING_SIGNATURE in signatures:
                raise UserError(
                    f"{self.path} was made by an earlier segline and can't flip: leave --flip "
                    "out, or train again"
                )
            self._serve = signatures[signature]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{self.path} is no model that segline has pushed: {error}") from error

    def predict(self, batch: Sequence[bytes]) -> list[Prediction]:
        """Segments a batch of encoded pictures.

        Args:
          batch: JPEG, PNG or GIF files; as `picture_formats.for_model` makes them.

        Returns:
          One prediction for each.

        Raises:
          tf.errors.InvalidArgumentError: names the positions that are no picture.
        """
        if not batch:
            return []
        outputs = self._serve(**{schema.IMAGE_BYTES: tf.constant(list(batch))})
        return [
            Prediction(png, float(confidence))
            for png, confidence in zip(
                outputs[schema.MASK_PNG_BYTES].numpy(),
                outputs[schema.CONFIDENCE].numpy(),
                strict=True,
            )
        ]

    def predict_each(self, batch: Sequence[bytes]) -> list[Prediction | str]:
        """Segments what can be segmented; one bad picture does not cost the others theirs.

        Args:
          batch: files.

        Returns:
          For each a prediction, or why there is none.
        """
        return each_or_reason(
            self.predict,
            batch,
            (tf.errors.InvalidArgumentError,),
            lambda error: f"the model refuses it: {reason_of(f'InvalidArgumentError: {error}')}",
        )


def fit_of(card: dict[str, Any]) -> PictureFit:
    """As a model's card has it; models of before windows came say nothing of them."""
    known = {key: card[key] for key in ("image_size", "fit", "tiles") if card.get(key)}
    return PictureFit.model_validate(known)


def reading_of(card: dict[str, Any]) -> PictureSettings:
    """How the pictures were read that a model learned from, but for their orientation.

    A mask has to lie over what a viewer shows.
    """
    told = PictureSettings.model_validate(card.get("pictures") or {})
    return told.model_copy(update={"orientation": "upright"})


def find_model(path: str) -> str:
    """Finds the SavedModel that is meant.

    Raises:
      UserError: there is none.
    """
    path = os.path.expanduser(path)
    for folder in (path, os.path.join(path, _SERVING_FOLDER)):
        if _is_model(folder):
            return folder
        if version := latest_version(folder):
            return version
    if not tf.io.gfile.exists(path):
        there = "there is no such folder"
    elif not tf.io.gfile.isdir(path):
        there = "it is a file, and no export (.tflite, .onnx)"
    else:
        there = "it holds none"
        names = [os.path.join(path, name) for name in tf.io.gfile.listdir(path)]
        if exports := sorted(filter(is_export, names)):
            there = f"it holds exports: name one of them, {', '.join(exports)}"
    raise UserError(
        f"no model in {path}: {there}. Name a SavedModel, a folder of versions such as "
        "runs/quickstart/serving, or run the pipeline first (make run)."
    )


def latest_version(folder: str) -> str | None:
    """The newest version's folder below a serving folder, or None."""
    if not tf.io.gfile.isdir(folder):
        return None
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]
    versions = sorted((int(name), name) for name in names if name.isdigit())
    paths = [os.path.join(folder, name) for _, name in versions]
    return next((path for path in reversed(paths) if _is_model(path)), None)


def _is_model(folder: str) -> bool:
    return tf.io.gfile.exists(os.path.join(folder, "saved_model.pb"))


def reason_of(error: str) -> str:
    """The line of TensorFlow's message that says something.

    Args:
      error: kind and message, such as `InvalidArgumentError: Graph execution error: …`.
    """
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    kind = error.partition(":")[0]
    for line in lines[1:]:
        if not line.startswith(("Detected at", "<stack", "[[", "(most")):
            return f"{kind}: {line}"
    return lines[0]
