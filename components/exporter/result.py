"""What became of each export, as it is kept with its artifact."""

from __future__ import annotations

import dataclasses
import json
import math
import os

from tfx.dsl.io import fileio

RESULT_FILE = "export.json"


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """One export and how it stood.

    Attributes:
      file: its name, such as `model_int8.tflite`.
      format: `litert` or `onnx`.
      quantize: `none`, `float16` or `int8`.
      reason: why it is not pushed; empty where it is blessed.
      mean_iou: on the evaluated split; NaN where it could not be run.
      class_iou: IoU by class.
      agreement: share of the pixels that have the SavedModel's class.
      latency_ms: of one picture on one thread of this machine, the median; the network alone.
      size_bytes: of the file.
      model_mean_iou: the SavedModel's, on the same pixels.
      model_latency_ms: the SavedModel's, on one thread, decoding and resizing included.
      model_size_bytes: of the SavedModel, all its files.
      max_drop: how far `mean_iou` may lie below `model_mean_iou`.
      sha256: of the file; empty where there is none.
    """

    file: str
    format: str
    quantize: str
    reason: str = ""
    mean_iou: float = math.nan
    class_iou: dict[str, float] = dataclasses.field(default_factory=dict)
    agreement: float = math.nan
    latency_ms: float = math.nan
    size_bytes: int = 0
    model_mean_iou: float = math.nan
    model_latency_ms: float = math.nan
    model_size_bytes: int = 0
    max_drop: float = math.nan
    sha256: str = ""

    @property
    def blessed(self) -> bool:
        """Whether it may be pushed."""
        return not self.reason

    @property
    def change(self) -> float:
        """Mean IoU against the SavedModel's."""
        return self.mean_iou - self.model_mean_iou

    @property
    def verdict(self) -> str:
        """Why it is pushed, or why not."""
        return self.reason or f"blessed: {self.max_drop:.4f} below the SavedModel is allowed"

    def line(self) -> tuple[bool, str]:
        """(blessed, text), for the terminal and the report."""
        if self.reason:
            return False, f"{self.file}: {self.reason}"
        return True, (
            f"{self.file}: mean IoU {self.mean_iou:.4f} ({self.change:+.4f} against the "
            f"SavedModel, {self.max_drop:.4f} below is allowed), "
            f"{self.agreement:.2%} of the pixels agree, "
            f"{self.size_bytes / 1e6:.2f} MB, {self.latency_ms:.1f} ms"
        )


def write_result(result: ExportResult, folder: str) -> None:
    """Writes it into the artifact's folder."""
    values = dataclasses.asdict(result)
    with fileio.open(os.path.join(folder, RESULT_FILE), "w") as file:
        json.dump(values, file, indent=2)


def read_result(folder: str) -> ExportResult:
    """Reads it back."""
    with fileio.open(os.path.join(folder, RESULT_FILE)) as file:
        return ExportResult(**json.load(file))
