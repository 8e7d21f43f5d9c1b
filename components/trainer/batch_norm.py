"""BatchNorm by one kernel.

Keras 3 writes the layer in single operations, which XLA joins on a single GPU. On a processor each
goes through the memory for itself, in float32 whatever the precision: of a step of `pets_fast` they
took more than a fourth. TensorFlow has a kernel for all of it, that of
`tf.compat.v1.nn.fused_batch_norm` (Ioffe and Szegedy, ICML 2015).
"""

from __future__ import annotations

import keras
import tensorflow as tf


class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer, and its numbers, by TensorFlow's kernel.

    With a GPU training stays Keras's, and so does what is not float32: the kernels there know
    not all precisions, nor a reproducible gradient of a frozen layer.
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
        if mask is not None or not self._is_plain(inputs):
            return super().call(inputs, training=training, mask=mask)
        if has_gpu() and (training or self.compute_dtype != "float32"):
            return super().call(inputs, training=training)
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
            count = tf.cast(tf.size(inputs, tf.int64) // channels[0], tf.float32)
            self._follow(self.moving_mean, mean)
            self._follow(self.moving_variance, variance * (1 - 1 / count))
        return outputs

    def _is_plain(self, inputs: tf.Tensor) -> bool:
        other = self.synchronized or getattr(self, "renorm", False)  # renorm: since Keras 3.15
        return len(inputs.shape) == 4 and self.axis in (-1, 3) and not other

    def _follow(self, average: keras.Variable, value: tf.Tensor) -> None:
        average.assign(_value(average) * self.momentum + value * (1 - self.momentum))


def has_gpu() -> bool:
    """Whether TensorFlow has one to compute with."""
    return bool(tf.config.get_visible_devices("GPU"))


def use_kernel(network: keras.Model) -> None:
    """Lets a network's BatchNorm layers compute by the kernel, those within other layers too.

    Args:
      network: as Keras or KerasHub builds it. Weights, names and seeds stay what they are.
    """
    for layer in batch_norms(network):
        if type(layer) is keras.layers.BatchNormalization:
            layer.__class__ = BatchNormalization


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """A model's BatchNorm layers, those within other layers too."""
    layers = model._flatten_layers(include_self=False)  # Keras has no public way
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def _value(variable: keras.Variable) -> tf.Tensor:
    return tf.convert_to_tensor(variable.value)  # float32: Keras never casts those of this layer
