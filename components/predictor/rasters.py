"""GeoTIFFs of any size: read, segmented and written piece by piece, their place kept."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image

from components.common.exported_model import Segmenter
from components.predictor.geojson import OBJECTS_ENDING, write_raster_objects
from components.predictor.overlay import overlay_image
from components.predictor.raster_pieces import (
    mask_target,
    pieces_of,
    segment,
)
from components.predictor.raster_reader import RasterReader, opened

ENDINGS = (".tif", ".tiff")
_GEO_TAGS = (34735, 33550, 34264)  # key directory, pixel scale, transformation


@dataclasses.dataclass(frozen=True)
class RasterResult:
    """What became of a raster.

    Attributes:
      size: width and height.
      shares: share of the pixels, by class; of those that have data.
      confidence: mean probability of the winning class in its pieces, each with its pixels
        without data and those that it shares with others.
      mask: path of the GeoTIFF with class indices; 255 where there is no data.
      overlay: path of the reduced picture with the mask over it; empty where there is none.
      objects: how many were found, by class index.
      notes: what was decided that the file does not say.
    """

    size: tuple[int, int]
    shares: tuple[float, ...]
    confidence: float
    mask: str
    overlay: str
    objects: Mapping[int, int] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


def is_raster(path: str, large: int, file: BinaryIO | None = None) -> bool:
    """Whether a file is a TIFF that has a place on the earth, or is large; by its header.

    Args:
      path: of the file.
      large: pixels beyond which it is (`raster_pieces.large`).
      file: the same, open, where it is on no disk.
    """
    if not path.lower().endswith(ENDINGS):
        return False
    try:
        with tifffile.TiffFile(file or path) as tiff:
            page = tiff.pages.first
            placed = any(tag in page.tags for tag in _GEO_TAGS)
            return placed or page.imagewidth * page.imagelength > large
    except Exception:  # of all kinds on damaged files: they are told as pictures are
        return False


def predict_raster(
    model: Segmenter, path: str, base: str, object_classes: Sequence[int] = ()
) -> RasterResult:
    """Segments a raster, and writes `_mask.tif` and `_overlay.jpg`, and perhaps `_objects.geojson`.

    The mask has the raster's coordinate system and transform. Memory is that of a piece: of
    a model that sees windows each piece is asked for what the whole would give, pixel by pixel.
    Once the mask is complete it is kept: where objects or overlay can't be made, a note says why.

    Args:
      model: the model.
      path: of the raster.
      base: path of the results without their endings.
      object_classes: indices of the classes whose connected objects are wanted.

    Raises:
      OSError: rasterio is not installed, the raster can't be read, its bands or values are not
        what the model takes, or the mask can't be written.
    """
    os.makedirs(os.path.dirname(base) or ".", exist_ok=True)
    mask, overlay = f"{base}_mask.tif", f"{base}_overlay.jpg"
    part = f"{base}_mask.{uuid.uuid4().hex}.tif"  # (another run may write here too)
    notes: list[str] = []
    try:
        with opened(path) as source:
            reader = RasterReader(source, model.pictures, model.bands, notes)
            shape = source.height, source.width
            pieces = pieces_of(model.fit, *shape, model.bands, model.limits)
            counts, sure = np.zeros(len(model.classes), np.int64), 0.0
            with mask_target(part, source, len(model.classes)) as write:
                for rows, columns in pieces:
                    found, confidence = segment(model, reader, rows, columns)
                    own = np.bincount(found.ravel(), minlength=256)[: len(model.classes)]
                    counts += own
                    sure += confidence * int(own.sum())
                    write(found, rows, columns)
            os.replace(part, mask)
            objects: Mapping[int, int] = {}
            if object_classes:
                with _noted("its objects can't be told", notes):
                    objects = write_raster_objects(
                        mask, object_classes, model.classes.names, f"{base}{OBJECTS_ENDING}", notes
                    )
            made = ""
            with _noted("its overlay can't be made", notes):
                _write_overlay(reader, mask, overlay, len(model.classes))
                made = overlay
            size = source.width, source.height
            if without := size[0] * size[1] - int(counts.sum()):
                notes.append(reader.no_data_note(without))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)
    total = max(int(counts.sum()), 1)
    shares = tuple(np.round(counts / total, 6).tolist())
    return RasterResult(size, shares, sure / total, mask, made, objects, tuple(notes))


@contextlib.contextmanager
def _noted(what: str, notes: list[str]) -> Iterator[None]:
    """Has an OSError become a note."""
    try:
        yield
    except OSError as error:
        notes.append(f"{what}: {error}")


def _write_overlay(reader: RasterReader, mask_path: str, path: str, num_classes: int) -> None:
    import rasterio

    picture = reader.overview()
    with rasterio.open(mask_path) as mask:
        reduced = mask.read(1, out_shape=picture.shape[:2])
    overlay_image(Image.fromarray(picture), reduced, num_classes).save(path, quality=90)
