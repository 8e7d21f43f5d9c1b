"""Labels that look wrong: all of a run's examples, ranked, and a page of the worst."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from components.common import band_tensors, palette, pictures, schema
from components.common.bands import shown
from components.common.examples import bytes_of
from components.common.served_model import ServedModel
from components.labels.folds import Scored, read_records
from components.labels.marks import Mark
from components.reporter import images, templates

_MOST_SIDE = 256  # pixels of a side, on the page


@dataclasses.dataclass(frozen=True)
class Doubt:
    """A label on the page; the pictures are data URIs.

    Attributes:
      rank: from 1, the worst.
      scored: whose it is.
      leave_out: whether the table says to leave it out; None: nobody has said.
      picture: the picture.
      label: its mask.
      prediction: of the model that has not learned from it.
      difference: where the two are at odds, in red on the paled picture.
    """

    rank: int
    scored: Scored
    leave_out: bool | None
    picture: str
    label: str
    prediction: str
    difference: str


def ranked(scored: Sequence[Scored]) -> list[Scored]:
    """The lowest score first."""
    return sorted(scored, key=lambda one: (one.score, one.split, one.example_id))


def render_page(
    title: str,
    order: Sequence[Scored],
    rows: Sequence[Mark],
    count: int,
    files: Mapping[str, Sequence[str]],
) -> str:
    """Makes the page of the worst.

    Args:
      title: of the page.
      order: from `ranked`.
      rows: of the table.
      count: how many are shown.
      files: split -> its TFRecord files.

    Returns:
      An HTML page that needs nothing else.
    """
    worst = list(enumerate(order[:count], start=1))
    leave_out = {row.example_id: row.leave_out for row in rows}
    wanted = {(one.split, one.example_id) for _, one in worst}
    records = {
        (split, name): record
        for split, paths in files.items()
        for name, record in read_records(paths)
        if (split, name) in wanted
    }
    doubts: list[Doubt] = []
    classes: schema.ClassTable | None = None
    by_model = sorted(worst, key=lambda pair: pair[1].model)
    for path, group in itertools.groupby(by_model, key=lambda pair: pair[1].model):
        model = ServedModel(path)
        classes = model.classes
        doubts += [
            _doubt(
                rank,
                one,
                leave_out[one.example_id],
                records[one.split, one.example_id],
                model,
            )
            for rank, one in group
        ]
    names = classes.names if classes else ()
    colors = palette.class_colors(len(names))
    return templates.render(
        "labels.html",
        title=title,
        doubts=sorted(doubts, key=lambda one: one.rank),
        marked=sum(row.leave_out is True for row in rows),
        total=len(order),
        class_colors={
            name: "#{:02x}{:02x}{:02x}".format(*colors[index]) for index, name in enumerate(names)
        },
    )


def _doubt(
    rank: int, scored: Scored, leave_out: bool | None, record: bytes, model: ServedModel
) -> Doubt:
    encoded, mask = bytes_of(record, schema.IMAGE, schema.MASK)
    picture = band_tensors.decode_picture(tf.constant(encoded), model.bands).numpy()
    picture = shown(picture, model.bands) if model.bands else picture
    table = np.array(model.classes.lookup_table(schema.IGNORE_INDEX), np.uint8)
    label = table[pictures.decode_mask(tf.constant(mask)).numpy()]
    (prediction,) = model.predict([encoded])
    step = -(-max(label.shape) // (2 * _MOST_SIDE))  # large ones cost more than they show
    picture, label = picture[::step, ::step], label[::step, ::step]
    predicted = prediction.mask[::step, ::step]
    count = len(model.classes)
    return Doubt(
        rank,
        scored,
        leave_out,
        images.photograph(np.ascontiguousarray(picture), _MOST_SIDE),
        images.mask(np.ascontiguousarray(label), count, _MOST_SIDE),
        images.mask(np.ascontiguousarray(predicted), count, _MOST_SIDE),
        images.difference(np.ascontiguousarray(picture), label, predicted),
    )
