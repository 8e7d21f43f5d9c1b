"""The modified U-Net of TensorFlow's segmentation tutorial.

Encoder: MobileNetV2 (Sandler et al., CVPR 2018), five of its layers as skips.
Decoder: the upsampling blocks of pix2pix (Isola et al., CVPR 2017) and a
transposed convolution that gives the logits. The shape is U-Net's
(Ronneberger et al., MICCAI 2015).
https://www.tensorflow.org/tutorials/images/segmentation
"""

from __future__ import annotations

import math

import keras

from components.trainer.batch_norm import BatchNormalization, batch_norms
from components.trainer.config import DecoderConfig, EncoderConfig
from components.trainer.encoders import (
    ENCODER_NAME,
    STRIDES,
    build_encoder,
    input_scaling,
)

ENLARGE_NAME = "enlarge"  # of the layer through which the encoder sees the picture larger

# TensorFlow interpolates in float32 whatever it is given, and XLA, which Keras takes on a
# GPU, fails where the rest of the model is in another precision (TensorFlow 2.16, 2.21).
_EXACT = "float32"


def build_unet(
    num_classes: int,
    image_size: tuple[int, int],
    encoder: EncoderConfig,
    decoder: DecoderConfig,
    channels: int = 3,
) -> keras.Model:
    """Builds the U-Net; a pretrained encoder is frozen.

    Args:
      num_classes: number of output channels.
      image_size: height and width, multiples of 32.
      encoder: network, weights, width and input range of the encoder.
      decoder: kind and filters of the upsampling blocks.
      channels: of a picture.

    Returns:
      A model from float32 [batch, height, width, channels] in [0, 1] to float32 logits
      [batch, height, width, num_classes].

    Raises:
      UserError: the encoder's weights can't be had or don't fit.
    """
    inputs = keras.Input((*image_size, channels), name="image")
    x = input_scaling(encoder).apply(inputs)
    seen_size = enlarged_size(image_size, encoder)
    enlarged = seen_size != image_size
    if enlarged:
        x = resized(seen_size, ENLARGE_NAME)(x)
    *skips, x = build_encoder(seen_size, encoder, channels)(x)
    block = _BLOCKS[decoder.kind]
    for index, (filters, skip) in enumerate(
        zip(decoder.filters, reversed(skips), strict=True), start=1
    ):
        x = block(x, skip, filters, str(index))
    # The skips end at half of what the encoder sees; enlarged, it sees more than the picture has.
    layer: keras.layers.Layer
    if decoder.kind == "separable" or enlarged:
        kernel = 1 if decoder.kind == "separable" else 3
        layer = keras.layers.Conv2D(
            num_classes, kernel, padding="same", dtype="float32", name="logits"
        )
    else:
        layer = keras.layers.Conv2DTranspose(
            num_classes, 3, strides=2, padding="same", dtype="float32", name="logits"
        )
    logits = layer(x)
    if tuple(logits.shape[1:3]) != image_size:
        logits = resized(image_size, "to_size")(logits)
    return keras.Model(inputs, logits, name="unet")


def unfreeze_encoder(unet: keras.Model, beyond_stride: int = 1) -> None:
    """Lets the encoder train, its BatchNorm layers left in inference mode.

    The model must be compiled again afterwards.

    Args:
      unet: from `build_unet`.
      beyond_stride: layers up to the skip at this stride stay frozen, so that nothing has
        to be propagated back through the finest activations; 1: none do.
    """
    encoder = unet.get_layer(ENCODER_NAME)
    encoder.trainable = True
    for layer in batch_norms(encoder):
        layer.trainable = False
    if beyond_stride > 1:
        skip = encoder.outputs[STRIDES.index(beyond_stride)]
        for layer in encoder.layers:
            layer.trainable = False
            if layer.output is skip:
                break


def enlarged_size(image_size: tuple[int, int], encoder: EncoderConfig) -> tuple[int, int]:
    """Height and width that the encoder sees of a picture: multiples of 32."""
    height, width = (
        math.ceil(side * encoder.enlarge / STRIDES[-1]) * STRIDES[-1] for side in image_size
    )
    return height, width


def resized(size: tuple[int, int], name: str) -> keras.layers.Layer:
    """A layer that gives pictures, or logits, another height and width, bilinearly."""
    return keras.layers.Resizing(*size, interpolation="bilinear", dtype=_EXACT, name=name)


def _transposed(
    x: keras.KerasTensor, skip: keras.KerasTensor, filters: int, name: str
) -> keras.KerasTensor:
    """pix2pix's upsample block without dropout, as in the tutorial, and the skip."""
    x = keras.layers.Conv2DTranspose(
        filters,
        3,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
        name=f"up_{name}_conv",
    )(x)
    x = BatchNormalization(name=f"up_{name}_norm")(x)
    x = keras.layers.ReLU(name=f"up_{name}_relu")(x)
    return keras.layers.Concatenate(name=f"skip_{name}")([x, skip])


def _separable(
    x: keras.KerasTensor, skip: keras.KerasTensor, filters: int, name: str
) -> keras.KerasTensor:
    """Bilinear upsampling, the skip, and two separable convolutions over both.

    The decoder of DeepLabv3+ (Chen et al., ECCV 2018) refines so; here at each stride.
    """
    if x.shape[-1] > 2 * filters:  # narrower first: the next convolution costs less
        x = _norm_relu(
            keras.layers.Conv2D(filters, 1, use_bias=False, name=f"up_{name}_narrow")(x),
            f"up_{name}_narrow",
        )
    x = keras.layers.UpSampling2D(interpolation="bilinear", dtype=_EXACT, name=f"up_{name}")(x)
    x = keras.layers.Concatenate(name=f"skip_{name}")([x, skip])
    for part in "ab":
        convolution = keras.layers.SeparableConv2D(
            filters, 3, padding="same", use_bias=False, name=f"refine_{name}{part}_conv"
        )
        x = _norm_relu(convolution(x), f"refine_{name}{part}")
    return x


def _norm_relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    # Keras's momentum of 0.99 is for longer trainings than ours.
    x = BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


_BLOCKS = {"transposed": _transposed, "separable": _separable}
