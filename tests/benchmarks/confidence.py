"""What does the temperature do to the confidence of a finished run's model?

    python tests/benchmarks/confidence.py runs/quickstart [--split test]

takes the network out of the latest trained model, asks it for the logits of a split's pictures at
the model's size, and prints, in NumPy, the expected calibration error and the negative
log-likelihood as they are without and with the model's temperature, and the mean IoU, which is one
number: no class changes. Not for `fit: tiles`, where windows are blended.
"""

from __future__ import annotations

import argparse
import glob
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

BINS = 15


def main() -> None:
    """Prints a line for each temperature."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of a finished run, such as runs/quickstart")
    parser.add_argument("--split", default="test", help="default: %(default)s")
    options = parser.parse_args()

    import numpy as np
    import scipy.special
    from finished_run import artifact

    from components.common.confusion import mean_iou
    from components.common.model_card import read_card
    from components.common.reliability import temperature_of

    folder = f"{artifact(options.run, 'Trainer', 'model')}/Format-Serving"
    card = read_card(folder)
    temperature = temperature_of(card)
    if temperature is None or card["fit"] == "tiles":
        sys.exit("the model is not calibrated (trainer.calibrate), or it sees windows")
    examples = artifact(options.run, "TfdsExampleGen", "examples")
    files = glob.glob(f"{examples}/Split-{options.split}/*")
    size, count = tuple(card["image_size"]), len(card["classes"])
    sums = {one: np.zeros((BINS, 2)) for one in (1.0, temperature)}
    entropy, pixels = dict.fromkeys(sums, 0.0), 0
    matrix = np.zeros((count, count), np.int64)
    for logits, truth in network_answers(folder, files, size):
        keep = truth < count
        logits, truth = logits[keep].astype(np.float64), truth[keep]
        predicted = logits.argmax(-1)
        matrix += np.bincount(truth * count + predicted, minlength=count**2).reshape(count, count)
        pixels += len(truth)
        for one, bins in sums.items():
            logs = scipy.special.log_softmax(logits / one, -1)
            entropy[one] -= np.take_along_axis(logs, truth[:, None], -1).sum()
            sure = np.exp(logs.max(-1))
            number = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
            bins[:, 0] += np.bincount(number, predicted == truth, BINS)
            bins[:, 1] += np.bincount(number, sure, BINS)
    print(f"{options.split}: {pixels:,} pixels, mean IoU {mean_iou(matrix):.4f}")
    for one, bins in sums.items():
        error = np.abs(bins[:, 0] - bins[:, 1]).sum() / pixels
        print(f"temperature {one:.4g}: ECE {error:.4f}, NLL {entropy[one] / pixels:.4f}")


def network_answers(folder: str, files: list[str], size: tuple[int, int]):
    """(logits, truth) of batches: [n, height, width, C] and int64 [n, height, width]."""
    import tensorflow as tf

    from components.common import schema
    from components.common.network import take_network

    model = tf.saved_model.load(folder)
    taken = take_network(model, size)
    network = tf.function(lambda images: taken(images))
    prepare = model.signatures[schema.TRANSFORM_SIGNATURE]
    for batch in tf.data.TFRecordDataset(files, "GZIP").batch(16):
        seen = prepare(**{schema.EXAMPLES: batch})
        yield network(seen[schema.IMAGE]).numpy(), seen[schema.MASK].numpy()


if __name__ == "__main__":
    main()
