"""How far do the contours of a run's model lie from those of the masks?

    python tests/benchmarks/contours.py RUN_DIR [--split test] [--together pet border]

Mean IoU does not tell whether a thin class is missed or only lies a pixel beside. For each
class of a finished run, and for those that `--together` makes one, this prints its IoU and how
far apart the contours of prediction and mask are, in pixels of what the network sees:

- median and 95th percentile of the distance from each pixel of either contour to the nearest one
  of the other. Where the other has no contour in the picture, the distance is infinite.
- the boundary F-score within 1 and 2 pixels (Csurka et al., BMVC 2013): the harmonic mean of
  the shares of predicted and of true contour pixels that have the other contour so near; over
  all pictures together, where the paper has each picture's.

A contour is what a class has of pixels with another class above, below, left or right.

Then how much of what is wrong lies so near to a contour of the mask that it may as well be the
mask's fault, what the mean IoU would be if that were right, and what it is of the masks against
themselves, moved by a pixel.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import finished_run
import numpy as np
import tensorflow as tf
from one_training import class_iou
from scipy import ndimage

from components.common import schema
from components.common.model_card import read_card
from components.common.served_model import find_model, fit_of
from components.trainer.input_pipeline import read_examples

_BATCH = 32
_NEAR = (1, 2)  # pixels


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir")
    parser.add_argument("--split", default="test")
    parser.add_argument("--together", nargs="+", metavar="CLASS", help="count these as one")
    parser.add_argument("--flip", action="store_true", help="average over the mirror image too")
    options = parser.parse_args()
    path = find_model(options.run_dir)
    card = read_card(path)
    fit, names = fit_of(card), list(card["classes"].names)
    if fit.fit == "tiles":
        parser.error(f"{path} sees windows: this is for pictures that are seen whole")
    if unknown := set(options.together or []) - set(names):
        parser.error(f"no class {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    groups = {name: [index] for index, name in enumerate(names)}
    if options.together:
        groups[" + ".join(options.together)] = [names.index(name) for name in options.together]
    tallies = {name: Tally() for name in groups}
    doubts = {pixels: np.zeros([len(names)] * 2, np.int64) for pixels in (0, *_NEAR)}
    moved = np.zeros([len(names)] * 2, np.int64)
    count = 0
    for truth, predicted in masks(options.run_dir, options.split, path, options.flip):
        count += 1
        counted = truth != schema.IGNORE_INDEX
        for name, indices in groups.items():
            tallies[name].add(np.isin(truth, indices), np.isin(predicted, indices), counted)
        for pixels, matrix in doubts.items():
            forgiven = np.where(near_contour(truth, pixels), truth, predicted)
            matrix += confusion(truth, forgiven, counted, len(names))
        beside = np.roll(truth, (1, 1), (0, 1))
        moved += confusion(truth, beside, counted & (beside != schema.IGNORE_INDEX), len(names))
    height, width = fit.image_size
    print(f"{count} pictures of {height}x{width}, split {options.split}")
    all_classes = doubts[0]
    accuracy = all_classes.trace() / all_classes.sum()
    print(f"mean IoU {class_iou(all_classes).mean():.4f}, pixel accuracy {accuracy:.4f}")
    print(f"{'':<20} IoU     median  95 %   F at 1  F at 2")
    for name, tally in tallies.items():
        near, far = np.percentile(tally.all_distances(), [50, 95], method="lower")
        scores = "  ".join(f"{tally.f_score(pixels):.4f}" for pixels in _NEAR)
        print(f"{name:<20} {tally.iou():.4f}  {near:<6.1f}  {far:<5.1f}  {scores}")
    wrong = doubts[0].sum() - doubts[0].trace()
    for pixels in _NEAR:
        matrix = doubts[pixels]
        share = 1 - (matrix.sum() - matrix.trace()) / max(wrong, 1)
        print(
            f"within {pixels} of a mask's contours: {share:.0%} of what is wrong; were it right, "
            f"the mean IoU would be {class_iou(matrix).mean():.4f}"
        )
    print(f"the masks, moved down and to the right by a pixel: {class_iou(moved).mean():.4f}")


def masks(
    run_dir: str, split: str, path: str, flip: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Truth and prediction of each picture: [height, width] of class indices."""
    model = tf.saved_model.load(path)  # a signature does not keep what it is a part of
    serve = model.signatures[schema.FLIPPED_SIGNATURE if flip else schema.SERVING_SIGNATURE]
    folder = finished_run.artifact(run_dir, "TfdsExampleGen", "examples")
    transform = finished_run.transform_graph(run_dir)
    spec = transform.raw_feature_spec()
    layer = transform.transform_features_layer()
    for batch in read_examples([f"{folder}/Split-{split}/*"]).batch(_BATCH):
        raw = tf.io.parse_example(batch, {key: spec[key] for key in (schema.IMAGE, schema.MASK)})
        truth = layer(raw)[schema.MASK].numpy()
        answer = serve(**{schema.IMAGE_BYTES: raw[schema.IMAGE][:, 0]})
        yield from zip(truth, answer[schema.MASK].numpy(), strict=True)


@dataclasses.dataclass
class Tally:
    """What is counted of one class over the pictures.

    Attributes:
      common: pixels that are the class's in truth and in prediction.
      union: in either.
      to_truth: for each picture float64 [pixels of the predicted contour], their distances.
      to_prediction: likewise of the true contour's.
    """

    common: int = 0
    union: int = 0
    to_truth: list[np.ndarray] = dataclasses.field(default_factory=list)
    to_prediction: list[np.ndarray] = dataclasses.field(default_factory=list)

    def add(self, truth: np.ndarray, predicted: np.ndarray, counted: np.ndarray) -> None:
        """Adds a picture: bool [height, width] each; what is not counted has no contour."""
        self.common += int(np.count_nonzero(truth & predicted & counted))
        self.union += int(np.count_nonzero((truth | predicted) & counted))
        true, guessed = contour(truth, counted), contour(predicted, counted)
        self.to_truth.append(distances(guessed, true))
        self.to_prediction.append(distances(true, guessed))

    def iou(self) -> float:
        """0 to 1; NaN where the class is nowhere."""
        return self.common / self.union if self.union else float("nan")

    def all_distances(self) -> np.ndarray:
        """Float64 [pixels of both contours], in pixels; a single NaN where there are none."""
        found = np.concatenate([np.empty(0), *self.to_truth, *self.to_prediction])
        return found if len(found) else np.array([np.nan])

    def f_score(self, pixels: float) -> float:
        """0 to 1; NaN where neither truth nor prediction has a contour."""
        if np.isnan(self.all_distances()[0]):
            return float("nan")
        precision, recall = (_share(one, pixels) for one in (self.to_truth, self.to_prediction))
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def contour(inside: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Pixels inside that have a counted one outside above, below, left or right.

    Args:
      inside: bool [height, width].
      counted: the same.

    Returns:
      bool [height, width].
    """
    return inside & counted & ndimage.binary_dilation(~inside & counted)


def near_contour(truth: np.ndarray, pixels: int) -> np.ndarray:
    """Which pixels lie within so many of where the class changes: bool [height, width].

    Args:
      truth: [height, width] of class indices.
      pixels: 1: those next to another class, above, below, left or right; 2: their neighbours
        too, those at the corners included; 0: none.
    """
    edge = np.zeros(truth.shape, bool)
    for axis in (0, 1):
        changes = np.diff(truth.astype(np.int64), axis=axis) != 0
        before, after = ([(0, 0), (0, 0)] for _ in range(2))
        before[axis], after[axis] = (0, 1), (1, 0)
        edge |= np.pad(changes, before) | np.pad(changes, after)
    if pixels < 2:
        return edge & (pixels > 0)
    return ndimage.binary_dilation(edge, np.ones((3, 3)), iterations=pixels - 1)


def confusion(
    truth: np.ndarray, predicted: np.ndarray, counted: np.ndarray, num_classes: int
) -> np.ndarray:
    """Int64 [C, C] of truth and prediction."""
    pairs = truth[counted].astype(np.int64) * num_classes + predicted[counted]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def distances(of: np.ndarray, to: np.ndarray) -> np.ndarray:
    """From each pixel of one contour to the nearest of another: float64 [pixels]."""
    if not to.any():
        return np.full(np.count_nonzero(of), np.inf)
    return ndimage.distance_transform_edt(~to)[of]


def _share(found: Sequence[np.ndarray], pixels: float) -> float:
    values = np.concatenate([np.empty(0), *found])
    return float(np.mean(values <= pixels)) if len(values) else 0.0


if __name__ == "__main__":
    main()
