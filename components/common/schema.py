"""The names that the steps agree on: splits, features, signatures, classes, metrics.

A component may import this module, never another component's package.
"""

from __future__ import annotations

import re
from typing import Annotated

import pydantic

# Splits. The config maps each to a TFDS split expression.
TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
SPLITS = (TRAIN, VALIDATION, TEST)

# Features of a raw example.
IMAGE = "image"  # encoded JPEG, PNG or GIF; of other bands .npy
MASK = "mask"  # encoded PNG bytes, raw mask values
EXAMPLE_ID = "example_id"  # bytes, unique within the dataset
HEIGHT = "height"  # int64, pixels, before resizing
WIDTH = "width"  # int64, pixels, before resizing
BRIGHTNESS = "brightness"  # float, mean of the picture, 0 to 1
ENCODED_FEATURES = (IMAGE, MASK, EXAMPLE_ID)


def share_feature(class_name: str) -> str:
    """Name of the example's feature that holds a class's share of its pixels (float32)."""
    return f"share_{class_name}"


# A feature of our own datasets: what is wrong with an example; empty: nothing.
PROBLEM = "segline_problem"

# A feature of a folder's dataset: the round of labelling that an example came in.
ROUND = "round"
FIRST_ROUND = "first"

# What the Transform step gives besides IMAGE and MASK.
ORIGINAL_SIZE = "original_size"  # int64 [2], height and width before resizing
CONTENT_BOX = "content_box"  # int64 [4], top, left, height, width in IMAGE; the rest is padding

# Signatures of the saved model, and the names of what they take and give.
SERVING_SIGNATURE = "serving_default"
FLIPPED_SIGNATURE = "serving_flipped"
EVALUATE_SIGNATURE = "evaluate"
EVALUATE_AT_PICTURE_SIGNATURE = "evaluate_at_picture"
TRANSFORM_SIGNATURE = "transform_features"
IMAGE_BYTES = "image_bytes"
EXAMPLES = "examples"
MASK_PNG_BYTES = "mask_png_bytes"
PACKED_MASK = "packed_mask"  # as pictures.pack_indices has it
PACKED_TRUTH = "packed_truth"
CONFIDENCE = "confidence"
# With trainer.serving.telemetry, besides BRIGHTNESS:
CONTRAST = "contrast"
SHARPNESS = "sharpness"
CLASS_SHARES = "class_shares"
SIZE = "size"  # height and width of the picture as it was sent
CONFUSION_MATRIX = "confusion_matrix"
RELIABILITY = "reliability"  # as reliability.count_bins has it

# The class index of a pixel that does not count: raw value in `ignore_values`.
IGNORE_INDEX = 255

# Metric names; the per-class ones end in the class's name.
PIXEL_ACCURACY = "pixel_accuracy"
MEAN_IOU = "mean_iou"
PREDICTED_CLASSES = "predicted_classes"  # how many classes are predicted anywhere at all
GUARDED_MEAN_IOU = "guarded_mean_iou"  # mean_iou, or 0 in a slice with too few pictures
EXAMPLE_COUNT = "example_count"
CALIBRATION_ERROR = "expected_calibration_error"
RANKED_PICTURES = "ranked_pictures"  # JSON: ids of the best, the median and the worst
PER_CLASS_METRICS = ("iou", "accuracy", "precision", "dice")
OBJECT_METRICS = ("found", "missed", "invented", "f1", "quality")

# On blessings in ML Metadata: the size at which pixels were counted, `model` or `picture`; those
# of before it came have none, and were at the model's.
EVALUATED_AT = "evaluated_at"

# On evaluations in ML Metadata, as text: numbers there are metrics. None: it is not calibrated.
TEMPERATURE = "temperature"

# On examples in ML Metadata: BandsConfig as JSON; none: red, green and blue of 8 bits.
BANDS = "bands"

# Slicing feature that the Evaluator adds: none, small, medium, large.
OBJECT_SIZE = "object_size"


def class_metric(metric: str, class_name: str) -> str:
    """Name of a per-class metric, such as `iou_pet`."""
    return f"{metric}_{class_name}"


def object_metric(metric: str, class_name: str) -> str:
    """Name of a metric of a class's objects, such as `objects_missed_car`."""
    return f"objects_{metric}_{class_name}"


class Config(pydantic.BaseModel):
    """Base of every config class: unknown keys are errors, values do not change."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Byte = Annotated[int, pydantic.Field(ge=0, le=255)]
LARGEST_MASK_VALUE = 65535  # 16 bits
MaskValue = Annotated[int, pydantic.Field(ge=0, le=LARGEST_MASK_VALUE)]


class ClassTable(Config):
    """The classes of a mask, in the order of their indices.

    Attributes:
      values: class name -> the raw value that a mask has for it. The class's
        index is its position here: this is the tutorial's "shift the labels".
      ignore_values: raw values of pixels that count neither in training nor in
        evaluation.
    """

    values: dict[str, MaskValue]
    ignore_values: tuple[MaskValue, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check(self) -> ClassTable:
        if len(self.values) < 2:
            raise ValueError("a segmentation needs at least two classes")
        if len(self.values) > IGNORE_INDEX:
            raise ValueError(f"at most {IGNORE_INDEX} classes are possible")
        for name in self.values:
            if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name):
                raise ValueError(
                    f"class name {name!r}: use lower-case letters, digits and _ "
                    "(it becomes part of metric names such as iou_pet)"
                )
        taken = list(self.values.values()) + list(self.ignore_values)
        twice = sorted({value for value in taken if taken.count(value) > 1})
        if twice:
            raise ValueError(f"raw mask value {twice[0]} is listed twice")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, by index."""
        return tuple(self.values)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def ignore_index(self) -> int | None:
        """What the masks have where a pixel doesn't count; None: all count."""
        return IGNORE_INDEX if self.ignore_values else None

    @property
    def wide(self) -> bool:
        """Whether there are raw values of more than 8 bits.

        The masks of the examples have 8 bits: then they hold class indices, and
        IGNORE_INDEX, in place of the raw values.
        """
        return max(*self.values.values(), *self.ignore_values) > 255

    def stored_values(self) -> dict[int, int]:
        """Raw value -> the value that the examples' masks have for it."""
        if not self.wide:
            return {value: value for value in (*self.values.values(), *self.ignore_values)}
        indices = {value: index for index, value in enumerate(self.values.values())}
        return indices | dict.fromkeys(self.ignore_values, IGNORE_INDEX)

    def lookup_table(self, unknown: int = -1) -> list[int]:
        """256 entries: an example's mask value -> class index, IGNORE_INDEX, or `unknown`."""
        table = [unknown] * 256
        stored = self.stored_values()
        for index, value in enumerate(self.values.values()):
            table[stored[value]] = index
        for value in self.ignore_values:
            table[stored[value]] = IGNORE_INDEX
        return table

    def describe(self) -> str:
        """For messages: `pet=1, background=2, border=3; ignored: 255`."""
        text = ", ".join(f"{name}={value}" for name, value in self.values.items())
        if self.ignore_values:
            text += f"; ignored: {', '.join(map(str, self.ignore_values))}"
        return text
