"""Out-of-fold predictions: each training picture judged by a model that has not learned from it.

The training split is cut into folds; for each the Trainer's own `run_fn` trains on the others.
What is done is kept: called again, it goes on where it was ended, in the middle of a training too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from components.common import schema
from components.common.errors import UserError
from components.common.examples import bytes_of
from components.common.served_model import ServedModel
from components.labels.inference import Inference
from components.labels.scores import label_quality
from components.trainer.run_fn import run_fn

_SCORES_FILE = "scores.json"
_RECORDS_FILE = "examples.gz"


@dataclasses.dataclass(frozen=True)
class Training:
    """The training of a run, as TFX has given it to the Trainer.

    Attributes:
      train_files: TFRecord files of the training split.
      validation_files: those of the validation split.
      transform_graph: folder of the Transform step's output.
      custom_config: the Trainer's settings.
      hyperparameters: what a Tuner has found; None: there was none.
      alike: ids of each group of training pictures that are the same, or nearly.
    """

    train_files: Sequence[str]
    validation_files: Sequence[str]
    transform_graph: str
    custom_config: dict[str, Any]
    hyperparameters: dict[str, Any] | None = None
    alike: Sequence[Sequence[str]] = ()


@dataclasses.dataclass(frozen=True)
class Scored:
    """A label's score.

    Attributes:
      example_id: of the example.
      split: that it is in.
      score: its label's quality, from 0, surely wrong, to 1.
      model: path of the SavedModel that has judged it.
    """

    example_id: str
    split: str
    score: float
    model: str


def read_records(files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Id and record of each example of TFRecord files."""
    for record in tf.data.TFRecordDataset(list(files), "GZIP").as_numpy_iterator():
        (example_id,) = bytes_of(record, schema.EXAMPLE_ID)
        yield example_id.decode(errors="replace"), record


def score_split(model_path: str, split: str, files: Sequence[str]) -> list[Scored]:
    """Scores a split by a model that has not learned from it.

    Args:
      model_path: the SavedModel.
      split: name of the split.
      files: its TFRecord files.
    """
    inference = Inference(ServedModel(model_path))
    ids = [name for name, _ in read_records(files)]
    seen = inference.see(record for _, record in read_records(files))
    return [
        Scored(name, split, label_quality(one.probabilities, one.labels), model_path)
        for name, one in zip(ids, seen, strict=True)
    ]


def score_out_of_fold(
    training: Training, count: int, work: str, tell: Callable[[str], None]
) -> list[Scored]:
    """Scores the training split, each picture by a model that was trained without its fold.

    Args:
      training: of the run.
      count: of folds, at least 2.
      work: folder for what is done so far, of this run and number of folds alone.
      tell: is called with a line when a fold is begun, and when all are done.

    Raises:
      UserError: there are fewer pictures than folds.
    """
    ids = [name for name, _ in read_records(training.train_files)]
    folds = assign(ids, count, training.alike)
    found: list[Scored] = []
    for number in range(count):
        folder = os.path.join(work, f"fold-{number + 1}")
        done = os.path.join(folder, _SCORES_FILE)
        if not os.path.exists(done):
            held_out = sum(fold == number for fold in folds.values())
            tell(f"fold {number + 1} of {count}: training without {held_out} pictures")
            _write(done, _score_fold(training, folds, number, folder))
        with open(done, encoding="utf-8") as file:
            found += [Scored(**one) for one in json.load(file)]
    tell(f"{len(found)} training pictures scored, each by a model that has not seen it")
    return found


def assign(ids: Iterable[str], count: int, alike: Sequence[Sequence[str]]) -> dict[str, int]:
    """Example's id -> number of its fold; folds of equal size, the same at every call.

    Args:
      ids: of the examples.
      count: of folds.
      alike: ids of each group whose examples lie in one fold, unless it is larger than a fold.

    Raises:
      UserError: there are fewer examples than folds.
    """
    alone = set(ids)
    if len(alone) < count:
        raise UserError(f"--folds: {count} are more than the {len(alone)} training pictures")
    largest = len(alone) // count
    groups = [group for group in map(sorted, alike) if len(group) <= largest]
    alone.difference_update(*groups)
    ordered = sorted([*groups, *([name] for name in alone)], key=_by_chance)
    ordered.sort(key=len, reverse=True)  # what is left over evens the folds' sizes out
    folds: dict[str, int] = {}
    sizes = [0] * count
    for group in ordered:
        smallest = sizes.index(min(sizes))
        sizes[smallest] += len(group)
        folds |= dict.fromkeys(group, smallest)
    return folds


def _by_chance(group: Sequence[str]) -> tuple[bytes, str]:
    """An order of groups that nothing in the data has a part in."""
    return hashlib.sha256(group[0].encode()).digest(), group[0]


def _score_fold(
    training: Training, folds: dict[str, int], number: int, folder: str
) -> list[Scored]:
    os.makedirs(folder, exist_ok=True)
    learned, held_out = (
        os.path.join(folder, f"{what}-{_RECORDS_FILE}") for what in ("train", "held")
    )
    with (
        tf.io.TFRecordWriter(learned, "GZIP") as others,
        tf.io.TFRecordWriter(held_out, "GZIP") as own,
    ):
        for name, record in read_records(training.train_files):
            (own if folds[name] == number else others).write(record)
    model = os.path.join(folder, "model", "Format-Serving")
    run_fn(
        FnArgs(
            train_files=[learned],
            eval_files=list(training.validation_files),
            transform_graph_path=training.transform_graph,
            serving_model_dir=model,
            # The Trainer keeps its checkpoints two folders above.
            model_run_dir=os.path.join(folder, "model_run", "1"),
            custom_config=training.custom_config,
            hyperparameters=training.hyperparameters,
        )
    )
    keras.utils.clear_session()
    scored = score_split(model, schema.TRAIN, [held_out])
    for path in (learned, held_out):
        os.remove(path)
    return scored


def _write(path: str, scored: Sequence[Scored]) -> None:
    partial = f"{path}.partial"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump([dataclasses.asdict(one) for one in scored], file)
    os.replace(partial, path)
