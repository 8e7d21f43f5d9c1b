"""BatchNorm in one pass over the features.

Keras 3 writes the layer in single operations, which XLA joins on a GPU. On a processor each goes
through the memory for itself, in float32 whatever the precision: of a step of `pets_fast` they
took more than a fourth. TensorFlow has a kernel for all of it (Ioffe and Szegedy, ICML 2015, as in
`tf.nn.batch_normalization`).
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer, and its numbers, by TensorFlow's fused kernel where there is no GPU.

    It has Keras's name too, since files of weights address layers by their class.
    """

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Normalises [batch, height, width, channels], in the layer's precision.

        Args:
          inputs: features.
          training: whether by the batch's own statistics, which the averages then follow.
          mask: Keras's; there is none for pictures.
        """
        last = self.axis in (-1, 3) and len(inputs.shape) == 4
        if not last or mask is not None or tf.config.get_visible_devices("GPU"):
            return super().call(inputs, training=training, mask=mask)
        by_batch = bool(training and self.trainable)
        channels = [inputs.shape[-1]]
        none = tf.zeros([0])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, self.compute_dtype),
            scale=tf.ones(channels) if self.gamma is None else _value(self.gamma),
            offset=tf.zeros(channels) if self.beta is None else _value(self.beta),
            mean=none if by_batch else _value(self.moving_mean),
            variance=none if by_batch else _value(self.moving_variance),
            epsilon=self.epsilon,
            is_training=by_batch,
        )
        if by_batch:
            # The kernel divides by one less than the count (Bessel), Keras by the count.
            count = tf.cast(tf.size(inputs) // channels[0], tf.float32)
            self._follow(self.moving_mean, mean)
            self._follow(self.moving_variance, variance * (1 - 1 / count))
        return outputs

    def _follow(self, average: Any, value: tf.Tensor) -> None:
        average.assign(_value(average) * self.momentum + value * (1 - self.momentum))


def _value(variable: keras.Variable) -> tf.Tensor:
    return tf.convert_to_tensor(variable.value)  # float32: Keras never casts those of this layer


def fused(network: keras.Model) -> keras.Model:
    """The same network with this layer in place of Keras's.

    Args:
      network: as Keras or KerasHub builds it.

    Returns:
      A copy; what is within other layers stays as it is.
    """

    def copy(layer: keras.Operation) -> keras.Operation:
        kind = type(layer)
        if kind is keras.layers.BatchNormalization:
            kind = BatchNormalization
        return kind.from_config(layer.get_config())

    result = keras.models.clone_model(network, clone_function=copy)
    result.set_weights(network.get_weights())
    return result
