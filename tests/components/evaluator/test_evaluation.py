"""What comes out of TFX's Evaluator, from masks to blessing."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from lossy_engine import losing

from components.common import schema
from components.common.errors import UserError
from components.common.reliability import UNIT
from components.evaluator.component import check_pictures
from components.evaluator.config import EvaluatorConfig, ObjectSizeConfig
from components.evaluator.eval_config import make_eval_config
from components.evaluator.object_size import object_size
from components.evaluator.verdict import read_verdict

pytestmark = pytest.mark.slow

NAMES = ["pet", "background", "border"]
OVERALL = ()


def definitions():
    """`test_confusion.py` computes every metric without a confusion matrix."""
    path = Path(__file__).with_name("test_confusion.py")
    spec = importlib.util.spec_from_file_location("metric_definitions", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def calibration_error(truth, guess, sure):
    """By the paper's definition (Guo et al., ICML 2017), bin by bin."""
    right, sure = (guess == truth)[truth < 3], sure[truth < 3]
    if not right.size:
        return np.nan
    found = 0
    for number in range(15):
        here = (sure > number / 15) & (sure <= (number + 1) / 15)
        if here.any():
            found += here.mean() * abs(right[here].mean() - sure[here].mean())
    return found


def test_tfma_gives_the_metrics_of_every_slice(evaluate, pet_classes):
    """Random and degenerate masks, one slice each, against NumPy's values."""
    reference = definitions()
    rng = np.random.default_rng(2)
    examples, masks = [], {}
    for case, make in reference.CASES.items():
        truths, guesses = make(np.random.default_rng(1))
        # (of 255; none on a bin's edge, where a float32 may fall to either side)
        levels = [level for level in range(85, 256) if level % 17]
        sure = [rng.choice(levels, truth.shape) for truth in truths]
        masks[(("case", case),)] = list(zip(truths, guesses, sure, strict=True))
        examples += [
            {"truth": truth, "predicted": guess, "confidence": sure, "case": case}
            for truth, guess, sure in masks[(("case", case),)]
        ]
    masks[OVERALL] = [pair for pairs in list(masks.values()) for pair in pairs]
    sizes = ObjectSizeConfig(classes=("pet", "border"), small_below=0.4, large_from=0.7)
    for truth, guess, sure in masks[OVERALL]:
        counted = truth[truth != schema.IGNORE_INDEX]
        share = np.mean(counted != NAMES.index("background")) if counted.size else 0
        size = "small" if share < 0.4 else "large" if share >= 0.7 else "medium"
        size = size if share else "none"
        masks.setdefault(((schema.OBJECT_SIZE, size),), []).append((truth, guess, sure))

    config = make_eval_config(EvaluatorConfig(object_size=sizes), pet_classes, ["case"])
    uri, blessed = evaluate(examples, config)
    verdict = read_verdict(uri)

    assert blessed and verdict.blessed
    assert set(verdict.metrics) == set(masks)
    assert {f"object_size {size}" for size in ("none", "small", "medium", "large")} <= {
        f"{feature} {value}" for key in verdict.metrics for feature, value in key
    }
    for key, pairs in masks.items():
        truth, guess, sure = (
            np.concatenate([a.ravel() for a in one]) for one in zip(*pairs, strict=True)
        )
        expected = reference.by_hand(truth, guess, NAMES) | {
            "example_count": len(pairs),
            "expected_calibration_error": calibration_error(truth, guess, sure / 255),
        }
        assert verdict.metrics[key].keys() == expected.keys()
        for name, value in expected.items():
            found = verdict.metrics[key][name]
            assert found == pytest.approx(value, abs=1e-6, nan_ok=True), (key, name)

    # The matrix itself, as TFMA's own loader gives it.
    plots = dict(tfma.load_eval_result(uri).plots)[OVERALL][""][""]
    entries = plots["multiClassConfusionMatrixAtThresholds"]["matrices"][0]["entries"]
    found = np.zeros((3, 3))
    for entry in entries:
        cell = entry.get("actualClassId", 0), entry.get("predictedClassId", 0)
        found[cell] = entry.get("numWeightedExamples", 0)
    expected = np.zeros((3, 3))
    for truth, guess, _ in masks[OVERALL]:
        keep = truth != schema.IGNORE_INDEX
        np.add.at(expected, (truth[keep], guess[keep]), 1)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(verdict.matrix, expected)

    # How sure it was, as TFMA's loader gives it.
    pixels, right, sure = verdict.reliability.sum(axis=0)
    assert pixels == expected.sum() and right == np.trace(expected)
    told = [one[(one_truth < 3)] for one_truth, _, one in masks[OVERALL]]
    assert sure / UNIT == pytest.approx(np.concatenate(told).sum() / 255, rel=1e-6)

    # The ranking, against the mean IoU of each picture by itself. (Its id is its position.)
    def alone(truth, guess):
        return reference.by_hand(truth, guess, NAMES)["mean_iou"]

    own = {str(i): alone(truth, guess) for i, (truth, guess, _) in enumerate(masks[OVERALL])}
    ranked = sorted(score for score in own.values() if not np.isnan(score))
    assert len(ranked) > 12
    for pictures in (verdict.ranking.best, verdict.ranking.median, verdict.ranking.worst):
        for example_id, score in pictures:
            assert score == pytest.approx(own[example_id])
    assert [score for _, score in verdict.ranking.worst] == pytest.approx(ranked[:4])
    assert [score for _, score in verdict.ranking.best] == pytest.approx(ranked[:-5:-1])
    middle = (len(ranked) - 4) // 2
    assert [score for _, score in verdict.ranking.median] == pytest.approx(
        ranked[middle : middle + 4][::-1]
    )


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [(0, "none"), (1, "small"), (10, "medium"), (39, "medium"), (40, "large")],
)
def test_object_sizes_at_their_bounds(pixels, expected):
    config = ObjectSizeConfig(classes=("pet", "border"), small_below=0.1, large_from=0.4)
    matrix = np.array([[0, pixels, 0], [0, 100 - pixels, 0], [0, 0, 0]])
    assert object_size(matrix, NAMES, config) == expected
    assert object_size(matrix[[2, 1, 0]], NAMES, config) == expected  # as border


def masks_with_errors(count, error, rng, size=20):
    """Truths of two halves, and predictions that take a share of the pet for background."""
    truth = np.ones((count, size, size), np.uint8)
    truth[:, :, : size // 2] = 0
    predicted = truth.copy()
    predicted[(truth == 0) & (rng.random(truth.shape) < error)] = 1
    return list(zip(truth, predicted, strict=True))


def slices(rng, **errors):
    """Examples of some species: `cat=(count, error now, error before)`."""
    examples = []
    for species, (count, now, before) in errors.items():
        current = masks_with_errors(count, now, rng)
        former = masks_with_errors(count, before, rng)
        for (truth, predicted), (_, old) in zip(current, former, strict=True):
            examples.append(
                {"truth": truth, "predicted": predicted, "before": old, "species": species}
            )
    return examples


CONFIG = EvaluatorConfig(max_drop=0.02, max_slice_drop=0.05, min_slice_examples=10)


def test_a_fall_in_one_slice_refuses_the_model(evaluate, pet_classes):
    """The whole split is better than before; only the cats are worse."""
    examples = slices(np.random.default_rng(0), cat=(12, 0.5, 0.1), dog=(60, 0.0, 0.3))
    config = make_eval_config(CONFIG, pet_classes, ["species"])
    uri, blessed = evaluate(examples, config, baseline=True)
    verdict = read_verdict(uri)
    assert not blessed and not verdict.blessed
    (failure,) = verdict.failures
    assert failure.slice == (("species", "cat"),)
    assert verdict.overall["mean_iou_diff"] > 0
    assert failure.value == pytest.approx(verdict.metrics[failure.slice]["mean_iou_diff"])
    assert f"mean_iou of species cat {failure.value:+.4f} against the latest blessed" in str(
        failure
    )
    assert "-0.0500 is allowed" in str(failure)


def test_a_fall_in_a_slice_with_few_pictures_does_not(evaluate, pet_classes):
    examples = slices(np.random.default_rng(0), cat=(9, 0.5, 0.1), dog=(60, 0.0, 0.3))
    config = make_eval_config(CONFIG, pet_classes, ["species"])
    uri, blessed = evaluate(examples, config, baseline=True)
    verdict = read_verdict(uri)
    assert blessed and verdict.blessed
    assert {check.slice for check in verdict.checks} == {OVERALL, (("species", "dog"),)}
    assert verdict.metrics[(("species", "cat"),)]["mean_iou_diff"] < -0.05  # it is still shown


def test_without_an_earlier_model_only_the_floors_count(evaluate, pet_classes):
    examples = slices(np.random.default_rng(0), cat=(12, 0.5, 0.1))
    uri, blessed = evaluate(examples, make_eval_config(CONFIG, pet_classes, ["species"]))
    assert blessed
    assert not any(check.change for check in read_verdict(uri).checks)


@pytest.mark.parametrize("predicted", [0, 1, 2])
def test_one_class_everywhere_never_passes(evaluate, pet_classes, predicted):
    """All floors are 0, and most of the truth is that class."""
    truth = np.full((8, 8), predicted)
    truth[0, 0] = (predicted + 1) % 3
    examples = [{"truth": truth, "predicted": np.full((8, 8), predicted)}] * 3
    uri, blessed = evaluate(examples, make_eval_config(EvaluatorConfig(), pet_classes, []))
    verdict = read_verdict(uri)
    assert not blessed and not verdict.blessed
    (failure,) = verdict.failures
    assert str(failure) == "it predicts one and the same class for every pixel of every picture"


@pytest.mark.parametrize("which", range(3))
def test_an_engine_that_loses_a_piece_has_lost_no_picture_or_the_step_fails(
    evaluate, pet_classes, which
):
    mask = np.arange(12).reshape(3, 4) % 3
    examples = [{"truth": mask, "predicted": mask, "species": "cat"} for _ in range(6)]
    try:
        with losing(which):
            uri, _ = evaluate(examples, make_eval_config(CONFIG, pet_classes, ["species"]))
    except Exception:
        return  # TFMA's own, or ours
    verdict = read_verdict(uri)
    assert {values["example_count"] for values in verdict.metrics.values()} == {6}
    assert len(verdict.metrics) == 2
    assert verdict.matrix.sum() == 6 * mask.size


def test_pictures_and_slices_are_counted(evaluate, pet_classes):
    mask = np.arange(12).reshape(3, 4) % 3
    examples = [
        {"truth": mask, "predicted": mask, "species": species} for species in ("cat", "dog", "cat")
    ]
    uri, _ = evaluate(examples, make_eval_config(CONFIG, pet_classes, ["species"]))
    verdict = read_verdict(uri)
    check_pictures(verdict, "test", 3)
    with pytest.raises(UserError, match="^3 pictures of split test were .*, there are 4: "):
        check_pictures(verdict, "test", 4)
    del verdict.metrics[(("species", "dog"),)]
    with pytest.raises(UserError, match="^2 pictures of .* evaluated by species, there are 3: "):
        check_pictures(verdict, "test", 3)
