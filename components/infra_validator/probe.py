"""Loads a model as a server would and sends it requests. Run as a script, by file name.

It imports TensorFlow (and the NumPy that comes with it) and nothing of ours, so
that a model that needs more than TensorFlow can't pass.

    python -I probe.py MODEL_DIR WORK_DIR

WORK_DIR holds `plan.json`: a list of calls, each with `name`, `signature`,
`argument`, and `inputs`, file names below WORK_DIR. What call number N gives goes to
`N.npz`, strings as `NAME.bytes` and `NAME.lengths`. On standard output: one JSON object
a line, when TensorFlow is there, when the model is loaded, and before and after each call.
"""

import json
import os
import sys
import time

import numpy as np
import tensorflow as tf


def main(model_dir: str, work_dir: str) -> None:
    """Loads, calls, reports."""
    tell(event="ready", tensorflow=tf.__version__)
    started = time.monotonic()
    model = tf.saved_model.load(model_dir)
    tell(event="loaded", seconds=time.monotonic() - started)
    with open(os.path.join(work_dir, "plan.json"), encoding="utf-8") as file:
        plan = json.load(file)
    for number, call in enumerate(plan):
        tell(event="call", number=number)
        started = time.monotonic()
        try:
            outputs = send(model, call, work_dir)
        except Exception as error:
            tell(event="error", kind=type(error).__name__, message=str(error))
            continue
        np.savez(os.path.join(work_dir, f"{number}.npz"), **without_pickles(outputs))
        tell(event="answer", seconds=time.monotonic() - started)
    tell(event="done")


def send(model: tf.Module, call: dict, work_dir: str) -> dict:
    """Calls a signature with a batch of files' contents; gives its outputs as arrays."""
    batch = []
    for name in call["inputs"]:
        with open(os.path.join(work_dir, name), "rb") as file:
            batch.append(file.read())
    signature = model.signatures[call["signature"]]
    outputs = signature(**{call["argument"]: tf.constant(batch)})
    return {key: value.numpy() for key, value in outputs.items()}


def without_pickles(outputs: dict) -> dict:
    """Strings as their bytes one after the other, and their lengths; NumPy would pickle them."""
    result = {}
    for key, value in outputs.items():
        if value.dtype == object:
            strings = value.ravel().tolist()
            result[f"{key}.bytes"] = np.frombuffer(b"".join(strings), np.uint8)
            value = np.array([len(one) for one in strings], np.int64).reshape(value.shape)
            key = f"{key}.lengths"
        result[key] = value
    return result


def tell(**fields: object) -> None:
    """One line for the process that watches."""
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
