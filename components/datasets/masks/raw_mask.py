"""A mask file's pixels as they are stored, before anybody says what they mean."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from PIL import Image

from components.common import deep_pictures, picture_formats, tiff_files

NPY_START = b"\x93NUMPY"
_LARGEST_VALUE = 2**53  # above it, not all whole numbers are floats
_HIGH_AND_LOW = 257  # 16 bits whose two bytes are the same
_ROUNDING = 1e-5  # by which a float may miss the whole number that is meant
_NEARLY_GREY = 12  # by which JPEG and WebP part the channels of what was grey
LARGEST = 100_000_000  # pixels; more is left to ExampleGen, which decodes no such thing


@dataclasses.dataclass(frozen=True)
class RawMask:
    """What a mask file holds.

    Attributes:
      values: [height, width], integers or floats: grey, or indices of a palette; or
        uint8 [height, width, 3]: colours.
      palette: uint8 [n, 3]: the colours of the indices; None: there is none.
      alpha: uint8 [height, width]; None: all is opaque.
      lossy: whether the file's form changes values (JPEG).
      pages: of which this is the first.
    """

    values: np.ndarray
    palette: np.ndarray | None = None
    alpha: np.ndarray | None = None
    lossy: bool = False
    pages: int = 1

    @property
    def is_coloured(self) -> bool:
        """Whether the values are colours, other than greys."""
        return self.values.ndim == 3

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.values.shape[0], self.values.shape[1]

    def colors(self) -> np.ndarray:
        """The colours that a viewer shows: uint8 [height, width, 3].

        Raises:
          ValueError: the values are none that a viewer could show.
        """
        if self.is_coloured:
            return self.values
        if self.palette is not None:
            if self.values.max(initial=0) >= len(self.palette):
                raise ValueError("an index has no colour in the palette")
            return self.palette[self.values]
        if self.values.dtype != np.uint8:
            raise ValueError(f"values of {self.values.dtype} are no colours")
        return np.repeat(self.values[..., np.newaxis], 3, axis=-1)


def read_raw(content: bytes) -> RawMask:
    """Reads a mask file: PNG, GIF, TIFF, BMP and what else Pillow reads, or a NumPy array.

    Raises:
      OSError: it is none of them, damaged, or has no form of a mask.
    """
    if content.startswith(NPY_START):
        return _of_array(_load_npy(content))
    with picture_formats.opened(content) as image:
        lossy = image.format in ("JPEG", "MPO", "WEBP") and not _is_lossless_webp(content)
        pages = deep_pictures.pages_of(image, content)
        if deep_pictures.is_deep(image, content):
            raw = _of_array(_deep(image, content))
        else:
            image.load()
            raw = _of_image(image)
    if lossy and raw.is_coloured and np.ptp(raw.values, axis=-1).max() <= _NEARLY_GREY:
        raw = RawMask(np.round(raw.values.mean(axis=-1)).astype(np.uint8), alpha=raw.alpha)
    return dataclasses.replace(raw, lossy=lossy, pages=pages)


def _deep(image: Image.Image, content: bytes) -> np.ndarray:
    if not tiff_files.is_tiff(content):
        return deep_pictures.read(image, content)
    try:
        return tiff_files.read_tiff(content)  # (values are meant as stored, white or black)
    except OSError:
        if image.mode.startswith(("I;16", "F")):
            return np.asarray(image)
        raise


def _load_npy(content: bytes) -> np.ndarray:
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # it raises all kinds on damaged files
        told = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise OSError(f"its NumPy array can't be read: {told}") from error


def _of_array(values: np.ndarray) -> RawMask:
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[-1]):
        values = values[..., 0] if values.shape[-1] == 1 else values[0]
    if values.ndim == 3 and values.shape[-1] in (3, 4) and values.dtype == np.uint8:
        alpha = values[..., 3] if values.shape[-1] == 4 else None
        return _of_colors(values[..., :3], alpha)
    if values.ndim == 3 and values.shape[-1] == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim == 3 and values.shape[-1] in (3, 4) and values.dtype == np.uint16:
        if (values % _HIGH_AND_LOW == 0).all():  # colours of 8 bits, saved as 16
            return _of_array((values // _HIGH_AND_LOW).astype(np.uint8))
        if values.shape[-1] == 4 and (values[..., 3] == values[..., 3].max()).all():
            return _of_array(values[..., :3])
    if values.ndim != 2 or not values.size:
        raise OSError(
            f"it is an array of the shape {list(values.shape)}; a mask has height and width, and "
            "a class's number for each pixel"
        )
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind not in "uif":
        raise OSError(f"its values are of the kind {values.dtype}, not numbers")
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise OSError(
                "it has values that are no number (NaN or infinite): give these pixels a number "
                "of their own, which counts nowhere (segline init --ignore)"
            )
        if np.abs(values).max() > _LARGEST_VALUE:
            raise OSError(f"it has values as large as {np.abs(values).max():g}")
        # Zero and negative zero are one value; so are 1 and what arithmetic makes of it.
        whole = np.round(values).astype(np.int64)
        values = whole if (np.abs(whole - values) <= _ROUNDING).all() else values + 0.0
    if values.dtype.kind != "f" and values.min() >= 0 and values.max() < 256:
        values = values.astype(np.uint8)
    return RawMask(np.ascontiguousarray(values))


def _of_image(image: Image.Image) -> RawMask:
    if image.mode in ("L", "1"):
        return RawMask(np.asarray(image.convert("L")))
    if image.mode == "P":
        palette = np.reshape(image.getpalette() or [], (-1, 3)).astype(np.uint8)
        alpha = _palette_alpha(image)
        indices = np.asarray(image)
        used = palette[np.unique(indices)] if indices.max() < len(palette) else None
        if used is not None and (used == used[:, :1]).all() and _distinct(used):
            # A palette of greys is how some formats write grey: then the grey is meant.
            return RawMask(palette[:, 0][indices], alpha=alpha)
        return RawMask(indices, palette, alpha)
    alpha = None
    if image.mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
    return _of_colors(np.asarray(image.convert("RGB")), alpha)


def _of_colors(channels: np.ndarray, alpha: np.ndarray | None) -> RawMask:
    alpha = None if alpha is None or (alpha == 255).all() else alpha
    if (channels == channels[..., :1]).all():
        return RawMask(np.ascontiguousarray(channels[..., 0]), alpha=alpha)
    return RawMask(channels, alpha=alpha)


def _palette_alpha(image: Image.Image) -> np.ndarray | None:
    """None too where a palette's transparency is one of its entries: then it means nothing."""
    told = image.info.get("transparency")
    if not isinstance(told, bytes) or len(set(told)) == 1:
        return None
    alpha = np.asarray(image.convert("RGBA"))[..., 3]
    return None if (alpha == 255).all() else alpha


def _distinct(colors: np.ndarray) -> bool:
    return len(np.unique(colors, axis=0)) == len(colors)


def _is_lossless_webp(content: bytes) -> bool:
    return content[8:12] == b"WEBP" and b"VP8L" in content[:64]
