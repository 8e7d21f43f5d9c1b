"""Found, missed and invented objects, against a flood fill and COCO's own intersections."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import execution
from pycocotools import mask as coco

from components.common import schema
from components.evaluator.config import EvaluatorConfig
from components.evaluator.eval_config import make_eval_config
from components.evaluator.objects import match_objects, scores
from components.evaluator.verdict import read_verdict

IGNORE = schema.IGNORE_INDEX


def drawn(rng, ignored=0):
    """Boxes of the classes 1 and 2 on 0; the prediction has some moved, some gone, some more."""
    truth, predicted = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    for _ in range(9):
        top, left = rng.integers(0, 50), rng.integers(0, 70)
        height, width = rng.integers(3, 14, 2)
        kind = rng.integers(1, 3)
        truth[top : top + height, left : left + width] = kind
        if rng.random() < 0.75:
            top, left = np.maximum([top, left] + rng.integers(-3, 4, 2), 0)
            predicted[top : top + height, left : left + width] = kind
    top, left = rng.integers(0, 50), rng.integers(0, 70)
    predicted[top : top + 5, left : left + 6] = 2
    for _ in range(ignored):
        top, left = rng.integers(0, 50), rng.integers(0, 70)
        truth[top : top + 12, left : left + 12] = IGNORE
    return truth, predicted


def pieces(mask):
    """Objects that hang together, at a corner too, by a flood fill."""
    left = set(zip(*np.nonzero(mask), strict=True))
    while left:
        piece, edge = set(), [left.pop()]
        while edge:
            row, column = edge.pop()
            piece.add((row, column))
            for step in itertools.product((-1, 0, 1), repeat=2):
                neighbour = row + step[0], column + step[1]
                if neighbour in left:
                    left.remove(neighbour)
                    edge.append(neighbour)
        found = np.zeros(mask.shape, np.uint8, order="F")
        found[tuple(zip(*piece, strict=True))] = 1
        yield found


def by_coco(truth, predicted, index):
    """COCO's own intersections over unions, of what is left without the ignored pixels."""
    void = truth == IGNORE
    true = list(pieces(truth == index))
    guesses = list(pieces(predicted == index))
    overlaps = np.zeros((len(true), len(guesses)))
    if true and guesses:
        seen = [np.asfortranarray(one * ~void) for one in guesses]
        overlaps = coco.iou(
            [coco.encode(one) for one in seen],
            [coco.encode(one) for one in true],
            [0] * len(true),
        ).T
    found = [(one, other) for one, other in zip(*np.nonzero(overlaps > 0.5), strict=True)]
    matched = {other for _, other in found}
    invented = [
        one
        for number, one in enumerate(guesses)
        if number not in matched and (one * void).sum() <= one.sum() / 2
    ]
    total = sum(overlaps[pair] for pair in found)
    return [len(found), len(true) - len(found), len(invented), total]


@pytest.mark.parametrize("ignored", [0, 2])
def test_what_coco_says(ignored):
    rng = np.random.default_rng(ignored)
    totals = np.zeros(4)
    for _ in range(25):
        truth, predicted = drawn(rng, ignored)
        for index in (1, 2):
            found = match_objects(truth, predicted, index)
            np.testing.assert_allclose(found, by_coco(truth, predicted, index), atol=1e-9)
            totals += found
    assert (totals[:3] > 10).all()  # of each kind some


def test_the_bound_itself_is_no_match():
    truth, predicted = np.zeros((4, 12), np.uint8), np.zeros((4, 12), np.uint8)
    truth[:2, :3], predicted[:2, :6] = 1, 1  # half
    assert match_objects(truth, predicted, 1).tolist() == [0, 1, 1, 0]
    predicted[:2, 5] = 0
    assert match_objects(truth, predicted, 1).tolist() == [1, 0, 0, 0.6]


def test_what_is_mostly_ignored_is_not_invented():
    truth, predicted = np.full((4, 6), IGNORE, np.uint8), np.zeros((4, 6), np.uint8)
    predicted[:, 1:5] = 1
    assert match_objects(truth, predicted, 1).tolist() == [0, 0, 0, 0]
    truth[:, :3] = 0  # half of it
    assert match_objects(truth, predicted, 1).tolist() == [0, 0, 1, 0]


def test_scores_by_hand():
    assert scores(np.array([6, 2, 4, 4.5]), "car") == {
        "objects_found_car": 6,
        "objects_missed_car": 2,
        "objects_invented_car": 4,
        "objects_f1_car": pytest.approx(6 / 9),
        "objects_quality_car": pytest.approx(0.5),
    }
    nothing = scores(np.zeros(4), "car")
    assert math.isnan(nothing["objects_f1_car"]) and math.isnan(nothing["objects_quality_car"])


@pytest.mark.slow
@pytest.mark.parametrize("baseline", [False, True])
def test_the_evaluator_counts_them_in_every_slice(evaluate, pet_classes, baseline, monkeypatch):
    """Beside an earlier blessed model that gives no masks, too. Masks leave no stage of Beam's."""
    passed_on = []
    for kind in (execution.ListBuffer, execution.GroupingBuffer):
        append = kind.append

        def counted(self, elements, append=append):
            passed_on.append(len(elements))
            return append(self, elements)

        monkeypatch.setattr(kind, "append", counted)
    rng = np.random.default_rng(5)
    examples = []
    for number in range(12):
        truth, predicted = drawn(rng, ignored=1)
        before = {"before": predicted} if baseline else {}
        examples.append({"truth": truth, "predicted": predicted, "kind": "ab"[number % 2]} | before)
    config = make_eval_config(
        EvaluatorConfig(at="picture", objects=("background", "border")), pet_classes, ["kind"]
    )
    uri, _ = evaluate(examples, config, baseline)
    metrics = read_verdict(uri).metrics
    for key, chosen in (((), "ab"), ((("kind", "a"),), "a"), ((("kind", "b"),), "b")):
        some = [one for one in examples if one["kind"] in chosen]
        for name, index in (("background", 1), ("border", 2)):
            counts = sum(match_objects(one["truth"], one["predicted"], index) for one in some)
            for metric, value in scores(counts, name).items():
                assert metrics[key][metric] == pytest.approx(value, abs=1e-6), (key, metric)
    assert "objects_found_pet" not in metrics[()]
    assert 0 < sum(passed_on) < 12 * drawn(rng)[0].nbytes


def densely(truth, predicted, index):
    """By tables of all true objects and all predicted ones."""
    true, guesses = (
        np.stack([np.zeros(mask.shape, bool), *(one == 1 for one in pieces(mask == index))])[1:]
        for mask in (truth, predicted)
    )
    flat, others = (stack.reshape(len(stack), truth.size).astype(int) for stack in (true, guesses))
    void = (truth == IGNORE).ravel().astype(int)
    shared, ignored = flat @ others.T, others @ void
    union = flat.sum(1)[:, None] + (others.sum(1) - ignored)[None] - shared
    overlap = shared / np.maximum(union, 1)
    same = overlap > 0.5
    invented = ~same.any(0) & (ignored <= others.sum(1) / 2)
    return [same.sum(), len(true) - same.sum(), invented.sum(), overlap[same].sum()]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 1.0])
def test_speckled_masks_are_counted_as_by_tables_of_all_pairs(share):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        shape = rng.integers(1, 40, 2)
        truth = (rng.random(shape) < share).astype(np.uint8)
        truth[rng.random(shape) < 0.1] = IGNORE
        kept = rng.random(shape) < 0.8
        predicted = np.where(kept, truth == 1, rng.random(shape) < share).astype(np.uint8)
        found, wanted = match_objects(truth, predicted, 1), densely(truth, predicted, 1)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_memory_is_that_of_the_pictures_not_of_the_objects_squared():
    """12,000 objects on either side: the tables of all pairs had 4 GB."""
    rng = np.random.default_rng(0)
    truth, predicted = ((rng.random((512, 512)) < 0.06).astype(np.uint8) for _ in range(2))
    tracemalloc.start()
    found, missed, invented, _ = match_objects(truth, predicted, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found + missed > 10_000 and found + invented > 10_000
    assert peak < 64 * truth.size
