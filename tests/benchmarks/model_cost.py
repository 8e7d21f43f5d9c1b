"""What does a model cost to serve, beside the tutorial's?

    python tests/benchmarks/model_cost.py [--rounds 7] [--batch-size 8]

Of the networks of `pets_tutorial`, `pets_fast`, `pets` and `pets_best` as they are served, at their
own picture size: parameters, multiply-adds a picture, and processor time a picture as a share of
the tutorial's own network in the same round, by turns, the median of the rounds. All compute in
float32; weights are random, since they change no cost.
The tutorial's network comes twice: how far its second share is from 1 is what the others may be
wrong by. Decoding and encoding the pictures are left out, which are the same for all.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import tensorflow as tf
from training_step import tutorial

from components.trainer.as_served import as_served
from components.trainer.unet import build_unet
from pipeline.config.loading import load_config

# Operations whose floating-point operations TensorFlow's profiler counts two by two:
# a multiplication and an addition.
_MULTIPLY_ADDS = ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=8, help="pictures at a time")
    options = parser.parse_args()
    size = (128, 128)
    models = {"the tutorial's own": tutorial(size)}
    models |= {name: network(name) for name in ("pets_tutorial", "pets_fast", "pets", "pets_best")}
    models["the tutorial's once more"] = tutorial(size)
    shares = processor_shares(models, options.rounds, options.batch_size)
    print(f"{'':<24} parameters    multiply-adds   processor time, share of the tutorial's")
    for name, model in models.items():
        print(
            f"{name:<24} {model.count_params():>10,} {multiply_adds(model) / 1e6:>12,.0f} M"
            f"      {shares[name]:.2f}"
        )


def network(config_name: str) -> keras.Model:
    """The network of a config as it is served, with random weights."""
    config = load_config(config_name, environment={})
    encoder = config.trainer.encoder.model_copy(update={"weights": "none"})
    decoder, size = config.trainer.decoder, config.transform.image_size
    trained = build_unet(len(config.classes), size, encoder, decoder)
    serving = config.trainer.serving
    return as_served(trained, encoder, decoder, serving.flip, serving.view_sizes(size))


def multiply_adds(model: keras.Model) -> int:
    """Of the convolutions, for a picture; what else a network does is small beside them."""
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    forward = _forward(model, 1)
    counted = profiler.profile(
        forward.get_concrete_function().graph,
        cmd="op",
        options=options.with_empty_output().build(),
    )
    by_type = {child.name: child.float_ops for child in _flattened(counted)}
    return sum(by_type.get(name, 0) for name in _MULTIPLY_ADDS) // 2


def _flattened(node: object) -> list:
    return [node, *(deeper for child in node.children for deeper in _flattened(child))]


def processor_shares(models: dict[str, keras.Model], rounds: int, batch: int) -> dict[str, float]:
    """Processor time of a forward pass as a share of the first model's, by turns.

    Args:
      models: by name; the first is the reference.
      rounds: how often each has its turn.
      batch: pictures in a pass.

    Returns:
      For each name the median of the rounds' shares.
    """
    passes = {}
    for name, model in models.items():
        pictures = np.random.default_rng(0).random((batch, *model.input_shape[1:]), np.float32)
        passes[name] = _pass(_forward(model, batch), tf.constant(pictures))
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(rounds + 1):
        order = list(passes)[turn % len(passes) :] + list(passes)[: turn % len(passes)]
        for name in order:
            begun = time.process_time()
            passes[name]()
            if turn:  # the first is for warming up
                times[name].append(time.process_time() - begun)
    reference = next(iter(times.values()))
    return {
        name: statistics.median(own / other for own, other in zip(found, reference, strict=True))
        for name, found in times.items()
    }


def _pass(forward: tf.types.experimental.PolymorphicFunction, x: tf.Tensor) -> Callable:
    return lambda: forward(x).numpy()


def _forward(model: keras.Model, batch: int) -> tf.types.experimental.PolymorphicFunction:
    signature = tf.TensorSpec([batch, *model.input_shape[1:]], tf.float32)
    return tf.function(lambda x: model(x, training=False), input_signature=[signature])


if __name__ == "__main__":
    main()
