"""When a model is good enough to be pushed, and how the metrics are sliced."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field

from components import schema

Share = Annotated[float, Field(ge=0, le=1)]


class EvaluatorConfig(schema.Config):
    """Thresholds of the blessing, on the test split."""

    min_mean_iou: Share = Field(default=0.0, description="floor on mean_iou")
    min_class_iou: dict[str, Share] = Field(
        default_factory=dict, description="floor on a class's IoU, by class name"
    )
    max_drop: Share = Field(
        default=0.01,
        description="how far mean_iou may fall below the latest blessed model's, absolute",
    )
    split: str = Field(default=schema.TEST, description="the split that is evaluated")

    @pydantic.field_validator("split")
    @classmethod
    def _known_split(cls, split: str) -> str:
        if split not in schema.SPLITS:
            raise ValueError(f"must be one of {', '.join(schema.SPLITS)}")
        return split
