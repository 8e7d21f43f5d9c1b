"""Guards against a training step that has become much slower than the tutorial's.

The goals themselves are in docs/benchmarks.md; this fails only where something is twice off.
"""

import importlib.util
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "training_step.py"


def test_a_step_costs_what_the_tutorials_costs():
    spec = importlib.util.spec_from_file_location("training_step", BENCHMARK)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    size = (64, 64)
    models = {"tutorial": benchmark.tutorial(size), "ours": benchmark.ours(size)}
    found = benchmark.compare(models, size, batch=8, rounds=7, steps=2)
    assert found["tutorial"][0] == 1
    assert found["ours"][0] < 1.8
