"""Makes files of a network: which converter, what it is given, what its refusal means."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from components.common.export_config import ExportConfig


class ConversionError(Exception):
    """A converter can't make the file; one line that names the operation."""


@dataclasses.dataclass(frozen=True)
class Source:
    """What is converted.

    Attributes:
      module: from `network.on_device`.
      calibration: float32 [1, height, width, 3] each, training pictures from 0 to 255.
      card: what the file says of itself, as JSON values.
    """

    module: tf.Module
    calibration: Iterable[np.ndarray]
    card: dict[str, Any]


def convert(source: Source, config: ExportConfig, path: str) -> None:
    """Writes one export.

    Args:
      source: what is converted.
      config: into what.
      path: of the file.

    Raises:
      ConversionError: the framework's converter can't, or is not installed.
    """
    # Each format's libraries are imported where it is wanted only.
    if config.format == "litert":
        from components.exporter.to_litert import to_litert

        to_litert(source, config.quantize, path)
    else:
        try:
            from components.exporter.to_onnx import to_onnx
        except ImportError as error:
            raise ConversionError(
                f"{error.name} is not installed: pip install 'segline[exports]'"
            ) from error
        to_onnx(source, config.quantize, path)
