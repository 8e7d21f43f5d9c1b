"""One training by two devices or two workers: `python distributed_training.py KIND`.

It prints the loss of the first and of the last epoch, and a sum of the weights.
"""

import functools
import sys
from unittest import mock

import keras
import numpy as np
import small_training
import tensorflow as tf

from components.trainer import distribution, fitting, input_pipeline, unet
from components.trainer.config import TrainerConfig


def make_strategy(kind: str) -> tf.distribute.Strategy:
    """Two logical CPUs stand for two GPUs; the workers are those of TF_CONFIG."""
    if kind == "workers":
        return distribution.make_strategy()
    (device,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(device, two)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


strategy = make_strategy(sys.argv[1])
assert strategy.num_replicas_in_sync == 2
config = TrainerConfig(**small_training.SMALL | {"epochs": 15})
keras.utils.set_random_seed(0)
with strategy.scope(), mock.patch.object(unet, "build_encoder", small_training.small_encoder):
    model = distribution.trainable_model(
        unet.build_unet(2, (32, 32), config.encoder, config.decoder)
    )
history = keras.callbacks.History()
data = small_training.halves()
fitting.fit(
    model,
    strategy,
    config,
    functools.partial(input_pipeline.training_batches, data, config, None),
    input_pipeline.validation_batches(data, config),
    steps_per_epoch=2,
    validation_steps=1,
    ignore_index=None,
    callbacks=[history],
)
weights = sum(float(np.abs(weight.numpy()).sum()) for weight in model.trainable_variables)
print("RESULT", history.history["loss"][0], history.history["loss"][-1], weights)
