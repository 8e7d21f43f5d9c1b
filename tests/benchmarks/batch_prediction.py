"""Does the memory of `segline predict --beam` stay flat, and how fast is it?

    python tests/benchmarks/batch_prediction.py RUN_DIR

writes pictures of 500x375 into a temporary folder, predicts a tenth of them and all of
them, interleaved, each in a process of its own, and prints the medians: peak memory of
the whole beside that of the tenth, and pictures a second beyond the start-up.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    """Prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir")
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        counts = {"tenth": options.count // 10, "whole": options.count}
        for name, count in counts.items():
            write_pictures(Path(folder, name), count)
        seconds: dict[str, list[float]] = {name: [] for name in counts}
        peaks: dict[str, list[float]] = {name: [] for name in counts}
        for number in range(options.rounds):
            for name in counts:
                out = f"{folder}/out-{name}-{number}"
                took, peak = predict(options.run_dir, f"{folder}/{name}", out)
                seconds[name].append(took)
                peaks[name].append(peak)
    rates = [
        (counts["whole"] - counts["tenth"]) / (whole - tenth)
        for tenth, whole in zip(seconds["tenth"], seconds["whole"], strict=True)
    ]
    memory = [b / a for a, b in zip(peaks["tenth"], peaks["whole"], strict=True)]
    print(f"{counts['tenth']} and {counts['whole']} pictures, {options.rounds} interleaved rounds")
    print(
        f"memory, whole against tenth: {statistics.median(memory):.2f} "
        f"({statistics.median(peaks['whole']):.0f} MB)"
    )
    print(f"{statistics.median(rates):.1f} pictures/s")


def write_pictures(folder: Path, count: int) -> None:
    """Smooth random pictures, so that the JPEGs are of a photograph's size."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        small = rng.integers(0, 255, (24, 32, 3)).astype(np.uint8)
        picture = Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:05d}.jpg", quality=95)


def predict(model: str, pictures: str, out: str) -> tuple[float, float]:
    """Seconds and peak memory (MB) of one call."""
    command = [Path(sys.executable).with_name("segline"), "predict", "--beam", pictures]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--model", model, "--out", out], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1e3


if __name__ == "__main__":
    main()
