"""What do mirror image and other sizes add to a finished run's model, and what do they cost?

    python tests/benchmarks/views.py runs/pets [--split validation] [--scales 0.75 1 1.25]

builds the run's network with the weights that it ended with, as it would be served with and without
`trainer.serving.flip` and `trainer.serving.scales`, and prints of each the IoU and the pixel
accuracy on a split, at the model's size, and the multiply-adds as a multiple of those without
either. Not for `fit: tiles`, where windows are blended. The split is kept in memory.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import finished_run
import numpy as np
import tensorflow as tf
from model_cost import multiply_adds
from one_training import class_iou

from components.common import schema
from components.common.served_model import fit_of
from components.trainer import warm_start
from components.trainer.as_served import as_served
from components.trainer.config import ServingConfig, TrainerConfig
from components.trainer.counting import confusion_matrices
from components.trainer.input_pipeline import read_examples

_BATCH = 32


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir")
    parser.add_argument("--split", default="validation", help="default: %(default)s")
    parser.add_argument("--scales", nargs="+", type=float, default=[0.75, 1, 1.25])
    options = parser.parse_args()
    path = f"{finished_run.artifact(options.run_dir, 'Trainer', 'model')}/Format-Serving"
    trained, card, _ = finished_run.network(options.run_dir)
    config = TrainerConfig.model_validate(card["trainer"])
    size, classes = fit_of(card).image_size, card["classes"]
    if card["fit"] == "tiles":
        parser.error(f"{path} sees windows: this is for pictures that are seen whole")
    if reason := warm_start.load_weights(trained, path):
        parser.error(f"{path}: {reason}")
    try:
        scaled = ServingConfig.model_validate({"scales": options.scales}).view_sizes(size)
    except ValueError as error:
        parser.error(str(error))
    batches = prepared(options.run_dir, options.split, path)
    print(f"{'':<40} mean IoU  accuracy  multiply-adds  IoU of {', '.join(classes.names)}")
    alone = 0
    for flip in (False, True):
        for sizes in ([size], scaled):
            network = as_served(trained, config.encoder, config.decoder, flip, sizes)
            answer = tf.function(network)
            matrix = np.zeros([len(classes)] * 2, np.int64)
            for images, masks in batches:
                predicted = tf.argmax(answer(images, training=False), -1)
                truth = tf.cast(masks, tf.int64)
                matrix += confusion_matrices(truth, predicted, len(classes)).numpy().sum(0)
            cost = multiply_adds(network)
            alone = alone or cost
            iou = class_iou(matrix)
            name = " ".join(f"{width}x{height}" for height, width in sizes)
            name += ", mirror image" if flip else ""
            print(
                f"{name:<40} {iou.mean():.4f}    {matrix.trace() / matrix.sum():.4f}    "
                f"{cost / alone:<13.2f}  {', '.join(f'{one:.4f}' for one in iou)}",
                flush=True,
            )


def prepared(run_dir: str, split: str, path: str) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Batches of a split: float32 [n, height, width, channels], uint8 [n, height, width]."""
    model = tf.saved_model.load(path)  # a signature does not keep what it is a part of
    prepare = model.signatures[schema.TRANSFORM_SIGNATURE]
    folder = finished_run.artifact(run_dir, "TfdsExampleGen", "examples")
    seen = (
        prepare(**{schema.EXAMPLES: batch})
        for batch in read_examples([f"{folder}/Split-{split}/*"]).batch(_BATCH)
    )
    return [(one[schema.IMAGE], tf.cast(one[schema.MASK], tf.uint8)) for one in seen]


if __name__ == "__main__":
    main()
