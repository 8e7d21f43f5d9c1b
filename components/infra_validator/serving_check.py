"""Which requests are sent, and what their answers must be. Knows no TFX."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from components.common import pictures, schema
from components.common.band_tensors import has_png
from components.common.bands import BandsConfig, from_npy, npy_size, to_npy
from components.common.examples import bytes_of
from components.common.model_card import RequestLimits
from components.common.served_model import reason_of
from components.infra_validator.clean_process import Answer, Call

BATCH = 8
_BATCH_PIXELS = 8_000_000
_FILLED = 0.9  # of a request at most, where pictures are cut to fit into it: they have headers too
_OWN = "an example's own bytes, batch of 1"
_PNG = "PNG, batch of 1"
# Another batch size may take another kernel, whose rounding turns a pixel on an edge;
# more so in bfloat16.
_MOST_DIFFERENT_PIXELS = 0.01


@dataclasses.dataclass(frozen=True)
class Samples:
    """Examples of a split that requests are made from.

    Attributes:
      first: serialized tf.Examples, up to BATCH.
      largest: the one with the largest picture, in pixels.
      heaviest: the one whose picture has the most bytes.
    """

    first: tuple[bytes, ...]
    largest: bytes
    heaviest: bytes


def choose_samples(files: Sequence[str]) -> Samples:
    """Takes the first few examples, and of all the largest pictures.

    Args:
      files: gzipped TFRecord files of one split.

    Raises:
      ValueError: there is no example.
    """
    examples = tf.data.TFRecordDataset(sorted(files), "GZIP")
    size = tf.io.FixedLenFeature([1], tf.int64)
    spec = {
        schema.HEIGHT: size,
        schema.WIDTH: size,
        schema.IMAGE: tf.io.FixedLenFeature([1], tf.string),
    }

    def larger(best: tuple[tf.Tensor, ...], example: tf.Tensor) -> tuple[tf.Tensor, ...]:
        parsed = tf.io.parse_single_example(example, spec)
        pixels = (parsed[schema.HEIGHT] * parsed[schema.WIDTH])[0]
        weight = tf.cast(tf.strings.length(parsed[schema.IMAGE])[0], tf.int64)
        most, largest, most_bytes, heaviest = best
        return (
            tf.maximum(pixels, most),
            tf.where(pixels > most, example, largest),
            tf.maximum(weight, most_bytes),
            tf.where(weight > most_bytes, example, heaviest),
        )

    first = tuple(examples.take(BATCH).as_numpy_iterator())
    if not first:
        raise ValueError(f"no examples in {', '.join(files)}")
    none = tf.constant(-1, tf.int64), tf.constant(b"")
    _, largest, _, heaviest = examples.reduce((*none, *none), larger)
    return Samples(first, largest.numpy(), heaviest.numpy())


def find_excess(samples: Samples, limits: RequestLimits) -> str:
    """What the split has that no request may have; empty: nothing.

    Args:
      samples: of the split.
      limits: of the model.
    """
    for example in (samples.heaviest, samples.largest):
        (encoded,) = bytes_of(example, schema.IMAGE)
        height, width = _size_of(encoded)
        if told := limits.exceeded(len(encoded), height * width):
            return f"a picture of {width}x{height} can't be sent even alone: {told}"
    return ""


@dataclasses.dataclass(frozen=True)
class Request:
    """One call of `serving_default`, and what is known about its answer.

    Attributes:
      call: what is sent.
      sizes: height and width of each picture.
      examples: the examples whose own bytes are sent; `evaluate` must agree with them.
      same_as: name of a request of the same pixels, whose masks must be the same.
      bad_position: position of the element that is no picture and must be named.
    """

    call: Call
    sizes: tuple[tuple[int, int], ...]
    examples: tuple[bytes, ...] = ()
    same_as: str = ""
    bad_position: int | None = None


def make_requests(
    samples: Samples, limits: RequestLimits, bands: BandsConfig | None = None
) -> list[Request]:
    """The requests: each form that is taken, one and many, the largest, and no picture.

    Args:
      samples: what they are made of; nothing in it exceeds the limits.
      limits: of the model. What would exceed them is made of a part of a picture.
      bands: what is in a picture; None: red, green and blue of 8 bits.
    """
    encoded = [bytes_of(example, schema.IMAGE)[0] for example in samples.first]
    size = _size_of(encoded[0])
    room = int(_FILLED * limits.max_megabytes * 10**6)
    small = _small(encoded[0], bands, room // 2)
    (largest,) = bytes_of(samples.largest, schema.IMAGE)
    return [
        _request(_OWN, [encoded[0]], [size], examples=(samples.first[0],)),
        *(_forms_of_bands(encoded[0], bands, room) if bands else _forms(encoded[0], room)),
        _batch(samples.first, encoded, limits)
        or _request("batch of 2", [small] * 2, [_size_of(small)] * 2),
        _request(
            "the largest picture ({1}x{0})".format(*_size_of(largest)),
            [largest],
            [_size_of(largest)],
            examples=(samples.largest,),
        ),
        _request("no picture at position 1", [small, b"no picture"], [], bad_position=1),
    ]


def _batch(
    examples: Sequence[bytes], encoded: Sequence[bytes], limits: RequestLimits
) -> Request | None:
    """As many examples together as a request may have; None: no two fit."""
    height, width = _size_of(encoded[0])
    # Of large pictures, which take a while and much memory, fewer.
    most = int(np.clip(_BATCH_PIXELS // max(1, height * width), 2, BATCH))
    batch = [encoded[index % len(encoded)] for index in range(most)]
    batch = batch[: limits.fitting(batch)]
    if len(batch) < 2:
        return None
    return _request(
        f"batch of {len(batch)}",
        batch,
        [_size_of(one) for one in batch],
        examples=tuple(examples[index % len(encoded)] for index in range(len(batch))),
    )


def _forms(encoded: bytes, room: int) -> list[Request]:
    """A picture in the forms that people send; a part of it, where they have more bytes."""
    whole = pictures.decode_image(tf.constant(encoded)).numpy()
    pixels = _cut(whole, 4, room)
    size = pixels.shape[0], pixels.shape[1]
    opaque = np.dstack([pixels, np.full(size, 255, np.uint8)])
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    is_jpeg = encoded.startswith(pictures.JPEG_START)
    is_whole = pixels.shape == whole.shape
    jpeg = encoded if is_jpeg and is_whole else _encode(pixels, "JPEG")
    own = _OWN if is_whole else ""
    return [
        _request("JPEG, batch of 1", [jpeg], [size], same_as=own if is_jpeg else ""),
        _request(_PNG, [_encode(pixels)], [size], same_as=own),
        _request("RGBA PNG, batch of 1", [_encode(opaque)], [size], same_as=own or _PNG),
        _request("grey PNG, batch of 1", [_encode(grey)], [size]),
    ]


def _forms_of_bands(encoded: bytes, bands: BandsConfig, room: int) -> list[Request]:
    """A PNG of the same values where there is such a one; and one band more, to be refused."""
    whole = from_npy(encoded)
    requests = []
    if has_png(bands):
        pixels = _cut(whole, bands.pixel_bytes, room)
        png = tf.io.encode_png(pixels).numpy()
        own = _OWN if pixels.shape == whole.shape else ""
        size = pixels.shape[0], pixels.shape[1]
        requests.append(_request(_PNG, [png], [size], same_as=own))
    pixels = _cut(whole, 2 * bands.pixel_bytes + whole.itemsize, room)
    more = to_npy(np.concatenate([pixels, pixels[..., :1]], axis=-1))
    name = f"{bands.channels + 1} bands at position 1"
    return [*requests, _request(name, [to_npy(pixels), more], [], bad_position=1)]


def _small(encoded: bytes, bands: BandsConfig | None, room: int) -> bytes:
    """A picture, or so much of it that it has no more bytes than there is room for."""
    if len(encoded) <= room:
        return encoded
    if bands:
        return to_npy(_cut(from_npy(encoded), bands.pixel_bytes, room))
    return _encode(_cut(pictures.decode_image(tf.constant(encoded)).numpy(), 3, room))


def _cut(pixels: np.ndarray, pixel_bytes: int, room: int) -> np.ndarray:
    """The upper part of a picture whose pixels need more bytes than there is room for."""
    most = max(1, room // pixel_bytes)
    return pixels[: max(1, most // pixels.shape[1]), :most]


def make_calls(requests: Sequence[Request]) -> list[Call]:
    """The requests, and behind them what `evaluate` and the truth are for their examples."""
    calls = [request.call for request in requests]
    for request in requests:
        if request.examples:
            for signature in (schema.EVALUATE_SIGNATURE, schema.TRANSFORM_SIGNATURE):
                name = f"{signature} for {request.call.name}"
                calls.append(Call(name, signature, schema.EXAMPLES, request.examples))
    return calls


def find_faults(
    requests: Sequence[Request], answers: Sequence[Answer], num_classes: int
) -> list[tuple[str, str]]:
    """Holds the answers against what they must be.

    Args:
      requests: from `make_requests`.
      answers: to `make_calls(requests)`.
      num_classes: number of classes C.

    Returns:
      (request's name, what is wrong with the answer); empty where all is well.
    """
    served = dict(zip((request.call.name for request in requests), answers, strict=False))
    extra = iter(answers[len(requests) :])
    faults = []
    for request in requests:
        name, answer = request.call.name, served[request.call.name]
        evaluated = (next(extra), next(extra)) if request.examples else None
        if request.bad_position is not None:
            fault = _fault_of_refusal(answer, request.bad_position)
        elif answer.outputs is None:
            fault = reason_of(answer.error)
        else:
            fault = _fault_of_outputs(answer.outputs, request.sizes, num_classes)
            other = served[request.same_as].outputs if request.same_as else None
            if not fault and other:
                fault = _fault_of_difference(answer.outputs, other)
            if not fault and evaluated:
                fault = _fault_of_evaluation(answer.outputs, *evaluated, num_classes)
        if fault:
            faults.append((name, fault))
    return faults


def _fault_of_outputs(
    outputs: dict[str, np.ndarray], sizes: Sequence[tuple[int, int]], num_classes: int
) -> str:
    """Names, types, shapes and ranges of one answer."""
    wanted = {schema.MASK, schema.MASK_PNG_BYTES, schema.CONFIDENCE}
    if missing := sorted(wanted - outputs.keys()):
        return f"there is no output {missing[0]!r}, only {', '.join(sorted(outputs))}"
    mask, confidence = outputs[schema.MASK], outputs[schema.CONFIDENCE]
    if mask.dtype != np.uint8 or mask.ndim != 3 or len(mask) != len(sizes):
        return f"mask is {mask.dtype} {list(mask.shape)}, not uint8 [{len(sizes)}, height, width]"
    unknown = mask[(mask >= num_classes) & (mask != schema.IGNORE_INDEX)]  # padding has that
    if unknown.size:
        return f"mask has the value {unknown.max()}, the classes are 0 to {num_classes - 1}"
    if confidence.dtype != np.float32 or confidence.shape != (len(sizes),):
        shape = list(confidence.shape)
        return f"confidence is {confidence.dtype} {shape}, not float32 [{len(sizes)}]"
    # The winning class has at least its share.
    if not np.all((confidence >= 1 / num_classes - 1e-3) & (confidence <= 1 + 1e-3)):
        return f"confidence {confidence.tolist()} is not between 1/{num_classes} and 1"
    for (height, width), png in zip(sizes, outputs[schema.MASK_PNG_BYTES], strict=True):
        own = np.asarray(Image.open(io.BytesIO(png)))
        if own.shape != (height, width):
            return (
                f"mask_png_bytes is {'x'.join(map(str, own.shape[::-1]))} for a picture of "
                f"{width}x{height}"
            )
        if own.max() >= num_classes:
            return f"mask_png_bytes has the value {own.max()}"
    return ""


def _fault_of_difference(found: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> str:
    different = np.mean(found[schema.MASK] != other[schema.MASK])
    if different > _MOST_DIFFERENT_PIXELS:
        return f"{different:.1%} of the mask differ from that of the same pixels in another format"
    return ""


def _fault_of_evaluation(
    outputs: dict[str, np.ndarray], evaluated: Answer, prepared: Answer, num_classes: int
) -> str:
    """Counts the served masks against the truth, as `evaluate` has counted its own."""
    if evaluated.outputs is None or prepared.outputs is None:
        reason = reason_of(evaluated.error or prepared.error)
        return f"the evaluation's signatures fail: {reason}"
    truth = prepared.outputs[schema.MASK]
    if truth.shape != outputs[schema.MASK].shape:
        return f"mask is {list(outputs[schema.MASK].shape)}, evaluated was {list(truth.shape)}"
    boxes = prepared.outputs[schema.CONTENT_BOX]
    for (top, left, height, width), mask in zip(boxes, outputs[schema.MASK], strict=True):
        if np.any(mask[top : top + height, left : left + width] == schema.IGNORE_INDEX):
            return f"mask has {schema.IGNORE_INDEX}, which is padding's, within the picture"
    pixels = moved = 0
    for matrix, true_mask, mask in zip(
        evaluated.outputs[schema.CONFUSION_MATRIX], truth, outputs[schema.MASK], strict=True
    ):
        counted = true_mask < num_classes
        cells = true_mask[counted] * num_classes + mask[counted]
        own = np.bincount(cells, minlength=num_classes**2).reshape(matrix.shape)
        moved += np.abs(own - matrix).sum() / 2
        pixels += counted.sum()
    if moved > _MOST_DIFFERENT_PIXELS * pixels:
        return f"{moved / pixels:.1%} of the pixels are served otherwise than they were evaluated"
    return ""


def _fault_of_refusal(answer: Answer, position: int) -> str:
    if answer.outputs is not None:
        return "bytes that are no picture got a mask"
    if not answer.error.startswith("InvalidArgumentError") or (
        f"position {position} of" not in answer.error
    ):
        return (
            f"the error must be an InvalidArgumentError that names position {position}: "
            f"{reason_of(answer.error)}"
        )
    return ""


def _request(name: str, batch: list[bytes], sizes: list[tuple[int, int]], **known: Any) -> Request:
    call = Call(name, schema.SERVING_SIGNATURE, schema.IMAGE_BYTES, tuple(batch))
    return Request(call, tuple(sizes), **known)


def _size_of(encoded: bytes) -> tuple[int, int]:
    if size := npy_size(encoded):
        return size[1], size[0]
    with Image.open(io.BytesIO(encoded)) as image:
        return image.height, image.width


def _encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()
