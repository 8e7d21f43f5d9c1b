"""Which exports of a model are wanted: their forms, their precision, and their floor."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from components.common import schema
from components.common.export_files import LITERT_ENDING, ONNX_ENDING

Format = Literal["litert", "onnx"]
Quantize = Literal["none", "float16", "int8"]

_ENDINGS: dict[Format, str] = {"litert": LITERT_ENDING, "onnx": ONNX_ENDING}
_CALIBRATION_PICTURES = 100


class ExportConfig(schema.Config):
    """One export: a file that a device runs, without TensorFlow."""

    format: Format = Field(
        description="`litert`: LiteRT (TensorFlow Lite); `onnx`: ONNX, with the libraries of the "
        "extra `exports` (pip install 'segline[exports]')"
    )
    quantize: Quantize = Field(
        default="none",
        description="`none`: float32. `float16`: half the size (LiteRT keeps the weights so, ONNX "
        "computes so). `int8`: weights and activations, calibrated on training pictures",
    )
    max_drop: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01,
        description="how far its mean IoU may lie below the SavedModel's, absolute; below, it is "
        "not pushed, and all else is",
    )
    calibration_pictures: pydantic.PositiveInt = Field(
        default=_CALIBRATION_PICTURES,
        description="for `int8`: training pictures that the ranges of the activations are taken "
        "from",
    )

    @pydantic.model_validator(mode="after")
    def _check(self) -> ExportConfig:
        if self.quantize != "int8" and self.calibration_pictures != _CALIBRATION_PICTURES:
            raise ValueError(
                "calibration_pictures: only `quantize: int8` is calibrated; here it is "
                f"`{self.quantize}`"
            )
        return self

    @property
    def file(self) -> str:
        """Name of its file: `model_int8.tflite`."""
        precision = "" if self.quantize == "none" else f"_{self.quantize}"
        return f"model{precision}{_ENDINGS[self.format]}"
