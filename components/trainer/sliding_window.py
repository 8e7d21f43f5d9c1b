"""A picture of any size through a network of one size: windows that overlap, blended.

After the sliding window of nnU-Net (Isensee et al., Nature Methods 2021), in the model's graph.
Row by row of windows: what is kept is the picture, its mask, and the probabilities of one row.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from components.common import windows
from components.common.picture_fit import enlarged
from components.common.reliability import confidence_of
from components.common.windows import TilesConfig

_AT_A_TIME = 8  # windows that go through the network together


class SlidingWindow:
    """How a network's answers for windows become one for the picture.

    Args:
      model_size: height and width that the network sees.
      tiles: overlap and scale.
      num_classes: C.
      padding: value of the pixels around a picture that is smaller than a window.
      temperature: of the confidence, behind the blending and the mask; None: as it is.
    """

    def __init__(
        self,
        model_size: tuple[int, int],
        tiles: TilesConfig,
        num_classes: int,
        padding: float,
        temperature: float | None = None,
    ) -> None:
        self._model_size = model_size
        self._size, self._overlap = windows.footprint(model_size, tiles)
        self._num_classes = num_classes
        self._padding = padding
        self._temperature = temperature
        self._weights = [
            windows.weights(*one) for one in zip(self._size, self._overlap, strict=True)
        ]

    def segment(
        self, picture: tf.Tensor, network: Callable[[tf.Tensor], tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Segments one picture.

        Args:
          picture: float [height, width, bands], prepared; any size.
          network: from float32 [n, *model_size, bands] to probabilities [n, *model_size, C].

        Returns:
          uint8 [height, width] of class indices; float32 scalar, the mean probability of
          the winning class.
        """
        mask, _, mean = self._segment(picture, network, keep=False)
        return mask, mean

    def segment_surely(
        self, picture: tf.Tensor, network: Callable[[tf.Tensor], tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The same, and in place of the mean each pixel's: float32 [height, width]."""
        mask, confidence, _ = self._segment(picture, network, keep=True)
        return mask, confidence

    def _segment(
        self, picture: tf.Tensor, network: Callable[[tf.Tensor], tf.Tensor], keep: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Mask, confidence of each pixel if it is to be kept, mean confidence."""
        size = tf.shape(picture, tf.int64)[:2]
        picture = enlarged(picture, self._size, self._padding)
        height, width = tf.unstack(tf.shape(picture, tf.int64)[:2])
        rows = windows.starts(height, self._size[0], self._overlap[0])
        columns = windows.starts(width, self._size[1], self._overlap[1])
        across = _sums(columns, self._weights[1], width)
        down = _sums(rows, self._weights[0], height)
        masks = tf.TensorArray(tf.uint8, tf.size(rows), infer_shape=False)
        kept = tf.TensorArray(tf.float32, tf.size(rows) if keep else 0, infer_shape=False)
        ends = tf.concat([rows[1:], height[tf.newaxis]], 0)

        def step(
            index: tf.Tensor,
            unfinished: tf.Tensor,
            masks: tf.TensorArray,
            kept: tf.TensorArray,
            sure: tf.Tensor,
        ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray, tf.TensorArray, tf.Tensor]:
            begin, end = rows[index], ends[index]
            strip = picture[begin : begin + self._size[0]]
            unfinished += self._row(strip, columns, width, network) / across[:, None, None]
            # No later window reaches above the next one's start.
            done = unfinished[:, : end - begin]
            mask = tf.cast(tf.argmax(done, axis=-1), tf.uint8)
            winning = confidence_of(done / down[begin:end, None], self._temperature)
            if keep:
                kept = kept.write(index, tf.transpose(winning))
            # Of the picture alone, without what pads it.
            winning = winning[: size[1], : size[0] - begin]
            unfinished = tf.concat([unfinished[:, end - begin :], tf.zeros_like(done)], axis=1)
            return (
                index + 1,
                tf.ensure_shape(unfinished, [None, self._size[0], self._num_classes]),
                masks.write(index, tf.transpose(mask)),
                kept,
                sure + tf.reduce_sum(winning),
            )

        nothing = tf.zeros([width, self._size[0], self._num_classes])
        _, _, masks, kept, sure = tf.while_loop(
            lambda index, *_: index < tf.size(rows),
            step,
            (0, tf.ensure_shape(nothing, [None, *nothing.shape[1:]]), masks, kept, 0.0),
            parallel_iterations=1,
        )

        def whole(parts: tf.TensorArray) -> tf.Tensor:
            return tf.ensure_shape(parts.concat()[: size[0], : size[1]], [None, None])

        mean = sure / tf.cast(tf.reduce_prod(size), tf.float32)
        return whole(masks), whole(kept) if keep else mean, mean

    def _row(
        self,
        strip: tf.Tensor,
        columns: tf.Tensor,
        width: tf.Tensor,
        network: Callable[[tf.Tensor], tf.Tensor],
    ) -> tf.Tensor:
        """Weighted probabilities of one row of windows: float32 [width, window's height, C]."""
        weight = self._weights[0][:, None] * self._weights[1]

        def add(start: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            some = columns[start : start + _AT_A_TIME]
            found = self._probabilities(self._cut(strip, some), network) * weight[..., None]
            # By columns, so that each one is added where it belongs.
            found = tf.transpose(found, [0, 2, 1, 3])
            at = some[:, None] + tf.range(self._size[1], dtype=tf.int64)
            shape = [-1, self._size[0], self._num_classes]
            return start + _AT_A_TIME, tf.tensor_scatter_nd_add(
                sums, tf.reshape(at, [-1, 1]), tf.reshape(found, shape)
            )

        nothing = tf.zeros([width, self._size[0], self._num_classes])
        return tf.while_loop(
            lambda start, _: start < tf.size(columns),
            add,
            (0, tf.ensure_shape(nothing, [None, *nothing.shape[1:]])),
            parallel_iterations=1,
        )[1]

    def _cut(self, strip: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda column: tf.cast(strip[:, column : column + self._size[1]], tf.float32),
            columns,
            fn_output_signature=tf.TensorSpec([*self._size, strip.shape[-1]], tf.float32),
        )

    def _probabilities(
        self, pictures: tf.Tensor, network: Callable[[tf.Tensor], tf.Tensor]
    ) -> tf.Tensor:
        """Those of windows, at the windows' own size."""
        if self._size == self._model_size:
            return network(pictures)
        seen = to_model_size(pictures, self._model_size)
        return tf.image.resize(network(seen), self._size)


def to_model_size(pictures: tf.Tensor, model_size: tuple[int, int]) -> tf.Tensor:
    """Windows as the network sees them: float32 [n, *model_size, bands]."""
    return tf.image.resize(pictures, model_size, antialias=True)


def _sums(starts: tf.Tensor, weights: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """What the weights of all windows come to at each place: float32 [length]."""
    at = starts[:, None] + tf.range(weights.shape[0], dtype=tf.int64)
    every = tf.tile(weights[None], [tf.size(starts), 1])
    return tf.scatter_nd(tf.reshape(at, [-1, 1]), tf.reshape(every, [-1]), [length])
