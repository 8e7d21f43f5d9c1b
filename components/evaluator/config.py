"""When a model is good enough to be pushed, and how the metrics are sliced."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from components.common import schema

Share = Annotated[float, Field(ge=0, le=1)]
At = Literal["model", "picture"]


class ObjectSizeConfig(schema.Config):
    """Slices by the share of the picture that the object takes."""

    classes: tuple[str, ...] = Field(
        min_length=1, description="classes that make up the object, such as [pet, border]"
    )
    small_below: Share = Field(default=0.1, description="share of the picture's pixels")
    large_from: Share = Field(default=0.4, description="share of the picture's pixels")

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> ObjectSizeConfig:
        if self.small_below > self.large_from:
            raise ValueError("small_below must not be greater than large_from")
        return self


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
    max_slice_drop: Share = Field(
        default=0.03, description="the same for each slice with enough examples, absolute"
    )
    min_slice_examples: pydantic.PositiveInt = Field(
        default=50, description="pictures that a slice needs before its drop counts"
    )
    object_size: ObjectSizeConfig | None = Field(
        default=None,
        description="slice by object size too: none, small, medium, large; null: don't",
    )
    at: At = Field(
        default="model",
        description="the size at which pixels are counted: the model's (transform.image_size), "
        "as in the tutorial, or that of each picture's own mask",
    )
    objects: tuple[str, ...] = Field(
        default=(),
        description="classes whose connected objects are counted too: found (with an intersection "
        "over union above 0.5), missed and invented; only where `at` is `picture` too",
    )
    split: str = Field(default=schema.TEST, description="the split that is evaluated")

    @pydantic.model_validator(mode="after")
    def _objects_at_their_size(self) -> EvaluatorConfig:
        if self.objects and self.at != "picture":
            raise ValueError("objects: they are counted at the pictures' own size: at: picture")
        return self

    @pydantic.field_validator("split")
    @classmethod
    def _known_split(cls, split: str) -> str:
        if split not in schema.SPLITS:
            raise ValueError(f"must be one of {', '.join(schema.SPLITS)}")
        return split
