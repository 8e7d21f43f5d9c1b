"""How long is a training step beside the tutorial's?

    python tests/benchmarks/training_step.py [--rounds 9] [--steps 3]

The reference is the tutorial's model, compiled and fitted as its text has it; then the same
by a config of ours, in float32 and bfloat16, and what `pets_fast` and `pets` do before and in
their fine-tuning. The reference comes twice: how far its second share is from 1 is what the others
may be wrong by. All see the same batch of 64 random pictures of 128x128, so that reading and
augmenting count nowhere. A round is a few steps of each, one after the other; printed is the
median over the rounds of each one's time, and processor time, as a share of the reference's in
the same round.
`--parts` tells where the time of a step goes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import tensorflow as tf

from components.trainer.config import DecoderConfig, EncoderConfig
from components.trainer.unet import build_unet, unfreeze_encoder
from pipeline.config.loading import load_config

Size = tuple[int, int]


class Cost(NamedTuple):
    """Of a step, medians over the rounds.

    Attributes:
      share: of the reference's time.
      processor_share: of the reference's processor time, which other users of the machine
        change less.
      seconds: of time.
    """

    share: float
    processor_share: float
    seconds: float


_CLASSES = 3
_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
FAST = load_config("pets_fast", environment={}).trainer.decoder


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=3, help="in each round")
    parser.add_argument("--parts", action="store_true", help="encoder, decoder, backwards")
    options = parser.parse_args()
    size, bfloat16 = (128, 128), "mixed_bfloat16"
    if options.parts:
        fast = ours(size, bfloat16, decoder=FAST)
        for name, model in {"tutorial's settings": ours(size), "pets_fast": fast}.items():
            shares = ", ".join(f"{k} {v:.2f}" for k, v in parts(model, size, 64, options).items())
            print(f"{name}: {shares}")
        return
    models = {
        "the tutorial's": tutorial(size),
        "ours, tutorial's settings": ours(size),
        "the tutorial's once more": tutorial(size),
        "the same in bfloat16": ours(size, bfloat16),
        "tutorial's settings, encoder trains too": ours(size, bfloat16, 1),
        "separable, narrow (`pets_fast`)": ours(size, bfloat16, decoder=FAST),
        "the same, encoder trains beyond stride 4": ours(size, bfloat16, 4, FAST),
        "the same, all of the encoder trains": ours(size, bfloat16, 1, FAST),
        "enlarged (`pets`)": ours(size, bfloat16, decoder=FAST, enlarge=1.5),
        "enlarged, trains beyond stride 4": ours(size, bfloat16, 4, FAST, 1.5),
    }
    print(f"{options.rounds} rounds of {options.steps} steps of 64 pictures")
    print(f"{'':<42} share   of the processor time")
    for name, found in compare(models, size, 64, options.rounds, options.steps).items():
        print(
            f"{name:<42} {found.share:.2f}    {found.processor_share:.2f}   ({found.seconds:.2f} s)"
        )


def compare(
    models: dict[str, keras.Model], size: Size, batch: int, rounds: int, steps: int
) -> dict[str, Cost]:
    """Times steps of several models, interleaved.

    Args:
      models: compiled, by name; the first is the reference.
      size: height and width of the pictures.
      batch: how many in a step.
      rounds: how often each has its turn.
      steps: of each in a round.

    Returns:
      For each name what a step costs.
    """
    pictures, masks = _batch(size, batch)
    functions = {name: _step_function(model, pictures, masks) for name, model in models.items()}
    return _by_turns(functions, rounds, steps)


def parts(
    model: keras.Model, size: Size, batch: int, options: argparse.Namespace
) -> dict[str, float]:
    """The shares of a step's time that its parts take; the encoder is frozen."""
    pictures, masks = _batch(size, batch)
    encoder = model.get_layer("encoder")
    functions = {
        "step": _step_function(model, pictures, masks),
        "forward": _waits(tf.function(lambda: model(pictures, training=True))),
        "encoder": _waits(tf.function(lambda: encoder(pictures, training=False))),
    }
    found = _by_turns(functions, options.rounds, options.steps)
    encoder_share, forward = found["encoder"].share, found["forward"].share
    return {
        "encoder": encoder_share,
        "decoder forwards": forward - encoder_share,
        "decoder backwards, loss, Adam": 1 - forward,
    }


def _batch(size: Size, batch: int) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(0)
    pictures = tf.constant(rng.random((batch, *size, 3), np.float32))
    return pictures, tf.constant(rng.integers(0, _CLASSES, (batch, *size)), tf.uint8)


def _by_turns(
    functions: dict[str, Callable[[], object]], rounds: int, steps: int
) -> dict[str, Cost]:
    """What each function costs, beside the first one in the same round."""
    times: dict[str, list[np.ndarray]] = {name: [] for name in functions}
    for turn in range(rounds + 1):
        # Another one begins in each round: what a step costs depends on what ran before it.
        order = list(functions)[turn % len(functions) :] + list(functions)[: turn % len(functions)]
        for name in order:
            step = functions[name]
            begun = np.array([time.perf_counter(), time.process_time()])
            for _ in range(steps):
                step()
            ended = np.array([time.perf_counter(), time.process_time()])
            if turn:  # the first is for warming up
                times[name].append((ended - begun) / steps)
    reference = np.array(next(iter(times.values())))
    return {
        name: Cost(
            *np.median(np.array(measured) / reference, axis=0).tolist(),
            float(np.median(measured, axis=0)[0]),
        )
        for name, measured in times.items()
    }


def _step_function(
    model: keras.Model, pictures: tf.Tensor, masks: tf.Tensor
) -> Callable[[], object]:
    """What one step of `fit` runs, with what Keras needs around it."""
    batches = tf.data.Dataset.from_tensors((pictures, masks)).repeat()
    model.fit(batches, steps_per_epoch=1, shuffle=False, verbose=0)
    train, iterator = model.make_train_function(), iter(batches)
    return _waits(lambda: train(iterator))


def _waits(function: Callable[[], object]) -> Callable[[], object]:
    """The function, until its results are there."""
    return lambda: tf.nest.map_structure(lambda value: value.numpy(), function())


def ours(
    size: Size,
    precision: str = "float32",
    trains_beyond: int | None = None,
    decoder: DecoderConfig = DecoderConfig(),  # noqa: B008  it can't be changed
    enlarge: float = 1,
) -> keras.Model:
    """A compiled model of ours, its pretrained encoder frozen or training beyond a stride."""
    keras.config.set_dtype_policy(precision)
    encoder = EncoderConfig(weights="none", enlarge=enlarge)
    model = build_unet(_CLASSES, size, encoder, decoder)
    keras.config.set_dtype_policy("float32")
    model.get_layer("encoder").trainable = False
    if trains_beyond:
        unfreeze_encoder(model, trains_beyond)
    model.compile(optimizer=keras.optimizers.Adam(), loss=_LOSS, metrics=["accuracy"])
    return model


def tutorial(size: Size) -> keras.Model:
    """The tutorial's model, as its text builds and compiles it."""
    base = keras.applications.MobileNetV2(input_shape=[*size, 3], include_top=False, weights=None)
    names = ("block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu")
    names += ("block_13_expand_relu", "block_16_project")
    down_stack = keras.Model(base.input, [base.get_layer(name).output for name in names])
    down_stack.trainable = False
    inputs = keras.layers.Input(shape=[*size, 3])
    skips = down_stack(inputs)
    x = skips[-1]
    for filters, skip in zip((512, 256, 128, 64), reversed(skips[:-1]), strict=True):
        x = keras.layers.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.Concatenate()([x, skip])
    x = keras.layers.Conv2DTranspose(_CLASSES, 3, strides=2, padding="same")(x)
    model = keras.Model(inputs, x)
    model.compile(optimizer="adam", loss=_LOSS, metrics=["accuracy"])
    return model


if __name__ == "__main__":
    main()
