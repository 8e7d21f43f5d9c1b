import numpy as np
import pytest
import tensorflow_model_analysis as tfma

from components.evaluator.ranking import PICTURES, Ranking, RankPictures

KEY = tfma.metrics.MetricKey("ranked")


def picture(number, score):
    """Predictions whose IoU is `score` for the one class that occurs."""
    matrix = np.array([[round(score * 100_000), 0], [0, 0]])
    matrix[0, 1] = 100_000 - matrix[0, 0]
    inputs = {"confusion_matrix": matrix, "example_id": np.array([b"id %d" % number])}
    return tfma.metrics.StandardMetricInputs(predictions=inputs)


def rank(pictures, bundles):
    combiner = RankPictures(KEY)
    parts = []
    for bundle in np.array_split(np.arange(len(pictures)), bundles):
        accumulator = combiner.create_accumulator()
        for index in bundle:
            accumulator = combiner.add_input(accumulator, picture(*pictures[index]))
        parts.append(accumulator)
    assert max(map(len, parts)) <= 2 * 4096
    return Ranking.from_json(combiner.extract_output(combiner.merge_accumulators(parts))[KEY])


def test_many_pictures_keep_both_ends_and_a_fair_middle():
    rng = np.random.default_rng(0)
    pictures = list(enumerate(rng.permutation(20_000) / 20_000))
    ranking = rank(pictures, 1)
    # The IoU of the class that was missed is 0: the mean is half the score.
    ids = [f"id {number}" for number, _ in sorted(pictures, key=lambda pair: pair[1])]
    assert [example_id for example_id, _ in ranking.worst] == ids[:PICTURES]
    assert [example_id for example_id, _ in ranking.best] == ids[: -PICTURES - 1 : -1]
    assert all(abs(score - 0.25) < 0.015 for _, score in ranking.median)


def test_the_ranking_does_not_depend_on_how_the_split_was_cut():
    rng = np.random.default_rng(1)
    pictures = list(enumerate(rng.random(12_000).round(3)))
    shuffled = [pictures[index] for index in rng.permutation(len(pictures))]
    assert rank(pictures, 1) == rank(pictures, 7) == rank(shuffled, 3)


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_few_pictures(count):
    ranking = rank([(number, number / 10) for number in range(count)], 1)
    for pairs in (ranking.best, ranking.median, ranking.worst):
        assert len(pairs) == min(count, PICTURES)
