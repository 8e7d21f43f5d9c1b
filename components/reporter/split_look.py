"""What a person looks at in a split: a contact sheet, class shares, what looks doubtful."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from components.common import band_tensors, pictures, schema
from components.common.bands import BandsConfig, shown
from components.common.examples import bytes_of
from components.common.picture_fit import Fit, WholeFit
from components.datasets import vanishing
from components.datasets.picture_looks import edge_agreement, steepness
from components.predictor.overlay import overlay_image
from components.reporter import images

_SIDE = 192  # of a thumbnail, in pixels
_MOST_SIDE = 1024  # pixels of a side, of which edges are compared
_FLAT = 1.05  # a picture is no steeper along its mask's edges than elsewhere
_BETTER = 1.25  # times better fits a mask that is turned
# In both directions, rows and columns: the steps of a slice.
_TURNS = {"turned by 180°": (-1, -1), "mirrored": (1, -1), "upside down": (-1, 1)}


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """A picture with its mask over it, as a data URI.

    Attributes:
      example_id: of the example.
      split: that it is in.
      size: width and height, as text.
      image: the data URI; empty where there is nothing to show.
      reasons: why it looks doubtful; empty: it does not.
    """

    example_id: str
    split: str
    size: str
    image: str
    reasons: tuple[str, ...] = ()


@dataclasses.dataclass
class SplitLook:
    """What was seen of a split.

    Attributes:
      name: of the split.
      examples: number of those that can be used.
      set_aside: number of the others.
      heights: smallest, median, largest, in pixels.
      widths: likewise.
      thumbnails: the contact sheet.
      things: class name -> its things, and those that the model's size loses.
    """

    name: str
    examples: int
    set_aside: int
    heights: tuple[int, int, int]
    widths: tuple[int, int, int]
    thumbnails: list[Thumbnail]
    things: dict[str, vanishing.Objects]


class SplitViewer:
    """Looks at a split's examples, one after the other.

    Args:
      name: of the split.
      classes: the class table.
      count: pictures in the contact sheet.
      image_size: height and width that the model sees.
      fit: how pictures are fitted into it.
      bands: what is in a picture.

    Attributes:
      doubtful: example's id -> what looks doubtful.
    """

    def __init__(
        self,
        name: str,
        classes: schema.ClassTable,
        count: int,
        image_size: tuple[int, int],
        fit: Fit = "stretch",
        bands: BandsConfig | None = None,
    ) -> None:
        self._bands = bands
        self._fits: list[WholeFit] = [] if fit == "tiles" else [fit]
        self._name, self._classes, self._count = name, classes, count
        self._sizes: list[vanishing.Size] = [
            image_size,
            *(s for s in vanishing.SIZES if s > min(image_size)),
        ]
        self._table = np.array(classes.lookup_table(schema.IGNORE_INDEX), np.uint8)
        self._heights: list[int] = []
        self._widths: list[int] = []
        self._sheet: list[Thumbnail] = []
        self._aside = 0
        self._other_edges = 0
        self._things: dict[int, vanishing.Objects] = {}
        self.doubtful: dict[str, Thumbnail] = {}

    def set_aside(self, example_id: str, problem: str) -> None:
        """Notes an example that can't be used."""
        self._aside += 1
        self.doubt(Thumbnail(example_id, self._name, "", "", (f"it can't be used: {problem}",)))

    def add(self, example_id: str, record: bytes) -> None:
        """Looks at an example: a serialized tf.Example."""
        picture, indices = self._decoded(record)
        height, width = indices.shape
        self._heights.append(height)
        self._widths.append(width)
        vanishing.count(indices, self._things, self._sizes, self._fits)
        reasons = _doubts(picture, indices)
        self._other_edges += any(map(_is_about_edges, reasons))
        if reasons or len(self._sheet) < self._count:
            overlay = self._overlay(picture, indices)
            size = f"{width}×{height}"
            thumbnail = Thumbnail(example_id, self._name, size, overlay, reasons)
            if reasons:
                self.doubt(thumbnail)
            if len(self._sheet) < self._count:
                self._sheet.append(thumbnail)

    def doubt(self, thumbnail: Thumbnail) -> None:
        """Adds to what looks doubtful."""
        self.doubtful[thumbnail.example_id] = thumbnail

    def seen(self) -> SplitLook:
        """What was seen so far."""
        names = self._classes.names
        return SplitLook(
            name=self._name,
            examples=len(self._heights),
            set_aside=self._aside,
            heights=_range(self._heights),
            widths=_range(self._widths),
            thumbnails=[self._settled(one) for one in self._sheet],
            things={
                names[value]: objects
                for value, objects in sorted(self._things.items())
                if value < len(names)
            },
        )

    def settled(self) -> list[Thumbnail]:
        """What looks doubtful, after all examples have been seen.

        Where most masks have other edges than their pictures (trimaps with a border class do),
        edges tell nothing about any one of them.
        """
        settled = [self._settled(one) for one in self.doubtful.values()]
        return [one for one in settled if one.reasons]

    def _settled(self, thumbnail: Thumbnail) -> Thumbnail:
        if self._other_edges <= len(self._heights) / 2:
            return thumbnail
        kept = tuple(reason for reason in thumbnail.reasons if not _is_about_edges(reason))
        return dataclasses.replace(thumbnail, reasons=kept)

    def _decoded(self, record: bytes) -> tuple[np.ndarray, np.ndarray]:
        """uint8 picture [height, width, 3], and class indices [height, width]."""
        image, mask = bytes_of(record, schema.IMAGE, schema.MASK)
        picture = band_tensors.decode_picture(tf.constant(image), self._bands).numpy()
        picture = shown(picture, self._bands) if self._bands else picture
        return picture, self._table[pictures.decode_mask(tf.constant(mask)).numpy()]

    def _overlay(self, picture: np.ndarray, indices: np.ndarray) -> str:
        step = max(1, max(indices.shape) // (2 * _SIDE))  # (large ones cost more than they show)
        small = Image.fromarray(np.ascontiguousarray(picture[::step, ::step]))
        mask = np.ascontiguousarray(indices[::step, ::step])
        shown = overlay_image(small, mask, len(self._classes))
        return images.photograph(np.asarray(shown), _SIDE)


def all_doubtful(viewers: Iterable[SplitViewer]) -> list[Thumbnail]:
    """What looks doubtful in all splits, that which many things speak against first."""
    found = [one for viewer in viewers for one in viewer.settled()]
    return sorted(found, key=lambda one: -len(one.reasons))


def class_shares(pixels: Mapping[str, int], names: Sequence[str]) -> dict[str, float]:
    """Each class's share of a split's pixels; those that are ignored are not among them.

    Args:
      pixels: class name -> its pixels; classes without any may be missing.
      names: of all classes.
    """
    total = max(1, sum(pixels.values()))
    return {name: pixels.get(name, 0) / total for name in names}


def reasons_of(doubtful: Sequence[Thumbnail]) -> list[tuple[str, int]]:
    """Each reason with the number of examples that have it, the commonest first."""
    return Counter(reason for one in doubtful for reason in one.reasons).most_common()


_OTHER_EDGES = "the picture shows no edges where its mask has them"
_FITS_TURNED = "its mask fits the picture's edges better "


def _is_about_edges(reason: str) -> bool:
    return reason.startswith((_OTHER_EDGES, _FITS_TURNED))


def _doubts(picture: np.ndarray, indices: np.ndarray) -> tuple[str, ...]:
    """What speaks against a mask."""
    present = np.unique(indices)
    if len(present) == 1:
        if present[0] == schema.IGNORE_INDEX:
            return ("its mask shows no class: all of it is ignored",)
        return ("its mask is all of one class",)
    step = -(-max(indices.shape) // _MOST_SIDE)  # areas keep their edges in a smaller copy
    indices, picture = indices[::step, ::step], picture[::step, ::step]
    steps = steepness(picture.astype(np.float32))
    fit = edge_agreement(steps, indices)
    reasons = []
    turned = {
        how: edge_agreement(steps, indices[::rows, ::columns])
        for how, (rows, columns) in _TURNS.items()
    }
    best = max(turned, key=lambda how: turned[how])
    if turned[best] > _BETTER * fit:
        reasons.append(_FITS_TURNED + best)
    elif fit < _FLAT:
        reasons.append(_OTHER_EDGES)
    return tuple(reasons)


def _range(numbers: Sequence[int]) -> tuple[int, int, int]:
    if not numbers:
        return 0, 0, 0
    ordered = sorted(numbers)
    return ordered[0], ordered[len(ordered) // 2], ordered[-1]
