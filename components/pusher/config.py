"""What is pushed besides the SavedModel."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from components.common import schema
from components.common.export_config import ExportConfig

Stage = Literal["stable", "canary"]
Warmup = Literal["none", "drawn", "split"]


class RolloutConfig(schema.Config):
    """What servers are told by the files that `segline serving` writes."""

    model_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$")] = Field(
        default="segline",
        description="the model's name in TensorFlow Serving, and the InferenceService's in KServe",
    )
    base_path: Annotated[str, Field(pattern=r"^(/|[a-z0-9]+://)")] = Field(
        default="/models/segline",
        description="where TensorFlow Serving sees the serving folder: an absolute path in its "
        "container, or a bucket",
    )
    storage_uri: Annotated[str, Field(pattern=r"^([a-z0-9]+://.+)?$")] = Field(
        default="",
        description="where KServe gets the serving folder from, for instance "
        "`pvc://segline-runs/runs/pets/serving`; empty: no InferenceService is written",
    )
    canary_percent: Annotated[int, Field(ge=0, le=100)] = Field(
        default=10, description="share of the requests that KServe gives to a canary"
    )
    grace_seconds: Annotated[float, Field(ge=0)] = Field(
        default=60.0,
        description="seconds for which a version that is served no longer stays loaded: more than "
        "twice the server's `--model_config_file_poll_wait_seconds`, and a version's loading time",
    )


class PusherConfig(schema.Config):
    """What is pushed, and as what."""

    stage: Stage = Field(
        default="stable",
        description="`stable`: a pushed version is served at once; `canary`: it is served beside "
        "the stable one until `segline serving promote` makes it stable",
    )
    promote_after_hours: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="a canary that no run has refused for so long is promoted by "
        "`segline serving promote --due`; empty: only people promote",
    )
    warmup: Warmup = Field(
        default="none",
        description="requests that TensorFlow Serving sends a version before others may, in its "
        "`assets.extra`: of `drawn` pictures (noise), or of the first 8 of the evaluated `split`: "
        "whoever gets the version then gets these pictures",
    )
    rollout: RolloutConfig = RolloutConfig()

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
