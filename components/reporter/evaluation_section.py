"""What the report says of the evaluation: classes, confusions, slices, single pictures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.utils import path_utils

from components.common import schema
from components.common.bands import bands_of, shown_channels
from components.common.examples import bytes_of, split_files
from components.common.model_card import read_card
from components.common.reliability import UNIT
from components.evaluator.verdict import Verdict, slice_name
from components.reporter import charts, images

_PART = 256  # pixels of a part's sides
METRIC_LABELS = {
    "iou": "IoU",
    "accuracy": "accuracy",
    "precision": "precision",
    "dice": "Dice",
}


@dataclasses.dataclass(frozen=True)
class SliceRow:
    """One slice. Values may be NaN; changes are None where there is no baseline."""

    name: str
    pictures: int
    mean_iou: float
    pixel_accuracy: float
    calibration_error: float
    mean_iou_change: float | None


@dataclasses.dataclass(frozen=True)
class RankedPicture:
    """One picture of the evaluated split, its images as data URIs.

    Attributes:
      example_id: of the example.
      mean_iou: of this picture alone.
      picture, truth, predicted, difference: at the model's size, without padding.
      part: which part of the picture they show, in words; empty: all.
    """

    example_id: str
    mean_iou: float
    picture: str
    truth: str
    predicted: str
    difference: str
    part: str = ""


@dataclasses.dataclass(frozen=True)
class EvaluationSection:
    """What the template shows.

    Attributes:
      split: the evaluated split.
      pictures: how many.
      at: the size at which pixels were counted, in words.
      classes: class name -> metric's label -> value.
      metrics_chart: SVG.
      matrix_chart: SVG.
      confidence: (name, value) pairs: what there is to say of the model's confidence; empty: it
        was not counted.
      reliability_chart: SVG; empty likewise.
      objects: class name -> what was counted of its objects, by metric; empty: nothing was.
      slices: feature -> its slices.
      slice_charts: SVGs, feature by feature.
      ranked: `worst`, `median`, `best` -> pictures; empty where the model is gone.
    """

    split: str
    pictures: int
    at: str
    classes: dict[str, dict[str, float]]
    metrics_chart: str
    matrix_chart: str
    confidence: list[tuple[str, str]]
    reliability_chart: str
    objects: dict[str, dict[str, float]]
    slices: dict[str, list[SliceRow]]
    slice_charts: list[str]
    ranked: dict[str, list[RankedPicture]]

    @property
    def in_parts(self) -> bool:
        """Whether parts of pictures are shown, at their own resolution."""
        return any(picture.part for pictures in self.ranked.values() for picture in pictures)


def make(
    artifacts: dict[str, mlmd.Artifact],
    verdict: Verdict | None,
    classes: schema.ClassTable,
    split: str,
) -> EvaluationSection | None:
    """Reads the section's facts, and predicts the ranked pictures.

    Args:
      artifacts: by name; uses `examples` and `model`.
      verdict: the evaluation's outcome, if the run got so far.
      classes: the class table.
      split: the evaluated split.

    Returns:
      The section; None without a verdict.
    """
    if verdict is None:
        return None
    values = verdict.overall
    by_metric = {
        label: [values[schema.class_metric(metric, name)] for name in classes.names]
        for metric, label in METRIC_LABELS.items()
    }
    slices = _slices(verdict)
    return EvaluationSection(
        split=split,
        pictures=int(values[schema.EXAMPLE_COUNT]),
        at="the pictures' own size" if verdict.at == "picture" else "the model's size",
        classes={
            name: {label: numbers[index] for label, numbers in by_metric.items()}
            for index, name in enumerate(classes.names)
        },
        metrics_chart=charts.class_metrics(by_metric, classes.names),
        matrix_chart=charts.confusion_matrix(verdict.matrix, classes.names),
        confidence=_confidence(verdict),
        reliability_chart=""
        if verdict.reliability is None
        else charts.reliability(verdict.reliability),
        objects=_objects(values, classes),
        slices=slices,
        slice_charts=[
            charts.bars(
                f"mean IoU by {feature}",
                {row.name.removeprefix(f"{feature} "): row.mean_iou for row in rows},
            )
            for feature, rows in slices.items()
        ],
        ranked=_ranked(artifacts, verdict, split, len(classes)),
    )


def _confidence(verdict: Verdict) -> list[tuple[str, str]]:
    bins = verdict.reliability
    if bins is None:
        return []
    pixels, right, sure = bins.sum(axis=0)
    return [
        ("right", f"{right / pixels:.2%} of {pixels:,} pixels"),
        ("mean confidence", f"{sure / UNIT / pixels:.2%}"),
        ("expected calibration error", f"{verdict.overall[schema.CALIBRATION_ERROR]:.4f}"),
    ]


def _objects(
    values: Mapping[str, float], classes: schema.ClassTable
) -> dict[str, dict[str, float]]:
    return {
        name: {
            metric: values[schema.object_metric(metric, name)] for metric in schema.OBJECT_METRICS
        }
        for name in classes.names
        if schema.object_metric("found", name) in values
    }


def _slices(verdict: Verdict) -> dict[str, list[SliceRow]]:
    result: dict[str, list[SliceRow]] = {}
    for key, values in sorted(verdict.metrics.items()):
        if key:
            result.setdefault(", ".join(feature for feature, _ in key), []).append(
                SliceRow(
                    name=slice_name(key),
                    pictures=int(values[schema.EXAMPLE_COUNT]),
                    mean_iou=values[schema.MEAN_IOU],
                    pixel_accuracy=values[schema.PIXEL_ACCURACY],
                    calibration_error=values.get(schema.CALIBRATION_ERROR, math.nan),
                    mean_iou_change=values.get(f"{schema.MEAN_IOU}_diff"),
                )
            )
    for rows in result.values():
        if len(rows) > 6:  # so many are read from the bad end
            rows.sort(key=lambda row: (math.isnan(row.mean_iou), row.mean_iou))
    return result


def _ranked(
    artifacts: dict[str, mlmd.Artifact], verdict: Verdict, split: str, num_classes: int
) -> dict[str, list[RankedPicture]]:
    ranking = verdict.ranking
    kinds = {"worst": ranking.worst, "median": ranking.median, "best": ranking.best}
    wanted = {example_id for pairs in kinds.values() for example_id, _ in pairs}
    records = find_examples(split_files(artifacts["examples"].uri, split), wanted)
    folder = path_utils.serving_model_path(artifacts["model"].uri)
    if len(records) < len(wanted) or not tf.io.gfile.exists(folder):
        return {}  # cleaned up: the numbers are still there
    card = read_card(folder)
    tiled = card.get("fit") == "tiles"
    bands = bands_of(card)
    signatures = tf.saved_model.load(folder).signatures
    shown = {}
    for example_id, record in records.items():  # one by one: they may be large
        picture, truth, predicted = _answered(signatures, record, shown_channels(bands))
        part = ""
        if tiled:
            wrong = (truth != predicted) & (truth != schema.IGNORE_INDEX)
            top, left = most_of(wrong, _PART)
            part = f"from x {left}, y {top}"
            cut = slice(top, top + _PART), slice(left, left + _PART)
            picture, truth, predicted = picture[cut], truth[cut], predicted[cut]
        shown[example_id] = {
            "part": part,
            "picture": images.photograph(picture),
            "truth": images.mask(truth, num_classes),
            "predicted": images.mask(predicted, num_classes),
            "difference": images.difference(picture, truth, predicted),
        }
    return {
        kind: [RankedPicture(example_id, score, **shown[example_id]) for example_id, score in pairs]
        for kind, pairs in kinds.items()
    }


def _answered(
    signatures: Mapping[str, Any], record: bytes, channels: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An example's picture, its truth and what is served for it: uint8, without padding."""
    (encoded,) = bytes_of(record, schema.IMAGE)
    prepared = signatures[schema.TRANSFORM_SIGNATURE](**{schema.EXAMPLES: tf.constant([record])})
    served = signatures[schema.SERVING_SIGNATURE](**{schema.IMAGE_BYTES: tf.constant([encoded])})
    content = slice(None), slice(None)
    if schema.CONTENT_BOX in prepared:  # models of before had no padding
        top, left, height, width = prepared[schema.CONTENT_BOX][0].numpy()
        content = slice(top, top + height), slice(left, left + width)
    seen = prepared[schema.IMAGE][0].numpy()[..., list(channels)]
    picture = (seen * 255).round().astype(np.uint8)
    truth = prepared[schema.MASK][0].numpy().astype(np.uint8)
    return picture[content], truth[content], served[schema.MASK][0].numpy()[content]


def most_of(wrong: np.ndarray, side: int) -> tuple[int, int]:
    """Where in a large picture most is wrong.

    Args:
      wrong: bool [height, width].
      side: of the square that is looked for.

    Returns:
      Its top and left; in a picture that is lower or narrower, 0.
    """
    sums = np.pad(wrong.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = (min(side, one) for one in wrong.shape)
    inside = (
        sums[height:, width:]
        - sums[:-height, width:]
        - sums[height:, :-width]
        + sums[:-height, :-width]
    )
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return int(top), int(left)


def find_examples(files: Iterable[str], wanted: set[str]) -> dict[str, bytes]:
    """Finds examples by their ids.

    Args:
      files: gzipped TFRecord files of tf.Examples.
      wanted: example ids.

    Returns:
      Id -> serialized example, for those that were found.
    """
    needles = [example_id.encode() for example_id in wanted]
    found: dict[str, bytes] = {}
    for record in tf.data.TFRecordDataset(list(files), "GZIP").as_numpy_iterator():
        if any(needle in record for needle in needles):  # parsing takes longer
            example_id = bytes_of(record, schema.EXAMPLE_ID)[0].decode(errors="replace")
            if example_id in wanted:
                found[example_id] = record
        if len(found) == len(wanted):
            break
    return found
