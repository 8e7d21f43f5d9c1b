"""LiteRT (TensorFlow Lite), by TensorFlow's own converter."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from components.common.export_config import Quantize
from components.common.exported_model import IMAGE_INPUT
from components.exporter.conversion import ConversionError, Source
from components.exporter.litert_metadata import with_metadata


def to_litert(source: Source, quantize: Quantize, path: str) -> None:
    """Writes a LiteRT file with its metadata.

    `float16` keeps the weights so; `int8` weights and activations, what LiteRT can't compute so
    (none of our own layers) in float32. What goes in and comes out stays float32.

    Raises:
      ConversionError: it names the operations that LiteRT has not.
    """
    # Of a SavedModel and not of a function: only so the file has names for what goes in and out.
    with tempfile.TemporaryDirectory(prefix="segline-litert-") as folder:
        tf.saved_model.save(source.module, folder, source.module.segment)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        _quantize(converter, quantize, source)
        try:
            content = converter.convert()
        except Exception as error:  # ConverterError, and whatever else its passes raise
            raise ConversionError(f"LiteRT's converter: {_reason(str(error))}") from error
    with open(path, "wb") as file:
        file.write(with_metadata(bytes(content), source.card))


def _quantize(converter: tf.lite.TFLiteConverter, quantize: Quantize, source: Source) -> None:
    if quantize == "none":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
        return

    def pictures() -> Iterator[dict[str, np.ndarray]]:
        for picture in source.calibration:
            yield {IMAGE_INPUT: picture}

    converter.representative_dataset = pictures
    builtin = tf.lite.OpsSet
    converter.target_spec.supported_ops = [builtin.TFLITE_BUILTINS_INT8, builtin.TFLITE_BUILTINS]


def _reason(message: str) -> str:
    """Which operations were refused, or the first line that says something."""
    refused = re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", message)
    if refused:
        names = ", ".join(sorted({f"tf.{name}" for name in refused}))
        return f"LiteRT has no operation for {names}"
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line), lines[0] if lines else "it failed")
