"""What the model's pictures look like."""

from __future__ import annotations

from typing import Annotated

import pydantic

from components.common import schema
from components.common.picture_fit import Fit

# The encoder halves the picture five times.
Side = Annotated[int, pydantic.Field(ge=32, le=2048, multiple_of=32)]


class TransformConfig(schema.Config):
    """How pictures and masks are prepared."""

    image_size: tuple[Side, Side] = pydantic.Field(
        default=(128, 128), description="height and width in pixels, multiples of 32"
    )
    fit: Fit = pydantic.Field(
        default="stretch",
        description="`stretch`: to that size, as in the tutorial. `pad`: in their own "
        "proportions, with padding around them that counts nowhere",
    )
