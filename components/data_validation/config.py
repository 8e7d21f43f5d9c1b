"""What the examples must look like."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.common import schema


class DriftConfig(schema.Config):
    """How far new data may be from that of the latest blessed model."""

    action: Literal["warn", "stop"] = pydantic.Field(
        default="warn", description="what happens beyond the distance"
    )
    max_divergence: float = pydantic.Field(
        default=0.2,
        gt=0,
        lt=1,
        description="largest Jensen-Shannon divergence (0: the same, 1: nothing in common) of "
        "class shares, heights, widths and brightness, split by split",
    )


class DataValidationConfig(schema.Config):
    """How the examples are validated."""

    schema_path: str | None = pydantic.Field(
        default=None,
        description="a curated schema.pbtxt; without one, the schema is inferred from "
        "the training split, and the other splits must fit it",
    )
    drift: DriftConfig | None = pydantic.Field(
        default=None,
        description="hold new data against that of the latest blessed model; null: not done",
    )
