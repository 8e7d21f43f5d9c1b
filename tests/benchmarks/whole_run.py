"""How long is a whole run of the pipeline beside the tutorial as a plain script?

    python tests/benchmarks/whole_run.py [--config pets_tutorial] [--rounds 2] [--epochs 3]

Both load the config's data, train, and predict the test split; the pipeline validates,
evaluates, checks and pushes besides. Each is a process of its own, by turns, for a few epochs.
What 20 epochs take follows from the medians of the later epochs (the first one compiles the
graph and fills the cache) and of all the rest; printed are both, and their ratio.
`SEGLINE__DATASET__DATA_DIR` and `SEGLINE__TRAINER__ENCODER__WEIGHTS` say where data and
weights are.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(Path(__file__).parent)]

_EPOCHS = 20


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="pets_tutorial")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3, help="in each run, at least 2")
    parser.add_argument("--tutorial", help="(used by the benchmark itself)")
    options = parser.parse_args()
    if options.tutorial:
        tutorial(options.config, options.epochs, Path(options.tutorial))
        return
    common = ["--config", options.config, "--epochs", str(options.epochs)]
    rest: dict[str, list[float]] = {"tutorial": [], "pipeline": []}
    later: dict[str, list[float]] = {"tutorial": [], "pipeline": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for name in rest:
                root = Path(folder, f"{number}-{name}")
                root.mkdir()
                if name == "tutorial":
                    command, overrides = [__file__, *common, "--tutorial", str(root)], {}
                else:
                    command = [str(PROJECT / "pipeline" / "local_runner.py")]
                    overrides = {
                        "SEGLINE_CONFIG": options.config,
                        "SEGLINE__RUN__ROOT": str(root),
                        "SEGLINE__TRAINER__EPOCHS": str(options.epochs),
                        "SEGLINE__EVALUATOR": "{min_mean_iou: 0}",
                    }
                seconds = timed([sys.executable, *command], overrides)
                # Of both, an epoch ends where its file is written.
                ends = sorted(file.stat().st_mtime for file in root.rglob("epoch_*.png"))
                ends = ends[: options.epochs + 1]
                epochs = [end - start for start, end in itertools.pairwise(ends)]
                rest[name].append(seconds - sum(epochs[1:]))
                later[name] += epochs[1:]
    whole = {}
    for name in rest:
        most, epoch = statistics.median(rest[name]), statistics.median(later[name])
        whole[name] = most + (_EPOCHS - 1) * epoch
        print(f"{name:<10} a later epoch {epoch:6.1f} s ({min(later[name]):.1f} to ", end="")
        print(f"{max(later[name]):.1f}), all the rest {most:6.1f} s, {_EPOCHS} epochs ", end="")
        print(f"{whole[name]:8.1f} s")
    print(f"pipeline / tutorial, {_EPOCHS} epochs: {whole['pipeline'] / whole['tutorial']:.2f}")


def timed(command: list[str], overrides: dict[str, str]) -> float:
    """Seconds that a command takes; its output is shown only where it fails."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    started = time.perf_counter()
    ran = subprocess.run(
        command, env=environment | overrides, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(ran.stdout + ran.stderr)
    return time.perf_counter() - started


def tutorial(config_name: str, epochs: int, folder: Path) -> None:
    """Loads, trains and predicts as the tutorial's text has it; touches a file each epoch."""
    import tensorflow as tf
    from training_step import tutorial as tutorial_model

    from components.example_gen.dataset import open_dataset
    from pipeline.config.loading import load_config

    config = load_config(config_name)
    size, batch = config.transform.image_size, config.trainer.batch_size
    first = min(config.classes.values.values())
    builder = open_dataset(config.dataset)
    names = config.dataset.features

    def load(element: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.resize(element[names.image], size)
        mask = tf.image.resize(
            element[names.mask], size, method=tf.image.ResizeMethod.NEAREST_NEIGHBOR
        )
        return tf.cast(image, tf.float32) / 255.0, mask - tf.cast(first, mask.dtype)

    class Augment(tf.keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inputs = tf.keras.layers.RandomFlip("horizontal", seed=42)
            self.labels = tf.keras.layers.RandomFlip("horizontal", seed=42)

        def call(self, image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return self.inputs(image), self.labels(mask)

    splits = config.dataset.splits
    train = builder.as_dataset(splits.train).map(load, num_parallel_calls=tf.data.AUTOTUNE)
    test = builder.as_dataset(splits.test).map(load, num_parallel_calls=tf.data.AUTOTUNE)
    counts = [builder.info.splits[one].num_examples for one in (splits.train, splits.test)]
    batches = train.cache().shuffle(1000).batch(batch).repeat().map(Augment())
    test_batches = test.batch(batch)
    model = tutorial_model(tuple(size))
    (folder / "epoch_0.png").touch()
    model.fit(
        batches.prefetch(tf.data.AUTOTUNE),
        epochs=epochs,
        steps_per_epoch=max(1, counts[0] // batch),
        validation_steps=max(1, counts[1] // batch // 5),
        validation_data=test_batches,
        verbose=0,
        callbacks=[
            tf.keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, _: (folder / f"epoch_{epoch + 1}.png").touch()
            )
        ],
    )
    for images, _ in test_batches:
        tf.argmax(model.predict(images, verbose=0), axis=-1)


if __name__ == "__main__":
    main()
