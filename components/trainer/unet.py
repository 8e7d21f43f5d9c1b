"""The modified U-Net of TensorFlow's segmentation tutorial.

Encoder: MobileNetV2 (Sandler et al., CVPR 2018), five of its layers as skips.
Decoder: the upsampling blocks of pix2pix (Isola et al., CVPR 2017) and a
transposed convolution that gives the logits. The shape is U-Net's
(Ronneberger et al., MICCAI 2015).
https://www.tensorflow.org/tutorials/images/segmentation
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras

from components.errors import UserError
from components.trainer.config import EncoderConfig

# Activations at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture's size.
_SKIP_LAYERS = (
    "block_1_expand_relu",
    "block_3_expand_relu",
    "block_6_expand_relu",
    "block_13_expand_relu",
    "block_16_project",
)
ENCODER_NAME = "encoder"

# Keras's MobileNetV2 averages BatchNorm statistics with momentum 0.999, right for
# ImageNet's million steps. Trained from scratch on a small dataset, the averages
# would still be near their start when training ends.
_FROM_SCRATCH_MOMENTUM = 0.9


def build_unet(
    num_classes: int,
    image_size: tuple[int, int],
    encoder: EncoderConfig,
    decoder_filters: Sequence[int],
) -> keras.Model:
    """Builds the U-Net; a pretrained encoder is frozen.

    Args:
      num_classes: number of output channels.
      image_size: height and width, multiples of 32.
      encoder: weights, width and input range of the encoder.
      decoder_filters: filters of the upsampling blocks, deepest first.

    Returns:
      A model from float32 [batch, height, width, 3] in [0, 1] to float32 logits
      [batch, height, width, num_classes].

    Raises:
      UserError: the encoder's weights can't be had or don't fit.
    """
    inputs = keras.Input((*image_size, 3), name="image")
    low, high = encoder.input_range
    x = inputs
    if (low, high) != (0.0, 1.0):
        x = keras.layers.Rescaling(high - low, offset=low, name="input_range")(x)
    *skips, x = build_encoder(image_size, encoder)(x)
    for index, (filters, skip) in enumerate(zip(decoder_filters, reversed(skips), strict=True)):
        x = _upsample(x, filters, f"up_{index + 1}")
        x = keras.layers.Concatenate(name=f"skip_{index + 1}")([x, skip])
    logits = keras.layers.Conv2DTranspose(
        num_classes, 3, strides=2, padding="same", dtype="float32", name="logits"
    )(x)
    return keras.Model(inputs, logits, name="unet")


def build_encoder(image_size: tuple[int, int], config: EncoderConfig) -> keras.Model:
    """Builds MobileNetV2 up to its five skips.

    Args:
      image_size: height and width.
      config: weights (`imagenet`, a path, or `none`) and width.

    Returns:
      A model with five outputs, from 1/2 to 1/32 of the picture's size. It is
      frozen if it has pretrained weights.

    Raises:
      UserError: the weights can't be downloaded, read, or don't fit.
    """
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
        base = keras.applications.MobileNetV2(
            input_shape=(*image_size, 3), alpha=config.alpha, include_top=False, weights=weights
        )
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if path:
            raise UserError(
                f"trainer.encoder.weights: {path} does not fit MobileNetV2 without top, "
                f"alpha {config.alpha}: {reason}"
            ) from error
        raise UserError(
            f"trainer.encoder.weights: `imagenet` for alpha {config.alpha} can't be had: {reason} "
            "Download the .h5 file elsewhere and give its path, or train from scratch with `none`."
        ) from error
    outputs = [base.get_layer(name).output for name in _SKIP_LAYERS]
    encoder = keras.Model(base.input, outputs, name=ENCODER_NAME)
    if config.pretrained:
        encoder.trainable = False
    else:
        for layer in _batch_norms(encoder):
            layer.momentum = _FROM_SCRATCH_MOMENTUM
    return encoder


def unfreeze_encoder(unet: keras.Model) -> None:
    """Lets the encoder train, its BatchNorm layers left in inference mode.

    The model must be compiled again afterwards.
    """
    encoder = unet.get_layer(ENCODER_NAME)
    encoder.trainable = True
    for layer in _batch_norms(encoder):
        layer.trainable = False


def _batch_norms(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _upsample(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """pix2pix's upsample block without dropout: doubles height and width."""
    x = keras.layers.Conv2DTranspose(
        filters,
        3,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
        name=f"{name}_conv",
    )(x)
    x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def check_weights(encoder: EncoderConfig, image_size: tuple[int, int]) -> None:
    """Makes sure, before hours are spent, that the encoder's weights are there and fit.

    `imagenet` is downloaded to Keras's cache on this occasion.

    Raises:
      UserError: they can't be had or don't fit.
    """
    if encoder.pretrained:
        build_encoder(image_size, encoder)
        keras.backend.clear_session()
