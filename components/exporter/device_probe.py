"""Runs exports and their SavedModel on one thread. Run as a script, by file name.

In a process of its own: what a runtime makes of a file may end the process, and TensorFlow's
number of threads is fixed when it starts.

    python device_probe.py PLAN

PLAN is a JSON file: `exports` and `model`, paths; `input`, an .npy file, what the exports are
given; `picture`, a picture's file, what the SavedModel is given; `requests`, how many. On standard
output, a JSON object a line for each of them, before (`begin`) and after: `ms`, the median of the
requests, or `error`.
"""

import functools
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np

Run = Callable[[], object]  # one request


def main(path: str) -> None:
    """Runs all that the plan has, and tells."""
    with open(path, encoding="utf-8") as file:
        plan = json.load(file)
    image = np.load(plan["input"])
    for export in plan["exports"]:
        load = litert if export.endswith(".tflite") else onnx
        measure(export, functools.partial(load, export, image), plan["requests"])
    with open(plan["picture"], "rb") as file:
        picture = file.read()
    measure(plan["model"], functools.partial(served, plan["model"], picture), plan["requests"])


def measure(name: str, load: Callable[[], Run], requests: int) -> None:
    """Loads one, asks it, tells the median."""
    tell(begin=name)
    try:
        run = load()
        seconds = []
        for _ in range(requests + 1):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
    except Exception as error:
        tell(error=f"{type(error).__name__}: {error}".splitlines()[0])
    else:
        tell(ms=1000 * statistics.median(seconds[1:]))  # the first one prepares


def litert(path: str, image: np.ndarray) -> Run:
    """A LiteRT file."""
    import tensorflow as tf

    warnings.simplefilter("ignore")
    run = tf.lite.Interpreter(path, num_threads=1).get_signature_runner()
    return lambda: run(image=image)


def onnx(path: str, image: np.ndarray) -> Run:
    """An ONNX file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"image": image})


def served(path: str, picture: bytes) -> Run:
    """The SavedModel, whole requests."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = tf.saved_model.load(path)
    batch = tf.constant([picture])

    def request() -> object:
        # (asked of the model each time: a signature does not keep what it is a part of)
        return model.signatures["serving_default"](image_bytes=batch)["mask"].numpy()

    return request


def tell(**fields: object) -> None:
    """One line for the process that waits."""
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
