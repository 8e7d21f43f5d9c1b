"""Pixels of more than 8 bits, or of other than one or three bands.

Pillow has no form for most of them: it keeps the high or the low byte, or the first bands,
without a word. TIFFs are read by tifffile, PNGs of 16 bits by TensorFlow.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator

import numpy as np
from PIL import Image

from components.common.picture_settings import PictureSettings

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG_START = b"\x89PNG\r\n\x1a\n"
_BITS = (8, 10, 12, 14)  # of cameras whose values come in 16 bits
_ALPHA = (1, 2)  # what TIFF's ExtraSamples calls alpha


def is_tiff(content: bytes) -> bool:
    """Whether it begins as a TIFF does."""
    return content.startswith(_TIFF_STARTS)


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
    """A stand-in for a TIFF that only tifffile knows: its size, as Pillow would tell it.

    Raises:
      OSError: tifffile doesn't know it either.
    """
    height, width = read_tiff(content).shape[:2]
    image = Image.new("F", (width, height))
    image.format = "TIFF"
    yield image


def read(image: Image.Image, content: bytes) -> np.ndarray:
    """All pixels as they are stored: [height, width] or [height, width, bands], any dtype.

    Args:
      image: opened, not decoded.
      content: of the file.

    Raises:
      OSError: it can't be decoded.
    """
    if content.startswith(_PNG_START):
        return _read_png(content)
    if is_tiff(content):
        try:
            pixels = read_tiff(content)
            white_is_zero = getattr(image, "tag_v2", {}).get(262) == 0
            if white_is_zero and pixels.dtype.kind == "u":
                return np.iinfo(pixels.dtype).max - pixels
            return pixels
        except OSError:
            if image.mode == "RGB" or getattr(image, "tag_v2", None) is None:
                raise  # Pillow would drop the low bytes
    pixels = np.asarray(image)
    return pixels.astype(np.uint16) if image.mode.startswith("I;16") else pixels


def _read_png(content: bytes, count: int | None = None) -> np.ndarray:
    import tensorflow as tf

    try:
        pixels = tf.io.decode_png(content, channels=0, dtype=tf.uint16).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise OSError("it is a damaged PNG") from error
    if pixels.shape[-1] in (2, 4) and pixels.shape[-1] != count:
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
        import tifffile

        try:
            with tifffile.TiffFile(io.BytesIO(content)) as file:
                return int(file.pages.first.samplesperpixel)
        except Exception as error:  # it raises all kinds on damaged files
            raise OSError(f"its TIFF can't be read: {error}") from error
    return 3 if image.mode in ("P", "PA") else len(image.getbands())


def read_bands(image: Image.Image, content: bytes, count: int) -> np.ndarray:
    """All pixels as they are stored, with so many bands if there are so many.

    GDAL and others call a fourth band alpha where nobody tells them that it is near infrared: it
    is taken for a band where it makes up the number, and dropped where not.

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
    if is_deep(image, content):
        return _read_png(content, count) if content.startswith(_PNG_START) else read(image, content)
    if image.mode == "RGBA" and count != 4:
        image = image.convert("RGB")
    elif image.mode == "LA" and count != 2:
        image = image.convert("L")
    elif image.mode in ("P", "PA", "1"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return np.asarray(image)


def read_tiff(content: bytes, count: int | None = None) -> np.ndarray:
    """The first page of a TIFF; [height, width] or [height, width, bands].

    Its alpha is dropped, unless `count` bands are asked for, and it is the last of them.

    Raises:
      OSError: tifffile can't read it.
    """
    import tifffile

    # What is wrong with a file is raised, and told with its name.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            page = file.pages.first
            pixels = page.asarray()
            extra = [int(kind) for kind in page.extrasamples or ()]
            if page.axes.startswith("S"):  # bands one after the other
                pixels = np.moveaxis(pixels, 0, -1)
            if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
                raise OSError("a TIFF with a palette of more than 8 bits is not read")
    except OSError:
        raise
    except Exception as error:  # it raises all kinds on damaged files
        raise OSError(f"its TIFF can't be read: {str(error).splitlines()[0][:200]}") from error
    if pixels.ndim not in (2, 3):
        raise OSError(f"its TIFF has {pixels.ndim} dimensions {list(pixels.shape)}, not 2 or 3")
    if pixels.ndim == 3:
        alpha = sum(kind in _ALPHA for kind in extra)
        if pixels.shape[-1] != count:
            pixels = pixels[..., : pixels.shape[-1] - alpha]
        pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    return pixels


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
    pixels = _three_bands(pixels, settings)
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


def _three_bands(pixels: np.ndarray, settings: PictureSettings) -> np.ndarray:
    bands = pixels.shape[2] if pixels.ndim == 3 else 1
    if settings.bands and bands not in (1, 3):
        if max(settings.bands) > bands:
            raise OSError(
                f"it has {bands} bands, no band {max(settings.bands)} "
                "(dataset.folder.pictures.bands)"
            )
        taken = pixels[..., [band - 1 for band in settings.bands]]
        return taken[..., 0] if taken.shape[-1] == 1 else taken
    if bands not in (1, 3):
        raise OSError(
            f"it has {bands} bands, and a model sees three: say which are red, green and blue "
            "in dataset.folder.pictures.bands, and train with that; for a model that is trained, "
            "leave the others out (gdal_translate -b 1 -b 2 -b 3)"
        )
    return pixels
