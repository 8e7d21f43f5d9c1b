"""Guards against a Trainer that has become much slower.

The goals themselves are in docs/benchmarks.md; this fails only where something is twice off.
"""

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.trainer.input_pipeline import training_batches
from pipeline.config import load_config

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
    assert found["tutorial"][0] == 1
    assert found["ours"][0] < 1.8
    assert found["fast"][0] < 1


def test_reading_and_augmenting_keeps_up_with_training(benchmark):
    """From the second epoch on four times what the tutorial's steps take up."""
    settings = load_config("pets").trainer.model_copy(update={"batch_size": BATCH})
    rng = np.random.default_rng(0)
    pictures = rng.random((64, *SIZE, 3), np.float32), rng.integers(0, 3, (64, *SIZE), np.uint8)
    batches = iter(
        training_batches(tf.data.Dataset.from_tensor_slices(pictures).cache(), settings, None)
    )
    models = {"tutorial": benchmark.tutorial(SIZE)}
    ((_, step),) = benchmark.compare(models, SIZE, BATCH, rounds=5, steps=2).values()
    for _ in range(16):
        next(batches)
    started = time.perf_counter()
    for _ in range(64):
        next(batches)
    assert (time.perf_counter() - started) / 64 < step / 4
