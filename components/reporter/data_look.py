"""A page to look at a dataset before anything is trained, and at what looks doubtful in it."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import tensorflow_datasets as tfds

from components.common import palette, schema
from components.common.picture_fit import Fit
from components.datasets import vanishing
from components.example_gen import dataset, leaks
from components.example_gen.config import DatasetConfig
from components.example_gen.encoding import Encoded, ExampleEncoder
from components.example_gen.leave_out import key_of, read_leave_out
from components.reporter import charts, templates
from components.reporter.split_look import (
    SplitViewer,
    Thumbnail,
    all_doubtful,
    class_shares,
    reasons_of,
)

_BATCH = 32  # examples that are decoded together
_MOST_DOUBTFUL = 60  # shown; all are counted


def look(
    title: str,
    decisions: Sequence[str],
    config: DatasetConfig,
    classes: schema.ClassTable,
    count: int,
    image_size: tuple[int, int],
    fit: Fit,
) -> str:
    """Reads a whole dataset as ExampleGen does, and makes the page.

    Args:
      title: of the page.
      decisions: what `segline init` decided, one line each.
      config: the dataset; it is prepared where that is needed.
      classes: the class table.
      count: pictures in each split's contact sheet.
      image_size: height and width that the model sees.
      fit: how pictures are fitted into it.

    Returns:
      An HTML page that needs nothing else.

    Raises:
      UserError: the dataset can't be opened.
    """
    builder = dataset.open_dataset(config)
    dataset.check_features(builder, config)
    dataset.identify(builder, config)
    encoder = ExampleEncoder(builder.info.features, config, classes)
    viewers = {
        name: SplitViewer(name, classes, count, image_size, fit, config.bands)
        for name in schema.SPLITS
    }
    hashes: dict[str, list[tuple[str, str]]] = {}
    pixels: dict[str, Counter[str]] = {}
    shown_by: dict[str, Counter[str]] = {}
    for name, viewer in viewers.items():
        hashes[name], pixels[name], shown_by[name] = [], Counter(), Counter()
        for example_id, found in _examples(builder, config, encoder, name):
            if found.problem:
                viewer.set_aside(example_id, found.problem)
            else:
                hashes[name].append((example_id, found.picture_hash))
                pixels[name].update(found.pixels)
                shown_by[name].update(found.pixels.keys())
                viewer.add(example_id, found.record)
    _doubt_leaks(viewers, hashes, config)
    splits = [viewer.seen() for viewer in viewers.values()]
    doubtful = all_doubtful(viewers.values())
    shares = {name: class_shares(counts, classes.names) for name, counts in pixels.items()}
    colors = palette.class_colors(len(classes))
    return templates.render(
        "look.html",
        title=title,
        decisions=list(decisions),
        dataset=builder.info.full_name,
        splits=splits,
        doubtful=doubtful[:_MOST_DOUBTFUL],
        doubtful_count=len(doubtful),
        vanishing=[
            f"{split.name}: {line}"
            for split in splits
            for line in vanishing.told(split.things, image_size, fit)
        ],
        reasons=reasons_of(doubtful),
        shares=shares,
        shown_by=shown_by,
        shares_chart=charts.class_shares(shares, classes.names),
        class_colors={
            name: "#{:02x}{:02x}{:02x}".format(*colors[index])
            for index, name in enumerate(classes.names)
        },
    )


def _examples(
    builder: tfds.core.DatasetBuilder, config: DatasetConfig, encoder: ExampleEncoder, split: str
) -> Iterator[tuple[str, Encoded]]:
    """Id of each example, and what became of it; those that are left out are passed over."""
    left_out = read_leave_out(config.leave_out)
    elements = builder.as_dataset(
        split=getattr(config.splits, split),
        decoders=encoder.decoders,
        read_config=tfds.ReadConfig(add_tfds_id=True),
    ).as_numpy_iterator()
    while batch := list(itertools.islice(elements, _BATCH)):
        for element, found in zip(batch, encoder.encode(batch), strict=True):
            example_id = encoder.id_of(element).decode(errors="replace")
            if key_of(example_id) not in left_out:
                yield example_id, found


def _doubt_leaks(
    viewers: Mapping[str, SplitViewer],
    hashes: Mapping[str, list[tuple[str, str]]],
    config: DatasetConfig,
) -> None:
    """Adds the pictures of other splits that are trained on."""
    for split in (schema.VALIDATION, schema.TEST):
        found = leaks.find_leaks(split, hashes[split], hashes[schema.TRAIN], config.leaks.distance)
        for leak in found:
            how = "the same as" if leak.distance == 0 else "nearly the same as"
            reason = f"it is {how} {leak.train_id}, which is trained on"
            known = viewers[split].doubtful.get(leak.example_id)
            known = known or Thumbnail(leak.example_id, split, "", "")
            viewers[split].doubt(dataclasses.replace(known, reasons=(*known.reasons, reason)))
