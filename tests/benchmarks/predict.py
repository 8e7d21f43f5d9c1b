"""What does `segline predict` cost beside the network alone?

    python tests/benchmarks/predict.py RUN_DIR

writes 256 pictures of 500x375, and by turns predicts them as `segline predict` does (reading,
decoding, masks and overlays written) and sends 256 prepared arrays through a network like
that of the run's latest model. One process, model loaded. Prints the median ratio.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import batch_prediction
import finished_run
import keras
import numpy as np
import tensorflow as tf

from components.common.model_card import read_card
from components.common.served_model import ServedModel
from components.predictor.files import predict_files
from components.predictor.picture_files import find_pictures


def main() -> None:
    """Prints the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=8, help="segline's default: 8")
    options = parser.parse_args()

    served = ServedModel(options.run_dir)
    keras.config.set_dtype_policy(read_card(served.path)["trainer"]["precision"])
    network, card, _ = finished_run.network(options.run_dir)
    forward = tf.function(
        lambda images: network(images, training=False),
        input_signature=[tf.TensorSpec([None, *card["image_size"], 3])],
    )
    images = np.random.default_rng(0).random((options.count, *card["image_size"], 3), np.float32)
    times: dict[str, list[float]] = {"predict": [], "network": []}
    with tempfile.TemporaryDirectory() as folder:
        batch_prediction.write_pictures(Path(folder, "pictures"), options.count)
        files = find_pictures([f"{folder}/pictures"], f"{folder}/out")
        os.makedirs(f"{folder}/out")
        for number in range(options.rounds + 1):
            started = time.perf_counter()
            rows = list(predict_files(served, files, f"{folder}/out", options.batch_size))
            assert len(rows) == options.count and not any(row.error for row in rows)
            between = time.perf_counter()
            for start in range(0, options.count, options.batch_size):
                forward(tf.constant(images[start : start + options.batch_size]))
            if number:  # the first round traces
                times["predict"].append(between - started)
                times["network"].append(time.perf_counter() - between)
    ratios = [a / b for a, b in zip(times["predict"], times["network"], strict=True)]
    print(
        f"{options.count} pictures, {options.rounds} interleaved rounds: predict "
        f"{statistics.median(times['predict']):.1f} s, "
        f"network {statistics.median(times['network']):.1f} s"
    )
    print(f"predict / network: {statistics.median(ratios):.2f} (goal: at most 1.5)")


if __name__ == "__main__":
    main()
