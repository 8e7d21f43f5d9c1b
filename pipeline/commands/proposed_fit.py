"""How a new config fits pictures into the model's size, by the shapes that they have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from components.common.picture_fit import Fit

_MOST_APART = 2.0  # proportions of which stretching makes one
_OBLONG = 1.5  # beyond it, an image_size of the pictures' own shape is worth a word
_THINNEST = 1.0  # of a class's things, in the model's pixels
_LARGE = 4  # times the model's side; below it, a larger image_size is simpler than windows
_STEP = 32  # of the sides of image_size


@dataclasses.dataclass(frozen=True)
class ProposedFit:
    """What is proposed for `transform.fit`, and why, in one line for people."""

    fit: Fit
    reason: str


def propose_fit(
    heights: Sequence[int],
    widths: Sequence[int],
    side: int,
    thickness: Mapping[str, float] | None = None,
) -> ProposedFit:
    """Proposes `tiles` where a class would get lost, `pad` where shapes would.

    Args:
      heights: of the pictures, in pixels.
      widths: of the same pictures.
      side: of the square that the model sees.
      thickness: class name -> how thick its things are, in the pictures' pixels.
    """
    if not heights:
        return ProposedFit("stretch", "to that size, as in the tutorial; pad: in their proportions")
    shorter = float(np.median(np.minimum(heights, widths)))
    if thickness and shorter >= _LARGE * side:
        name, thinnest = min(thickness.items(), key=lambda one: one[1])
        if thinnest * side / shorter < _THINNEST:
            return ProposedFit(
                "tiles",
                f"things of class {name} are about {thinnest:.2g} pixels thick, and the pictures "
                f"{shorter:.0f} on their shorter side: shrunk to {side}, they would be gone; "
                "windows show them as they are",
            )
    ratios = np.asarray(widths, float) / np.asarray(heights, float)
    low, typical, high = np.percentile(ratios, (5, 50, 95))
    if high / low > _MOST_APART:
        return ProposedFit(
            "pad",
            f"the pictures are {low:.2g} to {high:.2g} times as wide as high: padded, they keep "
            "their proportions; stretch: to that size",
        )
    told = f"the pictures are about {typical:.2g} times as wide as high"
    longer = max(typical, 1 / typical)
    if longer <= _OBLONG:
        return ProposedFit("stretch", f"{told}; pad: in their proportions")
    long = round(side * longer**0.5 / _STEP) * _STEP
    short = max(_STEP, round(side / longer**0.5 / _STEP) * _STEP)
    shape = [short, long] if typical > 1 else [long, short]
    return ProposedFit("stretch", f"{told}: image_size {shape} would keep that shape")
