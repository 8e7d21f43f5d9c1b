"""How files of exports are told apart, found again, and named in ML Metadata."""

from __future__ import annotations

import hashlib

LITERT_ENDING, ONNX_ENDING = ".tflite", ".onnx"

ARTIFACT_TYPE = "ModelExport"
# Custom properties of the artifacts that Pusher and lineage go by.
FILE, SHA256, BLESSED, REASON = "file", "sha256", "blessed", "reason"

# Where a pushed version has them: TensorFlow and its servers leave `assets.extra` alone.
PUSHED_FOLDER = "assets.extra/exports"


def is_export(path: str) -> bool:
    """Whether a path is that of an export, by its ending."""
    return path.endswith((LITERT_ENDING, ONNX_ENDING))


def sha256_of(path: str) -> str:
    """SHA-256 of a file, in hex digits: what lineage knows an export by, wherever it lies."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
