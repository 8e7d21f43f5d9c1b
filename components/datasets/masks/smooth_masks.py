"""Masks with smooth or lossy edges: the levels that they were drawn with."""

from __future__ import annotations

from components.common.errors import UserError
from components.datasets.answers import Answers
from components.datasets.config import Color, MaskValuesConfig
from components.datasets.masks.mask_looks import COLOURS, FLOATS, GREY, PALETTE, MaskLooks
from components.datasets.pairs import some

_PEAK = 0.004  # share of the pixels that a level of a smooth mask has at least
_NEAR = 3  # grey levels by which JPEG moves most pixels of an area
_APART = 16  # grey levels between what masks are drawn with
_MOST_LEVELS = 32
_THIRD = 0.001  # as `_PEAK`, of a level between two others
_RAMPS = 0.03  # share of the pixels on slopes, from which a mask is blurred; classes have steps


def is_smooth(looks: MaskLooks) -> bool:
    """Whether there are many rare values between a few common ones: smooth edges."""
    found = looks.colors if looks.forms[COLOURS] else looks.values
    counts = {float(value): count for value, count in found.items()}
    if looks.forms[PALETTE] or looks.forms[FLOATS] or len(counts) < 6:
        return False
    if not looks.forms[COLOURS] and max(counts) > 255:
        return False
    total = sum(counts.values())
    if len(counts) > _MOST_LEVELS and looks.ramps > _RAMPS * total:
        return True
    common = [value for value, count in counts.items() if count >= 0.02 * total]
    rare = [value for value in counts if value not in common]
    share = sum(counts[value] for value in rare) / total
    if not 2 <= len(common) <= 32 or share > 0.25 or len(rare) < 4:
        return False
    if looks.forms[COLOURS]:
        return len(rare) > 3 * len(common)
    between = [value for value in rare if min(common) < value < max(common)]
    spread = max(common) - min(common)
    return len(between) >= 0.9 * len(rare) and spread >= 64


def find_levels(
    looks: MaskLooks, settings: MaskValuesConfig, answers: Answers
) -> tuple[dict[int, Color], MaskValuesConfig, list[str]]:
    """The levels or colours that smooth or lossy masks were drawn with."""
    why = (
        f"{len(looks.lossy)} masks are saved with loss (JPEG, WebP)"
        if looks.lossy
        else "the masks have smooth edges"
    )
    example = some(looks.lossy or looks.forms[COLOURS] or looks.forms[GREY])
    settings = settings.model_copy(update={"nearest": True})
    if answers.colors:
        grey = all(len(set(color)) == 1 for color in answers.colors)
        table = {color[0] if grey else at: color for at, color in enumerate(answers.colors)}
        return table, settings, [f"{why}: each pixel gets the nearest of the colours of --colors"]
    levels = [] if looks.forms[COLOURS] else _two_levels(looks)
    if not levels:
        seen = [] if looks.forms[COLOURS] else _levels(looks, _THIRD)
        asked = f", as --colors {' '.join(map(str, seen))}" if len(seen) > 1 else ""
        raise UserError(
            f"{why}, which changes their values ({example}): save them without loss (PNG) and "
            "without smooth edges; or --colors names the colours that are meant, and each pixel "
            f"gets the nearest (a rim between two of them may get a third){asked}"
        )
    low, high = levels
    table = {low: (low,) * 3, high: (high,) * 3}
    note = (
        f"{why} ({example}): two levels are meant, {low} and {high}, and each pixel gets the nearer"
    )
    return table, settings, [note]


def _two_levels(looks: MaskLooks) -> list[int]:
    """Black and white, where nearly all pixels are near the darkest and the lightest value."""
    total = sum(looks.values.values())
    if not total:
        return []
    low, high = int(min(looks.values)), int(max(looks.values))
    if high - low < 64 or high > 255:
        return []
    quarter = (high - low) / 4
    dark = {v: n for v, n in looks.values.items() if v <= low + quarter}
    light = {v: n for v, n in looks.values.items() if v >= high - quarter}
    sides = sum(dark.values()), sum(light.values())
    if sum(sides) < 0.75 * total or min(sides) < _PEAK * total:
        return []
    # A level of its own between them is a third class, not an edge.
    if any(low + quarter < level < high - quarter for level in _levels(looks, _THIRD)):
        return []
    return [int(max(dark, key=lambda v: dark[v])), int(max(light, key=lambda v: light[v]))]


def _levels(looks: MaskLooks, least: float) -> list[int]:
    """Grey levels that whole areas have, in order: what the masks were drawn with."""
    left = dict(looks.flat)
    total = sum(looks.values.values())
    found: list[int] = []
    while left and len(found) < _MOST_LEVELS:
        sums = {v: sum(left.get(v + by, 0) for by in range(-_NEAR, _NEAR + 1)) for v in left}
        level = max(sums, key=lambda v: (sums[v], left[v]))
        if sums[level] < least * total:
            break
        level = max(
            (v for v in left if abs(v - level) <= _NEAR), key=lambda v: left[v], default=level
        )
        found.append(int(level))
        left = {v: n for v, n in left.items() if abs(v - level) > _APART}
    return sorted(found)
