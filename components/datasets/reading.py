"""A picture and its mask as the examples have them: the same way for `init` and for the run."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from PIL import Image

from components.common import picture_formats
from components.common.picture_settings import PictureSettings
from components.datasets.config import FolderConfig
from components.datasets.mask_values import to_png
from components.datasets.pairs import MaskSource, Pair
from components.datasets.raw_mask import LARGEST

AS_STORED = PictureSettings(orientation="as_stored")


@dataclasses.dataclass(frozen=True)
class ReadPair:
    """What was read.

    Attributes:
      image: JPEG, PNG or GIF; or the file's content, where it can't be used.
      mask: a grey PNG of values; likewise.
      problem: why the pair can't be used, in one line; empty: it can.
      notes: what was decided that the files don't say.
    """

    image: bytes
    mask: bytes
    problem: str
    notes: tuple[str, ...] = ()


def read_pair(pair: Pair, source: MaskSource, config: FolderConfig) -> ReadPair:
    """Reads a picture and its mask."""
    with open(pair.image, "rb") as file:
        content = file.read()
    mask, problem = source.read(pair)
    wanted = size_of(mask)
    try:
        picture = read_image(content, wanted, config.pictures)
    except OSError as error:
        return ReadPair(content, mask, problem or f"its picture can't be read: {error}")
    if not problem and config.mask_values.size_tolerance:
        mask = _fitted(mask, size_of(picture.encoded), config.mask_values.size_tolerance)
    return ReadPair(picture.encoded, mask, problem, picture.notes)


def read_image(
    content: bytes, mask_size: tuple[int, int] | None, settings: PictureSettings
) -> picture_formats.ModelPicture:
    """A picture as the model can decode it, lying as the settings say.

    Args:
      content: of the file.
      mask_size: width and height of the mask; None: not known.
      settings: what the file does not say.

    Raises:
      OSError: it can't be read, or not without more settings.
    """
    if (picture_formats.pixels_of(content) or 0) > LARGEST:
        return picture_formats.ModelPicture(content)  # ExampleGen says what is wrong with it
    upright = picture_formats.for_model(content, settings)
    if settings.orientation != "like_the_mask" or upright.encoded is content:
        return upright
    if size_of(upright.encoded) != mask_size:
        # Some tools draw masks on the pixels as they are stored.
        stored = picture_formats.for_model(
            content, settings.model_copy(update={"orientation": "as_stored"})
        )
        return stored if size_of(stored.encoded) == mask_size else upright
    return upright


def size_of(encoded: bytes) -> tuple[int, int] | None:
    """Width and height that a picture's header tells; None: it is no picture."""
    try:
        with picture_formats.opened(encoded) as image:
            return image.size
    except OSError:
        return None


def _fitted(mask: bytes, size: tuple[int, int] | None, tolerance: int) -> bytes:
    """The mask cut, or continued at its right and lower edge, where it is but little off."""
    own = size_of(mask)
    if own is None or size is None or own == size:
        return mask
    if any(abs(one - other) > tolerance for one, other in zip(own, size, strict=True)):
        return mask
    values = np.asarray(Image.open(io.BytesIO(mask)))
    width, height = size
    more = ((0, max(0, height - own[1])), (0, max(0, width - own[0])))
    return to_png(np.pad(values, more, "edge")[:height, :width])
