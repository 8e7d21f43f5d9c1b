"""TIFFs: what their tags say, and their first page's pixels as they are stored."""

from __future__ import annotations

import dataclasses
import io
import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tifffile

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ALPHA = (1, 2)  # what ExtraSamples calls alpha
_ORIENTATION = 274
_COPY_OR_MASK = 1 | 4  # of NewSubfileType
_WHITE_IS_ZERO, _PALETTE = 0, 3  # of PhotometricInterpretation


@dataclasses.dataclass(frozen=True)
class TiffTags:
    """What the tags of a TIFF say of its first page.

    Attributes:
      bands: how many there are, alpha too.
      bits: of a value.
      white_is_zero: whether 0 is white, and the largest value black.
      orientation: 1 to 8, as in EXIF.
    """

    bands: int
    bits: int
    white_is_zero: bool
    orientation: int


def is_tiff(content: bytes) -> bool:
    """Whether it begins as a TIFF does."""
    return content.startswith(_STARTS)


def tags_of(file: bytes | str) -> TiffTags:
    """What the tags of a TIFF say.

    Args:
      file: its content, or its path.

    Raises:
      OSError: it can't be read, or is none.
    """
    try:
        with _opened(file) as tiff:
            page = tiff.pages.first
            turned = page.tags.get(_ORIENTATION)
            return TiffTags(
                bands=int(page.samplesperpixel),
                bits=int(np.max(page.bitspersample)),
                white_is_zero=page.photometric == _WHITE_IS_ZERO,
                orientation=int(turned.value) if turned else 1,
            )
    except Exception as error:  # it raises all kinds on damaged files
        raise _unreadable(error) from error


def count_pages(content: bytes) -> int:
    """How many pictures a TIFF holds; smaller copies of one, and masks, are none.

    Raises:
      OSError: it can't be read.
    """
    try:
        with _opened(content) as tiff:
            kinds = (int(getattr(page, "subfiletype", 0)) for page in tiff.pages)
            return sum(not kind & _COPY_OR_MASK for kind in kinds)
    except Exception as error:  # it raises all kinds on damaged files
        raise _unreadable(error) from error


def read_tiff(content: bytes, needed: int = 0) -> np.ndarray:
    """The first page of a TIFF; [height, width] or [height, width, bands].

    GDAL and others call a fourth band alpha where nobody tells them that it is near infrared.

    Args:
      content: of the file.
      needed: the last of the bands that are asked for: what is tagged alpha is dropped, unless
        this is one of it.

    Raises:
      OSError: it can't be read, or takes rasterio, which is not installed.
    """
    try:
        with _opened(content) as file:
            page = file.pages.first
            alpha = sum(int(kind) in _ALPHA for kind in page.extrasamples or ())
            if page.photometric == _PALETTE:
                raise OSError("a TIFF with a palette of more than 8 bits is not read")
            try:
                pixels = page.asarray()
                bands_first = page.axes.startswith("S")
            except Exception as error:
                if not (isinstance(error, ImportError) or "imagecodecs" in str(error)):
                    raise
                pixels, bands_first = _read_by_gdal(content, page.compression), True
    except OSError:
        raise
    except Exception as error:  # it raises all kinds on damaged files
        raise _unreadable(error) from error
    if pixels.ndim not in (2, 3):
        raise OSError(f"its TIFF has {pixels.ndim} dimensions {list(pixels.shape)}, not 2 or 3")
    if pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, -1) if bands_first else pixels
        plain = pixels.shape[-1] - alpha
        if not plain < needed <= pixels.shape[-1]:
            pixels = pixels[..., :plain]
        pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    return pixels


def _opened(file: bytes | str) -> tifffile.TiffFile:
    """A TIFF, by its content or its path."""
    import tifffile

    # What is wrong with a file is raised, and told with its name.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    return tifffile.TiffFile(io.BytesIO(file) if isinstance(file, bytes) else file)


def _read_by_gdal(content: bytes, compression: int) -> np.ndarray:
    """[bands, height, width] of what tifffile has no decoder for."""
    kind = getattr(compression, "name", str(compression))
    try:
        import rasterio
        import rasterio.errors
    except ImportError as error:
        raise OSError(
            f"its TIFF ({kind} compression) takes rasterio: pip install 'segline[rasters]', or "
            "save it with deflate or without compression"
        ) from error
    try:
        with (
            warnings.catch_warnings(
                action="ignore", category=rasterio.errors.NotGeoreferencedWarning
            ),
            rasterio.MemoryFile(content) as memory,
            memory.open(driver="GTiff") as source,
        ):
            return source.read()
    except rasterio.errors.RasterioError as error:
        raise _unreadable(error.__cause__ or error) from error


def _unreadable(error: BaseException) -> OSError:
    told = (str(error) or type(error).__name__).splitlines()[0][:200]
    return OSError(f"its TIFF can't be read: {told}")
