"""Pictures and masks in the forms that people have them, as the examples need them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from components.common import pictures, schema

_LARGEST = 100_000_000  # pixels; more is left to ExampleGen, which decodes no such thing


def read_image(content: bytes, mask_size: tuple[int, int] | None) -> bytes:
    """A picture as the model can decode it; upright, as a viewer shows it.

    Args:
      content: of the file.
      mask_size: width and height of the mask; None: not known.

    Returns:
      The content itself where it is a JPEG, PNG or GIF that needs no turning; what can't
      be read too: ExampleGen says what is wrong with it. Else a PNG.
    """
    if (pictures.pixels_of(content) or 0) > _LARGEST:
        return content
    try:
        upright = pictures.for_model(content)
        if upright is not content and size_of(upright) != mask_size:
            # Some tools draw masks on the pixels as they are stored.
            as_stored = pictures.for_model(content, turn=False)
            return as_stored if size_of(as_stored) == mask_size else upright
        return upright
    except OSError:
        return content


def read_mask(content: bytes, colors: Mapping[int, Sequence[int]]) -> tuple[bytes, str]:
    """A mask as a grey PNG of its values.

    Args:
      content: of the file: PNG, GIF, TIFF or BMP with values as grey (8 or 16 bits) or as
        indices of a palette; with `colors`: a picture in these colours.
      colors: mask value -> colour.

    Returns:
      The PNG, and what is wrong with the mask (empty: nothing). What can't be read comes
      back as it is: ExampleGen says what is wrong with it.
    """
    if (pictures.pixels_of(content) or 0) > _LARGEST:
        return content, ""
    try:
        with pictures.opened(content) as image:
            if not colors and image.mode == "L" and image.format == "PNG":
                return content, ""
            image.load()
            values, problem = _values_of_colors(image, colors) if colors else _values(image)
    except OSError:
        return content, ""
    if values is None:
        return content, problem
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue(), problem


def _values(image: Image.Image) -> tuple[np.ndarray | None, str]:
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L")), ""
    if image.mode == "P":
        palette = np.reshape(image.getpalette() or [], (-1, 3))
        indices = np.asarray(image)
        grey = np.all(palette == palette[:, :1], axis=1)
        # A palette of greys is how some formats write grey: then the grey is meant.
        return (palette[:, 0].astype(np.uint8)[indices] if grey.all() else indices), ""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > schema.LARGEST_MASK_VALUE:
            return None, f"the mask has the value {values.max()}, which is more than 16 bits hold"
        return values.astype(np.uint8 if values.max() < 256 else np.uint16), ""
    channels = np.asarray(image.convert("RGB"))
    if (channels == channels[..., :1]).all():
        return np.ascontiguousarray(channels[..., 0]), ""
    return None, ("the mask is coloured: say in dataset.folder.colors which colour is which value")


def _values_of_colors(
    image: Image.Image, colors: Mapping[int, Sequence[int]]
) -> tuple[np.ndarray, str]:
    channels = np.asarray(image.convert("RGB")).astype(np.int32)
    codes = channels @ np.array([1 << 16, 1 << 8, 1], np.int32)
    table = {(red << 16) + (green << 8) + blue: v for v, (red, green, blue) in colors.items()}
    found, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    values = np.array([table.get(int(code), 0) for code in found])
    values = values.astype(np.uint8 if max(colors) < 256 else np.uint16)
    unknown = [(n, int(code)) for code, n in zip(found, counts, strict=True) if code not in table]
    problem = ""
    if unknown:
        count, code = max(unknown)
        rgb = [code >> 16, code >> 8 & 255, code & 255]
        problem = (
            f"the mask has the colour {rgb} ({count} pixels), which is not in dataset.folder.colors"
        )
    return values[inverse].reshape(codes.shape), problem


def size_of(mask: bytes) -> tuple[int, int] | None:
    """Width and height that a picture's header tells; None: it is no picture."""
    try:
        with pictures.opened(mask) as image:
            return image.size
    except OSError:
        return None
