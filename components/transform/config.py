"""What the model's pictures look like."""

from __future__ import annotations

from typing import Annotated

import pydantic

from components.common import schema

# The encoder halves the picture five times.
Side = Annotated[int, pydantic.Field(ge=32, le=2048, multiple_of=32)]


class TransformConfig(schema.Config):
    """How pictures and masks are prepared."""

    image_size: tuple[Side, Side] = pydantic.Field(
        default=(128, 128), description="height and width in pixels, multiples of 32"
    )
