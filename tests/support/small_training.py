"""A training of a few seconds."""

import functools
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from components.trainer import fitting, input_pipeline, unet

SMALL = {
    "encoder": {"weights": "none", "alpha": 0.35},
    "decoder": {"filters": (8, 8, 8, 8)},
    "batch_size": 4,
    "epochs": 2,
    "learning_rate": 0.01,
}


def halves(count=8, side=32):
    """Pictures that are bright where class 1 is."""
    rng = np.random.default_rng(0)
    masks = np.zeros((count, side, side), np.uint8)
    for index, edge in enumerate(rng.integers(8, side - 8, count)):
        masks[index, :, edge:] = 1
    images = masks[..., None].repeat(3, -1) * 0.8 + rng.random((count, side, side, 3)) * 0.2
    return tf.data.Dataset.from_tensor_slices((images.astype(np.float32), masks))


def small_encoder(image_size, config, channels=3):
    """In place of `unet.build_encoder`, where the encoder is not what matters.

    TensorFlow takes ten seconds to trace a MobileNetV2, and XLA takes minutes on a CPU.
    """
    x = inputs = keras.Input((*image_size, channels))
    skips = []
    for number in range(5):
        x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name=f"conv_{number}")(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
        skips.append(x)
    encoder = keras.Model(inputs, skips, name="encoder")
    encoder.trainable = not config.pretrained
    return encoder


def train(
    config,
    callbacks=(),
    ignore_index=None,
    data=None,
    checkpoints=None,
    class_weights=None,
    encoder=small_encoder,
):
    """Trains by `fitting.fit`, on `halves` or on other data of two classes; gives the model."""
    data = data or halves()
    with fitting.reproducible(config):
        with mock.patch.object(unet, "build_encoder", encoder):
            model = unet.build_unet(2, (32, 32), config.encoder, config.decoder)
        fitting.fit(
            model,
            tf.distribute.get_strategy(),
            config,
            functools.partial(input_pipeline.training_batches, data, config, class_weights),
            input_pipeline.validation_batches(data, config),
            steps_per_epoch=2,
            validation_steps=None,
            ignore_index=ignore_index,
            callbacks=list(callbacks),
            checkpoints=checkpoints,
        )
    return model
