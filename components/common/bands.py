"""Pictures of other than three bands of 8 bits: how many, which, how deep; and as bytes.

Beyond the files they are NumPy's .npy (format 1.0): any number of bands and any depth, which no
picture format has, and a header that says so. In examples, and in requests to a served model.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pydantic

from components.common import schema

NPY_START = b"\x93NUMPY\x01\x00"
Depth = Literal["uint8", "uint16", "int16", "float32"]
Band = Annotated[int, pydantic.Field(ge=1, le=1000)]
_SHOWN = (2, 98)  # percentiles that are black and white to people, as in QGIS


class BandsConfig(schema.Config):
    """Pictures of any number of bands and depth, all of which the model sees."""

    count: Band = pydantic.Field(
        description="bands of the picture files; those with more or fewer are set aside"
    )
    take: tuple[Band, ...] | None = pydantic.Field(
        default=None,
        min_length=1,
        description="which of them the model sees, counted from 1, in this order; null: all",
    )
    depth: Depth = pydantic.Field(
        description="type of the values; pictures of another one are set aside"
    )
    scale: Literal["quantiles", "mean_std"] = pydantic.Field(
        default="quantiles",
        description="how each band comes to the model's 0 to 1, by what the training split has: "
        "`quantiles`, its 1st and 99th percentile are 0 and 1; `mean_std`, its mean is 0.5, three "
        "standard deviations less and more are 0 and 1. What is beyond is cut off",
    )
    shown: tuple[Band, Band, Band] | tuple[Band] | None = pydantic.Field(
        default=None,
        description="which bands of the files a person is shown as red, green and blue, or which "
        "one as grey; null: the first three that the model sees, or the first",
    )

    @pydantic.model_validator(mode="after")
    def _check(self) -> BandsConfig:
        for key in ("take", "shown"):
            for band in getattr(self, key) or ():
                if band > self.count:
                    raise ValueError(f"{key}: there is no band {band}, count is {self.count}")
        for band in self.shown or ():
            if band not in self.taken:
                raise ValueError(f"shown: band {band} is none that the model sees (take)")
        return self

    @property
    def taken(self) -> tuple[int, ...]:
        """Those that the model sees, counted from 1."""
        return self.take or tuple(range(1, self.count + 1))

    @property
    def channels(self) -> int:
        """How many the model sees."""
        return len(self.taken)

    @property
    def pixel_bytes(self) -> int:
        """Of a pixel, as the model sees it."""
        return self.channels * np.dtype(self.depth).itemsize

    @property
    def largest(self) -> float:
        """The depth's largest value; 1 of floats."""
        return 1.0 if self.depth == "float32" else float(np.iinfo(self.depth).max)

    @property
    def shown_channels(self) -> list[int]:
        """Which of the model's are shown as red, green and blue, counted from 0."""
        if self.shown:
            return [self.taken.index(band) for band in self.shown] * (3 // len(self.shown))
        return [0, 1, 2] if self.channels >= 3 else [0, 0, 0]


def bands_of(card: Mapping[str, Any]) -> BandsConfig | None:
    """What a model's card says of its pictures; None: red, green and blue of 8 bits."""
    told = card.get("bands")
    return BandsConfig.model_validate(told) if told else None


def channels_of(bands: BandsConfig | None) -> int:
    """How many channels the model sees; without the setting red, green and blue."""
    return bands.channels if bands else 3


def shown_channels(bands: BandsConfig | None) -> list[int]:
    """Which of the model's channels are shown as red, green and blue, counted from 0."""
    return bands.shown_channels if bands else [0, 1, 2]


def taken(pixels: np.ndarray, bands: BandsConfig) -> np.ndarray:
    """The bands that the model sees of a file's pixels.

    Args:
      pixels: [height, width] or [height, width, bands], as they are stored.
      bands: what they must be.

    Returns:
      [height, width, channels] of the depth's type.

    Raises:
      OSError: they are not.
    """
    pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    check_count(pixels.shape[-1], bands)
    return of_depth(pixels[..., [band - 1 for band in bands.taken]], bands)


def check_count(count: int, bands: BandsConfig) -> None:
    """Raises OSError where a file has another number of bands."""
    if count != bands.count:
        raise OSError(
            f"it has {count} bands, not {bands.count} as dataset.bands of the model's config says: "
            "save it with the same bands, in the same order"
        )


def of_depth(pixels: np.ndarray, bands: BandsConfig) -> np.ndarray:
    """Pixels of the depth's type.

    Args:
      pixels: any shape; floats of 64 bits count as those of 32.
      bands: the depth.

    Raises:
      OSError: they have another one, or some are no number.
    """
    if pixels.dtype == np.float64 and bands.depth == "float32":
        pixels = pixels.astype(np.float32)
    if pixels.dtype.newbyteorder("=") != np.dtype(bands.depth):
        raise OSError(
            f"its values are of {pixels.dtype.name}, not of {bands.depth} as dataset.bands of the "
            "model's config says: save it with values of that type, on the same scale"
        )
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise OSError("it has pixels that are no number (NaN or infinite)")
    return pixels


def to_npy(pixels: np.ndarray) -> bytes:
    """Pixels [height, width, channels] as an .npy file, little-endian."""
    buffer = io.BytesIO()
    ordered = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    np.save(buffer, ordered, allow_pickle=False)
    return buffer.getvalue()


def from_npy(content: bytes) -> np.ndarray:
    """What `to_npy` was given."""
    return np.load(io.BytesIO(content), allow_pickle=False)


def npy_size(content: bytes) -> tuple[int, int] | None:
    """Width and height by the header; None: it is no .npy of a picture."""
    if not content.startswith(NPY_START):
        return None
    try:
        buffer = io.BytesIO(content[len(NPY_START) : len(NPY_START) + 1024])
        header = np.lib.format.read_array_header_1_0(buffer)  # type: ignore[no-untyped-call]
        shape: tuple[int, ...] = header[0]
    except ValueError:
        return None
    return (shape[1], shape[0]) if len(shape) == 3 else None


def shown(pixels: np.ndarray, bands: BandsConfig) -> np.ndarray:
    """What a person is shown of a picture.

    Args:
      pixels: [height, width, channels] of the depth's type.
      bands: which of them, and their depth; 8 bits are shown as they are, others from the
        picture's own 2nd to 98th percentile.

    Returns:
      uint8 [height, width, 3].
    """
    chosen = pixels[..., bands.shown_channels]
    if bands.depth != "uint8":
        low, high = np.percentile(chosen, _SHOWN)
        scaled = (chosen.astype(np.float32) - low) / max(high - low, 1e-12)
        chosen = (np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)
    return chosen
