"""What does a run cost in which nothing has changed, beside importing TFX and TFMA alone?

    python tests/benchmarks/unchanged_run.py [--rounds 5]

runs the quickstart (one epoch of a small network, in a temporary folder) once, then by turns
the same again, served from the cache, and a process that imports TFX's components and TFMA
and does nothing. Prints the median ratio of their times, and of their CPU times.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
RUN = [sys.executable, str(PROJECT / "pipeline" / "local_runner.py")]
IMPORT = [sys.executable, "-c", "import tfx.components, tensorflow_model_analysis"]
SMALL = {
    "SEGLINE_CONFIG": "quickstart",
    "SEGLINE__DATASET__SPLITS": "{train: 'train[:64]', validation: 'train[64:80]', test: test}",
    "SEGLINE__TRAINER__EPOCHS": "1",
    "SEGLINE__EVALUATOR__MIN_MEAN_IOU": "0",
    "SEGLINE__EVALUATOR__MIN_CLASS_IOU": "{}",
}


def main() -> None:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **SMALL, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment["PYTHONWARNINGS"] = "ignore"
        _timed(RUN, folder, environment)
        found: dict[str, list[tuple[float, float]]] = {"run": [], "import": []}
        for _ in range(options.rounds):
            for name, command in (("import", IMPORT), ("run", RUN)):
                found[name].append(_timed(command, folder, environment))
    for index, kind in enumerate(("time", "CPU time")):
        run, alone = ([pair[index] for pair in found[name]] for name in ("run", "import"))
        ratio = statistics.median(own / other for own, other in zip(run, alone, strict=True))
        print(
            f"{kind:<9} {ratio:.2f} x   ({statistics.median(run):.1f} s, import alone "
            f"{statistics.median(alone):.1f} s)"
        )


def _timed(command: list[str], folder: str, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU."""
    before, begun = _children_cpu(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - begun, _children_cpu() - before


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
