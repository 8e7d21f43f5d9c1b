"""Picture files of all forms, as the model can take them: JPEG, PNG or GIF of 8 bits."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from components.common import deep_pictures, orientation
from components.common.bands import BandsConfig, taken, to_npy
from components.common.picture_settings import DEFAULT, PictureSettings
from components.common.tiff_files import is_tiff

# What the model decodes itself; anything else becomes a PNG.
MODEL_FORMATS = ("JPEG", "PNG", "GIF")
PNG_START = b"\x89PNG\r\n\x1a\n"
LFS_START = b"version https://git-lfs.github.com/"
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
# What Pillow would take for pictures, but nobody keeps as one.
_NO_PICTURES = (".pdf", ".eps", ".ps", ".h5", ".hdf", ".mpg", ".mpeg", ".palm", ".xv", ".wmf")
HEIC_ENDINGS = (".heic", ".heif", ".hif")


@dataclasses.dataclass(frozen=True)
class ModelPicture:
    """A picture that the model can decode.

    Attributes:
      encoded: JPEG, PNG or GIF of 8 bits, of which the model sees what a viewer shows; or an
        .npy of all that it sees.
      notes: what was decided about it that its file does not say, in words.
    """

    encoded: bytes
    notes: tuple[str, ...] = ()


@functools.cache
def endings() -> frozenset[str]:
    """Endings of files that are pictures, in lower case with their dot."""
    known = {ending.lower() for ending in Image.registered_extensions()}
    return frozenset(known.difference(_NO_PICTURES) | set(HEIC_ENDINGS))


def for_model(
    content: bytes, settings: PictureSettings = DEFAULT, bands: BandsConfig | None = None
) -> ModelPicture:
    """A picture as the model can take it, upright unless the settings say `as_stored`.

    A model sees pixels only: a phone's picture, stored lying, would be segmented lying, and
    its mask would not lie over what a viewer shows.

    Args:
      content: of any file that Pillow or tifffile can read.
      settings: what the file does not say.
      bands: what the model sees, where that is not red, green and blue of 8 bits.

    Returns:
      `content` itself where that will do (it is not decoded then), or else a PNG; with bands
      an .npy.

    Raises:
      OSError: it is no picture, one that has to be decoded and can't be, or one whose
        values can't be told without the settings.
    """
    with opened(content) as image:
        told = image.getexif().get(orientation.TAG, 1)
        turn = 1 if settings.orientation == "as_stored" else told
        notes: list[str] = []
        frames = deep_pictures.pages_of(image, content)
        last_band = max(settings.bands or (0,))
        if bands:
            pixels = taken(deep_pictures.read_bands(image, content, bands.count), bands)
            upright = orientation.turned(pixels, turn)
            return ModelPicture(to_npy(upright), deep_pictures.page_notes(frames))
        if (
            deep_pictures.is_deep(image, content)
            or (settings.bands and image.format == "TIFF")
            or last_band > 3  # of a PNG: what is called alpha
        ):
            pixels = deep_pictures.read(image, content, last_band)
            pixels = deep_pictures.to_8_bits(pixels, settings, notes)
            shown = Image.fromarray(np.ascontiguousarray(orientation.turned(pixels, turn)))
        elif _passes(image, turn, frames):
            return ModelPicture(content)
        else:
            shown = as_rgb(ImageOps.exif_transpose(image) if turn != 1 else image)
            if turn == 1 and told != 1 and image.format == "TIFF":
                # Pillow has turned it while it read it.
                stored = orientation.turned_back(np.asarray(shown), told)
                shown = Image.fromarray(np.ascontiguousarray(stored))
        notes += deep_pictures.page_notes(frames)
        buffer = io.BytesIO()
        as_rgb(shown).save(buffer, "PNG", compress_level=1)
        return ModelPicture(buffer.getvalue(), tuple(notes))


def _passes(image: Image.Image, turn: int, frames: int) -> bool:
    """Whether TensorFlow decodes the file itself to what a viewer shows."""
    if image.format not in MODEL_FORMATS or turn not in orientation.UPRIGHT:
        return False
    # Where a GIF is transparent, TensorFlow has black.
    return image.format != "GIF" or (frames == 1 and "transparency" not in image.info)


@contextlib.contextmanager
def opened(content: bytes) -> Iterator[Image.Image]:
    """A picture file, its header read.

    Raises:
      OSError: it is no picture, or a damaged one.
    """
    if content.startswith(LFS_START):
        raise OSError("it is a Git LFS pointer, not the file itself: run `git lfs pull`")
    heic = content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS
    if heic:
        _read_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                yield image
    except UnidentifiedImageError as error:  # its own message names a Python object
        if not content:
            raise OSError("it is an empty file, no picture") from error
        if is_tiff(content):
            with deep_pictures.opened(content) as image:
                yield image
            return
        if heic:
            raise OSError("it is a damaged HEIC, or of a kind that is not read") from error
        raise OSError("it is no picture") from error
    except OSError:
        raise
    except Exception as error:  # Pillow's plugins raise all kinds on damaged files
        raise OSError(f"{type(error).__name__}: {error}") from error


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of a picture as a viewer shows it.

    Args:
      image: opened, not decoded.
    """
    width, height = image.size
    # (Pillow tells a TIFF's size as it is shown.)
    lying = image.format != "TIFF" and image.getexif().get(orientation.TAG, 1) in orientation.LYING
    return (width, height) if lying else (height, width)


def _read_heic() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise OSError(
            "HEIC is not read here: pip install 'segline[heic]', or convert it to JPEG"
        ) from error
    pillow_heif.register_heif_opener()


def as_rgb(image: Image.Image) -> Image.Image:
    """The picture in RGB; transparency is dropped."""
    image.load()  # (its file may be closed before anybody asks for a pixel)
    return image if image.mode == "RGB" else image.convert("RGB")


def pixels_of(encoded: bytes) -> int | None:
    """Width x height that a picture's header tells, without decoding it.

    Returns:
      The product (of what Pillow itself calls a bomb: a lower bound); None where there is
      no header that Pillow knows.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(encoded)) as image:
                return image.width * image.height
    except Image.DecompressionBombError:  # it has more than that
        return (Image.MAX_IMAGE_PIXELS or 0) * 2
    except Exception:  # Pillow's readers fail in many ways on what is no picture
        return None
