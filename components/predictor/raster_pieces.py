"""Pieces of a raster: cut, read, segmented, and written to a mask that lies where it does."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from components.common import palette, schema
from components.common.bands import BandsConfig, check_count, of_depth, shown, to_npy
from components.common.deep_pictures import range_of, to_8_bits
from components.common.exported_model import Segmenter
from components.common.model_card import RequestLimits
from components.common.picture_fit import PictureFit
from components.common.picture_settings import PictureSettings
from components.common.windows import Span, ample, footprint, spans

if TYPE_CHECKING:
    import rasterio

_LARGE = 25_000_000  # pixels of a TIFF that is read in pieces though it has no place
_PIECE = 2048  # pixels of a piece's sides
_PIECE_BYTES = 32_000_000  # of many bands
_PNG_BYTES = 4  # of a pixel, at most: noise is larger as a PNG than as three bytes
_NPY_HEADER = 128
_BLOCK = 512  # of the written file
_CACHE_BYTES = 128 * 2**20  # GDAL's; its own default is a share of the machine
_OVERVIEW = 1600  # longest side of the overlay


@contextlib.contextmanager
def opened(path: str) -> Iterator[rasterio.DatasetReader]:
    """An open raster; what GDAL says while it is open becomes one line.

    Args:
      path: of the raster.

    Raises:
      OSError: rasterio is not installed, or something can't be read.
    """
    try:
        import rasterio
        import rasterio.errors
    except ImportError as error:
        raise OSError(
            "it is a raster, which takes rasterio: pip install 'segline[rasters]'"
        ) from error
    unplaced = rasterio.errors.NotGeoreferencedWarning  # of those that are only large
    with (
        _told("it can't be read as a raster"),
        warnings.catch_warnings(action="ignore", category=unplaced),
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
        rasterio.open(path) as source,
    ):
        yield source


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Has rasterio's errors say what could not be done, and why in GDAL's own words."""
    import rasterio.errors

    try:
        yield
    except rasterio.errors.RasterioError as error:
        first: BaseException = error
        while first.__cause__:  # what went wrong at the bottom; above it are its consequences
            first = first.__cause__
        raise OSError(f"{what}: {first}") from error


class RasterReader:
    """Reads pieces of a raster as the model's pictures were read.

    Args:
      source: the open raster.
      settings: how the model's pictures were read.
      bands: what the model sees, where that is not red, green and blue of 8 bits.
      notes: what is decided that the file does not say is added to them.

    Attributes:
      settings: the same, with a range for values of more than 8 bits: that of the whole raster,
        so that all pieces are read alike.

    Raises:
      OSError: its bands or values are not what the model takes.
    """

    def __init__(
        self,
        source: rasterio.DatasetReader,
        settings: PictureSettings,
        bands: BandsConfig | None,
        notes: list[str],
    ) -> None:
        from rasterio.enums import ColorInterp

        self._source = source
        self._deep = bands
        # A fourth band that GDAL calls alpha for want of a better name is a band, and no mask.
        kinds = dict(zip(source.colorinterp, source.indexes, strict=True))
        self._alpha = kinds.get(ColorInterp.alpha, 0)
        if bands and source.count == bands.count:
            self._alpha, self._bands = 0, list(source.indexes)
        else:
            self._bands = [
                band
                for band, kind in zip(source.indexes, source.colorinterp, strict=True)
                if kind != ColorInterp.alpha
            ]
        if bands:
            check_count(len(self._bands), bands)
            self._bands = [self._bands[band - 1] for band in bands.taken]
        if ColorInterp.palette in source.colorinterp:
            raise OSError("a raster with a palette is not read: expand it (gdal_translate -expand)")
        self.settings = settings
        if np.dtype(source.dtypes[0]) != np.uint8 and not settings.value_range and not bands:
            # One range for all pieces, as for a picture that is read whole.
            low, high = self._extremes()
            values = np.array([low, high], source.dtypes[0])
            found = range_of(values, notes)
            self.settings = settings.model_copy(update={"value_range": found})

    def piece(self, rows: Span, columns: Span) -> tuple[bytes, np.ndarray]:
        """What the model is sent, and where there is data, bool [height, width]."""
        pixels, there = self._read(window=_window_of(rows, columns))
        if self._deep:
            return to_npy(pixels), there
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue(), there

    def overview(self) -> np.ndarray:
        """The whole, reduced: uint8 [height, width, 3]."""
        height, width = self._source.height, self._source.width
        scale = min(1.0, _OVERVIEW / max(height, width))
        shape = max(1, round(height * scale)), max(1, round(width * scale))
        pixels, _ = self._read(out_shape=shape, within=True)
        return shown(pixels, self._deep) if self._deep else pixels

    def no_data_note(self, count: int) -> str:
        """What is to be said of pixels without data: how many, and by what they have none.

        Args:
          count: how many there are, above 0.
        """
        share = count / (self._source.height * self._source.width)
        told = f"{count:,} pixels ({share:.2%}) count as no data"
        if self._alpha and self._by_alpha():
            others = " ".join(f"-b {band}" for band in self._source.indexes if band != self._alpha)
            return (
                f"band {self._alpha} is tagged alpha: {told}; where it is something else (near "
                f"infrared), leave it out: gdal_translate {others}"
            )
        return f"{told}, as the file's nodata value or mask says"

    def _read(self, within: bool = False, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        """Pixels as the model knows them, [height, width, channels], and where there is data.

        Args:
          within: bring values to the range that is known: a file's own reduced pictures go beyond
            it where they were made with splines.
          **how: rasterio's: which part, or how much reduced.
        """
        pixels = np.moveaxis(self._source.read(self._bands, **how), 0, -1)
        there = self._there(**how)
        if not there.all():
            # Some value that is one; what becomes of it there is not kept.
            fill = self.settings.value_range[0] if self.settings.value_range else 0
            pixels = np.where(there[..., np.newaxis], pixels, np.asarray(fill, pixels.dtype))
        if self._deep:
            return of_depth(pixels, self._deep), there
        if within and self.settings.value_range:
            pixels = np.clip(pixels, *self.settings.value_range).astype(pixels.dtype)
        pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        narrow = to_8_bits(pixels, self.settings, [])
        return np.asarray(Image.fromarray(narrow).convert("RGB")), there

    def _there(self, **how: Any) -> np.ndarray:
        """Where there is data: bool [height, width]."""
        there = self._source.dataset_mask(**how) > 0
        return np.ones_like(there) if self._by_alpha() and not self._alpha else there

    def _by_alpha(self) -> bool:
        """Whether GDAL tells by an alpha band where there is data."""
        from rasterio.enums import MaskFlags

        return any(MaskFlags.alpha in flags for flags in self._source.mask_flag_enums)

    def _extremes(self) -> tuple[float, float]:
        low, high = np.inf, -np.inf
        height, width = self._source.height, self._source.width
        for rows in spans(height, _PIECE, 0, _PIECE):
            for columns in spans(width, _PIECE, 0, _PIECE):
                window = _window_of(rows, columns)
                there = self._there(window=window)
                values = self._source.read(self._bands, window=window)[:, there]
                if values.size:
                    low, high = min(low, values.min()), max(high, values.max())
        return (low, high) if low <= high else (0, 0)


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
        told = _beyond(height, width, bands, limits)
        raise OSError(f"{told}; raise that and train again, or take `transform.fit: tiles`")
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
            "raise that, or take smaller windows (transform.image_size), and train again"
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


def _window_of(rows: Span, columns: Span, kept: bool = False) -> Any:
    """Rasterio's window of a piece, or of what is kept of it."""
    from rasterio.windows import Window

    top, bottom = (rows.keep_from, rows.keep_to) if kept else (rows.begin, rows.end)
    left, right = (columns.keep_from, columns.keep_to) if kept else (columns.begin, columns.end)
    return Window(left, top, right - left, bottom - top)


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
    with _told(cannot):
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
        with _told(cannot):
            target.write(found, 1, window=_window_of(rows, columns, kept=True))

    try:
        colors = palette.class_colors(num_classes)[:num_classes].tolist()
        target.write_colormap(1, {index: tuple(color) for index, color in enumerate(colors)})
        yield write
    finally:
        with _told(cannot):
            target.close()
