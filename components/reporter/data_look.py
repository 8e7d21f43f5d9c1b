"""A page to look at a dataset before anything is trained, and at what looks doubtful in it."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from components.common import palette, pictures, schema
from components.datasets.picture_looks import edge_agreement
from components.example_gen import dataset, leaks
from components.example_gen.config import DatasetConfig
from components.example_gen.encoding import ExampleEncoder
from components.predictor.overlay import overlay_image
from components.reporter import charts, images, templates

_BATCH = 32  # examples that are decoded together
_SIDE = 192  # of a thumbnail, in pixels
_FLAT = 1.05  # a picture is no steeper along its mask's edges than elsewhere
_BETTER = 1.25  # times better fits a mask that is turned
_MOST_DOUBTFUL = 60  # shown; all are counted
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
      shares: class name -> share of the split's pixels.
      shown_by: class name -> number of masks that show it.
      thumbnails: the contact sheet.
    """

    name: str
    examples: int
    set_aside: int
    heights: tuple[int, int, int]
    widths: tuple[int, int, int]
    shares: dict[str, float]
    shown_by: dict[str, int]
    thumbnails: list[Thumbnail]


def look(
    title: str,
    decisions: Sequence[str],
    config: DatasetConfig,
    classes: schema.ClassTable,
    count: int,
) -> str:
    """Reads a whole dataset as ExampleGen does, and makes the page.

    Args:
      title: of the page.
      decisions: what `segline init` decided, one line each.
      config: the dataset; it is prepared where that is needed.
      classes: the class table.
      count: pictures in each split's contact sheet.

    Returns:
      An HTML page that needs nothing else.

    Raises:
      UserError: the dataset can't be opened.
    """
    builder = dataset.open_dataset(config)
    dataset.check_features(builder, config)
    dataset.identify(builder, config)
    looker = _Looker(builder, config, classes, count)
    splits = [looker.look(name) for name in schema.SPLITS]
    doubtful = looker.doubtful()
    colors = palette.class_colors(len(classes))
    return templates.render(
        "look.html",
        title=title,
        decisions=list(decisions),
        dataset=builder.info.full_name,
        splits=splits,
        doubtful=doubtful[:_MOST_DOUBTFUL],
        doubtful_count=len(doubtful),
        reasons=Counter(reason for one in doubtful for reason in one.reasons).most_common(),
        shares_chart=charts.class_shares({s.name: s.shares for s in splits}, classes.names),
        class_colors={
            name: "#{:02x}{:02x}{:02x}".format(*colors[index])
            for index, name in enumerate(classes.names)
        },
    )


class _Looker:
    """Goes through the splits and remembers what looks doubtful."""

    def __init__(
        self,
        builder: tfds.core.DatasetBuilder,
        config: DatasetConfig,
        classes: schema.ClassTable,
        count: int,
    ) -> None:
        self._builder, self._config, self._classes, self._count = builder, config, classes, count
        self._encoder = ExampleEncoder(
            builder.info.features, config.features, classes, config.bad_examples
        )
        self._table = np.array(classes.lookup_table(schema.IGNORE_INDEX), np.uint8)
        self._doubtful: dict[tuple[str, str], Thumbnail] = {}
        self._hashes: dict[str, list[tuple[str, str]]] = {}

    def look(self, split: str) -> SplitLook:
        """Reads a split."""
        heights: list[int] = []
        widths: list[int] = []
        sheet: list[Thumbnail] = []
        pixels = np.zeros(len(self._classes), np.int64)
        shown = np.zeros(len(self._classes), np.int64)
        aside = 0
        self._hashes[split] = []
        for example_id, problem, picture_hash, record in self._examples(split):
            if problem:
                aside += 1
                self._doubt(Thumbnail(example_id, split, "", "", (f"it can't be used: {problem}",)))
                continue
            self._hashes[split].append((example_id, picture_hash))
            picture, indices = self._decoded(record)
            height, width = indices.shape
            heights.append(height)
            widths.append(width)
            counts = np.bincount(indices.ravel(), minlength=256)[: len(self._classes)]
            pixels += counts
            shown += counts > 0
            reasons = _doubts(picture, indices)
            if reasons or len(sheet) < self._count:
                thumbnail = Thumbnail(
                    example_id, split, f"{width}×{height}", self._overlay(picture, indices), reasons
                )
                if reasons:
                    self._doubt(thumbnail)
                if len(sheet) < self._count:
                    sheet.append(thumbnail)
        total = max(1, int(pixels.sum()))
        names = self._classes.names
        return SplitLook(
            name=split,
            examples=len(heights),
            set_aside=aside,
            heights=_range(heights),
            widths=_range(widths),
            shares={name: int(n) / total for name, n in zip(names, pixels, strict=True)},
            shown_by={name: int(n) for name, n in zip(names, shown, strict=True)},
            thumbnails=sheet,
        )

    def doubtful(self) -> list[Thumbnail]:
        """All that look doubtful, those that many things speak against first."""
        train = self._hashes[schema.TRAIN]
        for split in (schema.VALIDATION, schema.TEST):
            distance = self._config.leaks.distance
            for leak in leaks.find_leaks(split, self._hashes[split], train, distance):
                how = "the same as" if leak.distance == 0 else "nearly the same as"
                told = f"it is {how} {leak.train_id}, which is trained on"
                known = self._doubtful.get((split, leak.example_id))
                self._doubt(known or Thumbnail(leak.example_id, split, "", ""), told)
        return sorted(self._doubtful.values(), key=lambda one: -len(one.reasons))

    def _doubt(self, thumbnail: Thumbnail, *more: str) -> None:
        told = dataclasses.replace(thumbnail, reasons=(*thumbnail.reasons, *more))
        self._doubtful[thumbnail.split, thumbnail.example_id] = told

    def _examples(self, split: str) -> Iterator[tuple[str, str, str, bytes]]:
        """Id, problem, hash of the picture, and record of each example."""
        elements = self._builder.as_dataset(
            split=getattr(self._config.splits, split),
            decoders=self._encoder.decoders,
            read_config=tfds.ReadConfig(add_tfds_id=True),
        ).as_numpy_iterator()
        while batch := list(itertools.islice(elements, _BATCH)):
            for element, found in zip(batch, self._encoder.encode(batch), strict=True):
                name = self._encoder.id_of(element).decode(errors="replace")
                yield name, found.problem, found.picture_hash, found.record

    def _decoded(self, record: bytes) -> tuple[np.ndarray, np.ndarray]:
        """uint8 picture [height, width, 3], and class indices [height, width]."""
        feature = tf.train.Example.FromString(record).features.feature
        image, mask = (feature[key].bytes_list.value[0] for key in (schema.IMAGE, schema.MASK))
        picture = pictures.decode_image(tf.constant(image)).numpy()
        return picture, self._table[pictures.decode_mask(tf.constant(mask)).numpy()]

    def _overlay(self, picture: np.ndarray, indices: np.ndarray) -> str:
        step = max(1, max(indices.shape) // (2 * _SIDE))  # (large ones cost more than they show)
        small = Image.fromarray(np.ascontiguousarray(picture[::step, ::step]))
        mask = np.ascontiguousarray(indices[::step, ::step])
        shown = overlay_image(small, mask, len(self._classes))
        return images.photograph(np.asarray(shown), _SIDE)


def _doubts(picture: np.ndarray, indices: np.ndarray) -> tuple[str, ...]:
    """What speaks against a mask."""
    present = np.unique(indices)
    if len(present) == 1:
        return ("its mask is all of one class",)
    grey = picture.astype(np.float32).mean(-1)
    fit = edge_agreement(grey, indices)
    reasons = []
    turned = {
        how: edge_agreement(grey, indices[::rows, ::columns])
        for how, (rows, columns) in _TURNS.items()
    }
    best = max(turned, key=lambda how: turned[how])
    if turned[best] > _BETTER * fit:
        reasons.append(f"its mask fits the picture's edges better {best}")
    elif fit < _FLAT:
        reasons.append("the picture shows no edges where its mask has them")
    return tuple(reasons)


def _range(numbers: Sequence[int]) -> tuple[int, int, int]:
    if not numbers:
        return 0, 0, 0
    ordered = sorted(numbers)
    return ordered[0], ordered[len(ordered) // 2], ordered[-1]
