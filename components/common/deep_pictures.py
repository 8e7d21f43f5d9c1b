"""Pixels of more than 8 bits, or of other than one or three bands.

Pillow has no form for most of them: it keeps the high or the low byte, or the first bands,
without a word. TIFFs are read by `tiff_files`, PNGs of 16 bits by TensorFlow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from components.common import orientation
from components.common.picture_settings import PictureSettings
from components.common.readable import counted
from components.common.tiff_files import TiffTags, count_pages, is_tiff, read_tiff, tags_of

_PNG_START = b"\x89PNG\r\n\x1a\n"
_BITS = (8, 10, 12, 14)  # of cameras whose values come in 16 bits
_ALPHA = (1, 2)  # what TIFF's ExtraSamples calls alpha


def is_deep(image: Image.Image, content: bytes) -> bool:
    """Whether Pillow would not give the pixels as they are.

    Args:
      image: opened, not decoded.
      content: of the file.
    """
    if content.startswith(_PNG_START):
        return content[24:25] == b"\x10"
    if not is_tiff(content):
        return image.mode.startswith(("I", "F"))
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return True
    bits, samples = tags.get(258, (1,)), tags.get(277, 1)
    kinds = tags.get(339, (1,))
    extra = tags.get(338, ())
    bits, kinds, extra = (one if isinstance(one, tuple) else (one,) for one in (bits, kinds, extra))
    alpha = sum(kind in _ALPHA for kind in extra)
    return (
        max(bits) > 8
        or any(kind != 1 for kind in kinds)
        or samples - alpha not in (1, 3, 4)
        or (samples - alpha == 4 and tags.get(262) != 5)
    )


@contextlib.contextmanager
def opened(content: bytes) -> Iterator[Image.Image]:
    """A stand-in for a TIFF that only tifffile knows: size and orientation, as Pillow has them.

    Raises:
      OSError: tifffile doesn't know it either.
    """
    turn = tags_of(content).orientation
    height, width = read_tiff(content).shape[:2]  # (a damaged header's may be any)
    image = Image.new("F", (height, width) if turn in orientation.LYING else (width, height))
    image.format = "TIFF"
    image.getexif()[orientation.TAG] = turn
    yield image


def pages_of(image: Image.Image, content: bytes) -> int:
    """How many pages or frames a file has; a TIFF's smaller copies and masks are none.

    Args:
      image: opened, not decoded.
      content: of the file.
    """
    if image.format == "MPO":  # a phone's JPEG with a preview
        return 1
    if is_tiff(content):
        with contextlib.suppress(OSError):
            return count_pages(content)
    return int(getattr(image, "n_frames", 1))


def page_notes(pages: int) -> tuple[str, ...]:
    """What is to be told of a file of several pages."""
    return (f"it has {pages} pages or frames: the first is taken",) if pages > 1 else ()


def read(image: Image.Image, content: bytes, needed: int = 0) -> np.ndarray:
    """All pixels, white being the largest value: [height, width] or [height, width, bands].

    Args:
      image: opened, not decoded.
      content: of the file.
      needed: the last of the bands that are asked for, as for `tiff_files.read_tiff`.

    Returns:
      Of any dtype.

    Raises:
      OSError: it can't be decoded.
    """
    if not is_tiff(content):
        return _read_others(image, content, needed)
    tags = tags_of(content)
    known = getattr(image, "tag_v2", None) is not None
    if known and tags.bits < 8:
        return _read_by_pillow(image, tags, needed)
    try:
        pixels = read_tiff(content, needed)
    except OSError:
        if image.mode == "RGB" or not known:
            raise  # Pillow would drop the low bytes
        pixels = _read_by_pillow(image, tags, needed)
        if tags.bits == 8:  # (and turns these over)
            return pixels
    white_is_zero = tags.white_is_zero and pixels.dtype.kind == "u"
    return white_on_top(pixels, tags.bits) if white_is_zero else pixels


def white_on_top(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Unsigned values of which 0 is white, turned over: the largest of so many bits is."""
    return ((1 << bits) - 1 - pixels).astype(pixels.dtype)


def _read_others(image: Image.Image, content: bytes, needed: int) -> np.ndarray:
    """What is no TIFF."""
    if content.startswith(_PNG_START) and is_deep(image, content):
        return _read_png(content, needed)
    return _pixels_of(image, needed)


def _read_by_pillow(image: Image.Image, tags: TiffTags, needed: int) -> np.ndarray:
    """A TIFF, as it is stored."""
    image.load()  # which turns it
    return orientation.turned_back(_pixels_of(image, needed), tags.orientation)


def _pixels_of(image: Image.Image, needed: int) -> np.ndarray:
    if image.mode == "RGBA" and needed != 4:
        image = image.convert("RGB")
    elif image.mode == "LA" and needed != 2:
        image = image.convert("L")
    elif image.mode in ("P", "PA", "1"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    pixels = np.asarray(image)
    return pixels.astype(np.uint16) if image.mode.startswith("I;16") else pixels


def _read_png(content: bytes, needed: int) -> np.ndarray:
    import tensorflow as tf

    try:
        pixels = tf.io.decode_png(content, channels=0, dtype=tf.uint16).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise OSError("it is a damaged PNG") from error
    if pixels.shape[-1] in (2, 4) and pixels.shape[-1] != needed:
        pixels = pixels[..., :-1]  # alpha
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def stored_bands(image: Image.Image, content: bytes) -> int:
    """How many bands a file has, alpha too; by its header.

    Args:
      image: opened, not decoded.
      content: of the file.

    Raises:
      OSError: its header is damaged.
    """
    if is_tiff(content):
        return tags_of(content).bands
    return 3 if image.mode in ("P", "PA") else len(image.getbands())


def read_bands(image: Image.Image, content: bytes, count: int) -> np.ndarray:
    """All pixels as they are stored, with so many bands if there are so many.

    What is called alpha is a band where it makes up the number, and dropped where not.

    Args:
      image: opened, not decoded.
      content: of the file.
      count: bands that are expected.

    Returns:
      [height, width] or [height, width, bands], of any dtype.

    Raises:
      OSError: it can't be decoded.
    """
    if is_tiff(content):
        return read_tiff(content, count)
    return _read_others(image, content, count)


def to_8_bits(pixels: np.ndarray, settings: PictureSettings, notes: list[str]) -> np.ndarray:
    """Pixels as a viewer would show them.

    Args:
      pixels: [height, width] or [height, width, bands].
      settings: range and bands, where they are known.
      notes: what was decided is added to them.

    Returns:
      uint8 [height, width] or [height, width, 3].

    Raises:
      OSError: the settings don't say enough, or don't fit.
    """
    pixels = three_bands(pixels, settings)
    if pixels.dtype == np.uint8 and (not settings.value_range or settings.value_range[1] > 255):
        return pixels  # (a range of more than 8 bits is that of others beside it)
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype.kind not in "uif":
        raise OSError(f"its pixels are of the kind {pixels.dtype}, which is not read")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise OSError("it has pixels that are no number (NaN or infinite)")
    low, high = settings.value_range or range_of(pixels, notes)
    smallest, largest = pixels.min(), pixels.max()
    if smallest < low or largest > high:
        raise OSError(
            f"its values go from {smallest:g} to {largest:g}, beyond the value range "
            f"{low:g} to {high:g} (dataset.folder.pictures.value_range)"
        )
    if pixels.dtype.kind == "f" and smallest < largest <= 1 and high - low > 255:
        raise OSError(
            f"its values are fractions from {smallest:g} to {largest:g}, which are all black in "
            f"the value range {low:g} to {high:g} (dataset.folder.pictures.value_range)"
        )
    bits = int(high + 1).bit_length() - 1
    if pixels.dtype.kind in "ui" and low == 0 and bits >= 8 and high == (1 << bits) - 1:
        # The high bits, as TensorFlow and other readers have them.
        return (pixels.astype(np.uint32) >> (bits - 8)).astype(np.uint8)
    scaled = (pixels.astype(np.float64) - low) * (255 / (high - low))
    return np.round(scaled).astype(np.uint8)


def range_of(pixels: np.ndarray, notes: list[str]) -> tuple[float, float]:
    """What is black and what is white in a picture, as far as its own values tell.

    Raises:
      OSError: they don't.
    """
    smallest, largest = pixels.min().item(), pixels.max().item()
    advice = "say which values are black and white: dataset.folder.pictures.value_range"
    if pixels.dtype.kind == "f":
        if smallest >= 0 and largest <= 1:
            return 0.0, 1.0
        raise OSError(f"it is of floats from {smallest:g} to {largest:g}; {advice}")
    if smallest < 0 or largest > 65535:
        raise OSError(f"its values go from {smallest} to {largest}; {advice}")
    bits = next((bits for bits in _BITS if largest < 1 << bits), 16)
    if bits < 16:
        notes.append(
            f"it has 16 bits, but no value above {largest}: taken as {bits} bits "
            f"(0 to {(1 << bits) - 1})"
        )
    return 0, (1 << bits) - 1


def bands_taken(count: int, settings: PictureSettings) -> list[int]:
    """Which bands of a file are its grey, or its red, green and blue; counted from 0.

    Args:
      count: how many it has.
      settings: which they are of files that have other than one or three.

    Raises:
      OSError: it doesn't have them, or the settings don't say.
    """
    last = max(settings.bands or (0,))
    usual = count in (1, 3)
    if last > (3 if usual else count):
        raise OSError(
            f"it has {counted(count, 'band')}, no band {last} (dataset.folder.pictures.bands)"
        )
    if usual:
        return list(range(count))
    if not settings.bands:
        raise OSError(
            f"it has {count} bands, and a model sees three: say which are red, green and blue "
            "in dataset.folder.pictures.bands, and train with that; for a model that is trained, "
            "leave the others out (gdal_translate -b 1 -b 2 -b 3)"
        )
    return [band - 1 for band in settings.bands]


def three_bands(pixels: np.ndarray, settings: PictureSettings) -> np.ndarray:
    """The bands that are grey, or red, green and blue.

    Args:
      pixels: [height, width] or [height, width, bands].
      settings: which they are.

    Returns:
      [height, width] or [height, width, 3].

    Raises:
      OSError: the settings don't say, or don't fit.
    """
    taken = bands_taken(pixels.shape[2] if pixels.ndim == 3 else 1, settings)
    if pixels.ndim == 2:
        return pixels
    return pixels[..., taken[0]] if len(taken) == 1 else pixels[..., taken]
