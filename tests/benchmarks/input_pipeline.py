"""Does reading and augmenting keep up with training?

    python tests/benchmarks/input_pipeline.py RUN_DIR

takes the folder of a finished run, such as runs/pets. By turns, in one process: a bare read of
the same files with no decoding; the first epoch of the batches that the Trainer feeds
(decoding, transform graph, filling the cache, augmentation); the second (from the cache); and
steps of the config's model, encoder and all. Prints pictures per second as multiples of what
the steps take up.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import finished_run
import keras
import tensorflow as tf

from components.trainer import input_pipeline
from components.trainer.unet import build_unet, unfreeze_encoder
from pipeline.config.loading import load_config

_STEPS = 3  # of the model, in a round


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    changed = {"WEIGHTS": "none", "FINE_TUNE_FROM_EPOCH": "null"}
    config = load_config(
        Path(options.run_dir).name,
        {f"SEGLINE__TRAINER__ENCODER__{key}": one for key, one in changed.items()},
    )
    settings = config.trainer
    examples = finished_run.artifact(options.run_dir, "TfdsExampleGen", "examples")
    raw = input_pipeline.read_examples([f"{examples}/Split-train/*"])
    count = input_pipeline.count_examples(raw)
    transform = finished_run.transform_graph(options.run_dir)
    prepared = input_pipeline.prepared_pictures(raw, transform)
    batches_per_epoch = count // settings.batch_size

    image_size = transform.transformed_feature_spec()["image"].shape[:2]
    keras.config.set_dtype_policy(settings.precision)
    model = build_unet(len(config.classes), tuple(image_size), settings.encoder, settings.decoder)
    unfreeze_encoder(model)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    rates: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        # A new cache in each round: its first epoch fills it.
        batches = input_pipeline.training_batches(prepared.cache(), settings, None)
        iterator = iter(batches)
        some = next(iter(batches))
        rates.setdefault("bare read", []).append(_rate(iter(raw.batch(64)), count // 64, 64))
        for name in ("first epoch", "second epoch"):
            rate = _rate(iterator, batches_per_epoch, settings.batch_size)
            rates.setdefault(name, []).append(rate)
        model.train_on_batch(*some)
        steps = iter(tf.data.Dataset.from_tensors(some).repeat())
        begun = time.perf_counter()
        for _ in range(_STEPS):
            model.train_on_batch(*next(steps))
        seconds = time.perf_counter() - begun
        rates.setdefault("training", []).append(_STEPS * settings.batch_size / seconds)

    training = rates["training"]
    print(f"{count} examples of {image_size[0]}x{image_size[1]}, {options.rounds} rounds")
    for name, found in rates.items():
        share = statistics.median(own / other for own, other in zip(found, training, strict=True))
        print(f"{name:<14} {share:8.1f} x   ({statistics.median(found):.0f} pictures/s)")


def _rate(iterator: object, batches: int, batch_size: int) -> float:
    """Pictures per second."""
    begun = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return batches * batch_size / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
