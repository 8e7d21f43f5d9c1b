"""Finds pictures and mask files below a folder, however they are laid out."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from components.common import picture_formats
from components.datasets.config import Color, FolderConfig, NamesConfig
from components.datasets.layouts import mask_parts, name_patterns
from components.datasets.masks.raw_mask import read_raw
from components.datasets.pairs import MASK_ENDINGS, Matched, list_files, some
from components.datasets.sources.by_name import folded
from components.datasets.sources.mask_files import MaskFiles
from components.datasets.splits.split_words import SPLIT_WORDS, split_word

_IMAGE_WORDS = frozenset(
    [
        "image",
        "images",
        "imgs",
        "img",
        "photo",
        "photos",
        "picture",
        "pictures",
        "jpegimages",
        "pic",
        "pics",
        "input",
        "inputs",
        "original",
        "originals",
        "leftimg",
        "imagestr",
        "frames",
        "rgb",
        "jpg",
    ]
)
_MOST_CANDIDATES = 8
_LOOKED_AT = 5  # masks


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where pictures and masks lie.

    Attributes:
      config: as it was found to be.
      form: in words.
      matched: what it gives.
      notes: what a person should know of the choice.
      names: mask value -> name, where a file tells it.
      colors: name -> colour, where a file tells it; in its order.
    """

    config: FolderConfig
    form: str
    matched: Matched
    notes: list[str] = dataclasses.field(default_factory=list)
    names: dict[int, str] = dataclasses.field(default_factory=dict)
    colors: dict[str, Color] = dataclasses.field(default_factory=dict)

    @property
    def covered(self) -> float:
        """Share of the pictures that have a mask."""
        pairs, without = len(self.matched.pairs), len(self.matched.without_mask)
        return pairs / max(1, pairs + without)


def find_mask_files(
    root: str, files: Sequence[str], images: str | None, masks: str | None
) -> Layout | None:
    """The layout with most pairs; None: no masks are to be seen.

    Args:
      root: the folder.
      files: paths of all files below it.
      images: the folder of pictures, where it is told.
      masks: the folder of masks, likewise.
    """
    endings = picture_formats.endings().union(MASK_ENDINGS)
    names = [n for n in files if os.path.splitext(n)[1].lower() in endings]
    folders = Counter(os.path.dirname(name) for name in names)
    mask_patterns = [masks] if masks else _patterns(root, folders, name_patterns.has_mask_word)
    image_patterns = [images] if images else _image_patterns(root, folders, mask_patterns)
    found: list[Layout] = []
    for mask_pattern in mask_patterns[:_MOST_CANDIDATES]:
        for image_pattern in image_patterns[:_MOST_CANDIDATES]:
            if image_pattern != mask_pattern or masks:
                found += try_folders(image_pattern, mask_pattern, masks is not None)
    if not masks:
        for folder in [images] if images else _image_patterns(root, folders, []):
            found += try_folders(folder, folder, False)
    if not found:
        return None
    found.sort(key=lambda layout: _rank(root, layout))
    # Masks of one value, as of what a camera sees at all, are none where there are others.
    best = next((one for one in found if not _is_flat(one)), found[0])
    best = best if best.covered >= 0.5 else found[0]
    others = [
        layout.config.masks
        for layout in found[1:]
        if layout.config.masks != best.config.masks
        and layout.config.images == best.config.images
        and len(layout.matched.pairs) >= len(best.matched.pairs)
        and [pair.mask for pair in layout.matched.pairs] != [p.mask for p in best.matched.pairs]
    ]
    if others:
        note = f"{some(sorted(set(map(str, others))))} could be the masks too: --masks names them"
        return dataclasses.replace(best, notes=[*best.notes, note])
    return best


def _is_flat(layout: Layout) -> bool:
    """Whether the first masks have one value each, and the same."""
    values: set[float] = set()
    for pair in layout.matched.pairs[:_LOOKED_AT]:
        try:
            with open(pair.mask, "rb") as file:
                raw = read_raw(file.read())
        except OSError:
            return False
        values.update(np.unique(raw.values).tolist())
    return len(values) == 1


def _rank(root: str, layout: Layout) -> tuple:
    config = layout.config
    below = os.path.relpath(config.images, root)
    words = name_patterns.words_of(os.path.basename(str(config.masks)))
    other = bool(words & name_patterns.OTHER_WORDS) or "coarse" in words
    vague = not any(_is_image_word(part) for part in below.split(os.sep))
    return (
        -len(layout.matched.pairs),
        other,
        vague,
        len(layout.matched.without_mask),
        config.images.count("*"),
        len(config.images),
    )


def _is_image_word(part: str) -> bool:
    return bool(name_patterns.words_of(part) & _IMAGE_WORDS)


def _patterns(root: str, folders: Counter[str], speaks: Callable[[str], bool]) -> list[str]:
    """Patterns of the folders whose own name, or that of one above them, says what they hold."""
    found: Counter[tuple[str, ...]] = Counter()
    for folder, count in folders.items():
        parts = folder.split("/") if folder else []
        spoken = [at for at, part in enumerate(parts) if speaks(part)]
        for at in sorted({*spoken[:1], *spoken[-1:]}):  # labels, and labels/sem_seg/masks
            found[tuple(generalised(part) for part in parts[: at + 1])] += count
    return [joined(root, parts) for parts, _ in merged(found).most_common()]


def _image_patterns(root: str, folders: Counter[str], masks: Sequence[str]) -> list[str]:
    """Patterns of the folders of pictures: by their names, beside the masks', or all."""
    named = _patterns(
        root, folders, lambda part: _is_image_word(part) and not name_patterns.has_mask_word(part)
    )
    beside = []
    for pattern in masks:  # train beside train_masks
        head, base = os.path.split(pattern)
        for word in ("masks", "mask", "labels", "label", "annot", "annotations", "gt", "seg"):
            for joint in ("_", "-", ""):
                if base.lower().endswith(joint + word) and len(base) > len(joint + word):
                    beside.append(os.path.join(head, base[: len(base) - len(joint + word)]))
    tops = [
        joined(root, parts)
        for parts in merged(
            Counter(
                {(generalised(folder.split("/")[0]),): n for folder, n in folders.items() if folder}
            )
        )
    ]
    return list(dict.fromkeys([*named, *beside, root, *tops]))


def generalised(part: str) -> str:
    """A folder's name with * for a split's: train is *, train_masks is *_masks."""
    if split_word(part) is None:
        return part
    lower = part.lower()
    word = max((word for word in SPLIT_WORDS if word in lower), key=len, default=None)
    if word is None:
        return "*"
    start = lower.index(word)
    rest = part[:start] + "*" + part[start + len(word) :].lstrip("0123456789")
    return rest


def merged(found: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """Many folders that differ in one part only are one pattern: <id>/images."""
    groups: dict[tuple, list[tuple[str, ...]]] = defaultdict(list)
    for parts in found:
        for at in range(len(parts) - 1):
            groups[(*parts[:at], None, *parts[at + 1 :])].append(parts)
    result = Counter(found)
    for key, members in sorted(groups.items(), key=lambda one: -len(one[1])):
        left = [member for member in members if member in result]
        if len(left) > 1:
            merged = tuple("*" if part is None else part for part in key)
            count = sum(result.pop(member) for member in left)
            result[merged] += count
    return result


def joined(root: str, parts: Sequence[str]) -> str:
    """The path of a folder, of its parts below a root."""
    return os.path.join(root, *parts) if parts else root


def try_folders(images: str, masks: str, told: bool) -> list[Layout]:
    """The ways in which two folders go together, with at least one pair."""
    same = images == masks
    try:
        mask_names = list_files(masks, "masks", MASK_ENDINGS)
        image_names = list_files(images, "images")
    except Exception:
        return []
    if not same:
        taken = set(map(os.path.realpath, mask_names.values()))
        image_names = {n: p for n, p in image_names.items() if os.path.realpath(p) not in taken}
    image_stems, mask_stems = (
        [*map(mask_parts.stem_of, names)] for names in (image_names, mask_names)
    )
    if not image_stems or not mask_stems:
        return []
    if same:
        image_stems = [s for s in image_stems if not name_patterns.has_mask_word(s)] or image_stems
    patterns = name_patterns.find_patterns(dict.fromkeys(image_stems), mask_stems)
    if not patterns:  # names apart in their capitals only, or in zeros before a number
        plain = [list(dict.fromkeys(map(folded, stems))) for stems in (image_stems, mask_stems)]
        patterns = [p for p in name_patterns.find_patterns(*plain) if not p.mask_suffix]
    if same:
        patterns = [p for p in patterns if p.words() & name_patterns.MASK_WORDS]
    found = []
    if patterns:
        best = patterns[0]
        config = _config(images, masks, best)
        notes = ["pictures have several numbered masks, which are united"] if best.numbered else []
        kinds = [p.mask_prefix + p.mask_suffix for p in patterns[1:] if _is_other(best, p)]
        if kinds:
            notes.append(
                f"of several kinds of masks, those called {best.mask_prefix}…{best.mask_suffix} "
                f"are taken, not {some(kinds)} (mask_suffix says which)"
            )
        found.append(layout_of(config, notes))
    if not same:
        found += [
            layout_of(config, [note])
            for config, note in mask_parts.in_folders(images, masks, image_names, mask_names)
        ]
    if by_class := mask_parts.by_suffix(images, masks, image_names, mask_names):
        found = [
            layout_of(by_class, ["each class has masks of its own, by the end of their names"])
        ]
    return [layout for layout in found if layout and layout.matched.pairs]


def _is_other(best: name_patterns.NamePattern, other: name_patterns.NamePattern) -> bool:
    same_images = (other.image_prefix, other.image_suffix) == (best.image_prefix, best.image_suffix)
    return same_images and name_patterns.NUMBERED.match(other.mask_suffix) is None


def layout_of(config: FolderConfig, notes: list[str]) -> Layout | None:
    """What a config finds; None: nothing."""
    try:
        matched = MaskFiles(config).match()
    except Exception:
        return None
    return Layout(config, "pictures and mask files", matched, notes)


def _config(images: str, masks: str, pattern: name_patterns.NamePattern) -> FolderConfig:
    return FolderConfig(
        images=images,
        masks=masks,
        mask_suffix=pattern.mask_suffix,
        names=NamesConfig(
            image_prefix=pattern.image_prefix,
            image_suffix=pattern.image_suffix,
            mask_prefix=pattern.mask_prefix,
        ),
        mask_parts="united" if pattern.numbered else "one",
    )
