"""Loss and metric against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from components.common import schema
from components.trainer import objective
from components.trainer.config import TrainerConfig


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (2, 8, 6)).astype(np.uint8)
    return masks, rng.normal(size=(2, 8, 6, 4)).astype(np.float32)  # class 3 is nowhere


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def expected(masks, logits, jaccard_weight, ignored=None):
    """Pixel by pixel and class by class."""
    counted = masks != ignored
    probabilities = softmax(logits.astype(np.float64))[counted]
    masks = masks[counted]
    entropy = -np.log(probabilities[np.arange(len(masks)), masks]).sum() / counted.size
    if ignored is not None:  # Keras takes the mean over the pixels that count
        entropy *= counted.size / counted.sum()
    losses = []
    for index in np.unique(masks):
        common = probabilities[masks == index, index].sum()
        union = (masks == index).sum() + probabilities[:, index].sum() - common
        losses.append(1 - common / union)
    return entropy + jaccard_weight * np.mean(losses)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_the_loss_is_cross_entropy_and_jaccard(batch, weight):
    masks, logits = batch
    loss = objective.make_loss(weight, None)
    assert float(loss(masks, logits)) == pytest.approx(expected(masks, logits, weight), rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_ignored_pixels_are_in_neither_part(batch, weight):
    masks, logits = batch[0].copy(), batch[1].copy()
    masks[:, :3] = schema.IGNORE_INDEX
    loss = objective.make_loss(weight, schema.IGNORE_INDEX)
    found = float(loss(masks, logits))
    logits[:, :3] = 7.0
    assert float(loss(masks, logits)) == pytest.approx(found, rel=1e-5)
    wanted = expected(masks, logits, weight, ignored=schema.IGNORE_INDEX)
    assert found == pytest.approx(wanted, rel=1e-5)


def test_a_batch_of_ignored_pixels_has_no_jaccard_loss(batch):
    masks, logits = np.full_like(batch[0], schema.IGNORE_INDEX), batch[1]
    assert float(objective.make_loss(1.0, schema.IGNORE_INDEX)(masks, logits)) == 0.0


def test_a_perfect_prediction_costs_nothing_and_half_precision_is_enough(batch):
    masks, _ = batch
    logits = tf.cast(tf.one_hot(masks, 4) * 50, tf.bfloat16)
    assert float(objective.make_loss(1.0, None)(masks, logits)) == pytest.approx(0, abs=1e-3)


def test_sample_weights_count_in_the_cross_entropy(batch):
    masks, logits = batch
    loss = objective.make_loss(1.0, None)
    nothing = float(loss(masks, logits, np.zeros(masks.shape, np.float32)))
    assert nothing == pytest.approx(expected(masks, logits, 1) - expected(masks, logits, 0))


def test_the_weight_of_the_jaccard_loss_is_no_negative_number():
    with pytest.raises(ValueError, match="jaccard_weight"):
        TrainerConfig(jaccard_weight=-0.1)
