"""What a mask's pixels mean: the class values, by the config."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from components.common import picture_formats, schema
from components.datasets.config import FolderConfig, MaskValuesConfig
from components.datasets.masks.raw_mask import LARGEST, NPY_START, RawMask, read_raw

_MOST_AT_ONCE = 2_000_000  # pixels whose distances to all colours are held in memory


def read_mask(content: bytes, config: FolderConfig) -> tuple[bytes, str]:
    """A mask as a grey PNG of its values.

    Args:
      content: of the file.
      config: what the values mean.

    Returns:
      The PNG, and what is wrong with the mask (empty: nothing). What can't be read comes
      back as it is.
    """
    if not content.startswith(NPY_START) and (picture_formats.pixels_of(content) or 0) > LARGEST:
        return content, ""  # ExampleGen says what is wrong with it
    if _has_values(content) and not config.colors and config.mask_values == MaskValuesConfig():
        return content, ""
    try:
        raw = read_raw(content)
    except OSError as error:
        return content, f"its mask can't be read: {error}"
    values, problem = values_of(raw, config)
    return to_png(values), problem


def _has_values(content: bytes) -> bool:
    """Whether it is a PNG of grey in 8 bits: what the examples have."""
    return content.startswith(picture_formats.PNG_START) and content[24:26] == b"\x08\0"


def to_png(values: np.ndarray) -> bytes:
    """Encodes values of 8 or 16 bits."""
    buffer = io.BytesIO()
    dtype = np.uint8 if values.max(initial=0) < 256 else np.uint16
    Image.fromarray(values.astype(dtype)).save(buffer, "PNG")
    return buffer.getvalue()


def values_of(raw: RawMask, config: FolderConfig) -> tuple[np.ndarray, str]:
    """The class values of a mask: int [height, width], 0 to 65535; and what is wrong."""
    settings = config.mask_values
    problem = ""
    if settings.alpha:
        opaque = np.full(raw.size, 255, np.uint8)
        raw = RawMask(opaque if raw.alpha is None else raw.alpha)
    clear = None
    if settings.transparent is not None and raw.alpha is not None:
        clear = raw.alpha == 0
        raw = _without_colors(raw, clear, config.colors)
    if raw.lossy and not settings.nearest:
        problem = (
            "the mask is saved with loss (JPEG), which changes its values: save it as PNG, or say "
            "in dataset.folder.colors which values there are, with mask_values.nearest"
        )
    if config.colors and settings.instances:
        values, told = _things(raw, config.colors[0])
    elif config.colors:
        values, told = _of_colors(raw, config.colors, settings.nearest)
    elif raw.is_coloured:
        values = np.zeros(raw.size, np.uint8)
        told = "the mask is coloured: say in dataset.folder.colors which colour is which value"
    else:
        values, told = _recoded(raw.values, settings.recode)
    if settings.instances:
        values = (values > 0).astype(np.uint8)
    if clear is not None:
        values = np.where(clear, settings.transparent or 0, values)
    return values, problem or told


def _without_colors(
    raw: RawMask, clear: np.ndarray, colors: Mapping[int, Sequence[int]]
) -> RawMask:
    """Gives pixels that can't be seen a colour that is known: editors leave any there."""
    if not colors:
        return RawMask(np.where(clear, 0, raw.values)) if not raw.is_coloured else raw
    shown = raw.colors().copy()
    shown[clear] = next(iter(colors.values()))
    return RawMask(shown, lossy=raw.lossy)


def _things(raw: RawMask, background: Sequence[int]) -> tuple[np.ndarray, str]:
    try:
        return (color_codes(raw.colors()) != color_code(background)).astype(np.uint8), ""
    except ValueError as error:
        return np.zeros(raw.size, np.uint8), f"the mask has no colours: {error}"


def _recoded(values: np.ndarray, recode: Mapping[float, int]) -> tuple[np.ndarray, str]:
    result = values
    if recode:
        result = values.astype(np.float64)
        for value, meant in recode.items():
            result[values == value] = meant
        if (result == np.round(result)).all():
            result = result.astype(np.int64)
    if result.dtype.kind == "f":
        found = np.unique(result[result != np.round(result)])
        return np.zeros(values.shape, np.uint8), (
            f"the mask has values that are no whole numbers ({_some_values(found)}): say in "
            "dataset.folder.mask_values.recode which class's value each of them is, such as "
            f"{{{found[0]:g}: 1}}"
        )
    if result.min() < 0 or result.max() > schema.LARGEST_MASK_VALUE:
        value = result.min() if result.min() < 0 else result.max()
        return np.zeros(values.shape, np.uint8), (
            f"the mask has the value {value}; values must be between 0 and "
            f"{schema.LARGEST_MASK_VALUE} (16 bits): dataset.folder.mask_values.recode gives it "
            f"another one, such as {{{value}: 255}}"
        )
    return result, ""


def _of_colors(
    raw: RawMask, colors: Mapping[int, Sequence[int]], nearest: bool
) -> tuple[np.ndarray, str]:
    # Beside masks in colours there may be some whose values are the table's already.
    is_grey = not raw.is_coloured and raw.palette is None
    try:
        codes = color_codes(raw.colors())
    except ValueError as error:
        return np.zeros(raw.size, np.uint8), f"the mask has no colours: {error}"
    table = {color_code(color): value for value, color in colors.items()}
    found, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(codes.shape)
    unknown = [(n, int(code)) for code, n in zip(found, counts, strict=True) if code not in table]
    if unknown and is_grey and set(np.unique(raw.values).tolist()) <= set(colors):
        return raw.values, ""
    if unknown and nearest:
        wanted = np.array(list(colors.values()), np.int64)
        parts = np.stack([found >> 16, found >> 8 & 255, found & 255], -1).astype(np.int64)
        step = max(1, _MOST_AT_ONCE // len(wanted))
        places = [
            ((parts[at : at + step, np.newaxis] - wanted) ** 2).sum(-1).argmin(-1)
            for at in range(0, len(parts), step)
        ]
        return np.array(list(colors))[np.concatenate(places)][inverse], ""
    values = np.array([table.get(int(code), 0) for code in found])
    problem = ""
    if unknown:
        count, code = max(unknown)
        problem = (
            f"the mask has the colour {list(color_of(code))} ({count} pixels), which is not in "
            "dataset.folder.colors"
        )
    return values[inverse], problem


def color_codes(channels: np.ndarray) -> np.ndarray:
    """A number for each pixel's colour: int32 [height, width] of uint8 [height, width, 3]."""
    return channels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


def color_code(color: Sequence[int]) -> int:
    """The number of a colour."""
    red, green, blue = color
    return (red << 16) + (green << 8) + blue


def color_of(code: int) -> tuple[int, int, int]:
    """Inverse of `color_code`."""
    return code >> 16, code >> 8 & 255, code & 255


def _some_values(values: np.ndarray) -> str:
    more = ", …" if len(values) > 5 else ""
    return ", ".join(f"{value:g}" for value in values[:5]) + more
