"""Rasters among the pictures of a batch: their pieces are the unit of work.

A worker segments a piece and writes it aside, under a name that no other attempt has; what goes
on is that name. One step for each raster then copies one attempt at each piece into its mask,
aside too, and gives that its name: a mask is whole or not there, whatever an engine does twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.io import filesystems
from apache_beam.ml.inference.base import ModelHandler, RunInference

from components.common import file_tree
from components.common.bands import BandsConfig
from components.common.exported_model import Segmenter, open_model
from components.common.model_card import RequestLimits
from components.common.picture_fit import PictureFit
from components.common.picture_settings import PictureSettings
from components.common.windows import Span
from components.predictor import batch
from components.predictor.raster_pieces import (
    large,
    mask_target,
    pieces_of,
    segment,
)
from components.predictor.raster_reader import RasterReader, opened
from components.predictor.rasters import ENDINGS, is_raster

_RASTER, _PICTURE = "raster", "picture"


@dataclasses.dataclass(frozen=True)
class Piece:
    """A piece of a raster, to be segmented.

    Attributes:
      path: of the raster.
      number: of the piece, from 0.
      rows: which.
      columns: which.
      settings: how the raster is read; the same for all of its pieces.
    """

    path: str
    number: int
    rows: Span
    columns: Span
    settings: PictureSettings


@dataclasses.dataclass(frozen=True)
class SegmentedPiece:
    """An attempt at a piece.

    Attributes:
      piece: which.
      file: where what is kept of it lies; empty where there is an error.
      confidence: of the model.
      error: why there is nothing.
    """

    piece: Piece
    file: str = ""
    confidence: float = 0.0
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a raster is to become.

    Attributes:
      path: of the raster.
      output: path of its mask, relative, without its ending (`_mask.tif`).
      pieces: how many there are.
      error: why it can't be segmented.
      notes: what was decided that the file does not say.
    """

    path: str
    output: str
    pieces: int = 0
    error: str = ""
    notes: tuple[str, ...] = ()


class PredictFiles(beam.PTransform):
    """Predicts picture files and rasters; gives the rows of `batch.arrow_schema`.

    Args:
      model: the model, as the driver has it.
      model_dir: where the workers find it.
      out: folder for the masks of rasters, that all workers see; None: rasters are refused.
      aside: a folder in it for what is not complete; whoever runs the pipeline removes it.
      batch_size: most pictures that go through the model together.
      flip: average with the mirror image's prediction.
    """

    def __init__(
        self,
        model: Segmenter,
        model_dir: str,
        out: str | None,
        aside: str,
        batch_size: int,
        flip: bool = False,
    ) -> None:
        super().__init__()
        self._settings, self._bands = model.pictures, model.bands
        self._fit, self._limits, self._names = model.fit, model.limits, model.classes.names
        self._pictures = batch.PredictPictures(model_dir, batch_size, flip)
        self._handler = _PieceHandler(model_dir, flip, aside)
        self._out, self._aside = out, aside

    def expand(self, paths: beam.PCollection[batch.FoundFile]) -> beam.PCollection[dict[str, Any]]:
        """One row for each file."""
        kinds = paths | "Kinds" >> beam.ParDo(
            _by_kind, large(self._bands, self._limits)
        ).with_outputs(_RASTER, _PICTURE)
        pictures = (
            kinds[_PICTURE]
            | "ReadPictures" >> batch.ReadPictures(self._settings, self._bands)
            | "PredictPictures" >> self._pictures
        )
        plans = (
            kinds[_RASTER]
            | "ByOutput" >> beam.GroupByKey()
            | "Plans"
            >> beam.FlatMap(
                _planned,
                self._fit,
                self._settings,
                self._bands,
                self._limits,
                self._out is not None,
            )
        )
        segmented = (
            plans
            | "Pieces" >> beam.FlatMap(lambda plan: plan[1])
            | "SpreadPieces" >> beam.Reshuffle()
            | "Segment" >> RunInference(self._handler, model_identifier=self._pictures.identifier)
            | "ByRaster" >> beam.Map(lambda done: (done.piece.path, done))
        )
        rasters = (
            {
                "plan": plans | "PlanByRaster" >> beam.Map(lambda plan: (plan[0].path, plan[0])),
                "done": segmented,
            }
            | "Together" >> beam.CoGroupByKey()
            | "Assemble" >> beam.Map(_assembled, self._names, self._bands, self._out or "")
        )
        return (pictures, rasters) | "All" >> beam.Flatten()


class _PieceHandler(ModelHandler[Piece, SegmentedPiece, Segmenter]):
    """Has the model that is loaded for pictures segment pieces, one at a time."""

    def __init__(self, model_dir: str, flip: bool, aside: str) -> None:
        super().__init__()
        self._model_dir = model_dir
        self._flip = flip
        self._aside = aside

    def load_model(self) -> Segmenter:
        return open_model(self._model_dir, self._flip)

    def batch_elements_kwargs(self) -> dict[str, int]:
        return {"min_batch_size": 1, "max_batch_size": 1}

    def run_inference(
        self,
        batch: Sequence[Piece],
        model: Segmenter,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[SegmentedPiece]:
        for piece in batch:
            yield _segmented(model, piece, self._aside)


def _by_kind(found: batch.FoundFile, most: int) -> Iterator[beam.pvalue.TaggedOutput]:
    raster = False
    if found.path.lower().endswith(ENDINGS):
        with contextlib.suppress(OSError), filesystems.FileSystems.open(found.path) as file:
            raster = is_raster(found.path, most, file)
    if raster:
        yield beam.pvalue.TaggedOutput(_RASTER, (found.output, found.path))
    else:
        yield beam.pvalue.TaggedOutput(_PICTURE, found.path)


def _planned(
    found: tuple[str, Iterable[str]],
    fit: PictureFit,
    settings: PictureSettings,
    bands: BandsConfig | None,
    limits: RequestLimits | None,
    has_place: bool,
) -> Iterator[tuple[Plan, list[Piece]]]:
    """Plans for the rasters whose masks would have one name, and their pieces."""
    output, paths = found
    for number, path in enumerate(sorted(set(paths))):
        own = f"{output}-{zlib.crc32(path.encode()):08x}" if number else output
        if not has_place:
            told = "it is a raster, whose mask is a file: --out must be a folder on a disk"
            yield Plan(path, own, error=told), []
            continue
        notes: list[str] = []
        try:
            with opened(path) as source:
                reader = RasterReader(source, settings, bands, notes)
                spans = pieces_of(fit, source.height, source.width, bands, limits)
        except OSError as error:
            yield Plan(path, own, error=str(error)), []
            continue
        pieces = [Piece(path, index, *both, reader.settings) for index, both in enumerate(spans)]
        yield Plan(path, own, len(pieces), notes=tuple(notes)), pieces


def _segmented(model: Segmenter, piece: Piece, aside: str) -> SegmentedPiece:
    try:
        with opened(piece.path) as source:
            reader = RasterReader(source, piece.settings, model.bands, [])
            found, confidence = segment(model, reader, piece.rows, piece.columns)
        file = os.path.join(aside, f"{uuid.uuid4().hex}.npz")
        np.savez_compressed(file, mask=found)
        return SegmentedPiece(piece, file, confidence)
    except OSError as error:
        return SegmentedPiece(piece, error=str(error))


def _assembled(
    raster: tuple[str, dict[str, Iterable[Any]]],
    class_names: Sequence[str],
    bands: BandsConfig | None,
    out: str,
) -> dict[str, Any]:
    """Writes a raster's mask, and gives its row."""
    path, found = raster
    row: dict[str, Any] = dict.fromkeys(batch.arrow_schema(class_names).names)
    row["picture"] = file_tree.readable(path)
    plan: Plan | None = next(iter(found["plan"]), None)
    # Of several attempts at a piece one is as good as another.
    done: dict[int, SegmentedPiece] = {one.piece.number: one for one in found["done"]}
    row["error"] = _error(plan, done)
    if plan is None or row["error"]:
        return row
    mask = os.path.join(out, f"{plan.output}_mask.tif")
    try:
        pieces = [done[number] for number in range(plan.pieces)]
        row |= _write_mask(plan, pieces, class_names, bands, mask)
    except OSError as error:
        row["error"] = str(error)
    return row


def _error(plan: Plan | None, done: dict[int, SegmentedPiece]) -> str | None:
    """Why there can be no mask; None: it can be made."""
    lost = plan.pieces - len(done) if plan else 1
    errors = [
        plan.error if plan else "",
        *(one.error for _, one in sorted(done.items())),
        f"the Beam engine has lost {lost} of its pieces" if lost else "",
    ]
    return next(filter(None, errors), None)


def _write_mask(
    plan: Plan,
    pieces: Sequence[SegmentedPiece],
    class_names: Sequence[str],
    bands: BandsConfig | None,
    mask: str,
) -> dict[str, Any]:
    """Copies pieces into one GeoTIFF, piece by piece; gives the row's numbers."""
    # An attempt of its own, on the same disk, where an assembly that is done twice leaves it.
    part = os.path.join(os.path.dirname(pieces[0].file), f"{uuid.uuid4().hex}.tif")
    counts, sure = np.zeros(len(class_names), np.int64), 0.0
    notes = [*plan.notes]
    with opened(plan.path) as source:
        with mask_target(part, source, len(class_names)) as write:
            for done in pieces:
                with np.load(done.file) as content:
                    found = content["mask"]
                own = np.bincount(found.ravel(), minlength=256)[: len(class_names)]
                counts += own
                sure += done.confidence * int(own.sum())
                write(found, done.piece.rows, done.piece.columns)
        size = {"width": source.width, "height": source.height}
        if without := source.width * source.height - int(counts.sum()):
            reader = RasterReader(source, pieces[0].piece.settings, bands, [])
            notes.append(reader.no_data_note(without))
    os.makedirs(os.path.dirname(mask), exist_ok=True)
    os.replace(part, mask)
    total = max(int(counts.sum()), 1)
    shares = np.asarray(counts / total, np.float32).tolist()
    named = {f"share_{name}": share for name, share in zip(class_names, shares, strict=True)}
    told = {"confidence": sure / total, "mask_path": mask, "notes": batch.told_notes(notes)}
    return {**size, **named, **told}
