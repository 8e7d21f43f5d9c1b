import numpy as np
import pytest
import tensorflow as tf

from components.common import confusion, schema
from components.trainer.counting import confusion_matrices


def by_hand(truth, predicted, names, ignore=schema.IGNORE_INDEX):
    """Every metric from its definition, with sets of pixels and no confusion matrix."""
    truth, predicted = np.ravel(truth), np.ravel(predicted)
    keep = truth != ignore
    truth, predicted = truth[keep], predicted[keep]

    def share(part, whole):
        return len(part) / len(whole) if whole else float("nan")

    result = {"pixel_accuracy": float(np.mean(truth == predicted)) if truth.size else np.nan}
    ious = []
    for index, name in enumerate(names):
        is_class, guessed = (
            set(np.flatnonzero(truth == index)),
            set(np.flatnonzero(predicted == index)),
        )
        both, either = is_class & guessed, is_class | guessed
        result[f"iou_{name}"] = share(both, either)
        result[f"accuracy_{name}"] = share(both, is_class)
        result[f"precision_{name}"] = share(both, guessed)
        total = len(is_class) + len(guessed)
        result[f"dice_{name}"] = 2 * len(both) / total if total else float("nan")
        if either:
            ious.append(result[f"iou_{name}"])
    result["mean_iou"] = float(np.mean(ious)) if ious else float("nan")
    result["predicted_classes"] = len(np.unique(predicted))
    return result


CASES = {
    "random": lambda rng: (rng.integers(0, 3, (4, 9, 7)), rng.integers(0, 3, (4, 9, 7))),
    "absent from truth": lambda rng: (rng.integers(0, 2, (2, 8, 8)), rng.integers(0, 3, (2, 8, 8))),
    "absent from prediction": lambda rng: (
        rng.integers(0, 3, (2, 8, 8)),
        rng.integers(1, 3, (2, 8, 8)),
    ),
    "absent from both": lambda rng: (rng.integers(0, 2, (2, 8, 8)), rng.integers(0, 2, (2, 8, 8))),
    "one pixel": lambda rng: (rng.integers(0, 3, (5, 1, 1)), rng.integers(0, 3, (5, 1, 1))),
    "ignored pixels": lambda rng: (
        rng.choice([0, 1, 2, schema.IGNORE_INDEX], (3, 8, 8)),
        rng.integers(0, 3, (3, 8, 8)),
    ),
    "all ignored": lambda rng: (np.full((2, 4, 4), schema.IGNORE_INDEX), np.zeros((2, 4, 4), int)),
    "rare": lambda rng: (
        (rng.random((2, 8, 8)) > 0.1).astype(int),
        rng.integers(0, 3, (2, 8, 8)),
    ),
    "perfect": lambda rng: (np.eye(6, dtype=int)[None], np.eye(6, dtype=int)[None]),
}


@pytest.mark.parametrize("case", CASES)
def test_scores_equal_their_definitions(case):
    truth, predicted = CASES[case](np.random.default_rng(0))
    names = ["pet", "background", "border"]
    matrices = confusion_matrices(
        tf.constant(truth, tf.int64), tf.constant(predicted, tf.int64), 3
    ).numpy()
    assert matrices.shape == (len(truth), 3, 3)
    found = confusion.scores(matrices.sum(axis=0), names)
    expected = by_hand(truth, predicted, names)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9, nan_ok=True), name


def test_each_picture_has_its_own_matrix():
    truth = tf.constant([[[0, 0]], [[1, 1]]], tf.int64)
    predicted = tf.constant([[[0, 1]], [[1, 1]]], tf.int64)
    matrices = confusion_matrices(truth, predicted, 2).numpy()
    assert matrices.tolist() == [[[1, 1], [0, 0]], [[0, 0], [0, 2]]]
