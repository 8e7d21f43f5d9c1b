"""ONNX: converted by tf2onnx, quantized by ONNX Runtime. Needs `segline[exports]`."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import tf2onnx
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from components.common.export_config import Quantize
from components.common.exported_model import CARD_KEY, IMAGE_INPUT
from components.exporter.conversion import ConversionError, Source

_OPSET = 17  # the newest that all of tf2onnx, ONNX Runtime of the web and older servers know


def to_onnx(source: Source, quantize: Quantize, path: str) -> None:
    """Writes an ONNX file with its metadata.

    Raises:
      ConversionError: it names the operations that ONNX has not.
    """
    function = source.module.segment
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of others' old names
            model, _ = tf2onnx.convert.from_function(
                function, input_signature=function.input_signature, opset=_OPSET
            )
    except Exception as error:  # it raises whatever its handlers do
        raise ConversionError(f"tf2onnx: {_first_line(error)}") from error
    if unknown := _unknown(model):
        raise ConversionError(f"ONNX (opset {_OPSET}) has no operation for {', '.join(unknown)}")
    try:
        if quantize == "float16":
            model = convert_float_to_float16(model, keep_io_types=True)
        elif quantize == "int8":
            model = _int8(model, source)
    except Exception as error:
        raise ConversionError(f"ONNX Runtime's {quantize}: {_first_line(error)}") from error
    _tell(model, source.card)
    onnx.save(model, path)


def _unknown(model: onnx.ModelProto) -> list[str]:
    """Operations that tf2onnx has left as TensorFlow has them."""
    names = {
        node.op_type
        for node in model.graph.node
        if not onnx.defs.has(node.op_type, node.domain or "")
    }
    return sorted(f"tf.{name}" for name in names)


class _Pictures(quantization.CalibrationDataReader):
    def __init__(self, source: Source) -> None:
        self._pictures: Iterator[np.ndarray] = iter(source.calibration)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next picture, None: that was all."""
        picture = next(self._pictures, None)
        return None if picture is None else {IMAGE_INPUT: picture}


def _int8(model: onnx.ModelProto, source: Source) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory(prefix="segline-onnx-") as folder:
        given, prepared, made = (
            os.path.join(folder, name) for name in ("given.onnx", "prepared.onnx", "made.onnx")
        )
        onnx.save(model, given)
        quant_pre_process(given, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            made,
            _Pictures(source),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            # Unsigned activations: half the time of signed ones on x86.
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(made)


def _tell(model: onnx.ModelProto, card: dict) -> None:
    """What the file says of itself: all as JSON, and what a stranger looks for by its name."""
    height, width = card["image_size"]
    names = dict(enumerate(card["classes"]["values"]))
    onnx.helper.set_model_props(
        model,
        {
            CARD_KEY: json.dumps(card),
            "task": "segment",
            "names": json.dumps(names),
            "input_size": f"{width}x{height}",
            "scaling": card["input"],
        },
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
