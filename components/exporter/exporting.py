"""From a SavedModel to judged files. Knows no TFX."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from components.common import confusion, provenance, schema
from components.common.export_config import ExportConfig
from components.common.export_files import sha256_of
from components.common.exported_model import ExportedModel, device_picture
from components.common.model_card import read_card
from components.common.network import take_network
from components.common.picture_fit import PictureFit
from components.common.reliability import temperature_of
from components.common.served_model import fit_of
from components.exporter.conversion import ConversionError, Source, convert
from components.exporter.judging import Tally, count
from components.exporter.on_device import on_device
from components.exporter.probing import probe
from components.exporter.result import ExportResult
from components.exporter.samples import Batch, calibration_pictures, evaluation_batches

_LOG = logging.getLogger("segline.exporter")


@dataclasses.dataclass(frozen=True)
class Data:
    """Where pictures are.

    Attributes:
      train_files: gzipped TFRecord files of the training split.
      train_count: how many examples they have.
      evaluation_files: those of the evaluated split.
    """

    train_files: Sequence[str]
    train_count: int
    evaluation_files: Sequence[str]


def export_all(
    model_dir: str, data: Data, wanted: Sequence[ExportConfig], at: str, folder: str
) -> list[ExportResult]:
    """Makes and judges exports of a model.

    Args:
      model_dir: a SavedModel of segline.
      data: pictures to calibrate on, and to judge on.
      wanted: which exports.
      at: the size at which pixels are counted, `model` or `picture`.
      folder: where the files go.

    Returns:
      What became of each, in the order in which they were wanted. What a converter refuses, what
      can't be run, and what is worse than allowed has its reason; the others are blessed.
    """
    card = read_card(model_dir)
    fit, classes = fit_of(card), card["classes"]
    at = "picture" if fit.fit == "tiles" else at
    model = tf.saved_model.load(model_dir)

    def batches() -> Iterator[Batch]:
        return evaluation_batches(data.evaluation_files, model, fit, classes, at)

    first = next(batches(), None)
    if first is None:
        return [dataclasses.replace(_unjudged(config), reason=_NOTHING) for config in wanted]
    made = _convert_all(model, data, wanted, fit, card, folder)
    paths = [os.path.join(folder, name) for name, one in made.items() if one == ""]
    picture = first.encoded[0]
    probed = probe(model_dir, picture, device_picture(picture, fit)[0].numpy()[None], paths)
    exports = [ExportedModel(path) for path in paths if path in probed.latency_ms]
    own, tallies = count(batches() if exports else (), model, exports, len(classes), at)
    judged = dict(zip((os.path.basename(one.path) for one in exports), tallies, strict=True))
    results = []
    for config in wanted:
        result = dataclasses.replace(
            _unjudged(config),
            model_mean_iou=own.mean_iou,
            model_latency_ms=probed.latency_ms.get(model_dir, math.nan),
            model_size_bytes=_size(model_dir),
        )
        path = os.path.join(folder, config.file)
        if config.file in judged:
            latency = probed.latency_ms[path]
            result = _judged(result, path, judged[config.file], latency, classes.names)
        else:
            reason = made[config.file] or probed.failures[path]
            result = dataclasses.replace(result, reason=reason)
        _LOG.info("%s", result.line()[1])
        results.append(result)
    return results


# (a model that sees windows, and pictures that are smaller)
_NOTHING = "not judged: no picture of the evaluated split is as large as what the model sees"


def _unjudged(config: ExportConfig) -> ExportResult:
    return ExportResult(config.file, config.format, config.quantize, max_drop=config.max_drop)


def _convert_all(
    model: tf.Module,
    data: Data,
    wanted: Sequence[ExportConfig],
    fit: PictureFit,
    card: dict[str, Any],
    folder: str,
) -> dict[str, str]:
    """File's name -> why there is none; empty where there is one."""
    try:
        network = take_network(model, fit.image_size)
        classes = len(card["classes"])
        module = on_device(network, fit.image_size, classes, temperature_of(card))
    except ValueError as error:
        return {config.file: f"the network can't be taken out: {error}" for config in wanted}
    made = dict.fromkeys((config.file for config in wanted), "")
    for config in wanted:
        path = os.path.join(folder, config.file)
        pictures = calibration_pictures(
            data.train_files, data.train_count, config.calibration_pictures, fit
        )
        try:
            convert(Source(module, pictures, export_card(card, config)), config, path)
        except ConversionError as error:
            made[config.file] = str(error)
    return made


def export_card(card: dict[str, Any], config: ExportConfig) -> dict[str, Any]:
    """What an export's file says of itself.

    Args:
      card: the model's.
      config: of the export.

    Returns:
      JSON values.
    """
    fit = fit_of(card)
    height, width = fit.image_size
    sees = "one window, at the picture's own resolution" if fit.fit == "tiles" else "the picture"
    return {
        "classes": card["classes"].model_dump(mode="json"),
        "image_size": [height, width],
        "fit": fit.fit,
        "tiles": fit.tiles.model_dump(mode="json") if fit.fit == "tiles" else None,
        "pictures": card.get("pictures") or {},
        "input": f"float32 [1, {height}, {width}, 3]: RGB from 0 to 255, which the graph scales "
        f"itself; {sees}, {_RESIZED[fit.fit]}",
        "calibration": card.get("calibration"),
        "quantize": config.quantize,
        "segline": provenance.version(),
    }


_RESIZED = {
    "stretch": "resized bilinearly to that size",
    "pad": "resized bilinearly in its own proportions, in the middle, 127.5 around it",
    "tiles": "resized bilinearly to that size where `tiles.scale` is not 1",
}


def _judged(
    result: ExportResult, path: str, tally: Tally, latency_ms: float, names: Sequence[str]
) -> ExportResult:
    scores = confusion.scores(tally.matrix, names)
    found = dataclasses.replace(
        result,
        mean_iou=scores[schema.MEAN_IOU],
        class_iou={name: scores[schema.class_metric("iou", name)] for name in names},
        agreement=tally.agreement,
        latency_ms=latency_ms,
        size_bytes=os.path.getsize(path),
        sha256=sha256_of(path),
    )
    # NaN, of which nothing is less, is no blessing.
    if found.change >= -found.max_drop:
        return found
    reason = (
        f"mean IoU {found.mean_iou:.4f} is {-found.change:.4f} below the SavedModel's "
        f"{found.model_mean_iou:.4f}; {found.max_drop:.4f} is allowed"
    )
    return dataclasses.replace(found, reason=reason)


def _size(folder: str) -> int:
    return sum(
        tf.io.gfile.stat(os.path.join(parent, name)).length
        for parent, _, names in tf.io.gfile.walk(folder)
        for name in names
    )
