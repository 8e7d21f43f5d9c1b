"""Prediction of files: masks and overlays beside a table of class shares."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from components.common import file_tree
from components.common.errors import UserError
from components.common.exported_model import Segmenter
from components.common.served_model import Prediction
from components.predictor.geojson import OBJECTS_ENDING, write_picture_objects
from components.predictor.objects import FoundObject, find_objects
from components.predictor.overlay import mask_image, overlay_image
from components.predictor.picture_files import Picture, PictureFile, read_picture
from components.predictor.raster_pieces import large
from components.predictor.rasters import is_raster, predict_raster

TABLE_FILE = "predictions.csv"
_THREADS = 4


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of one picture.

    Attributes:
      path: of the picture.
      size: width and height; None where it could not be read.
      shares: share of the pixels, by class.
      confidence: of the model; None where there is no prediction.
      mask: path of the mask.
      overlay: path of the overlay.
      error: why there is no prediction; empty where there is one.
      notes: what was decided about the picture that its file does not say.
      objects: those of the classes that were asked for, where COCO is their format.
      object_counts: how many there are, by class index, in any format.
      objects_file: path of their GeoJSON file; empty where there is none.
    """

    path: str
    size: tuple[int, int] | None = None
    shares: tuple[float, ...] = ()
    confidence: float | None = None
    mask: str = ""
    overlay: str = ""
    error: str = ""
    notes: tuple[str, ...] = ()
    objects: tuple[FoundObject, ...] = ()
    object_counts: Mapping[int, int] = dataclasses.field(default_factory=dict)
    objects_file: str = ""


@dataclasses.dataclass(frozen=True)
class WantedObjects:
    """Which connected objects are wanted.

    Attributes:
      class_indices: of the classes; none: no objects.
      kind: how those of pictures are told; rasters' are always GeoJSON.
    """

    class_indices: Sequence[int] = ()
    kind: Literal["coco", "geojson"] = "coco"


def predict_files(
    model: Segmenter,
    files: Sequence[PictureFile],
    out: str,
    batch_size: int,
    wanted: WantedObjects = WantedObjects(),
) -> Iterator[Row]:
    """Predicts pictures and writes `_mask.png` and `_overlay.jpg` for each.

    Reading and writing go on in threads while the model works. Rasters (`rasters.is_raster`)
    come last, piece by piece; their masks are GeoTIFFs.

    Args:
      model: the model.
      files: the pictures.
      out: folder for the results; made where it is missing.
      batch_size: pictures that go through the model together.
      wanted: whose connected objects are found; GeoJSON is written as `_objects.geojson`.

    Yields:
      One row for each picture, in order, and each raster; one that can't be read has an error.

    Raises:
      UserError: the results can't be written.
    """
    most = large(model.bands, model.limits)
    rasters: list[PictureFile] = []
    small: list[PictureFile] = []
    for file in files:
        (rasters if is_raster(file.path, most) else small).append(file)
    batches = [small[start : start + batch_size] for start in range(0, len(small), batch_size)]
    with ThreadPoolExecutor(_THREADS) as pool:

        def read(batch: Sequence[PictureFile]) -> list[Future]:
            return [pool.submit(_read, file.path, model) for file in batch]

        reading = read(batches[0]) if batches else []
        writing: list[Future] = []
        for number, batch in enumerate(batches):
            pictures = [future.result() for future in reading]
            reading = read(batches[number + 1]) if number + 1 < len(batches) else []
            predictions = _predict(model, pictures)
            yield from _results(writing)  # of the batch before
            writing = [
                pool.submit(_write, file, picture, prediction, model.classes.names, out, wanted)
                for file, picture, prediction in zip(batch, pictures, predictions, strict=True)
            ]
        yield from _results(writing)
    for file in rasters:
        yield _raster_row(model, file, out, wanted)


def write_table(rows: Sequence[Row], class_names: Sequence[str], out: str) -> str:
    """Writes all rows as CSV and returns its path."""
    path = os.path.join(out, TABLE_FILE)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        shares = [f"share_{name}" for name in class_names]
        writer.writerow(
            [
                *("picture", "width", "height", "confidence", *shares, "mask", "overlay"),
                *("error", "notes"),
            ]
        )
        for row in rows:
            width, height = row.size or ("", "")
            values = [f"{share:.6f}" for share in row.shares] or [""] * len(class_names)
            confidence = "" if row.confidence is None else f"{row.confidence:.6f}"
            writer.writerow(
                [
                    *(row.path, width, height, confidence, *values, row.mask, row.overlay),
                    *(row.error, "; ".join(row.notes)),
                ]
            )
    return path


def _read(path: str, model: Segmenter) -> Picture | str:
    """The picture, or why it can't be read."""
    try:
        return read_picture(path, model.pictures, model.bands)
    except OSError as error:
        return str(error)


def _predict(model: Segmenter, pictures: Sequence[Picture | str]) -> list[Prediction | str]:
    """Predictions; the pictures' own errors pass through."""
    good = [picture.encoded for picture in pictures if isinstance(picture, Picture)]
    remaining = iter(model.predict_each(good))
    return [next(remaining) if isinstance(picture, Picture) else picture for picture in pictures]


def _write(
    file: PictureFile,
    picture: Picture | str,
    prediction: Prediction | str,
    class_names: Sequence[str],
    out: str,
    wanted: WantedObjects,
) -> Row:
    path = file_tree.readable(file.path)
    if isinstance(picture, str) or isinstance(prediction, str):
        return Row(path, error=str(prediction))
    base = Path(out, file.output)
    base.parent.mkdir(parents=True, exist_ok=True)
    mask, overlay = f"{base}_mask.png", f"{base}_overlay.jpg"
    num_classes = len(class_names)
    mask_image(prediction.mask, num_classes).save(mask, compress_level=1)
    overlay_image(picture.image, prediction.mask, num_classes).save(overlay, quality=90)
    shares = tuple(np.round(prediction.shares(num_classes), 6).tolist())
    objects: list[FoundObject] = []
    counts: Mapping[int, int] = {}
    objects_file = ""
    if wanted.class_indices and wanted.kind == "geojson":
        objects_file = f"{base}{OBJECTS_ENDING}"
        counts = write_picture_objects(
            prediction.mask, wanted.class_indices, class_names, objects_file
        )
    elif wanted.class_indices:
        objects = find_objects(prediction.mask, wanted.class_indices)
        counts = Counter(one.class_index for one in objects)
    return Row(
        path,
        picture.image.size,
        shares,
        prediction.confidence,
        mask,
        overlay,
        notes=picture.notes,
        objects=tuple(objects),
        object_counts=counts,
        objects_file=objects_file,
    )


def _raster_row(model: Segmenter, file: PictureFile, out: str, wanted: WantedObjects) -> Row:
    path = file_tree.readable(file.path)
    base = os.path.join(out, file.output)
    try:
        found = predict_raster(model, file.path, base, wanted.class_indices)
    except OSError as error:
        return Row(path, error=str(error))
    return Row(
        path,
        found.size,
        found.shares,
        found.confidence,
        found.mask,
        found.overlay,
        notes=found.notes,
        object_counts=found.objects,
        objects_file=f"{base}{OBJECTS_ENDING}" if wanted.class_indices else "",
    )


def _results(writing: Sequence[Future]) -> Iterator[Row]:
    try:
        for future in writing:
            yield future.result()
    except OSError as error:
        raise UserError(f"the results can't be written: {error}") from error
