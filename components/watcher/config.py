"""How requests are watched."""

from __future__ import annotations

import pydantic

from components.common import schema


class WatchConfig(schema.Config):
    """How requests are held against the data of the served version (`segline watch`)."""

    least_requests: int = pydantic.Field(
        default=50, ge=20, description="requests, or those of a slice; fewer are not judged"
    )
    pictures: int = pydantic.Field(
        default=2000,
        ge=20,
        description="examples of the training split, and of the evaluated one, that requests are "
        "held against; kept in the pipeline's folder for the next time",
    )
    retrain: bool = pydantic.Field(
        default=False,
        description="start a run on Kubeflow where requests have drifted and there is something "
        "new to learn: data, config or code are others than those of the latest blessed model",
    )
