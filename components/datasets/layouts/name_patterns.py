"""Finds out how the names of masks follow from the names of their pictures."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from components.datasets.splits.split_words import SPLIT_MARK, own_suffix

MASK_WORDS = frozenset(
    [
        "mask",
        "masks",
        "label",
        "labels",
        "annotation",
        "annotations",
        "annot",
        "annots",
        "anno",
        "gt",
        "groundtruth",
        "truth",
        "seg",
        "segs",
        "segmentation",
        "segmentations",
        "segmentationclass",
        "semantic",
        "semseg",
        "trimap",
        "trimaps",
        "target",
        "targets",
        "labelids",
        "labeltrainids",
        "matte",
        "mattes",
        "manual",
        "ground",
        "msk",
        "maske",
        "masken",
        "masque",
        "mascara",
        "pixelmap",
        "stuffthingmap",
    ]
)
# Of several kinds of masks beside one another: these are not what a class table is made of.
OTHER_WORDS = frozenset(
    [
        "instance",
        "instances",
        "instanceids",
        "instanceid",
        "object",
        "objects",
        "color",
        "colors",
        "colour",
        "colours",
        "rgb",
        "vis",
        "viz",
        "visualization",
        "overlay",
        "overlays",
        "preview",
        "panoptic",
        "edge",
        "edges",
        "polygons",
        "boundary",
        "depth",
        "parts",
        "confidence",
        "weights",
        "weight",
    ]
)
_BEST_WORDS = frozenset(["labelids", "labelid", "semantic"])
_LEAST_SHARE = 0.3  # of the pictures, for a pattern to be one
NUMBERED = re.compile(r"^(.*?)[ _-]?\(?\d+\)?$")


@dataclasses.dataclass(frozen=True)
class NamePattern:
    """How names are made.

    Attributes:
      image_prefix: what only the pictures' names begin with.
      image_suffix: what only they end in.
      mask_prefix: what only the masks' names begin with.
      mask_suffix: what only they end in.
      covered: how many pictures have a mask so.
      numbered: whether some masks have a number more: several for a picture.
    """

    image_prefix: str
    image_suffix: str
    mask_prefix: str
    mask_suffix: str
    covered: int
    numbered: bool = False

    def is_plain(self) -> bool:
        """Whether both have the same names."""
        affixes = (self.image_prefix, self.image_suffix, self.mask_prefix, self.mask_suffix)
        return not any(affixes) and not self.numbered

    def words(self) -> set[str]:
        """What the masks' own part of the name says."""
        return words_of(f"{self.mask_prefix} {self.mask_suffix}")

    def rank(self) -> tuple:
        """Sorts the likelier pattern first."""
        words = self.words()
        kind = 0 if words & _BEST_WORDS else 3 if words & OTHER_WORDS else 1
        parts = (self.image_prefix, self.image_suffix, self.mask_prefix, self.mask_suffix)
        return kind, -self.covered, sum(map(len, parts))


def words_of(name: str) -> set[str]:
    """The words of a name, in lower case: gtFine_labelIds has gt, fine, labelids and more."""
    plain = re.findall(r"[a-z]+", name.lower())
    parts = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return {*plain, *parts}


def has_mask_word(name: str) -> bool:
    """Whether a name speaks of masks: masks, train_labels, trainannot, SegmentationClass."""
    words = words_of(name)
    words |= {word.removesuffix("s") for word in words}
    long = [word for word in MASK_WORDS if len(word) > 3]
    return bool(words & MASK_WORDS) or any(
        word.endswith(ending) for word in words for ending in long
    )


def find_patterns(images: Collection[str], masks: Sequence[str]) -> list[NamePattern]:
    """Patterns by which pictures find their masks, the likeliest first.

    Args:
      images: stems of the pictures.
      masks: stems of the masks.
    """
    found: dict[tuple, NamePattern] = {}
    options = [("", ""), *_affixes(images)]
    options += [("", end) for end in ("_" + SPLIT_MARK, "-" + SPLIT_MARK) if _have(images, end)]
    inner = [("", ""), *((prefix, "") for prefix, _ in _affixes(masks) if prefix)]
    for prefix, suffix in dict.fromkeys(options):
        ends = {stem: len(own_suffix(stem, suffix)) for stem in images}
        keys = {
            stem[len(prefix) : len(stem) - end]
            for stem, end in ends.items()
            if len(stem) > len(prefix) + end
        }
        for mask_prefix, _ in dict.fromkeys(inner):
            for pattern in _count(keys, masks, (prefix, suffix), mask_prefix):
                key = (prefix, suffix, pattern.mask_prefix, pattern.mask_suffix)
                found.setdefault(key, pattern)
    wanted = max(1, _LEAST_SHARE * len(images))
    good = [pattern for pattern in found.values() if pattern.covered >= wanted]
    most = max((pattern.covered for pattern in good), default=0)
    # A pattern that covers far fewer is an accident of the names, or another kind.
    good = [pattern for pattern in good if pattern.covered >= 0.5 * most]
    return sorted(good, key=NamePattern.rank)


def _have(stems: Collection[str], suffix: str) -> bool:
    """Whether all stems end in a word for a split, as the suffix has it."""
    return all(own_suffix(stem, suffix) != suffix for stem in stems)


def _count(
    keys: set[str], masks: Iterable[str], image_affix: tuple[str, str], begun: str
) -> list[NamePattern]:
    covered: dict[tuple[str, str], set[str]] = defaultdict(set)
    numbered: Counter[tuple[str, str]] = Counter()
    for mask in masks:
        if not mask.startswith(begun):
            continue
        rest = mask[len(begun) :]
        parts = _residual(keys, rest)
        if parts is None:
            continue
        key, before, after = parts
        covered[begun + before, after].add(key)
        if after and (short := NUMBERED.match(after)):
            covered[begun + before, short.group(1)].add(key)
            numbered[begun + before, short.group(1)] += 1
    return [
        NamePattern(*image_affix, before, after, len(found), numbered[before, after] > 0)
        for (before, after), found in covered.items()
    ]


def _residual(keys: set[str], stem: str) -> tuple[str, str, str] | None:
    """The longest beginning or end of a stem that is a key, and what is left."""
    if stem in keys:
        return stem, "", ""
    for end in range(len(stem) - 1, 0, -1):
        if stem[:end] in keys and not (stem[end - 1].isdigit() and stem[end].isdigit()):
            return stem[:end], "", stem[end:]
        start = len(stem) - end
        if stem[start:] in keys and not (stem[start].isdigit() and stem[start - 1].isdigit()):
            return stem[start:], stem[:start], ""
    return None


def _affixes(stems: Collection[str]) -> list[tuple[str, str]]:
    """What all stems begin with and end in, in whole words."""
    stems = list(stems)
    if len(stems) < 2:
        return []
    prefix = os.path.commonprefix(stems)
    suffix = os.path.commonprefix([stem[::-1] for stem in stems])[::-1]
    prefix = re.sub(r"[^_\-. ]*$", "", prefix) or re.sub(r"\d+$", "", prefix)
    # Part of it may be what all pictures happen to be numbered with.
    suffixes = [suffix[at.start() :] for at in re.finditer(r"[_\-. ]", suffix)]
    found = [(prefix, ""), *(("", end) for end in suffixes), *((prefix, end) for end in suffixes)]
    return [one for one in found if any(one)]
