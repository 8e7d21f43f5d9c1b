"""The network as it is served: in single precision, BatchNorm folded, if asked over several views.

Outside of training a BatchNorm layer multiplies each channel by a number and adds another. The
convolution before it can do the first with its weights (Jacob et al., "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 3.2), and
TensorFlow joins a convolution with what is added to it, and with the activation after that.

A view is the picture at another size, or its mirror image; what is served is the mean of the views'
logits ("multi-scale and flip testing": Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017).
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.common.network import VIEW_NAME
from components.trainer.batch_norm import BatchNormalization
from components.trainer.config import DecoderConfig, EncoderConfig
from components.trainer.encoders import ENCODER_NAME
from components.trainer.unet import ENLARGE_NAME, build_unet, enlarged_size, resized

_layers = keras.layers
# The axes of the kernel, counted from its end, that run over the output's channels.
_OUTPUT_AXES = {
    _layers.Conv2D: (-1,),
    _layers.SeparableConv2D: (-1,),  # of the second, the pointwise kernel
    _layers.DepthwiseConv2D: (-2, -1),
    _layers.Conv2DTranspose: (-2,),
}


def as_served(
    unet: keras.Model,
    encoder: EncoderConfig,
    decoder: DecoderConfig,
    flip: bool = False,
    sizes: Sequence[tuple[int, int]] = (),
) -> keras.Model:
    """A network of its own: without `flip` and other `sizes`, the same logits, sooner.

    Args:
      unet: from `build_unet`, trained in whatever precision.
      encoder: that it was built with.
      decoder: likewise.
      flip: whether each view is seen mirrored too.
      sizes: height and width (multiples of 32) of the views; empty: its own size alone.

    Returns:
      A model in float32 that gives the mean of the views' logits; its weights are there once,
      whatever the views. Folded are the BatchNorm layers of the encoder and the decoder that come
      right after a convolution whose output nothing else reads, not those within other layers.
    """
    height, width, channels = unet.input_shape[1:]
    own = height, width
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        untrained = encoder.model_copy(update={"weights": "none"})
        served = build_unet(unet.output_shape[-1], own, untrained, decoder, channels)
        served.set_weights(unet.get_weights())
        for network in (served, served.get_layer(ENCODER_NAME)):
            for convolution, norm in _pairs(network):
                _fold(convolution, norm)
        if set(sizes) <= {own} and not flip:
            return served
        views = [
            served if size == own else _view(served, size, enlarged_size(size, encoder))
            for size in sizes or [own]
        ]
        mean_logits = _mean_of(views, own)
        image = keras.Input(served.input_shape[1:], name="image")
        logits = over_mirror_image(mean_logits, image) if flip else mean_logits(image)
        return keras.Model(image, logits, name=served.name)
    finally:
        keras.config.set_dtype_policy(policy)


def over_mirror_image(network: Callable[[Any], Any], images: Any) -> Any:
    """What a network says of pictures, and of their mirror images turned back: the mean.

    Args:
      network: gives [batch, height, width, …] of its argument, Keras's or TensorFlow's tensors.
      images: float32 [batch, height, width, channels].
    """
    mirrored = keras.ops.flip(network(keras.ops.flip(images, axis=2)), axis=2)
    return (network(images) + mirrored) / 2


def _view(network: keras.Model, size: tuple[int, int], seen: tuple[int, int]) -> keras.Model:
    """The same layers for pictures of another size.

    Args:
      network: the U-Net; of its layers only the enlarging knows the picture's size.
      size: height and width of the pictures.
      seen: that they are enlarged to, where the network does.

    Returns:
      From float32 [batch, *size, channels] to logits of whatever height and width they end with.

    Raises:
      ValueError: a layer of the encoder can't be called at another size.
    """

    def layer_for(operation: Any) -> Any:
        if operation.name == ENLARGE_NAME:
            return resized(seen, ENLARGE_NAME)
        if isinstance(operation, keras.Model):  # a model insists on the size that it was made for
            return copied(operation, seen)
        return operation

    def copied(model: keras.Model, size: tuple[int, int]) -> keras.Model:
        inputs = keras.Input((*size, model.input_shape[-1]))
        return keras.models.clone_model(model, inputs, layer_for)

    view = copied(network, size)
    view.name = VIEW_NAME.format(*size)
    return view


def _mean_of(
    views: Sequence[keras.Model], size: tuple[int, int]
) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """What views say of pictures of `size`, resized to theirs: the logits' mean, at `size`."""

    def resizer(given: tuple[int, int], wanted: tuple[int, int], name: str) -> Callable[[Any], Any]:
        return resized(wanted, name) if given != wanted else lambda x: x

    to_view = [resizer(size, view.input_shape[1:3], f"to_{view.name}") for view in views]
    back = [resizer(view.output_shape[1:3], size, f"from_{view.name}") for view in views]

    def mean_logits(images: keras.KerasTensor) -> keras.KerasTensor:
        first, *others = (
            from_view(view(to(images)))
            for to, view, from_view in zip(to_view, views, back, strict=True)
        )
        return sum(others, start=first) / len(views) if others else first

    return mean_logits


class FoldedBatchNormalization(BatchNormalization):
    """What is left of the layer: it subtracts its `moving_mean`."""

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Subtracts a number from each channel of [batch, height, width, channels]."""
        return tf.nn.bias_add(inputs, -tf.convert_to_tensor(self.moving_mean.value))


def _pairs(network: keras.Model) -> list[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """Convolutions, each with the BatchNorm layer that alone reads what it gives."""
    makers: dict[int, Any] = {}
    readers: dict[int, list[Any]] = collections.defaultdict(list)
    for operation in network.operations:
        for node in operation._inbound_nodes:  # Keras has no public way to all calls of a layer
            for tensor in node.output_tensors:
                makers[id(tensor)] = operation
            for tensor in node.input_tensors:
                readers[id(tensor)].append(operation)
    given = {id(output) for output in network.outputs}
    found = []
    for norm in network.operations:
        if not isinstance(norm, _layers.BatchNormalization) or len(norm._inbound_nodes) != 1:
            continue
        features = id(norm.input)
        before: Any = makers.get(features)
        if (
            type(before) in _OUTPUT_AXES
            and len(before._inbound_nodes) == 1
            and before.activation is keras.activations.linear
            and before.data_format == "channels_last"
            and norm.axis in (-1, 3)
            and readers[features] == [norm]
            and features not in given
        ):
            found.append((before, norm))
    return found


def _fold(convolution: Any, norm: Any) -> None:
    mean = _value(norm.moving_mean)
    factor = 1 / np.sqrt(_value(norm.moving_variance) + norm.epsilon)
    if norm.gamma is not None:
        factor = factor * _value(norm.gamma)
    shift = np.zeros_like(mean) if norm.beta is None else _value(norm.beta)
    *kernels, last = (weight for weight in convolution.get_weights() if weight.ndim > 1)
    if convolution.use_bias:
        mean = mean - _value(convolution.bias)
    axes = _OUTPUT_AXES[type(convolution)]
    shape = [last.shape[axis] if axis in axes else 1 for axis in range(-last.ndim, 0)]
    bias = [np.zeros_like(mean)] if convolution.use_bias else []
    convolution.set_weights([*kernels, last * factor.reshape(shape), *bias])
    norm.moving_mean.assign(mean * factor - shift)
    norm.__class__ = FoldedBatchNormalization


def _value(variable: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable).astype(np.float64)
