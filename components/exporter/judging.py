"""Holds exports against the SavedModel and the truth, on the evaluated split."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from components.common import confusion, schema
from components.common.exported_model import ExportedModel
from components.exporter.samples import Batch


class Tally:
    """Counts of one export, or of the SavedModel itself.

    Args:
      num_classes: number of classes C.

    Attributes:
      matrix: int64 [C, C]; rows are the truth, columns the prediction.
      same: pixels that have the SavedModel's class.
      pixels: of the pictures, whatever their truth.
    """

    def __init__(self, num_classes: int) -> None:
        self.matrix = np.zeros((num_classes, num_classes), np.int64)
        self.same = self.pixels = 0

    def add(self, truth: np.ndarray, mask: np.ndarray, served: np.ndarray) -> None:
        """Counts one picture: uint8 [height, width] each; IGNORE_INDEX is padding in masks."""
        shown = served != schema.IGNORE_INDEX
        self.same += int(np.count_nonzero(mask[shown] == served[shown]))
        self.pixels += int(np.count_nonzero(shown))
        size = len(self.matrix)
        counted = shown & (truth < size)
        cells = truth[counted].astype(np.int64) * size + mask[counted]
        self.matrix += np.bincount(cells, minlength=size * size).reshape(size, size)

    @property
    def agreement(self) -> float:
        """Share of the pixels that have the SavedModel's class."""
        return self.same / self.pixels if self.pixels else math.nan

    @property
    def mean_iou(self) -> float:
        """As the Evaluator has it."""
        return confusion.mean_iou(self.matrix)


def count(
    batches: Iterable[Batch],
    model: tf.Module,
    exports: Sequence[ExportedModel],
    num_classes: int,
    at: str,
) -> tuple[Tally, list[Tally]]:
    """Runs the SavedModel and its exports on the same pictures.

    Args:
      batches: of the evaluated split.
      model: the SavedModel.
      exports: what was made of it.
      num_classes: number of classes.
      at: the size at which pixels are counted, `model` or `picture`: that of the truths.

    Returns:
      The SavedModel's counts, and those of each export.
    """
    serve = model.signatures[schema.SERVING_SIGNATURE]
    own, others = Tally(num_classes), [Tally(num_classes) for _ in exports]
    for batch in batches:
        outputs = serve(**{schema.IMAGE_BYTES: tf.constant(batch.encoded)})
        if at == "model":
            served = list(outputs[schema.MASK].numpy())
        else:
            pngs = outputs[schema.MASK_PNG_BYTES].numpy()
            served = [np.asarray(Image.open(io.BytesIO(png))) for png in pngs]
        for encoded, truth, mask in zip(batch.encoded, batch.truths, served, strict=True):
            own.add(truth, mask, mask)
            for export, tally in zip(exports, others, strict=True):
                if at == "model":
                    found = export.segment(encoded)[0]
                else:
                    found = export.predict([encoded])[0].mask
                tally.add(truth, found, mask)
    return own, others
