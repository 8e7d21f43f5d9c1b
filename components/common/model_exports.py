"""Exports of a model as artifacts of ML Metadata."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tfx import types

from components.common import export_files


class ModelExport(types.Artifact):
    """A LiteRT or ONNX file of a model, and what became of it: `export.json`.

    The Exporter writes one for each export that is asked for, also where no file could be made.
    """

    TYPE_NAME = export_files.ARTIFACT_TYPE


def blessed_files(exports: Sequence[types.Artifact]) -> dict[str, str]:
    """Name -> path of the files that may be pushed."""
    names = {
        one.get_string_custom_property(export_files.FILE): one.uri
        for one in exports
        if one.get_int_custom_property(export_files.BLESSED)
    }
    return {name: os.path.join(uri, name) for name, uri in names.items()}
