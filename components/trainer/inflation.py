"""Weights of a network for three colours, for pictures of other bands.

The first layer's kernel is repeated over the bands, red, green, blue, red, …, and divided so that
what it adds up to stays about as large; a single band gets the sum of the three. After timm's
`adapt_input_conv` (Wightman, PyTorch Image Models), which has the idea of repeated and rescaled
kernels from I3D (Carreira and Zisserman, CVPR 2017).
"""

from __future__ import annotations

import keras
import numpy as np


def inflated(trained: keras.Model, network: keras.Model, blue_first: bool = False) -> keras.Model:
    """Gives a network the weights of its like for three channels.

    Args:
      trained: takes [batch, height, width, 3].
      network: the same but for its input's channels.
      blue_first: whether `trained` takes blue, green, red; the bands come last to first then too.

    Returns:
      `network`.
    """
    first = True
    for one, other in zip(trained.weights, network.weights, strict=True):
        value = keras.ops.convert_to_numpy(one)
        if value.shape != tuple(other.shape):
            if not first or value.shape[2] != 3:
                raise ValueError(f"{other.path}: {value.shape} does not fit {tuple(other.shape)}")
            value, first = inflate(value, other.shape[2], blue_first), False
        other.assign(value)
    return network


def inflate(kernel: np.ndarray, channels: int, blue_first: bool = False) -> np.ndarray:
    """A first layer's kernel for other channels.

    Args:
      kernel: [height, width, 3, filters].
      channels: how many.
      blue_first: of the kernel's channels.

    Returns:
      [height, width, channels, filters] of the same type.
    """
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    colors = kernel[:, :, ::-1] if blue_first else kernel
    bands = colors[:, :, np.arange(channels) % 3] * (3 / channels)
    return (bands[:, :, ::-1] if blue_first else bands).astype(kernel.dtype)
