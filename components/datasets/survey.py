"""What a folder of data holds, and how segline reads it: looked at before a config is written."""

from __future__ import annotations

import dataclasses
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from PIL import Image

from components.common import file_tree, readable, schema
from components.common.bands import BandsConfig
from components.common.errors import UserError
from components.common.picture_fit import WHOLE_FITS
from components.common.picture_settings import PictureSettings
from components.datasets import picture_looks, vanishing
from components.datasets.answers import Answers
from components.datasets.config import FolderConfig
from components.datasets.layouts.finding import find_layout
from components.datasets.layouts.mask_layouts import Layout
from components.datasets.masks import mask_decision
from components.datasets.masks.mask_looks import MaskLooks
from components.datasets.masks.raw_mask import read_raw
from components.datasets.pairs import MaskSource, Matched, Pair, some
from components.datasets.reading import is_resized, read_pair, size_of
from components.datasets.sources.mask_files import MaskFiles
from components.datasets.sources.mask_source import mask_source
from components.datasets.splits.splitting import split

Size = tuple[int, int]  # width and height
_LARGEST_TOLERANCE = 2  # pixels by which masks may be off without asking
_MOST_REASONS = 5
_FEW = 20  # pictures, of which a hash may leave a split without any
_FEW_MEASURED = 10  # pictures of a split
_MOST_LOOKED_AT = 60  # turned pictures whose edges are asked


@dataclasses.dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
      config: folders, names, values and splits as they were found to be.
      form: of the data, in words.
      matched: pictures with their masks, and what has no partner.
      splits: split -> number of pairs.
      heights: of the pictures, in pixels.
      widths: of the pictures, in pixels.
      pixels: mask value -> number of its pixels in all masks that can be used.
      ignored: values that don't count.
      unusable: picture -> why it, or its mask, can't be used.
      names: mask value -> name, as far as the data tells.
      notes: each decision, and what else a person should know, in words.
      unusable_share: the largest share of a split that can't be used.
      lost: value -> things that a smaller picture would not show, as `vanishing` has it.
      bands: what the model sees of a picture; None: red, green and blue of 8 bits.
    """

    config: FolderConfig
    form: str
    matched: Matched
    splits: dict[str, int]
    heights: list[int]
    widths: list[int]
    pixels: dict[int, int]
    ignored: list[int]
    unusable: dict[str, str]
    names: dict[int, str]
    notes: list[str]
    unusable_share: float
    lost: dict[int, vanishing.Objects]
    bands: BandsConfig | None = None

    def reasons(self) -> list[str]:
        """Why pictures can't be used: each reason with its count and the first names."""
        return reasons_of(self.unusable)


def survey(
    root: str,
    images: str | None = None,
    masks: str | None = None,
    annotations: tuple[str, ...] = (),
    answers: Answers | None = None,
    pictures: PictureSettings | None = None,
    split_by: str | None = None,
    boxes: str | None = None,
    all_bands: bool = False,
    leave_out: bool = False,
) -> Survey:
    """Looks at all files of a folder.

    Args:
      root: the folder.
      images: folder of the pictures, where it is told.
      masks: folder of the masks, likewise.
      annotations: annotation files, or their folder, likewise.
      answers: what the user says of the masks' values.
      pictures: what the user says of the pictures.
      split_by: `hash` leaves folders and lists out.
      boxes: what is done with annotations without a shape.
      all_bands: whether the model is to see all bands of the pictures at their own depth.
      leave_out: whether pictures may be left out for having other bands than most have.

    Raises:
      UserError: what the data means can't be told; names the option that decides.
    """
    answers, pictures = answers or Answers(), pictures or PictureSettings()
    layout = find_layout(root, images, masks, tuple(annotations), split_by, boxes)
    config = layout.config
    notes = list(layout.notes)
    source = mask_source(config)
    meaning = None
    if isinstance(source, MaskFiles):
        looks = _look_at_masks(layout.matched.pairs)
        if looks.files:
            meaning = mask_decision.decide(looks, config, answers, layout.names, layout.colors)
            config = meaning.config
            notes += meaning.notes
            source = mask_source(config)
    seen_pictures = _look_at_pictures(layout.matched.pairs, source, pictures)
    reading = picture_looks.decide(seen_pictures, pictures, all_bands, leave_out)
    config = config.model_copy(update={"pictures": reading.settings})
    notes += reading.notes
    bands = reading.bands
    seen = _Seen()
    _read_all(layout.matched.pairs, source, config, seen, bands)
    if seen.off and isinstance(source, MaskFiles):
        config, told = _fitting(seen, config)
        if told:
            notes += told
            seen = _Seen()
            _read_all(layout.matched.pairs, source, config, seen, bands)
    _check(seen, layout)
    names = meaning.names if meaning else layout.names
    ignored = meaning.ignored if meaning else list(answers.ignore or ())
    splits = split(layout.matched.pairs, config, source)
    if config.split_by == "hash" and len(layout.matched.pairs) < _FEW:
        notes.append("there are few pictures: each split has one at least")
    notes += _small_splits(splits, seen.unusable, config)
    return Survey(
        config=config,
        form=layout.form,
        matched=layout.matched,
        splits={name: len(ones) for name, ones in splits.items()},
        heights=seen.heights,
        widths=seen.widths,
        pixels=dict(sorted(seen.pixels.items())),
        ignored=ignored,
        unusable=seen.unusable,
        names=dict(names),
        notes=list(dict.fromkeys([*notes, *seen.told()])),
        unusable_share=max(
            sum(pair.name in seen.unusable for pair in ones) / max(1, len(ones))
            for ones in splits.values()
        ),
        lost=seen.objects,
        bands=bands,
    )


def _small_splits(
    splits: Mapping[str, Sequence[Pair]], unusable: Collection[str], config: FolderConfig
) -> list[str]:
    """Whether a split is too small to be measured on."""
    usable = {
        name: sum(pair.name not in unusable for pair in splits[name])
        for name in (schema.VALIDATION, schema.TEST)
    }
    told = [f"{name} {count}" for name, count in usable.items() if count < _FEW_MEASURED]
    if not told:
        return []
    remedy = "; larger shares: dataset.folder.validation and test"
    return [
        f"few pictures to measure on ({', '.join(told)}): what is measured on so few says little "
        f"of others{remedy if config.split_by == 'hash' else ''}"
    ]


def _fitting(seen: _Seen, config: FolderConfig) -> tuple[FolderConfig, list[str]]:
    """How masks of other sizes than their pictures' are made to fit, and in words."""
    notes, update = [], {}
    if tolerance := seen.tolerance():
        update["size_tolerance"] = tolerance
        off = seen.off_by_little()
        notes.append(
            f"{len(off)} masks are {tolerance} pixel(s) larger or smaller than their pictures "
            f"({some(off)}): they are cut, or continued, at the right and lower edge "
            "(size_tolerance)"
        )
    if resized := seen.resized():
        update["resized"] = True
        notes.append(
            f"{len(resized)} masks are of another resolution than their pictures "
            f"({some(resized)}): they are made as large, nearest neighbour (resized)"
        )
    settings = config.mask_values.model_copy(update=update)
    return config.model_copy(update={"mask_values": settings}), notes


def reasons_of(unusable: dict[str, str]) -> list[str]:
    """Each reason once, with the number of pictures and the first of them."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    first: dict[str, str] = {}
    for name, reason in unusable.items():
        kind = re.sub(r"[0-9]+", "0", reason)  # the same, of another annotation or size
        by_reason[kind].append(name)
        first.setdefault(kind, reason)
    most = sorted(by_reason.items(), key=lambda one: -len(one[1]))[:_MOST_REASONS]
    return [f"{len(names)} ({some(names)}): {first[kind]}" for kind, names in most]


def _look_at_masks(pairs: list[Pair]) -> MaskLooks:
    looks = MaskLooks()
    for pair in pairs:
        for path in (pair.mask, *pair.parts):
            try:
                with open(path, "rb") as file:
                    raw = read_raw(file.read())
            except OSError:
                continue  # reading the pair says why
            looks.add(file_tree.readable(os.path.basename(path)), raw)
    return looks


def _look_at_pictures(
    pairs: list[Pair], source: MaskSource, told: PictureSettings
) -> picture_looks.PictureLooks:
    looks = picture_looks.PictureLooks(told)
    asked = 0
    for pair in pairs:
        with open(pair.image, "rb") as file:
            content = file.read()
        before = len(looks.turned)
        looks.add(pair.name, content)
        if len(looks.turned) > before and asked < _MOST_LOOKED_AT:
            asked += 1
            mask, problem = source.read(pair)
            if not problem and size_of(mask):
                looks.add_turned(content, np.asarray(Image.open(io.BytesIO(mask))))
    return looks


class _Seen:
    """What reading all pairs showed."""

    def __init__(self) -> None:
        self.heights: list[int] = []
        self.widths: list[int] = []
        self.pixels: Counter[int] = Counter()
        self.unusable: dict[str, str] = {}
        self.off: dict[str, tuple[Size, Size]] = {}
        self._notes: Counter[str] = Counter()
        self.objects: dict[int, vanishing.Objects] = {}
        self.pairs = 0

    def add_size(self, pair: Pair, mask: Size, image: Size) -> None:
        told = "mask {}x{}, picture {}x{}".format(*mask, *image)
        self.off[pair.name] = mask, image
        self.unusable[pair.name] = f"the sizes differ: {told} (width x height)"

    def off_by_little(self) -> list[str]:
        """Masks that are off by a pixel or two."""
        return [_sizes(name, *sizes) for name, sizes in self.off.items() if not _is_resized(sizes)]

    def resized(self) -> list[str]:
        """Masks of another resolution."""
        return [_sizes(name, *sizes) for name, sizes in self.off.items() if _is_resized(sizes)]

    def tolerance(self) -> int:
        """Pixels that masks are off, but for those of other resolutions; 0: one is off by more."""
        off = [
            max(abs(a - b) for a, b in zip(*sizes, strict=True))
            for sizes in self.off.values()
            if not _is_resized(sizes)
        ]
        return max(off, default=0) if max(off, default=0) <= _LARGEST_TOLERANCE else 0

    def add_notes(self, notes: tuple[str, ...]) -> None:
        self._notes.update(notes)

    def told(self) -> list[str]:
        """Notes on single pictures, by how many they are of."""
        return [
            f"{readable.counted(count, 'picture')}: {note}"
            for note, count in self._notes.most_common(3)
        ]


def _sizes(name: str, mask: Size, image: Size) -> str:
    return "{}: mask {}x{}, picture {}x{}".format(name, *mask, *image)


def _is_resized(sizes: tuple[Size, Size]) -> bool:
    return is_resized(*sizes, _LARGEST_TOLERANCE)


def _read_all(
    pairs: list[Pair],
    source: MaskSource,
    config: FolderConfig,
    seen: _Seen,
    bands: BandsConfig | None,
) -> None:
    for pair in pairs:
        seen.pairs += 1
        found = read_pair(pair, source, config, bands)
        if found.problem:
            seen.unusable[pair.name] = found.problem
            continue
        image, mask = size_of(found.image), size_of(found.mask)
        if image is None or mask is None:
            what = "picture" if image is None else "mask"
            seen.unusable[pair.name] = f"its {what} can't be read"
            continue
        try:
            # All of it: a header says nothing of what is cut off.
            values = np.asarray(Image.open(io.BytesIO(found.mask)))
            if not bands:
                Image.open(io.BytesIO(found.image)).load()
        except Exception as error:
            seen.unusable[pair.name] = f"it is damaged: {error}"
            continue
        if image != mask:
            seen.add_size(pair, mask, image)
            continue
        seen.heights.append(values.shape[0])
        seen.widths.append(values.shape[1])
        for value, count in zip(*np.unique(values, return_counts=True), strict=True):
            seen.pixels[int(value)] += int(count)
        vanishing.count(values, seen.objects, fits=WHOLE_FITS)


def _check(seen: _Seen, layout: Layout) -> None:
    """Stops where nothing can be used: each has its reason, told with the first three."""
    if seen.pixels:
        return
    reasons = Counter(seen.unusable.values()).most_common(1)[0][0]
    first = reasons_of(seen.unusable)
    hint = ""
    if layout.config.annotations and seen.off:
        hint = (
            ". Were the pictures resized after the export? Take those that were annotated, or "
            "resize the annotations too"
        )
    elif seen.off:
        hint = (
            ". A mask has to lie over its picture: neither cut, turned nor stretched. Masks of "
            "another resolution, but of the same shape, are resized"
        )
    if "LFS" in reasons:
        hint = ". The files are in Git LFS: run `git lfs pull`"
    raise UserError(
        f"none of the {seen.pairs} pictures with a mask can be used: " + "; ".join(first) + hint
    )
