"""What the served model lets through to its decoder; and whether a training's pictures are that."""

from __future__ import annotations

import tensorflow as tf

from components.common import band_tensors, pictures, schema
from components.common.bands import BandsConfig
from components.common.errors import UserError, listed
from components.common.model_card import RequestLimits

_COUNTED_TOGETHER = 256


def check_request(
    encoded: tf.Tensor, name: str, max_megabytes: int, max_megapixels: int
) -> tf.Tensor:
    """Passes a batch on; names the pictures in it that can't be decoded, or are too large.

    A decoder's own error does not say which picture it was about, and it makes room for
    whatever size a header tells. What begins and ends as a JPEG or PNG does is left to the
    decoder, once its header was looked at. Only where something else is in the batch (no
    picture, a truncated one, a GIF) each picture is tried by itself: that takes some 20 ms,
    more than a small picture's whole decoding.

    TensorFlow reads BMPs with a palette wrongly, without a word; BMPs count as
    undecodable.

    Args:
      encoded: string [batch].
      name: of the tensor, for the messages.
      max_megabytes: of all pictures of the batch together, in 10^6 bytes.
      max_megapixels: of each picture, in 10^6 pixels.

    Returns:
      `encoded`.

    Raises:
      tf.errors.InvalidArgumentError: names the positions in the batch, from 0.
    """
    encoded = _bounded(encoded, name, max_megabytes)
    most = max_megapixels * 10**6
    jpeg = pictures.begins(encoded, pictures.JPEG_START) & pictures.ends(encoded, pictures.JPEG_END)
    png = pictures.begins(encoded, pictures.PNG_START) & pictures.ends(encoded, pictures.PNG_END)
    whole = jpeg | png
    good, pixels = tf.cond(
        tf.reduce_all(whole),
        lambda: (
            whole,
            pictures.header_pixels(encoded),
        ),
        lambda: _tried(encoded, most),
    )
    checks = [
        _check(good, f"{name}: no JPEG, PNG or GIF that can be decoded"),
        _check(pixels <= most, _too_large(name, max_megapixels)),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(encoded)


def check_bands(
    encoded: tf.Tensor, name: str, bands: BandsConfig, max_megabytes: int, max_megapixels: int
) -> tf.Tensor:
    """Passes a batch on whose pictures have other bands; as `check_request`.

    Their headers tell all but whether floats are numbers, which is looked at too: a NaN would
    spread over the mask without a word.

    Args:
      encoded: string [batch], each an .npy or a PNG.
      name: of the tensor, for the messages.
      bands: what must be in it.
      max_megabytes: of all pictures of the batch together, in 10^6 bytes.
      max_megapixels: of each picture, in 10^6 pixels.

    Returns:
      `encoded`.

    Raises:
      tf.errors.InvalidArgumentError: names the positions in the batch, from 0.
    """
    encoded = _bounded(encoded, name, max_megabytes)
    good = band_tensors.read_headers(encoded, bands).good | band_tensors.is_png_of(encoded, bands)
    pixels = band_tensors.header_pixels(encoded, bands)
    wanted = f"{bands.channels} bands of {bands.depth}"
    checks = [
        _check(
            good,
            f"{name}: no .npy or PNG of {wanted}",
            "; the first has ",
            _first_bad(good, encoded),
            f"; an .npy must have {band_tensors.npy_wanted(bands)}",
        ),
        _check(pixels <= max_megapixels * 10**6, _too_large(name, max_megapixels)),
    ]
    with tf.control_dependencies(checks):
        encoded = tf.identity(encoded)
    if bands.depth != "float32":
        return encoded
    finite = tf.map_fn(
        lambda one: tf.reduce_all(tf.math.is_finite(band_tensors.decode(one, bands))),
        encoded,
        fn_output_signature=tf.TensorSpec([], tf.bool),
    )
    with tf.control_dependencies([_check(finite, f"{name}: pixels that are no number")]):
        return tf.identity(encoded)


def count_servable(examples: tf.data.Dataset, split: str, limits: RequestLimits) -> int:
    """Number of a split's examples, each of whose pictures the served model would take.

    Before the training: a model that does not take such pictures could not be pushed after it.

    Args:
      examples: serialized tf.Examples.
      split: its name, for the message.
      limits: of the model.

    Raises:
      UserError: a picture alone is more than a request may have.
    """
    size = tf.io.FixedLenFeature([1], tf.int64)
    text = tf.io.FixedLenFeature([1], tf.string)
    spec = {
        **dict.fromkeys((schema.HEIGHT, schema.WIDTH), size),
        **dict.fromkeys((schema.IMAGE, schema.EXAMPLE_ID), text),
    }

    def measure(example: tf.Tensor) -> tuple[tf.Tensor, ...]:
        parsed = tf.io.parse_single_example(example, spec)
        names = (schema.EXAMPLE_ID, schema.IMAGE, schema.HEIGHT, schema.WIDTH)
        name, image, height, width = (parsed[key][0] for key in names)
        return name, tf.strings.length(image), height, width

    count, beyond = 0, []
    measured = examples.map(measure).batch(_COUNTED_TOGETHER)
    for columns in measured.as_numpy_iterator():
        count += len(columns[0])
        for name, weight, height, width in zip(*columns, strict=True):
            if told := limits.exceeded(int(weight), int(height) * int(width)):
                beyond.append(f"{name.decode('utf-8', 'replace')} ({width}x{height}): {told}")
    if beyond:
        raise UserError(
            f"{len(beyond)} of the {count} pictures of split {split} could not be sent to the "
            "trained model, which would not be pushed. Raise the limit, or cut the pictures into "
            f"smaller ones:\n{listed(beyond)}"
        )
    return count


def _bounded(encoded: tf.Tensor, name: str, max_megabytes: int) -> tf.Tensor:
    size = tf.debugging.Assert(
        tf.reduce_sum(tf.cast(tf.strings.length(encoded), tf.int64)) <= max_megabytes * 10**6,
        [f"{name}: the batch has more than {max_megabytes} MB; send less at a time"],
        summarize=-1,
    )
    with tf.control_dependencies([size]):
        return tf.identity(encoded)


def _too_large(name: str, max_megapixels: int) -> str:
    return f"{name}: a picture of more than {max_megapixels} megapixels"


def _first_bad(good: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
    """What the first picture that is not good says of itself: string scalar."""
    bad = tf.boolean_mask(encoded, ~good)[:1]
    told = band_tensors.told_headers(bad)
    size = tf.strings.as_string(tf.strings.length(bad))
    said = tf.where(told == "", "no header of an .npy", told)
    return tf.strings.reduce_join(tf.strings.join([said, ", ", size, " bytes in all"]))


def _check(good: tf.Tensor, problem: str, *more: str | tf.Tensor) -> tf.Operation:
    positions = tf.strings.reduce_join(tf.strings.as_string(tf.where(~good)[:, 0]), separator=", ")
    message = tf.strings.join([f"{problem} at position ", positions, " of the batch", *more])
    return tf.debugging.Assert(tf.reduce_all(good), [message], summarize=-1)


def _tried(encoded: tf.Tensor, most: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Which pictures a dataset that drops what fails does not drop; and their pixels.

    Args:
      encoded: string [batch].
      most: pixels; what has more is not decoded.

    Returns:
      bool [batch] and int64 [batch], 0 where the picture was dropped.
    """

    def decode(position: tf.Tensor, one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        not_bmp = tf.debugging.Assert(tf.strings.substr(one, 0, 2) != b"BM", [position])
        with tf.control_dependencies([not_bmp]):
            (pixels,) = tf.unstack(pictures.header_pixels([one]), 1)
            # The size is looked at so that the decoding is not optimised away.
            good = tf.cond(
                pixels <= most,
                lambda: tf.size(pictures.decode_image(one)) > 0,
                lambda: tf.constant(True),
            )
            return position, good, pixels

    def put(
        found: tuple[tf.Tensor, tf.Tensor], one: tuple[tf.Tensor, tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        at = [[one[0]]]
        return (
            tf.tensor_scatter_nd_update(found[0], at, [one[1]]),
            tf.tensor_scatter_nd_update(found[1], at, [one[2]]),
        )

    decoded = tf.data.Dataset.from_tensor_slices(encoded).enumerate()
    shape = tf.shape(encoded)
    return (
        decoded.map(decode, tf.data.AUTOTUNE)
        .ignore_errors()
        .reduce(
            (tf.zeros(shape, tf.bool), tf.zeros(shape, tf.int64)),
            put,
        )
    )
