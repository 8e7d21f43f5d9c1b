"""What does each setting bring?

    python tests/benchmarks/ablation.py [--table steps] [--seeds 2] [--epochs 4] [--out FILE]

`steps` goes from the tutorial's settings to those of `pets`, one at a time, each on top of
those before it; `variants` changes one setting of `pets_fast` alone. Every row is a training
of its own process, by the product's own code, on the first pictures of the training split; it
is judged on the split's last 552, never on the test split. It prints mean IoU and pixel
accuracy, mean over the seeds, and the mean IoU of each. What is in FILE already is not done
again. `SEGLINE__DATASET__DATA_DIR` and `SEGLINE__TRAINER__ENCODER__WEIGHTS` say where data and
weights are.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

_PETS, _TUTORIAL, _FAST = "pets", "pets_tutorial", "pets_fast"
# What is taken from pets.yaml in each step, on top of the steps before it.
STEPS = {
    "the tutorial's settings, in bfloat16": (("precision",),),
    "inputs in [-1, 1]": (("encoder", "input_range"),),
    "the encoder is fine-tuned, cosine": (
        ("encoder", "fine_tune_from_epoch"),
        ("encoder", "fine_tune_learning_rate"),
        ("learning_rate_schedule",),
    ),
    "crops and colours": (("augmentation",),),
    "separable decoder": (("decoder",),),
    "Jaccard loss beside the cross-entropy": (("jaccard_weight",),),
    "the encoder sees the picture enlarged": (("encoder", "enlarge"),),
}
# What is changed in pets_fast.yaml, by itself.
VARIANTS = {
    "pets_fast": "",
    "inputs in [0, 1]": "trainer.encoder.input_range=[0,1]",
    "the encoder is fine-tuned": "trainer.encoder.fine_tune_from_epoch=2",
    "cross-entropy alone": "trainer.jaccard_weight=0",
    "balanced class weights": "trainer.class_weights=balanced",
    "flips alone": "trainer.augmentation.min_scale=1",
}
TABLES = {"steps": STEPS, "variants": VARIANTS}
_JUDGED = 552  # 15 % of the training split
_SIZE = (128, 128)


def main() -> None:
    """Trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", choices=TABLES, default="steps")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--epochs", type=int, default=4, help="`steps` fine-tunes in the last quarter"
    )
    parser.add_argument("--pictures", type=int, default=1600)
    parser.add_argument("--out", default="ablation.jsonl", help="a line for each training")
    parser.add_argument("--one", nargs=2, metavar=("ROW", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        row, seed = options.one[0], int(options.one[1])
        values = settings(options.table, row, seed, options.epochs)
        print(json.dumps({"row": row, "seed": seed} | train(values, options.pictures)))
        return
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    out = Path(options.out)
    for seed in range(options.seeds):
        for row in TABLES[options.table]:
            done = (
                [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
            )
            if any(one["row"] == row and one["seed"] == seed for one in done):
                continue
            command = [sys.executable, __file__, "--one", row, str(seed)]
            command += ["--table", options.table]
            command += ["--epochs", str(options.epochs), "--pictures", str(options.pictures)]
            ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            with out.open("a") as file:
                file.write(ran.stdout.splitlines()[-1] + "\n")
            print(ran.stdout.splitlines()[-1], flush=True)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    print(f"\n{'':<40} mean IoU  accuracy  border   each seed")
    for name in TABLES[options.table]:
        found = [one for one in rows if one["row"] == name]
        means = [statistics.mean(one[key] for one in found) for key in ("mean_iou", "accuracy")]
        border = statistics.mean(one["iou"][-1] for one in found)
        each = ", ".join(f"{one['mean_iou']:.4f}" for one in found)
        print(f"{name:<40} {means[0]:.4f}    {means[1]:.4f}    {border:.4f}   {each}")


def settings(table: str, row: str, seed: int, epochs: int) -> dict:
    """The trainer's settings of a row."""
    from pipeline.config.loading import load_config, override_config

    if table == "variants":
        config = override_config(load_config(_FAST), VARIANTS[row])
        values = config.trainer.model_dump(mode="json")
    else:
        best, values = (
            load_config(name).trainer.model_dump(mode="json") for name in (_PETS, _TUTORIAL)
        )
        for keys in list(STEPS.values())[: list(STEPS).index(row) + 1]:
            for key in keys:
                source, target = best, values
                for name in key[:-1]:
                    source, target = source[name], target[name]
                target[key[-1]] = source[key[-1]]
        if values["encoder"]["fine_tune_from_epoch"]:
            values["encoder"]["fine_tune_from_epoch"] = epochs * 3 // 4
    return {**values, "epochs": epochs, "seed": seed, "cache": "none"}


def train(values: dict, pictures: int) -> dict:
    """Trains by a row's settings and counts the confusion matrix of the judged pictures."""
    import functools

    import tensorflow as tf

    from components.trainer import input_pipeline
    from components.trainer.config import TrainerConfig
    from components.trainer.export import confusion_matrices
    from components.trainer.fitting import fit, reproducible
    from components.trainer.sample_weights import resolve_class_weights
    from components.trainer.unet import build_unet

    config = TrainerConfig.model_validate(values)
    data = load_pictures(f"train[:{pictures}]")
    judged = load_pictures(f"train[-{_JUDGED}:]")
    weights = resolve_class_weights(config.class_weights, data, 3)
    started = time.perf_counter()
    with reproducible(config):
        model = build_unet(3, _SIZE, config.encoder, config.decoder)
        fit(
            model,
            tf.distribute.get_strategy(),
            config,
            functools.partial(input_pipeline.training_batches, data, config, weights),
            judged.take(1).batch(1),
            steps_per_epoch=pictures // config.batch_size,
            validation_steps=1,
            ignore_index=None,
            callbacks=[],
        )
        seconds = time.perf_counter() - started
        matrix = tf.zeros([3, 3], tf.int64)
        for images, masks in judged.batch(32):
            predicted = tf.argmax(model(images, training=False), -1)
            matrix += tf.reduce_sum(confusion_matrices(tf.cast(masks, tf.int64), predicted, 3), 0)
    matrix = matrix.numpy()
    right = matrix.diagonal()
    iou = right / (matrix.sum(0) + matrix.sum(1) - right)
    return {
        "mean_iou": float(iou.mean()),
        "accuracy": float(right.sum() / matrix.sum()),
        "iou": iou.tolist(),
        "seconds": seconds,
    }


def load_pictures(split: str):
    """(image float32 in [0, 1], mask uint8 of class indices) of a split, in memory."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from components.example_gen.dataset import open_dataset
    from components.transform.preprocessing import prepare_images, prepare_masks
    from pipeline.config.loading import load_config

    config = load_config(_PETS)
    builder = open_dataset(config.dataset)
    skip = dict.fromkeys(("image", "segmentation_mask"), tfds.decode.SkipDecoding())
    images, masks = [], []
    for batch in builder.as_dataset(split, decoders=skip).batch(64):
        images.append(prepare_images(batch["image"], _SIZE)[0])
        mask = prepare_masks(batch["segmentation_mask"], _SIZE, config.classes)
        masks.append(tf.cast(mask, tf.uint8))
    return tf.data.Dataset.from_tensor_slices((tf.concat(images, 0), tf.concat(masks, 0)))


if __name__ == "__main__":
    main()
