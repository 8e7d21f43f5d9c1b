"""What the model's pictures look like."""

from __future__ import annotations

from components.common.picture_fit import PictureFit


class TransformConfig(PictureFit):
    """How pictures and masks are prepared."""
