"""What the report says of the exports: side by side with the SavedModel."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.exporter.result import ExportResult, read_result


@dataclasses.dataclass(frozen=True)
class ExportsSection:
    """What the template shows.

    Attributes:
      model: the SavedModel's own numbers, from the first export that was held against it; None
        where none was.
      exports: each with its numbers and its reason.
      class_names: the classes that there are numbers for.
    """

    model: ExportResult | None
    exports: list[ExportResult]
    class_names: list[str]


def make(artifacts: Sequence[mlmd.Artifact]) -> ExportsSection | None:
    """Reads the section's facts.

    Args:
      artifacts: ModelExports.

    Returns:
      The section; None where no exports were asked for.
    """
    if not artifacts:
        return None
    results = [read_result(artifact.uri) for artifact in artifacts]
    run = [one for one in results if one.sha256]
    return ExportsSection(
        model=run[0] if run else None,
        exports=results,
        class_names=list(run[0].class_iou) if run else [],
    )
