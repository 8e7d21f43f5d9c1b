"""What the examples must look like."""

from __future__ import annotations

import pydantic

from components import schema


class DataValidationConfig(schema.Config):
    """How the examples are validated."""

    schema_path: str | None = pydantic.Field(
        default=None,
        description="a curated schema.pbtxt; without one, the schema is inferred from "
        "the training split, and the other splits must fit it",
    )
