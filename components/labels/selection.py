"""What to label next: pictures that the model is least sure of, no two of them alike.

Of the least sure ones three times as many as are wanted are kept, and of these the ones chosen that
lie far from each other, and from what is labelled, in the encoder's features. To filter by
uncertainty first is Zhdanov's way (2019, "Diverse mini-batch Active Learning",
https://arxiv.org/abs/1901.05954), with the core set of Sener and Savarese in place of k-means.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from components.common import schema
from components.common.errors import UserError
from components.common.examples import unlabelled
from components.common.one_by_one import each_or_reason
from components.common.served_model import Prediction, ServedModel, reason_of
from components.labels.inference import Inference, Seen
from components.labels.k_centre import greedy_k_centre
from components.labels.scores import uncertainty
from components.predictor.picture_files import Picture, PictureFile, read_picture

_TIMES = 3  # as many are kept by their uncertainty
_AT_A_TIME = 16  # pictures


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A picture without a label.

    Attributes:
      file: of the picture.
      margin: 1 less the mean margin between its pixels' two likeliest classes.
      flip: mean distance of the predictions for it and for its mirror image.
      features: float32 [channels], of the encoder.
    """

    file: PictureFile
    margin: float
    flip: float
    features: np.ndarray

    @property
    def uncertainty(self) -> float:
        """What they are ranked by: from 0, sure, to 2."""
        return self.margin + self.flip


def look(
    model: ServedModel, inference: Inference, files: Sequence[PictureFile]
) -> Iterator[Candidate | str]:
    """Looks at pictures.

    Args:
      model: how its own pictures were read.
      inference: the same model.
      files: the pictures.

    Yields:
      A candidate for each, in order; or why it can't be one.
    """
    remaining = iter(files)
    while batch := list(itertools.islice(remaining, _AT_A_TIME)):
        pictures = [_read(file, model) for file in batch]
        good = [one for one in pictures if isinstance(one, Picture)]
        found = iter(_see(model, inference, good))
        for file, picture in zip(batch, pictures, strict=True):
            seen = picture if isinstance(picture, str) else next(found)
            if isinstance(seen, str) or isinstance(picture, str):
                yield f"{file.path}: {seen}"
                continue
            counted = seen.labels != schema.IGNORE_INDEX
            assert seen.mirrored is not None
            margin, flip = uncertainty(seen.probabilities, seen.mirrored, counted)
            yield Candidate(file, margin, flip, seen.features)


def features_of(inference: Inference, records: Iterable[bytes]) -> np.ndarray:
    """What the encoder sees of labelled examples: float32 [n, channels]."""
    found = [seen.features for seen in inference.see(records)]
    return np.stack(found) if found else np.zeros((0, 0), np.float32)


def choose(candidates: Sequence[Candidate], count: int, labelled: np.ndarray) -> list[Candidate]:
    """Chooses among them.

    Args:
      candidates: all of them.
      count: how many are wanted.
      labelled: float [m, channels], features of what is labelled already.

    Returns:
      `min(count, n)` of them, the one first that is farthest from what is labelled.
    """
    order = sorted(candidates, key=lambda one: (-one.uncertainty, one.file.path))
    kept = order[: _TIMES * count]
    if not kept:
        return []
    points = np.stack([one.features for one in kept])
    return [kept[at] for at in greedy_k_centre(points, count, labelled)]


def predict(model: ServedModel, chosen: Sequence[Candidate]) -> Iterator[Prediction]:
    """The model's masks of chosen pictures, at the pictures' own sizes.

    Raises:
      UserError: a picture can't be read any more.
    """
    for one in chosen:
        try:
            picture = read_picture(one.file.path, model.pictures, model.bands)
        except OSError as error:
            raise gone(one, error) from error
        yield from model.predict([picture.encoded])


def gone(one: Candidate, error: OSError) -> UserError:
    """The error for a picture that could be read when it was looked at, and now can't."""
    return UserError(
        f"{one.file.path} was chosen, and can't be read any more: {error.strerror or error}; give "
        "the command again"
    )


def _read(file: PictureFile, model: ServedModel) -> Picture | str:
    try:
        return read_picture(file.path, model.pictures, model.bands)
    except OSError as error:
        return str(error)


def _see(model: ServedModel, inference: Inference, pictures: Sequence[Picture]) -> list[Seen | str]:
    records = [unlabelled(one.encoded, model.classes, one.image.size) for one in pictures]
    return each_or_reason(
        lambda some: inference.see(some, flip=True),
        records,
        (tf.errors.InvalidArgumentError,),
        lambda error: reason_of(f"InvalidArgumentError: {error}"),
    )
