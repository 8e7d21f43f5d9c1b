"""The encoders of the U-Net: Keras's and KerasHub's networks, cut open at their strides."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from typing import Any

import keras

from components.common.errors import UserError
from components.trainer import keras_hub_presets
from components.trainer.batch_norm import batch_norms, use_kernel
from components.trainer.config import AS_TRAINED, EncoderConfig
from components.trainer.inflation import inflated
from components.trainer.input_scaling import CAFFE, STANDARDISED, SYMMETRIC, InputScaling

ENCODER_NAME = "encoder"
STRIDES = (2, 4, 8, 16, 32)

# Keras's MobileNetV2 averages BatchNorm statistics with momentum 0.999, right for
# ImageNet's million steps. Trained from scratch on a small dataset, the averages
# would still be near their start when training ends.
_FROM_SCRATCH_MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Network:
    """One of Keras's networks.

    Attributes:
      build: its function in keras.applications.
      scaling: what its ImageNet weights were trained on.
      deepest: the layer to take at stride 32; empty: the last one there.
      takes_alpha: whether it has a width multiplier.
      options: further arguments of `build`. What prepares the picture is left out: it is
        the U-Net's part.
    """

    build: Callable[..., keras.Model]
    scaling: InputScaling = SYMMETRIC
    deepest: str = ""
    takes_alpha: bool = False
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


_applications = keras.applications
_bare: dict[str, Any] = {"include_preprocessing": False}

NETWORKS = {
    # The tutorial's layer; behind it come the 1,280 channels of the classifier.
    "mobilenet_v2": Network(
        _applications.MobileNetV2, deepest="block_16_project", takes_alpha=True
    ),
    "mobilenet_v3_small": Network(
        _applications.MobileNetV3Small, takes_alpha=True, options=_bare | {"minimalistic": False}
    ),
    "mobilenet_v3_large": Network(
        _applications.MobileNetV3Large, takes_alpha=True, options=_bare | {"minimalistic": False}
    ),
    "efficientnet_v2_b0": Network(_applications.EfficientNetV2B0, STANDARDISED, options=_bare),
    "efficientnet_v2_b1": Network(_applications.EfficientNetV2B1, STANDARDISED, options=_bare),
    "efficientnet_v2_b2": Network(_applications.EfficientNetV2B2, STANDARDISED, options=_bare),
    "efficientnet_v2_b3": Network(_applications.EfficientNetV2B3, STANDARDISED, options=_bare),
    "efficientnet_v2_s": Network(
        _applications.EfficientNetV2S, InputScaling.to_range(-1, 255 / 128 - 1), options=_bare
    ),
    "resnet50": Network(_applications.ResNet50, CAFFE),
    "resnet50_v2": Network(_applications.ResNet50V2),
}


def build_encoder(
    image_size: tuple[int, int], config: EncoderConfig, channels: int = 3
) -> keras.Model:
    """Builds a network up to its five skips.

    Args:
      image_size: height and width, multiples of 32.
      config: which network, its weights (`imagenet`, a path, or `none`) and width.
      channels: of the picture; weights for three are inflated to others.

    Returns:
      A model with five outputs, from 1/2 to 1/32 of the picture's size. It is
      frozen if it has pretrained weights.

    Raises:
      UserError: the weights can't be downloaded, read, or don't fit.
    """
    if channels == 3 or not config.pretrained:
        base = _build_base(image_size, config, channels)
    else:
        scaling = input_scaling(config)
        base = inflated(
            _build_base(image_size, config, 3),
            _build_base(image_size, config.model_copy(update={"weights": "none"}), channels),
            scaling.blue_first,
        )
    deepest = "" if config.preset else NETWORKS[config.name].deepest
    encoder = keras.Model(
        base.input, [layer.output for layer in skip_layers(base, deepest)], name=ENCODER_NAME
    )
    use_kernel(encoder)
    if config.pretrained:
        encoder.trainable = False
    else:
        for layer in batch_norms(encoder):
            layer.momentum = _FROM_SCRATCH_MOMENTUM
    return encoder


def skip_layers(network: keras.Model, deepest: str = "") -> list[keras.layers.Layer]:
    """The last layer at each stride: what is known before the network makes it coarser.

    For MobileNetV2 these are the tutorial's.

    Args:
      network: from pictures to features, in topological order.
      deepest: name of the layer at stride 32; empty: the last one.

    Returns:
      A layer for each of `STRIDES`.

    Raises:
      UserError: it has nothing at one of them.
    """
    height, width = network.input_shape[1:3]
    at_size: dict[tuple[int, int], keras.layers.Layer] = {}
    for layer in network.layers:
        shape = getattr(layer.output, "shape", ())
        if len(shape) == 4:
            at_size[tuple(shape[1:3])] = layer
    for stride in STRIDES:
        if (height // stride, width // stride) not in at_size:
            raise UserError(
                f"trainer.encoder: {network.name} has no features at 1/{stride} of the picture's "
                "size, which the U-Net needs: take a convolutional network, a ResNet for instance"
            )
    layers = [at_size[height // stride, width // stride] for stride in STRIDES]
    if deepest:
        layers[-1] = network.get_layer(deepest)
    return layers


def input_scaling(config: EncoderConfig) -> InputScaling:
    """What the model makes of a picture in [0, 1] before the encoder sees it.

    Returns:
      The preset's own; else that of `input_range`.

    Raises:
      UserError: the preset can't be read, or does not say what it was trained on.
    """
    own = keras_hub_presets.scaling(config.preset) if config.preset else None
    if own:
        return own
    if config.input_range != AS_TRAINED:
        return InputScaling.to_range(*config.input_range)
    if config.preset:
        raise UserError(
            f"trainer.encoder.input_range: `{config.preset}` does not say what it was trained on; "
            "give the range, [-1, 1] for instance"
        )
    return NETWORKS[config.name].scaling


def check_weights(encoder: EncoderConfig, image_size: tuple[int, int]) -> None:
    """Makes sure, before hours are spent, that the encoder's weights are there and fit.

    `imagenet` and presets are downloaded to Keras's cache on this occasion.

    Raises:
      UserError: they can't be had or don't fit.
    """
    if encoder.pretrained or encoder.preset:
        input_scaling(encoder)
        build_encoder(image_size, encoder)
        keras.backend.clear_session()


def _build_base(image_size: tuple[int, int], config: EncoderConfig, channels: int) -> keras.Model:
    shape = (*image_size, channels)
    if config.preset:
        return keras_hub_presets.build_backbone(config.preset, shape, config.pretrained)
    return _build_network(shape, config)


def _build_network(shape: tuple[int, int, int], config: EncoderConfig) -> keras.Model:
    network = NETWORKS[config.name]
    title = f"{network.build.__name__} without top"
    options = dict(network.options)
    if network.takes_alpha:
        options["alpha"] = config.alpha
        title += f", alpha {config.alpha}"
    weights = {"none": None, "imagenet": "imagenet"}.get(config.weights)
    path = None
    if weights is None and config.pretrained:
        weights = path = os.path.expanduser(config.weights)
        if not os.path.isfile(path):
            raise UserError(
                f"trainer.encoder.weights: there is no file {os.path.abspath(path)} "
                "(allowed: imagenet, none, or the path of an .h5 file)"
            )
    try:
        with warnings.catch_warnings():
            # That networks "usually" have one channel or three.
            warnings.filterwarnings("ignore", "This model usually expects")
            return network.build(input_shape=shape, include_top=False, weights=weights, **options)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if path:
            raise UserError(
                f"trainer.encoder.weights: {path} does not fit {title}: {reason}"
            ) from error
        raise UserError(
            f"trainer.encoder.weights: `{config.weights}` for {title} can't be had: {reason} "
            "Download the .h5 file elsewhere and give its path, or train from scratch with `none`."
        ) from error
