"""Pieces of a raster: cut, segmented, and written to a mask that lies where it does."""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common import palette, schema
from components.common.bands import BandsConfig
from components.common.exported_model import Segmenter
from components.common.model_card import RequestLimits
from components.common.picture_fit import PictureFit
from components.common.windows import Span, ample, footprint, spans
from components.predictor.raster_reader import RasterReader, told, window_of

if TYPE_CHECKING:
    import rasterio

_LARGE = 25_000_000  # pixels of a TIFF that is read in pieces though it has no place
_PIECE = 2048  # pixels of a piece's sides
_PIECE_BYTES = 32_000_000  # of many bands
_PNG_BYTES = 4  # of a pixel, at most: noise is larger as a PNG than as three bytes
_NPY_HEADER = 128
_BLOCK = 512  # of the written file


def pieces_of(
    fit: PictureFit,
    height: int,
    width: int,
    bands: BandsConfig | None = None,
    limits: RequestLimits | None = None,
) -> list[tuple[Span, Span]]:
    """What is sent to the model at a time: its rows and columns.

    Args:
      fit: how the model sees pictures.
      height: of the raster, in pixels.
      width: likewise.
      bands: what it sees of them, where that is not red, green and blue of 8 bits.
      limits: of the model's requests; None: it has none.

    Raises:
      OSError: a request can't have so much: the whole, of a model that sees whole pictures, or
        the windows that share a pixel.
    """
    if fit.fit == "tiles":
        size, overlap = footprint(fit.image_size, fit.tiles)
        down, across = (height, size[0], overlap[0]), (width, size[1], overlap[1])
        return list(itertools.product(*_cut(down, across, bands, limits)))
    if height * width > _LARGE:
        raise OSError(
            f"{width}x{height} pixels are too many for a model that sees pictures whole: train "
            "one with `transform.fit: tiles`"
        )
    if limits and height * width > _sendable(bands, limits):
        beyond = _beyond(height, width, bands, limits)
        raise OSError(f"{beyond}; raise that and train again, or take `transform.fit: tiles`")
    return [(Span(0, height, 0, height), Span(0, width, 0, width))]


def large(bands: BandsConfig | None, limits: RequestLimits | None) -> int:
    """Pixels beyond which a TIFF is read in pieces though it has no place.

    Args:
      bands: what the model sees, where that is not red, green and blue of 8 bits.
      limits: of its requests; None: it has none.
    """
    return min(_LARGE, _sendable(bands, limits))


def _sendable(bands: BandsConfig | None, limits: RequestLimits | None) -> int:
    """Pixels that a picture in a request may have; of PNGs their bytes are not known before.

    Args:
      bands: what the model sees, where that is not red, green and blue of 8 bits.
      limits: of its requests; None: it has none.
    """
    if limits is None:
        return sys.maxsize
    most = limits.max_megapixels * 10**6
    if bands:
        most = min(most, (limits.max_megabytes * 10**6 - _NPY_HEADER) // bands.pixel_bytes)
    return most


def _cut(
    down: tuple[int, int, int],
    across: tuple[int, int, int],
    bands: BandsConfig | None,
    limits: RequestLimits | None,
) -> tuple[list[Span], list[Span]]:
    """Rows and columns of the pieces: ample ones, or smaller where a request can't have these.

    Args:
      down: height of the raster, of a window, and of what windows share.
      across: the widths likewise.
      bands: what the model sees.
      limits: of its requests.
    """
    side = min(_PIECE, math.isqrt(_PIECE_BYTES // bands.pixel_bytes)) if bands else _PIECE
    high, wide = (max(side, ample(*one[1:])) for one in (down, across))
    pieces = spans(*down, high), spans(*across, wide)
    if limits is None:
        return pieces
    most = _sendable(bands, limits)
    surely = most if bands else min(most, limits.max_megabytes * 10**6 // _PNG_BYTES)
    if math.prod(map(_longest, pieces)) <= surely:
        return pieces
    least = spans(*down, 0), spans(*across, 0)
    lowest, narrowest = map(_longest, least)
    if lowest * narrowest > most:
        raise OSError(
            f"its smallest pieces are too large, {_beyond(lowest, narrowest, bands, limits)}; "
            "raise that, or take smaller windows (transform.image_size, transform.tiles.scale), "
            "and train again"
        )
    if lowest * narrowest > surely:
        return least
    wide = min(wide, max(math.isqrt(surely), narrowest), surely // lowest)
    return spans(*down, min(high, surely // wide)), spans(*across, wide)


def _longest(pieces: Sequence[Span]) -> int:
    return max(piece.end - piece.begin for piece in pieces)


def _beyond(height: int, width: int, bands: BandsConfig | None, limits: RequestLimits) -> str:
    """Says which limit a picture exceeds, and what would do."""
    size = height * width * bands.pixel_bytes + _NPY_HEADER if bands else 0
    return f"{width}x{height} pixels: {limits.exceeded(size, height * width)}"


def segment(
    model: Segmenter, reader: RasterReader, rows: Span, columns: Span
) -> tuple[np.ndarray, float]:
    """Asks the model for a piece.

    Args:
      model: the model.
      reader: of the raster.
      rows: of the piece.
      columns: of the piece.

    Returns:
      What is kept of it: uint8 [height, width] of class indices, IGNORE_INDEX where there is no
      data; and the mean probability of the winning class.

    Raises:
      OSError: it can't be read, or the model refuses it.
    """
    encoded, there = reader.piece(rows, columns)
    kept = np.s_[
        rows.keep_from - rows.begin : rows.keep_to - rows.begin,
        columns.keep_from - columns.begin : columns.keep_to - columns.begin,
    ]
    if not there[kept].any():  # (a scene's frame)
        return np.full(there[kept].shape, schema.IGNORE_INDEX, np.uint8), 0.0
    (prediction,) = model.predict_each([encoded])
    if isinstance(prediction, str):
        raise OSError(prediction)
    mask = np.where(there, prediction.mask, schema.IGNORE_INDEX).astype(np.uint8)
    return mask[kept], prediction.confidence


@contextlib.contextmanager
def mask_target(
    path: str, source: rasterio.DatasetReader, num_classes: int
) -> Iterator[Callable[[np.ndarray, Span, Span], None]]:
    """Opens a GeoTIFF of one byte a pixel for writing, where the source is, with a palette.

    Gives what writes what is kept of a piece: uint8 [height, width], and its rows and columns.

    Raises:
      OSError: it can't be written.
    """
    import rasterio

    points, system = source.gcps
    place: dict[str, Any] = {"gcps": points, "crs": system} if points else {"crs": source.crs}
    if not source.transform.is_identity:
        place["transform"] = source.transform
    cannot = "its mask can't be written"
    with told(cannot):
        target = rasterio.open(
            path,
            "w",
            driver="GTiff",
            dtype="uint8",
            count=1,
            height=source.height,
            width=source.width,
            nodata=schema.IGNORE_INDEX,
            tiled=True,
            blockxsize=_BLOCK,
            blockysize=_BLOCK,
            compress="deflate",
            bigtiff="if_safer",
            **place,
        )

    def write(found: np.ndarray, rows: Span, columns: Span) -> None:
        with told(cannot):
            target.write(found, 1, window=window_of(rows, columns, kept=True))

    try:
        colors = palette.class_colors(num_classes)[:num_classes].tolist()
        target.write_colormap(1, {index: tuple(color) for index, color in enumerate(colors)})
        yield write
    finally:
        with told(cannot):
            target.close()
