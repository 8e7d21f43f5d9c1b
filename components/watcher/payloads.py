"""Bodies of requests and answers: TensorFlow Serving's REST API, by rows and by columns.

The forms are those of tensorflow/serving, tensorflow_serving/util/json_tensor.h. Strings of a
tensor whose name ends in `_bytes` are `{"b64": …}` (json_tensor.cc).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from components.common import picture_formats, schema
from components.common.telemetry import LOOKS

_MOST = 1e9  # of any value; what is beyond has no mean, and no place in a chart
_ASKED = (schema.SERVING_SIGNATURE, schema.FLIPPED_SIGNATURE, None)


class OtherModelError(ValueError):
    """An answer that the model in question can't have given."""


def pictures_of(body: Any) -> list[bytes]:
    """The pictures of a request, encoded.

    Raises:
      ValueError: it is no request for masks.
    """
    if not isinstance(body, dict):
        raise ValueError("no request of TensorFlow Serving")
    if body.get("signature_name") not in _ASKED:
        raise ValueError("a request for another signature than that of masks")
    found = body.get("instances", body.get("inputs"))
    if isinstance(found, dict):
        found = found.get(schema.IMAGE_BYTES, found if "b64" in found else None)
    found = [found] if isinstance(found, dict) else found
    if not isinstance(found, list):
        raise ValueError("a request without pictures")
    named = [one.get(schema.IMAGE_BYTES, one) if isinstance(one, dict) else one for one in found]
    return [_decoded(one) for one in named]


def asks_for_flipped(body: Any) -> bool:
    """Whether a request wants pictures averaged with their mirror images."""
    return isinstance(body, dict) and body.get("signature_name") == schema.FLIPPED_SIGNATURE


def answers_of(
    body: Any, class_names: Sequence[str], max_megapixels: int
) -> list[dict[str, float]]:
    """What the answers of a response say, in the pictures' order; `values_of` each.

    Raises:
      OtherModelError: it is of another model.
      ValueError: it is no answer.
    """
    rows = body.get("predictions") if isinstance(body, dict) else None
    if rows is None and isinstance(body, dict) and isinstance(body.get("outputs"), dict):
        columns = body["outputs"]
        if not all(isinstance(column, list) for column in columns.values()):
            raise ValueError("an answer whose outputs are no lists")
        rows = [dict(zip(columns, row)) for row in zip(*columns.values())]  # noqa: B905
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("no answer of TensorFlow Serving")
    return [values_of(row, class_names, max_megapixels) for row in rows]


def values_of(
    answer: Mapping[str, Any], class_names: Sequence[str], max_megapixels: int
) -> dict[str, float]:
    """What is compared of one answer of the signature `serving_default`.

    Args:
      answer: output -> value, without the batch; what ends in `_bytes` also as `{"b64": …}`.
      class_names: of the model.
      max_megapixels: of a mask; a larger one is not decoded.

    Returns:
      Confidence and each class's share; of telemetry also looks and size, which without it is the
      mask's.

    Raises:
      OtherModelError: it has other classes, or no masks.
      ValueError: it can't be read.
    """
    try:
        values = {
            name: float(answer[name]) for name in (*LOOKS, schema.CONFIDENCE) if name in answer
        }
        if schema.CLASS_SHARES in answer:
            shares = [float(share) for share in answer[schema.CLASS_SHARES]]
            size = [float(side) for side in answer[schema.SIZE]]
        elif schema.MASK_PNG_BYTES in answer:
            mask = _mask_of(_decoded(answer[schema.MASK_PNG_BYTES]), max_megapixels)
            shares, size = _shares(mask, len(class_names)), [float(side) for side in mask.shape]
        else:
            raise OtherModelError("an answer without masks")
        height, width = size
        check([*values.values(), *shares, *size])
    except (TypeError, KeyError, OverflowError, OSError) as error:
        raise ValueError(f"an answer that can't be read: {error}") from error
    if len(shares) != len(class_names):
        raise OtherModelError(f"an answer with {len(shares)} classes")
    named = zip(map(schema.share_feature, class_names), shares, strict=True)
    return {**values, **dict(named), schema.HEIGHT: height, schema.WIDTH: width}


def check(values: Iterable[float]) -> None:
    """Whether these can be a model's.

    Raises:
      ValueError: they can't be.
    """
    for value in values:
        if abs(value) > _MOST:
            raise ValueError(f"a number that no model gives: {value:g}")


def _mask_of(png: bytes, max_megapixels: int) -> np.ndarray:
    if not png.startswith(picture_formats.PNG_START):
        raise ValueError("a mask that is no PNG")
    if (picture_formats.pixels_of(png) or 0) > max_megapixels * 10**6:
        raise ValueError(f"a mask of more than {max_megapixels} megapixels")
    with picture_formats.opened(png) as image:
        return np.asarray(image)


def _shares(mask: np.ndarray, num_classes: int) -> list[float]:
    return (np.bincount(mask.ravel(), minlength=num_classes) / mask.size).tolist()


def _decoded(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, dict) or not isinstance(value.get("b64"), str):
        raise ValueError('bytes that are not {"b64": …}')
    try:
        return base64.b64decode(value["b64"], validate=True)
    except binascii.Error as error:
        raise ValueError("bytes that are no base64") from error
