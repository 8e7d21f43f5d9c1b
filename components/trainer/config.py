"""How the model is built and trained. The defaults are the tutorial's."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from components.common import schema

Fraction = Annotated[float, Field(ge=0, le=1)]
AS_TRAINED = "as_trained"

_ROUNDED = 0.005  # 0.67 means two thirds

EncoderName = Literal[
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_v2_b0",
    "efficientnet_v2_b1",
    "efficientnet_v2_b2",
    "efficientnet_v2_b3",
    "efficientnet_v2_s",
    "resnet50",
    "resnet50_v2",
    "keras_hub",
]


class EncoderConfig(schema.Config):
    """The first half of the U-Net: a network that was made for ImageNet."""

    name: EncoderName = Field(
        default="mobilenet_v2", description="one of Keras's networks; keras_hub: see preset"
    )
    preset: str | None = Field(
        default=None,
        description="for `name: keras_hub`: a KerasHub preset for pictures, such as "
        "resnet_18_imagenet (downloaded from Kaggle), or the folder of one. Its own "
        "normalisation of pictures becomes part of the model",
    )
    weights: str = Field(
        default="imagenet",
        description="`imagenet` (downloaded by Keras; with a preset: the preset's), the path "
        "of an .h5 file without top, or `none`: random weights, and the encoder trains from "
        "the start",
    )
    alpha: float = Field(
        default=1.0, gt=0, le=2, description="width multiplier; the MobileNets have one"
    )
    enlarge: float = Field(
        default=1,
        ge=1,
        le=4,
        description="2: the encoder sees the picture at twice its size, so that its features "
        "are finer (1.5: at one and a half, up to the next multiple of 32); the masks stay as "
        "they are. A step takes as many times longer as there are more pixels",
    )
    input_range: tuple[float, float] | Literal["as_trained"] = Field(
        default=(0.0, 1.0),
        description="what the model makes of the picture's [0, 1]: two numbers, or `as_trained`, "
        "which is what the network's ImageNet weights saw ([-1, 1] for the MobileNets; the "
        "tutorial feeds them [0, 1])",
    )
    fine_tune_from_epoch: int | None = Field(
        default=None,
        ge=0,
        description="epoch (from 0) from which the encoder trains too, BatchNorm statistics "
        "frozen; null: never, as in the tutorial",
    )
    fine_tune_beyond_stride: Literal[1, 2, 4, 8, 16] = Field(
        default=1,
        description="layers up to the skip at this stride stay as they are, which costs less; "
        "1: all layers are fine-tuned",
    )
    fine_tune_learning_rate: float = Field(
        default=3e-4, gt=0, description="Adam's, from fine_tune_from_epoch on"
    )

    @property
    def pretrained(self) -> bool:
        """Whether there are weights to keep."""
        return self.weights != "none"

    @property
    def source(self) -> str:
        """Where its weights come from: a preset, a file, or `imagenet`."""
        return self.preset or self.weights

    @pydantic.model_validator(mode="after")
    def _check(self) -> EncoderConfig:
        if self.alpha != 1.0 and not self.name.startswith("mobilenet"):
            raise ValueError(f"alpha: {self.name} has no width multiplier; leave it at 1")
        if not self.pretrained and self.fine_tune_from_epoch is not None:
            raise ValueError("fine_tune_from_epoch needs weights: an encoder without trains anyway")
        if (self.name == "keras_hub") != (self.preset is not None):
            raise ValueError("preset and `name: keras_hub` go together")
        if self.preset and self.weights not in ("imagenet", "none"):
            raise ValueError("weights: with a preset, `imagenet` (the preset's) or `none`")
        if isinstance(self.input_range, tuple) and self.input_range[0] >= self.input_range[1]:
            raise ValueError("input_range: the first number must be the smaller one")
        return self


class DecoderConfig(schema.Config):
    """The second half of the U-Net."""

    kind: Literal["transposed", "separable"] = Field(
        default="transposed",
        description="`transposed`: the tutorial's transposed convolutions; `separable`: bilinear "
        "upsampling and separable convolutions over the skip too",
    )
    filters: tuple[pydantic.PositiveInt, ...] = Field(
        default=(512, 256, 128, 64),
        min_length=4,
        max_length=4,
        description="filters of the four upsampling blocks, deepest first",
    )


class AugmentationConfig(schema.Config):
    """Random changes of the training pictures; the mask follows where it must."""

    horizontal_flip: bool = Field(default=True, description="mirror half of the pictures")
    min_scale: Fraction = Field(
        default=1.0,
        gt=0.05,
        description="side of the smallest random crop, as a share of the picture's; 1: no crops",
    )
    brightness: Fraction = Field(default=0.0, description="largest change, of the range [0, 1]")
    contrast: Fraction = Field(default=0.0, description="largest change of the factor 1")
    saturation: Fraction = Field(default=0.0, description="largest change of the factor 1")


class ServingConfig(schema.Config):
    """What the served model takes and gives; a larger request is refused undecoded."""

    max_megabytes: pydantic.PositiveInt = Field(
        default=64, description="of all pictures of a request together, in 10^6 bytes"
    )
    max_megapixels: pydantic.PositiveInt = Field(
        default=100, description="of a picture, by its header, in 10^6 pixels"
    )
    flip: bool = Field(
        default=False,
        description="every answer is the mean over the picture and its mirror image, and counted "
        "so: a little better, for twice the work. Not where a mirror image has other classes "
        "(left and right hands)",
    )
    scales: tuple[Annotated[float, Field(ge=0.5, le=2)], ...] = Field(
        default=(1,),
        min_length=1,
        max_length=5,
        description="every answer is the mean over the picture at these shares of `image_size`, "
        "and counted so: [0.75, 1, 1.25], say, for three times the work (a little more with "
        "`encoder.enlarge: 1.5`), beside `flip` six times. Better or worse, by how well the "
        "network knows other sizes: measure it. Each must come to a multiple of 32 pixels (of 96 "
        "0.67 does)",
    )
    telemetry: bool = Field(
        default=False,
        description="answers also have each class's share, brightness, contrast and sharpness of "
        "the picture as the network sees it, and its size as sent: what `segline watch` reads in "
        "a log that has no pictures",
    )

    def view_sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """The sizes that `scales` come to.

        Args:
          image_size: height and width that the network is trained with, multiples of 32.

        Returns:
          Height and width for each scale, multiples of 32, no two of them the same.

        Raises:
          ValueError: a scale comes to none, or two come to one; names those that there are.
        """
        steps = math.gcd(*image_size) // 32  # both sides have so many steps of whole 32 pixels
        counts = [round(scale * steps) for scale in self.scales]
        exact = all(
            abs(scale - count / steps) < _ROUNDED
            for scale, count in zip(self.scales, counts, strict=True)
        )
        if not exact or len(set(counts)) < len(counts):
            raise ValueError(
                f"scales: {list(self.scales)}: of {image_size[1]}x{image_size[0]} pixels only "
                f"multiples of 1/{steps} ({1 / steps:.3g}) come to multiples of 32; take such, no "
                "two the same"
            )
        return [(image_size[0] * n // steps, image_size[1] * n // steps) for n in counts]


class TrainerConfig(schema.Config):
    """Model, data path and optimisation."""

    encoder: EncoderConfig = EncoderConfig()
    warm_start: bool = Field(
        default=False,
        description="begin with the weights of the latest blessed model that was trained on "
        "other data, if its layers are the same",
    )
    decoder: DecoderConfig = DecoderConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    epochs: pydantic.PositiveInt = Field(default=20, description="passes over the training split")
    batch_size: pydantic.PositiveInt = Field(default=64, description="examples, over all devices")
    steps_per_epoch: pydantic.PositiveInt | None = Field(
        default=None, description="default: training examples // batch_size"
    )
    validation_subsplits: pydantic.PositiveInt = Field(
        default=1,
        description="each epoch is validated on the first 1/N of the validation split, in whole "
        "batches (the tutorial's VAL_SUBSPLITS = 5); 1: on all of it",
    )
    cache: Literal["memory", "disk", "none"] = Field(
        default="memory", description="where the prepared pictures are kept after the first epoch"
    )
    shuffle_buffer: pydantic.PositiveInt = Field(default=1000, description="examples")
    learning_rate: float = Field(default=1e-3, gt=0, description="Adam's, at the start")
    learning_rate_schedule: Literal["constant", "cosine"] = Field(
        default="constant",
        description="`cosine` falls to zero over the epochs, or over those of the fine-tuning",
    )
    class_weights: Literal["none", "balanced"] | tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default="none",
        description="weight of each class's pixels in the loss: a list in the classes' order, "
        "normalised to sum 1; `balanced`: inverse to the class's pixels in the training split",
    )
    jaccard_weight: float = Field(
        default=0.0,
        ge=0,
        description="weight of the soft Jaccard loss (1 - IoU of the probabilities, mean of the "
        "classes) beside the cross-entropy; 0: cross-entropy alone, as in the tutorial",
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        default="float32",
        description="Keras dtype policy of the training; what is served computes in float32",
    )
    calibrate: bool = Field(
        default=True,
        description="after the training, fit the temperature that makes `confidence` as high as "
        "the model is right, on the validation split; no mask changes. false: the network's own "
        "probabilities, as in the tutorial",
    )
    serving: ServingConfig = ServingConfig()
    seed: int = Field(default=0, ge=0, description="of weights, shuffling and augmentation")
    sample_pictures: int = Field(
        default=4, ge=0, le=16, description="validation pictures predicted after each epoch"
    )

    @pydantic.field_validator("class_weights")
    @classmethod
    def _some_weight(cls, weights: str | tuple[float, ...]) -> str | tuple[float, ...]:
        if not isinstance(weights, str) and not sum(weights) > 0:
            raise ValueError("at least one weight must be greater than 0")
        return weights
