"""A picture and its mask as the examples have them: the same way for `init` and for the run."""

from __future__ import annotations

import dataclasses
import io
import os

import numpy as np
from PIL import Image

from components.common import picture_formats
from components.common.bands import BandsConfig, npy_size
from components.common.picture_settings import PictureSettings
from components.datasets.config import FolderConfig, MaskValuesConfig
from components.datasets.masks.mask_values import to_png
from components.datasets.masks.raw_mask import LARGEST
from components.datasets.pairs import MaskSource, Pair
from components.datasets.raster_place import difference, place_of

AS_STORED = PictureSettings(orientation="as_stored")


@dataclasses.dataclass(frozen=True)
class ReadPair:
    """What was read.

    Attributes:
      image: JPEG, PNG or GIF, or an .npy of many bands; where it can't be used, the file's
        content.
      mask: a grey PNG of values; likewise.
      problem: why the pair can't be used, in one line; empty: it can.
      notes: what was decided that the files don't say.
    """

    image: bytes
    mask: bytes
    problem: str
    notes: tuple[str, ...] = ()


def read_pair(
    pair: Pair, source: MaskSource, config: FolderConfig, bands: BandsConfig | None = None
) -> ReadPair:
    """Reads a picture and its mask.

    Of GeoTIFFs the places must agree, where both have one: what lies elsewhere is no mask of it.

    Args:
      pair: where they are.
      source: of the mask.
      config: how both are read.
      bands: what the model sees, where that is not red, green and blue of 8 bits.
    """
    with open(pair.image, "rb") as file:
        content = file.read()
    mask, problem = source.read(pair)
    problem = problem or _elsewhere(pair, source, config.mask_values)
    wanted = size_of(mask)
    try:
        picture = read_image(content, wanted, config.pictures, bands)
    except OSError as error:
        return ReadPair(content, mask, problem or f"its picture can't be read: {error}")
    if not problem:
        mask = _fitted(mask, size_of(picture.encoded), config.mask_values)
    return ReadPair(picture.encoded, mask, problem, picture.notes)


def read_image(
    content: bytes,
    mask_size: tuple[int, int] | None,
    settings: PictureSettings,
    bands: BandsConfig | None = None,
) -> picture_formats.ModelPicture:
    """A picture as the model can decode it, lying as the settings say.

    Args:
      content: of the file.
      mask_size: width and height of the mask; None: not known.
      settings: what the file does not say.
      bands: as for `read_pair`.

    Raises:
      OSError: it can't be read, or not without more settings.
    """
    if (picture_formats.pixels_of(content) or 0) > LARGEST:
        return picture_formats.ModelPicture(content)  # ExampleGen says what is wrong with it
    upright = picture_formats.for_model(content, settings, bands)
    if settings.orientation != "like_the_mask" or upright.encoded is content:
        return upright

    # Some tools draw masks on the pixels as they are stored, or on smaller copies of them.
    own = size_of(upright.encoded)
    if own == mask_size:
        return upright
    stored = picture_formats.for_model(
        content, settings.model_copy(update={"orientation": "as_stored"}), bands
    )
    other = size_of(stored.encoded)
    if other == mask_size:
        return stored
    lies_as_stored = _same_shape(mask_size, other) and not _same_shape(mask_size, own)
    return stored if lies_as_stored else upright


def _elsewhere(pair: Pair, source: MaskSource, settings: MaskValuesConfig) -> str:
    """Which mask lies at another place than its picture, and how; empty: none does."""
    place = place_of(pair.image)
    for path in source.files([pair]) if place else ():
        other = place_of(path)
        if place is None or other is None:
            continue
        whole = settings.resized and is_resized(other.size, place.size, settings.size_tolerance)
        if found := difference(place, other, whole):
            # With their folders: a mask often has its picture's name.
            picture, mask = ("/".join(one.split(os.sep)[-2:]) for one in (pair.image, path))
            return (
                f"{mask} is no mask of {picture}: {found} (make the two lie over each other with "
                "gdalwarp, or take their places from them)"
            )
    return ""


def size_of(encoded: bytes) -> tuple[int, int] | None:
    """Width and height that a picture's header tells; None: it is no picture."""
    if size := npy_size(encoded):
        return size
    try:
        with picture_formats.opened(encoded) as image:
            return image.size
    except OSError:
        return None


def _same_shape(one: tuple[int, int] | None, other: tuple[int, int] | None) -> bool:
    """Whether two sizes have the same ratio of the sides, as far as whole pixels allow."""
    if one is None or other is None:
        return False
    (small, tall), (wide, high) = sorted((one, other), key=lambda size: size[0])
    # The smaller one was made by this factor, and its sides were rounded either way.
    return any(
        abs(wide - factor * small) < factor and abs(high - factor * tall) < factor
        for factor in (wide / small, high / tall)
    )


def is_resized(mask: tuple[int, int], picture: tuple[int, int], tolerance: int) -> bool:
    """Whether a mask is of another resolution than its picture, but of its shape."""
    off = max(abs(a - b) for a, b in zip(mask, picture, strict=True))
    return off > tolerance and _same_shape(mask, picture)


def _fitted(mask: bytes, size: tuple[int, int] | None, settings: MaskValuesConfig) -> bytes:
    """The mask as large as its picture, where it is allowed to be of another size.

    It is cut, or continued, at its right and lower edge where it is but little off; and
    resized where it is of another resolution.
    """
    own = size_of(mask)
    if own is None or size is None or own == size:
        return mask
    off = max(abs(one - other) for one, other in zip(own, size, strict=True))
    if off > settings.size_tolerance and not (settings.resized and _same_shape(own, size)):
        return mask
    image = Image.open(io.BytesIO(mask))
    if off > settings.size_tolerance:
        return to_png(np.asarray(image.resize(size, Image.Resampling.NEAREST)))
    width, height = size
    more = ((0, max(0, height - own[1])), (0, max(0, width - own[0])))
    return to_png(np.pad(np.asarray(image), more, "edge")[:height, :width])
