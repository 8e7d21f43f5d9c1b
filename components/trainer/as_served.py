"""The network as it is served: in single precision, its BatchNorm layers folded away.

Outside of training a BatchNorm layer multiplies each channel by a number and adds another, which
the convolution before it can do with its weights (Jacob et al., "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 3.2).
TensorFlow folds only weights that are constants, and a SavedModel's are variables.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

_layers = keras.layers
# The axis of the kernel, the last where there are two, that runs over the output's channels.
_OUTPUT_AXES = {
    _layers.Conv2D: (-1,),
    _layers.SeparableConv2D: (-1,),
    _layers.DepthwiseConv2D: (-2, -1),
    _layers.Conv2DTranspose: (-2,),
}


def as_served(unet: keras.Model) -> keras.Model:
    """A network of its own that gives the same logits outside of training, sooner.

    Args:
      unet: from `build_unet`, trained in whatever precision.

    Returns:
      A model in float32. A BatchNorm layer that does not follow a convolution, or one whose
      output is used elsewhere too, is still there.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        return _folded(unet)
    finally:
        keras.config.set_dtype_policy(policy)


def _folded(model: keras.Model) -> keras.Model:
    pairs = _pairs(model)
    convolutions = set(pairs.values())

    def copy(layer: keras.Operation) -> keras.Operation:
        if isinstance(layer, keras.Model):
            return _folded(layer)
        if layer.name in pairs:
            return _layers.Identity(name=layer.name)
        config = layer.get_config()
        if isinstance(layer, keras.Layer):
            config["dtype"] = "float32"
        if layer.name in convolutions:
            config["use_bias"] = True
        return type(layer).from_config(config)

    # Of a model that is compiled, Keras would copy loss and metrics too.
    network = keras.Model(model.input, model.output, name=model.name)
    result = keras.models.clone_model(network, clone_function=copy, call_function=_call)
    for layer in model.layers:
        if isinstance(layer, keras.Model) or not layer.weights or layer.name in pairs:
            continue
        if layer.name not in convolutions:
            result.get_layer(layer.name).set_weights(layer.get_weights())
    for norm, convolution in pairs.items():
        weights = _weights(model.get_layer(convolution), model.get_layer(norm))
        result.get_layer(convolution).set_weights(weights)
    return result


def _pairs(model: keras.Model) -> dict[str, str]:
    """Names of the BatchNorm layers that can be folded, each with its convolution's."""
    users: dict[int, list[keras.Operation]] = {}
    makers = {}
    for operation in model.operations:
        for tensor in keras.tree.flatten(operation.output):
            makers[id(tensor)] = operation
        for tensor in keras.tree.flatten(operation.input):
            users.setdefault(id(tensor), []).append(operation)
    kept = {id(output) for output in model.outputs}
    pairs = {}
    for norm in model.layers:
        if not isinstance(norm, _layers.BatchNormalization):
            continue
        features = norm.input
        before: Any = makers.get(id(features))
        if (
            type(before) in _OUTPUT_AXES
            and before.activation is keras.activations.linear
            and users[id(features)] == [norm]
            and id(features) not in kept
        ):
            pairs[norm.name] = before.name
    return pairs


def _weights(convolution: keras.layers.Layer, norm: keras.layers.Layer) -> list[np.ndarray]:
    """The convolution's kernels and bias, such that it does what both did."""

    def value(variable: Any, default: float) -> np.ndarray:
        return np.asarray(default if variable is None else variable.numpy(), np.float64)

    factor = value(norm.gamma, 1) / np.sqrt(value(norm.moving_variance, 1) + norm.epsilon)
    *kernels, last = (weight for weight in convolution.get_weights() if weight.ndim > 1)
    axes = _OUTPUT_AXES[type(convolution)]
    shape = [last.shape[axis] if axis - last.ndim in axes else 1 for axis in range(last.ndim)]
    bias = value(convolution.bias, 0) - value(norm.moving_mean, 0)
    bias = bias * factor + value(norm.beta, 0)
    return [*kernels, last * factor.reshape(shape), bias]


def _call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
    # What BatchNorm takes besides (`mask`), its place holder does not.
    return layer(*args, **({} if isinstance(layer, _layers.Identity) else kwargs))
