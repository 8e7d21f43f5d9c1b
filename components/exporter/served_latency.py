"""How long a SavedModel takes on one thread. Run as a script, by file name.

TensorFlow's number of threads is fixed when it starts, so that this needs a process of its own.

    python served_latency.py MODEL_DIR PICTURE REQUESTS

On standard output: the median of the requests, in milliseconds.
"""

import statistics
import sys
import time

import tensorflow as tf


def main(model_dir: str, picture: str, requests: int) -> None:
    """Loads, asks, tells."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    serve = tf.saved_model.load(model_dir).signatures["serving_default"]
    with open(picture, "rb") as file:
        batch = tf.constant([file.read()])
    seconds = []
    for _ in range(requests + 1):
        started = time.perf_counter()
        serve(image_bytes=batch)["mask"].numpy()
        seconds.append(time.perf_counter() - started)
    print(1000 * statistics.median(seconds[1:]), flush=True)  # the first one traces


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
