"""Where masks come from: one class for each form of data, behind one interface."""

from __future__ import annotations

from components.datasets.config import FolderConfig
from components.datasets.pairs import MaskSource


def mask_source(config: FolderConfig) -> MaskSource:
    """The source that a config names.

    Raises:
      UserError: its files are missing, or are not of this form.
    """
    # Each with what it needs: who has mask files waits for no JSON reader.
    if config.annotations:
        from components.datasets.sources.coco import CocoMasks

        return CocoMasks(config)
    if config.labelme:
        from components.datasets.sources.labelme import LabelmeMasks

        return LabelmeMasks(config)
    if config.yolo:
        from components.datasets.sources.yolo import YoloMasks

        return YoloMasks(config)
    if config.run_lengths:
        from components.datasets.sources.run_lengths import RunLengthMasks

        return RunLengthMasks(config)
    from components.datasets.sources.mask_files import MaskFiles

    return MaskFiles(config)
