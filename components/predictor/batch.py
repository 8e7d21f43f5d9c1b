"""Prediction of millions of pictures: Beam transforms, for any of its runners.

Pictures are read, predicted and written one batch at a time in one fused stage, so
memory does not grow with their number. What can't be predicted becomes a row with
an error: good rows and errors together are what was read.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from apache_beam.io import fileio, filesystems
from apache_beam.ml.inference.base import ModelHandler, RunInference

from components.common import file_tree, picture_formats
from components.common.bands import BandsConfig
from components.common.exported_model import Segmenter, open_model
from components.common.model_digest import FLIP_KEY, MODEL_KEY, digest_of
from components.common.picture_formats import ModelPicture
from components.common.picture_settings import PictureSettings
from components.common.served_model import Prediction

FORMATS = ("parquet", "tfrecord")
_FILE_PREFIX = "predictions"
_AT_A_TIME = 256
_TOLD = ("error", "notes")  # columns that are told at the end

Keyed = tuple[str, ModelPicture | str]  # id of a picture, and its content or an error


@dataclasses.dataclass(frozen=True)
class FoundFile:
    """A picture file.

    Attributes:
      path: of the file.
      output: the same below its folder or pattern, without the ending: where its results go.
    """

    path: str
    output: str


@dataclasses.dataclass(frozen=True)
class Results:
    """What a batch has come to.

    Attributes:
      rows: how many there are.
      failed: how many of them have an error.
      errors: picture and error of the first of those.
      noted: how many have notes.
      notes: picture and notes of the first of those.
    """

    rows: int
    failed: int
    errors: tuple[tuple[str, str], ...]
    noted: int
    notes: tuple[tuple[str, str], ...]


class FindPictures(beam.PTransform):
    """Finds picture files.

    Args:
      patterns: files, folders, or Beam file patterns (`gs://…/**`).
      without: a folder; what lies in it is no input, where it is below one of the patterns'.

    Gives `FoundFile`s; a file once, however many of the patterns find it.
    """

    def __init__(self, patterns: Sequence[str], without: str) -> None:
        super().__init__()
        self._patterns = [
            os.path.join(pattern, "**") if os.path.isdir(pattern) else pattern
            for pattern in patterns
        ]
        self._folders = [_folder_of(pattern) for pattern in self._patterns]
        own = _absolute(without) + "/"
        above = [_absolute(folder) + "/" for folder in self._folders]
        self._without = (own,) if any(own.startswith(one) and own != one for one in above) else ()

    def count(self) -> int:
        """How many pictures there are now."""
        return len(
            {
                _absolute(found.path)
                for matched in filesystems.FileSystems.match(self._patterns)
                for found in matched.metadata_list
                if _is_picture(found.path, self._without)
            }
        )

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[FoundFile]:
        """Matches, and spreads the paths (not the pictures) over the workers."""
        return (
            pbegin
            | "Patterns" >> beam.Create(self._patterns)
            | "Match" >> fileio.MatchAll()
            | "Paths" >> beam.Map(lambda match: match.path)
            | "OnlyPictures" >> beam.Filter(_is_picture, self._without)
            | "ByPlace" >> beam.Map(lambda path: (_absolute(path), path))
            | "OnceEach" >> beam.CombinePerKey(min)
            | "AsNamed" >> beam.Values()
            | "SpreadOverWorkers" >> beam.Reshuffle()
            | "Outputs" >> beam.Map(_found, self._folders)
        )


class ReadPictures(beam.PTransform):
    """Reads picture files, by their paths.

    Args:
      settings: how the model's own pictures were read.
      bands: what the model sees, where that is not red, green and blue of 8 bits.

    Gives (path, content); the content is text, an error, where a file is no picture.
    """

    def __init__(self, settings: PictureSettings, bands: BandsConfig | None = None) -> None:
        super().__init__()
        self._settings = settings
        self._bands = bands

    def expand(self, paths: beam.PCollection[str]) -> beam.PCollection[Keyed]:
        """One pair for each."""
        return paths | "Read" >> beam.Map(_read, self._settings, self._bands)


class PredictPictures(beam.PTransform):
    """Predicts (id, content) pairs; gives the rows of `arrow_schema`.

    Args:
      model_dir: a SavedModel that the workers can open.
      batch_size: most pictures that go through the model together.
      flip: average with the mirror image's prediction.

    Attributes:
      identifier: of the model, for others who want to share it in a worker's memory.
    """

    def __init__(self, model_dir: str, batch_size: int, flip: bool = False) -> None:
        super().__init__()
        self._handler = SegmentationHandler(model_dir, batch_size, flip)
        self.identifier = f"{model_dir} flip={flip}"

    def expand(self, pictures: beam.PCollection[Keyed]) -> beam.PCollection[dict[str, Any]]:
        """One row for each picture."""
        return pictures | "Segment" >> RunInference(self._handler, model_identifier=self.identifier)


class SegmentationHandler(ModelHandler[Keyed, dict[str, Any], Segmenter]):
    """Tells Beam's RunInference how to load and ask a segline model."""

    def __init__(self, model_dir: str, batch_size: int, flip: bool) -> None:
        super().__init__()
        self._model_dir = model_dir
        self._flip = flip
        self._batch_size = batch_size

    def load_model(self) -> Segmenter:
        """Once for each process; its threads share it."""
        return open_model(self._model_dir, self._flip)

    def batch_elements_kwargs(self) -> dict[str, int]:
        """Bounds of RunInference's own batching."""
        return {"min_batch_size": 1, "max_batch_size": self._batch_size}

    def run_inference(
        self,
        batch: Sequence[Keyed],
        model: Segmenter,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[dict[str, Any]]:
        """Rows for a batch, in its order."""
        good = [content.encoded for _, content in batch if isinstance(content, ModelPicture)]
        predictions = iter(model.predict_each(good))
        names = model.classes.names
        for key, content in batch:
            if isinstance(content, ModelPicture):
                yield _row(key, next(predictions), names) | {"notes": told_notes(content.notes)}
            else:
                yield _row(key, content, names)


class WriteRows(beam.PTransform):
    """Writes rows as Parquet, or as TFRecords of tf.Examples.

    Args:
      folder: where the files `predictions-…` go.
      kind: `parquet` or `tfrecord`.
      class_names: names of the classes.
      made_by: metadata of Parquet files.
    """

    def __init__(
        self, folder: str, kind: str, class_names: Sequence[str], made_by: Mapping[str, str]
    ) -> None:
        super().__init__()
        self._prefix = filesystems.FileSystems.join(folder, _FILE_PREFIX)
        self._kind = kind
        self._schema = arrow_schema(class_names).with_metadata(dict(made_by))

    def expand(self, rows: beam.PCollection[dict[str, Any]]) -> beam.PCollection:
        """As many files as the runner has bundles."""
        if self._kind == "parquet":
            return rows | beam.io.WriteToParquet(
                self._prefix,
                self._schema,
                codec="zstd",
                # Rows are large: they must not be gathered by the thousand.
                record_batch_size=64,
                row_group_buffer_size=32 * 1024 * 1024,
                file_name_suffix=".parquet",
            )
        return (
            rows
            | "ToExample" >> beam.Map(to_example)
            | beam.io.WriteToTFRecord(self._prefix, file_name_suffix=".tfrecord.gz")
        )


def made_by(model_path: str, flip: bool) -> dict[str, str]:
    """What Parquet files say of the model that has made them."""
    return {MODEL_KEY: digest_of(model_path), FLIP_KEY: str(flip).lower()}


def find_results(folder: str) -> list[str]:
    """The files that `WriteRows` wrote."""
    pattern = filesystems.FileSystems.join(folder, f"{_FILE_PREFIX}-*")
    return [found.path for found in filesystems.FileSystems.match([pattern])[0].metadata_list]


def read_results(folder: str, kind: str, most: int) -> Results:
    """Reads what `WriteRows` wrote.

    Args:
      folder: where the files are.
      kind: `parquet` or `tfrecord`.
      most: how many of those that have an error, or notes, are named.
    """
    rows = 0
    counts = dict.fromkeys(_TOLD, 0)
    first: dict[str, list[tuple[str, str]]] = {key: [] for key in _TOLD}
    read = _from_parquet if kind == "parquet" else _from_records
    for path in find_results(folder):
        for some in read(path):
            rows += len(some["picture"])
            for key in _TOLD:
                told = [(p, t) for p, t in zip(some["picture"], some[key], strict=True) if t]
                counts[key] += len(told)
                first[key] += told[: most - len(first[key])]
    errors, notes = (tuple(first[key]) for key in _TOLD)
    return Results(rows, counts["error"], errors, counts["notes"], notes)


def told_notes(notes: Sequence[str]) -> str | None:
    """Notes as a row has them."""
    return "; ".join(notes) or None


def _from_parquet(path: str) -> Iterator[dict[str, list[str]]]:
    """Pictures, errors and notes, some rows at a time; null or empty where there are none."""
    with filesystems.FileSystems.open(path) as file:
        rows = pq.ParquetFile(file)
        if not rows.num_row_groups:  # without one, some versions of pyarrow can't iterate
            return
        for batch in rows.iter_batches(columns=["picture", *_TOLD]):
            yield batch.to_pydict()


def _from_records(path: str) -> Iterator[dict[str, list[str]]]:
    wanted = {key: tf.io.FixedLenFeature([], tf.string, "") for key in ("picture", *_TOLD)}
    for records in tf.data.TFRecordDataset(path, "GZIP").batch(_AT_A_TIME):
        found = tf.io.parse_example(records, wanted)
        yield {key: [one.decode() for one in value.numpy()] for key, value in found.items()}


def arrow_schema(class_names: Sequence[str]) -> pa.Schema:
    """Columns of the result; those of the prediction are null where `error` is not."""
    return pa.schema(
        [
            pa.field("picture", pa.string(), nullable=False),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("confidence", pa.float32()),
            *((f"share_{name}", pa.float32()) for name in class_names),
            ("mask_png", pa.binary()),
            ("mask_path", pa.string()),  # of rasters, whose masks are files of their own
            ("notes", pa.string()),  # what was decided that the file does not say
            ("error", pa.string()),
        ]
    )


def to_example(row: dict[str, Any]) -> bytes:
    """A row as a serialized tf.Example; what is null is left out."""
    feature = {}
    for key, value in row.items():
        if isinstance(value, (str, bytes)):
            content = value.encode() if isinstance(value, str) else value
            feature[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
        elif isinstance(value, int):
            feature[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        elif value is not None:
            feature[key] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _is_picture(path: str, without: tuple[str, ...]) -> bool:
    name = os.path.basename(path)
    return (
        not name.startswith(".")
        and os.path.splitext(name)[1].lower() in picture_formats.endings()
        and not _absolute(path).startswith(without)
    )


def _absolute(path: str) -> str:
    return path.rstrip("/") if "://" in path else os.path.abspath(path)


def _folder_of(pattern: str) -> str:
    """The folder in which all lies that a pattern may find."""
    fixed = re.split(r"[*?\[]", pattern)[0]
    return fixed[: fixed.rfind("/") + 1]


def _found(path: str, folders: Sequence[str]) -> FoundFile:
    longest = max((len(folder) for folder in folders if path.startswith(folder)), default=0)
    return FoundFile(path, file_tree.readable(os.path.splitext(path[longest:])[0]))


def _read(path: str, settings: PictureSettings, bands: BandsConfig | None) -> Keyed:
    name = file_tree.readable(path)
    try:
        with filesystems.FileSystems.open(path) as file:
            return name, picture_formats.for_model(file.read(), settings, bands)
    except OSError as error:
        return name, str(error) or type(error).__name__


def _row(key: str, found: Prediction | str, class_names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(arrow_schema(class_names).names)
    row["picture"] = key
    if isinstance(found, str):
        row["error"] = found
        return row
    height, width = found.mask.shape
    shares = np.asarray(found.shares(len(class_names)), np.float32).tolist()
    row |= {f"share_{name}": share for name, share in zip(class_names, shares, strict=True)}
    row |= {"width": width, "height": height}
    row |= {"confidence": found.confidence, "mask_png": found.mask_png}
    return row
