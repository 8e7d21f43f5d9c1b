"""Rasters, opened, and read piece by piece as the model's pictures were read."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from components.common import orientation
from components.common.bands import BandsConfig, check_count, of_depth, shown, to_npy
from components.common.deep_pictures import (
    bands_taken,
    page_notes,
    range_of,
    to_8_bits,
    white_on_top,
)
from components.common.picture_settings import PictureSettings
from components.common.tiff_files import tags_of
from components.common.windows import Span, spans

if TYPE_CHECKING:
    import rasterio

_STEP = 2048  # pixels of the sides of what is looked at at a time for the range of values
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
        told("it can't be read as a raster"),
        warnings.catch_warnings(action="ignore", category=unplaced),
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
        rasterio.open(path) as source,
    ):
        yield source


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Has rasterio's errors say what could not be done, and why in GDAL's own words.

    Args:
      what: could not be done.

    Raises:
      OSError: in place of rasterio's.
    """
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
        self._kind, self._bits = _values_of(source)
        self._white_is_zero = self._kind.kind == "u" and (
            source.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
        )
        self._check_colours()
        _check_orientation(source.name, settings)
        kinds = dict(zip(source.colorinterp, source.indexes, strict=True))
        self._alpha = kinds.get(ColorInterp.alpha, 0)
        plain = [band for band in source.indexes if band != self._alpha]
        # A fourth band that GDAL calls alpha for want of a better name is a band, and no mask.
        needed = bands.count if bands else max(settings.bands or (0,))
        if len(plain) < needed <= source.count:
            self._alpha, plain = 0, list(source.indexes)
        if bands:
            check_count(len(plain), bands)
            self._bands = [plain[band - 1] for band in bands.taken]
        else:
            self._bands = [plain[band] for band in bands_taken(len(plain), settings)]
        if pages := len(source.subdatasets):
            notes += page_notes(pages)
        self.settings = settings
        if self._kind != np.uint8 and not settings.value_range and not bands:
            # One range for all pieces, as for a picture that is read whole.
            found = range_of(np.array(self._extremes(), self._kind), notes)
            self.settings = settings.model_copy(update={"value_range": found})
        self._narrowing = self.settings.model_copy(update={"bands": None})  # (they are taken)

    def piece(self, rows: Span, columns: Span) -> tuple[bytes, np.ndarray]:
        """What the model is sent, and where there is data, bool [height, width]."""
        pixels, there = self._read(window=window_of(rows, columns))
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
        pixels, there = self._read(out_shape=shape, within=True)
        if there.any() and not there.all():  # what is stored there would be the brightest
            pixels = np.where(there[..., np.newaxis], pixels, pixels[there].min())
        return shown(pixels, self._deep) if self._deep else pixels

    def no_data_note(self, count: int) -> str:
        """What is to be said of pixels without data: how many, and by what they have none.

        Args:
          count: how many there are, above 0.
        """
        share = count / (self._source.height * self._source.width)
        counted = f"{count:,} pixels ({share:.2%}) count as no data"
        if self._alpha and self._by_alpha():
            others = " ".join(f"-b {band}" for band in self._source.indexes if band != self._alpha)
            return (
                f"band {self._alpha} is tagged alpha: {counted}; where it is something else (near "
                f"infrared), leave it out: gdal_translate {others}"
            )
        return f"{counted}, as the file's nodata value or mask says"

    def _read(self, within: bool = False, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        """Pixels as the model knows them, [height, width, channels], and where there is data.

        Args:
          within: bring values to the range that is known: a file's own reduced pictures go beyond
            it where they were made with splines.
          **how: rasterio's: which part, or how much reduced.
        """
        pixels, there = self._values(**how)
        if not there.all():
            pixels = np.where(there[..., np.newaxis], pixels, self._bearable(pixels))
        if self._deep:
            return of_depth(pixels, self._deep), there
        if within and self.settings.value_range:
            pixels = np.clip(pixels, *self.settings.value_range).astype(pixels.dtype)
        pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        narrow = to_8_bits(pixels, self._narrowing, [])
        return np.asarray(Image.fromarray(narrow).convert("RGB")), there

    def _values(self, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        """The bands that are taken, white on top, as a picture's are; and where there is data."""
        pixels = np.moveaxis(self._source.read(self._bands, **how), 0, -1)
        there = self._there(**how)
        if self._deep:
            return pixels, there
        if self._white_is_zero:
            pixels = white_on_top(pixels, self._bits)
        if self._bits < 8:
            pixels = pixels * np.uint8(255 // ((1 << self._bits) - 1))
        return pixels, there

    def _bearable(self, pixels: np.ndarray) -> np.ndarray:
        """What the model is shown where there is no data: what is stored, as in its training.

        What training would not have taken is the lowest value that it would have.
        """
        low, high = self.settings.value_range or (None, None)
        if pixels.dtype.kind == "f":
            pixels = np.nan_to_num(pixels, nan=low or 0, posinf=high or 0, neginf=low or 0)
        if low is None or self._deep:
            return pixels
        return np.where((pixels < low) | (pixels > high), low, pixels).astype(pixels.dtype)

    def _there(self, **how: Any) -> np.ndarray:
        """Where there is data: bool [height, width]."""
        there = self._source.dataset_mask(**how) > 0
        if self._by_alpha():
            return there if self._alpha else np.ones_like(there)
        if self._kind.kind != "u":
            # In any band that is taken. (An unsigned value of 0 or 255 in one of several bands is
            # a dark or a bright pixel: there GDAL's rule holds, which asks for it in all.)
            there &= (self._source.read_masks(self._bands, **how) > 0).all(0)
        return there

    def _by_alpha(self) -> bool:
        """Whether GDAL tells by an alpha band where there is data."""
        from rasterio.enums import MaskFlags

        return any(MaskFlags.alpha in flags for flags in self._source.mask_flag_enums)

    def _check_colours(self) -> None:
        """Raises OSError where values are indices of colours; those of one bit are grey."""
        from rasterio.enums import ColorInterp

        if ColorInterp.palette not in self._source.colorinterp:
            return
        colors = [color[:3] for _, color in sorted(self._source.colormap(1).items())][:2]
        grey = [(0, 0, 0), (255, 255, 255)]
        if self._bits != 1 or self._deep or colors != grey[:: -1 if self._white_is_zero else 1]:
            raise OSError("a raster with a palette is not read: expand it (gdal_translate -expand)")

    def _extremes(self) -> tuple[float, float]:
        low, high = np.inf, -np.inf
        height, width = self._source.height, self._source.width
        for rows in spans(height, _STEP, 0, _STEP):
            for columns in spans(width, _STEP, 0, _STEP):
                window = window_of(rows, columns)
                pixels, there = self._values(window=window)
                values = pixels[there]
                if values.size:
                    low, high = min(low, values.min()), max(high, values.max())
        return (low, high) if low <= high else (0, 0)


def _values_of(source: rasterio.DatasetReader) -> tuple[np.dtype, int]:
    """Type of a raster's values, and how many of its bits are used.

    Raises:
      OSError: they are of a type that no model takes.
    """
    name = source.dtypes[0]
    if name.startswith("complex"):
        raise OSError(
            f"its values are complex ({name}), as radar's before detection: save their amplitude"
        )
    kind = np.dtype(name)
    if kind.kind not in "uif":
        raise OSError(f"its values are of {name}, which is not read")
    bits = source.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8 * kind.itemsize)
    return kind, int(bits)


def _check_orientation(path: str, settings: PictureSettings) -> None:
    """Raises OSError where the model's pictures would have been turned: a raster's place is not.

    Args:
      path: of the raster; of those on a disk GDAL's silence on that tag can be mended.
      settings: how the model's pictures were read.
    """
    if settings.orientation == "as_stored" or not os.path.isfile(path):
        return
    turn = tags_of(path).orientation
    if turn not in orientation.UPRIGHT:
        raise OSError(
            f"its Orientation tag ({turn}) says to turn it, and a raster is read as it is stored: "
            "save it turned, without the tag; or, where the tag is wrong, without it "
            "(gdal_translate)"
        )


def window_of(rows: Span, columns: Span, kept: bool = False) -> Any:
    """Rasterio's window of a piece, or of what is kept of it.

    Args:
      rows: of the piece.
      columns: of the piece.
      kept: whether only what is kept is meant.
    """
    from rasterio.windows import Window

    top, bottom = (rows.keep_from, rows.keep_to) if kept else (rows.begin, rows.end)
    left, right = (columns.keep_from, columns.keep_to) if kept else (columns.begin, columns.end)
    return Window(left, top, right - left, bottom - top)
