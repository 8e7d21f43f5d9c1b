"""Metadata in LiteRT's files, by the TensorFlow Lite metadata schema.

https://ai.google.dev/edge/litert/models/metadata: a flatbuffer in a buffer of the model that is
called TFLITE_METADATA, and files attached to the model's end as a ZIP. The schema's own Python
package is published for Python 3.9 at most; the few tables that are needed are written here.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers
from tensorflow.lite.python import schema_py_generated as tflite

from components.common.exported_model import (
    CARD,
    CONFIDENCE_OUTPUT,
    IMAGE_INPUT,
    MASK_OUTPUT,
    PROBABILITIES_OUTPUT,
)

_NAME = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_PARSER = "1.0.0"  # of the schema that knows all that is used
_LABELS = "labels.txt"
# Enumerations and union members of the schema.
_AXIS_LABELS, _VALUE_LABELS = 2, 3
_RGB = 1
_FEATURE, _IMAGE = 1, 2
_NORMALIZATION = 1
_MODEL_IDENTIFIER = b"TFL3"
_TOLD = {
    MASK_OUTPUT: "index of each pixel's class",
    PROBABILITIES_OUTPUT: "of each class, at each pixel",
    CONFIDENCE_OUTPUT: "calibrated probability of each pixel's class",
}
_LABELLED = {MASK_OUTPUT: _VALUE_LABELS, PROBABILITIES_OUTPUT: _AXIS_LABELS}


def with_metadata(model: bytes, card: dict[str, Any]) -> bytes:
    """Adds metadata, `labels.txt` and the card to a model.

    Args:
      model: a LiteRT file with one signature.
      card: what is known of the model; `classes`, `image_size` and `input` (in words) at least.

    Returns:
      The file with them.
    """
    content = tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(model, 0))
    names = {bytes(one.name).decode(): one.tensorIndex for one in content.signatureDefs[0].outputs}
    by_index = {index: name for name, index in names.items()}
    outputs = [by_index[index] for index in content.subgraphs[0].outputs]
    buffer, metadata = tflite.BufferT(), tflite.MetadataT()
    buffer.data = list(_metadata(card, outputs))
    content.buffers.append(buffer)
    metadata.name, metadata.buffer = _NAME, len(content.buffers) - 1
    content.metadata = [*(content.metadata or []), metadata]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(content.Pack(builder), file_identifier=_MODEL_IDENTIFIER)
    return _attached(
        bytes(builder.Output()),
        {_LABELS: "\n".join(card["classes"]["values"]) + "\n", CARD: json.dumps(card, indent=2)},
    )


def _attached(model: bytes, files: dict[str, str]) -> bytes:
    whole = io.BytesIO(model)
    with zipfile.ZipFile(whole, "a") as archive:
        for name, text in files.items():
            # With a date of its own the same model would be another file each time.
            archive.writestr(zipfile.ZipInfo(name), text)
    return whole.getvalue()


class _Tables:
    """Writes tables: fields are (slot in the schema, kind, value)."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return self.builder.CreateString(value)

    def table(self, *fields: tuple[int, str, int]) -> int:
        builder = self.builder
        builder.StartObject(max((slot for slot, _, _ in fields), default=-1) + 1)
        for slot, kind, value in fields:
            if kind == "offset":
                builder.PrependUOffsetTRelativeSlot(slot, value, 0)
            elif kind == "byte":
                builder.PrependInt8Slot(slot, value, 0)
            else:
                builder.PrependUint32Slot(slot, value, 0)
        return builder.EndObject()

    def offsets(self, values: Sequence[int]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependUOffsetTRelative(value)
        return self.builder.EndVector()

    def floats(self, values: Sequence[float]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependFloat32(value)
        return self.builder.EndVector()


def _metadata(card: dict[str, Any], outputs: Sequence[str]) -> bytes:
    tables = _Tables()
    subgraph = tables.table(
        (2, "offset", tables.offsets([_input(tables, card)])),  # input_tensor_metadata
        (3, "offset", tables.offsets([_output(tables, name) for name in outputs])),
    )
    described = tables.text("Segments a picture; made by segline. All about it: segline.json")
    model = tables.table(
        (0, "offset", tables.text("segline")),  # name
        (1, "offset", described),
        (3, "offset", tables.offsets([subgraph])),  # subgraph_metadata
        (7, "offset", tables.text(_PARSER)),  # min_parser_version
    )
    tables.builder.Finish(model, file_identifier=_IDENTIFIER)
    return bytes(tables.builder.Output())


def _input(tables: _Tables, card: dict[str, Any]) -> int:
    height, width = card["image_size"]
    size = tables.table((0, "uint", width), (1, "uint", height))
    image = tables.table((0, "byte", _RGB), (1, "offset", size))
    content = tables.table((0, "byte", _IMAGE), (1, "offset", image))
    # 0 and 1: nothing is left to be done, the graph scales.
    options = tables.table((0, "offset", tables.floats([0.0])), (1, "offset", tables.floats([1.0])))
    unit = tables.table((0, "byte", _NORMALIZATION), (1, "offset", options))
    most, least = tables.floats([255.0]), tables.floats([0.0])
    return tables.table(
        (0, "offset", tables.text(IMAGE_INPUT)),
        (1, "offset", tables.text(card["input"])),
        (3, "offset", content),
        (4, "offset", tables.offsets([unit])),  # process_units
        (5, "offset", tables.table((0, "offset", most), (1, "offset", least))),  # stats
    )


def _output(tables: _Tables, name: str) -> int:
    content = tables.table((0, "byte", _FEATURE), (1, "offset", tables.table()))
    fields = [
        (0, "offset", tables.text(name)),
        (1, "offset", tables.text(_TOLD[name])),
        (3, "offset", content),
    ]
    if name in _LABELLED:
        labels = tables.table(
            (0, "offset", tables.text(_LABELS)),
            (1, "offset", tables.text("names of the classes, by index")),
            (2, "byte", _LABELLED[name]),
        )
        fields.append((6, "offset", tables.offsets([labels])))  # associated_files
    return tables.table(*fields)
