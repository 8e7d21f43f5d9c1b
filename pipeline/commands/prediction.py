"""What `segline predict` does, in front of the screen and with Beam."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.progress import track
from rich.table import Table

from components.common import palette, schema
from components.common.errors import UserError
from pipeline.config.loading import PipelineConfig

if TYPE_CHECKING:
    from components.predictor.batch import Keyed
    from components.predictor.files import Row, WantedObjects

_MOST_ROWS = 40
_MOST_NAMED = 5  # of millions that could not be predicted, or have notes


def predict(
    console: Console,
    pictures: Sequence[str],
    model_dir: str,
    out: str,
    batch_size: int,
    flip: bool,
    objects: Sequence[str] = (),
    objects_format: Literal["coco", "geojson"] = "coco",
) -> bool:
    """Predicts pictures, writes masks and overlays, prints the class shares.

    Args:
      console: where to.
      pictures: files and folders.
      model_dir: the model, a folder of versions, a pipeline's folder, or an export's file.
      out: folder for the results.
      batch_size: pictures that go through the model together.
      flip: average with the mirror image's prediction.
      objects: names of the classes whose connected objects are written too.
      objects_format: how those of pictures are written; rasters' are always GeoJSON.

    Returns:
      Whether all could be predicted.

    Raises:
      UserError: no model, no pictures, no such class, or the results can't be written.
    """
    from components.predictor.picture_files import find_pictures

    files = find_pictures(pictures, out)
    _make_folder(out)
    from components.common.exported_model import open_model
    from components.predictor.files import WantedObjects, predict_files, write_table

    model = open_model(model_dir, flip)
    names = model.classes.names
    wanted = WantedObjects(_indices(objects, names), objects_format)
    rows = list(
        track(
            predict_files(model, files, out, batch_size, wanted),
            "predicting",
            total=len(files),
            console=console,
            transient=True,
            disable=not console.is_terminal or len(files) <= batch_size,
        )
    )
    good = [row for row in rows if not row.error]
    table = Table(show_footer=len(good) > 1)
    table.add_column("picture", footer="mean", overflow="fold")
    table.add_column("size", justify="right")
    colors = palette.class_colors(len(names))
    for index, name in enumerate(names):
        mean = sum(row.shares[index] for row in good) / len(good) if good else 0
        style = "rgb({},{},{})".format(*colors[index])
        table.add_column(f"[{style}]■[/] {name}", justify="right", footer=f"{mean:.1%}")
    table.add_column("confidence", justify="right")
    for row in good[:_MOST_ROWS]:
        size = "{}x{}".format(*row.size or ())
        shares = [f"{share:.1%}" for share in row.shares]
        table.add_row(row.path, size, *shares, f"{row.confidence:.2f}")
    if good:
        console.print(table)
    if len(good) > _MOST_ROWS:
        console.print(f"… and {len(good) - _MOST_ROWS} more")
    table_path = write_table(rows, names, out)
    failed = [row for row in rows if row.error]
    for row in failed:
        console.print(f"✗ {row.path}: {row.error}", style="red", markup=False, soft_wrap=True)
    noted = [row for row in good if row.notes]
    for row in noted[:_MOST_ROWS]:
        told = "; ".join(row.notes)
        console.print(f"! {row.path}: {told}", markup=False, soft_wrap=True)
    if len(noted) > _MOST_ROWS:
        console.print(f"! … and {len(noted) - _MOST_ROWS} more (column `notes` of the table)")
    console.print(
        f"{len(good)} of {len(rows)} predicted with {model.path}\n"
        f"masks and overlays in {out}, all numbers in {table_path}",
        soft_wrap=True,
    )
    if objects:
        _tell_objects(console, good, wanted, names, out)
    return not failed


def _tell_objects(
    console: Console, rows: Sequence[Row], wanted: WantedObjects, names: Sequence[str], out: str
) -> None:
    """Writes the COCO file, where one is due, and says how many objects there are, and where."""
    from components.predictor.geojson import OBJECTS_ENDING
    from components.predictor.objects import write_objects

    in_coco = [row for row in rows if not row.objects_file]
    places = []
    if in_coco or (wanted.kind == "coco" and not rows):
        found = [(row.path, row.size or (0, 0), row.objects) for row in in_coco]
        places.append(write_objects(found, names, wanted.class_indices, out))
    if len(in_coco) < len(rows):
        places.append(os.path.join(out, f"*{OBJECTS_ENDING}"))
    counts = sum((Counter(row.object_counts) for row in rows), Counter[int]())
    told = ", ".join(f"{counts[index]} of {names[index]}" for index in wanted.class_indices)
    console.print(
        f"objects in {' and '.join(places) or 'no file'}: {told}", soft_wrap=True, highlight=False
    )


def _indices(objects: Sequence[str], names: Sequence[str]) -> list[int]:
    """Indices of classes by their names."""
    for name in objects:
        if name not in names:
            raise UserError(f"--objects: the model has no class {name!r}, only {', '.join(names)}")
    return sorted({names.index(name) for name in objects})


def predict_with_beam(
    console: Console,
    config: PipelineConfig,
    pictures: Sequence[str],
    split: str | None,
    model_dir: str,
    out: str,
    kind: str,
    batch_size: int,
    flip: bool,
    beam_args: Sequence[str],
) -> bool:
    """Predicts a TFDS split, or any number of picture files, as a Beam pipeline.

    Args:
      console: where to.
      config: says which dataset a split is of.
      pictures: files, folders and file patterns; empty where there is a split.
      split: one of the config's splits, or a TFDS split expression.
      model_dir: the model, a folder of versions, a pipeline's folder, or an export's file.
      out: folder for the results.
      kind: `parquet` or `tfrecord`.
      batch_size: most pictures that go through the model together.
      flip: average with the mirror image's prediction.
      beam_args: Beam's options.

    Returns:
      Whether all could be predicted.

    Raises:
      UserError: no model, no pictures, an unknown split; not every picture has a row.
    """
    from apache_beam.io.filesystem import BeamIOError

    from components.common.beam_engine import EnginePipeline
    from components.common.counts import check_count
    from components.common.exported_model import open_model
    from components.predictor import batch
    from components.predictor.raster_batch import PredictFiles

    model = open_model(model_dir, flip)
    shared_dir = model.path if "://" in model.path else os.path.abspath(model.path)
    if "://" not in out:
        _make_folder(out)
    if batch.find_results(out):
        raise UserError(f"--out: {out} holds predictions already; name another folder")
    made_by = batch.made_by(shared_dir, flip)
    with _aside(out) as aside:
        if split:
            reader, count = _split_reader(config, split)
            predicted = batch.PredictPictures(shared_dir, batch_size, flip)
        else:
            reader = batch.FindPictures(pictures, without=out)
            count = reader.count
            masks = os.path.abspath(out) if aside else None
            predicted = PredictFiles(model, shared_dir, masks, aside, batch_size, flip)
        try:
            before = count()
            with EnginePipeline(beam_args) as pipeline:
                _ = (
                    pipeline
                    | "Read" >> reader
                    | "Predict" >> predicted
                    | "Write" >> batch.WriteRows(out, kind, model.classes.names, made_by)
                )
            after = count()
        except BeamIOError as error:
            raise UserError(f"the pictures can't be found: {error}") from error
    if not after:
        raise UserError(f"no pictures in {', '.join(pictures) or split}")
    # Not Beam's own counters: an engine that does work again counts it again, or counts none.
    found = batch.read_results(out, kind, _MOST_NAMED)
    if not min(before, after) <= found.rows <= max(before, after):  # files may come meanwhile
        check_count(f"rows are in {out}/predictions-*", found.rows, after)
    for picture, reason in found.errors:
        console.print(f"✗ {picture}: {reason}", style="red", markup=False, soft_wrap=True)
    if found.failed > len(found.errors):
        console.print(
            f"✗ … and {found.failed - len(found.errors)} more, whose rows have an `error`",
            style="red",
        )
    for picture, notes in found.notes:
        console.print(f"! {picture}: {notes}", markup=False, soft_wrap=True)
    if found.noted > len(found.notes):
        console.print(f"! … and {found.noted - len(found.notes)} more, whose rows have `notes`")
    console.print(
        f"{found.rows - found.failed} of {found.rows} predicted with {model.path}\n"
        f"masks and class shares in {out}/predictions-*",
        soft_wrap=True,
    )
    return not found.failed


@contextlib.contextmanager
def _aside(out: str) -> Iterator[str]:
    """A folder for what is not complete, which does not outlive the pipeline; none in a bucket."""
    if "://" in out:
        yield ""
        return
    # Not one of `tempfile`: workers may be other users.
    folder = os.path.join(os.path.abspath(out), f".pieces-{uuid.uuid4().hex}")
    os.mkdir(folder)
    try:
        yield folder
    finally:
        # (A worker that was thought lost may still write into it.)
        shutil.rmtree(folder, ignore_errors=True)


def _split_reader(config: PipelineConfig, split: str) -> tuple[Any, Callable[[], int]]:
    """A Beam transform that reads the pictures of a split, and what counts them."""
    import apache_beam as beam
    import tensorflow_datasets as tfds

    from components.common.picture_formats import ModelPicture
    from components.example_gen.band_features import (
        encoded_picture,
        is_of_numbers,
        picture_of_bands,
    )
    from components.example_gen.dataset import check_features, open_dataset

    builder = open_dataset(config.dataset)
    check_features(builder, config.dataset)
    expression = getattr(config.dataset.splits, split) if split in schema.SPLITS else split
    try:
        number = builder.info.splits[expression].num_examples
        if not number:
            raise UserError(f"--split: {expression!r} selects no examples")
    except (ValueError, KeyError, AssertionError) as error:
        raise UserError(
            f"--split: {expression!r} does not fit {builder.info.full_name}, which has "
            f"{', '.join(builder.info.splits)}"
        ) from error
    features = config.dataset.features
    image = features.image
    key = features.example_id or "tfds_id"
    wanted = dict.fromkeys(filter(None, [features.image, features.example_id]), True)
    reader = tfds.beam.ReadFromTFDS(
        # As the workers of a run open it: what prepared it (a folder's pairs, say) is not sent.
        tfds.builder_from_directory(builder.data_dir),
        split=expression,
        read_config=tfds.ReadConfig(add_tfds_id=True),
        decoders=tfds.decode.PartialDecoding(
            wanted, decoders={features.image: encoded_picture(builder.info.features[image])}
        ),
    )
    bands = config.dataset.bands
    of_numbers = is_of_numbers(builder.info.features[image])

    def pair(element: dict) -> Keyed:
        name, content = element[key].numpy().decode(), element[image].numpy()
        if bands is None:
            return name, ModelPicture(content)
        try:
            return name, ModelPicture(picture_of_bands(content, bands, of_numbers))
        except OSError as error:
            return name, str(error)

    return reader | "Pairs" >> beam.Map(pair), lambda: number


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out: {path} can't be made: {error.strerror}") from error
