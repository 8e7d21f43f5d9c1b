"""How picture files become what a model sees, where the files alone don't say."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from components.common import schema

Band = Annotated[int, pydantic.Field(ge=1, le=1000)]


class PictureSettings(schema.Config):
    """What the files of a data set can't say of themselves."""

    orientation: Literal["upright", "as_stored", "like_the_mask"] = pydantic.Field(
        default="like_the_mask",
        description="for pictures that their EXIF data says to turn: `upright`, as a viewer shows "
        "them; `as_stored`, for masks that were drawn on the stored pixels; `like_the_mask`: "
        "whichever has the mask's size, upright where both have",
    )
    value_range: tuple[float, float] | None = pydantic.Field(
        default=None,
        description="for pictures of more than 8 bits, signed or float: the values that are black "
        "and white, such as [0, 4095] of a 12-bit camera. null: full 16 bits, floats of 0 to 1",
    )
    bands: tuple[Band, ...] | None = pydantic.Field(
        default=None,
        min_length=1,
        max_length=3,
        description="for pictures of other than one or three bands: which are red, green and blue, "
        "or which one is the grey, counted from 1; one that is tagged alpha is a band where it is "
        "named",
    )

    @pydantic.model_validator(mode="after")
    def _check(self) -> PictureSettings:
        if self.value_range and self.value_range[0] >= self.value_range[1]:
            raise ValueError("value_range: the first number must be the smaller one")
        if self.bands and len(self.bands) == 2:
            raise ValueError("bands: name one, or three")
        return self


DEFAULT = PictureSettings()
