"""Guards against a Trainer that has become much slower.

The goals themselves are in docs/benchmarks.md; this fails only where something is twice off.
"""

import functools
import importlib.util
import time
from pathlib import Path

import cpu_time
import numpy as np
import pytest
import tensorflow as tf

from components.trainer.config import AugmentationConfig
from components.trainer.input_pipeline import training_batches
from pipeline.config.loading import load_config

pytestmark = pytest.mark.slow

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "training_step.py"
SIZE, BATCH = (64, 64), 8


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("training_step", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_step_costs_what_the_tutorials_costs_and_the_fast_one_half(benchmark):
    models = {
        "tutorial": benchmark.tutorial(SIZE),
        "ours": benchmark.ours(SIZE),
        "fast": benchmark.ours(SIZE, decoder=benchmark.FAST),
    }
    found = benchmark.compare(models, SIZE, BATCH, rounds=7, steps=2)
    assert found["tutorial"].share == 1
    assert found["ours"].share < 1.7  # about 1
    assert found["fast"].share < 0.8  # about 0.4


@pytest.fixture
def pictures():
    """Two batches of noise, in memory."""
    rng = np.random.default_rng(0)
    arrays = rng.random((64, *SIZE, 3), np.float32), rng.integers(0, 3, (64, *SIZE), np.uint8)
    return tf.data.Dataset.from_tensor_slices(arrays).cache()


AUGMENTATION = AugmentationConfig(
    horizontal_flip=True, min_scale=0.65, brightness=0.1, contrast=0.2, saturation=0.2
)
SETTINGS = load_config("pets", environment={}).trainer.model_copy(
    update={"batch_size": BATCH, "augmentation": AUGMENTATION}
)


def test_reading_and_augmenting_keeps_up_with_training(benchmark, pictures):
    """From the second epoch on four times what the tutorial's steps take up."""
    batches = iter(training_batches(pictures, SETTINGS, None))
    models = {"tutorial": benchmark.tutorial(SIZE)}
    ((_, _, step),) = benchmark.compare(models, SIZE, BATCH, rounds=5, steps=2).values()
    for _ in range(16):
        next(batches)
    started = time.perf_counter()
    for _ in range(64):
        next(batches)
    assert (time.perf_counter() - started) / 64 < step / 4


def test_augmenting_costs_little_more_than_resizing(pictures):
    """In CPU time; it crops, which is to resize, and changes colours."""

    def resize(image, mask):
        return tf.image.resize(image, SIZE), tf.image.resize(mask[..., None], SIZE, "nearest")

    larger = pictures.map(lambda image, mask: (tf.repeat(image, 2, 0), tf.repeat(mask, 2, 0)))
    resized = larger.cache().repeat().batch(BATCH).map(resize)
    takers = [
        functools.partial(take, iter(batches), 128)
        for batches in (training_batches(pictures, SETTINGS, None), resized)
    ]
    assert cpu_time.median_ratio(*takers) < 4.8  # about 3.1


def take(batches, count):
    for _ in range(count):
        next(batches)
