"""How it is found out whether a model can be served."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import Field

from components.common import schema


class TensorFlowServingConfig(schema.Config):
    """TFX's own InfraValidator, which starts a real TensorFlow Serving."""

    platform: Literal["kubernetes", "local_docker"] = Field(
        default="kubernetes",
        description="where the server is started: in a pod beside the step's own, or by Docker",
    )
    tag: str = Field(default="latest", description="of the image tensorflow/serving")


class InfraValidatorConfig(schema.Config):
    """Limits of the check before the push."""

    server: Literal["clean_process", "tensorflow_serving"] = Field(
        default="clean_process",
        description="`clean_process`: a process with TensorFlow only, here; "
        "`tensorflow_serving`: TFX's InfraValidator",
    )
    max_load_seconds: pydantic.PositiveInt = Field(
        default=120, description="how long the model may take to load"
    )
    max_request_seconds: pydantic.PositiveInt = Field(
        default=60, description="how long one request may take, the first one included"
    )
    max_memory_mb: pydantic.PositiveInt = Field(
        default=4096, description="how much memory (resident) the server may use; MB"
    )
    tensorflow_serving: TensorFlowServingConfig = TensorFlowServingConfig()
