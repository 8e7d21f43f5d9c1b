"""What is pushed besides the SavedModel."""

from __future__ import annotations

import pydantic
from pydantic import Field

from components.common import schema
from components.common.export_config import ExportConfig


class PusherConfig(schema.Config):
    """What a pushed version holds."""

    exports: tuple[ExportConfig, ...] = Field(
        default=(),
        description="files for devices, in the version's `assets.extra/exports`; each is run on "
        "the evaluated split, and pushed where it is as good as the SavedModel",
    )

    @pydantic.field_validator("exports")
    @classmethod
    def _once_each(cls, exports: tuple[ExportConfig, ...]) -> tuple[ExportConfig, ...]:
        files = [one.file for one in exports]
        if twice := sorted({file for file in files if files.count(file) > 1}):
            one = next(one for one in exports if one.file == twice[0])
            raise ValueError(f"format {one.format} with quantize {one.quantize} is there twice")
        return exports
