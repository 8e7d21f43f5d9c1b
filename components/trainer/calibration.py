"""The temperature that makes a trained network's confidence mean something.

One number T divides the logits: no class changes, and softmax(logits / T) is as sure as it is
right (temperature scaling: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017). T
is the one with the least negative log-likelihood on the validation split.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import Any

import keras
import numpy as np
import scipy.optimize
import tensorflow as tf

_LOG = logging.getLogger("segline.trainer")

LEAST, MOST = 0.1, 10.0  # a split without an error would have T go to 0
_MOST_VALUES = 2**22  # logits that are kept: 32 MB of float64, and as much again to compute with


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A temperature and where it comes from.

    Attributes:
      temperature: 1 where nothing could be fitted.
      pixels: of the validation split that it was fitted on.
      nll_before: mean negative log-likelihood at temperature 1, in nats; None: nothing was fitted.
      nll: at this one.
      problem: why nothing could be fitted; empty: it was.
    """

    temperature: float
    pixels: int
    nll_before: float | None = None
    nll: float | None = None
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"temperature 1: {self.problem}"
        return (
            f"temperature {self.temperature:.4g}: on {self.pixels:,} pixels of the validation "
            f"split the negative log-likelihood is {self.nll:.4f}, not {self.nll_before:.4f}"
        )

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return dataclasses.asdict(self)


def calibrate(
    model: keras.Model, batches: tf.data.Dataset, elements: int, num_classes: int, seed: int
) -> Calibration:
    """Fits the temperature, in one pass over the validation split.

    Args:
      model: trained; from pictures to logits.
      batches: (image, mask) of the validation split; mask values that are no class don't count.
      elements: how many pictures, or windows, that is.
      num_classes: number of classes C.
      seed: of the choice of pixels, where there are more than can be kept.
    """
    margins = sample_margins(model, batches, elements, num_classes, seed)
    if not len(margins):
        found = Calibration(1.0, 0, problem="the validation split has no pixel that counts")
    elif not np.isfinite(margins).all():
        found = Calibration(1.0, 0, problem="the network's logits are not all finite")
    else:
        temperature = fit_temperature(margins)
        found = Calibration(
            temperature,
            len(margins),
            negative_log_likelihood(margins, 1.0),
            negative_log_likelihood(margins, temperature),
        )
    _LOG.log(logging.WARNING if found.problem else logging.INFO, "calibration: %s", found)
    return found


def sample_margins(
    model: keras.Model, batches: tf.data.Dataset, elements: int, num_classes: int, seed: int
) -> np.ndarray:
    """Logits minus that of the true class: float64 [n, C].

    Of every picture the same share of its pixels, chosen at random; all where they fit.
    """
    image_size = model.input_shape[1:3]
    share = min(1.0, _MOST_VALUES / num_classes / max(1, elements * math.prod(image_size)))
    found = [np.empty((0, num_classes))]
    number = 0
    for images, masks in batches:
        # Not predict_on_batch: with several workers it would wait for the others.
        logits = model(tf.cast(images, tf.float32), training=False).numpy().astype(np.float64)
        for one, mask in zip(logits, masks.numpy(), strict=True):
            chosen = np.flatnonzero(mask < num_classes)
            if share < 1:
                count = math.ceil(len(chosen) * share)
                chosen = np.random.default_rng([seed, number]).choice(chosen, count, replace=False)
            values = one.reshape(-1, num_classes)[chosen]
            true = mask.reshape(-1)[chosen].astype(np.int64)
            found.append(values - np.take_along_axis(values, true[:, None], axis=1))
            number += 1
    return np.concatenate(found)


def fit_temperature(margins: np.ndarray) -> float:
    """The temperature of the least negative log-likelihood, from LEAST to MOST.

    Args:
      margins: float64 [n, C], logits minus that of the true class; n at least 1.
    """
    # Convex in 1 / T, hence with one minimum in log T too.
    found = scipy.optimize.minimize_scalar(
        lambda log: negative_log_likelihood(margins, math.exp(log)),
        bounds=(math.log(LEAST), math.log(MOST)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return round(math.exp(found.x), 4)


def negative_log_likelihood(margins: np.ndarray, temperature: float) -> float:
    """Mean over the pixels, in nats: log of the sum of exp(margin / T)."""
    scaled = margins / temperature
    highest = scaled.max(axis=1)
    np.exp(np.subtract(scaled, highest[:, None], out=scaled), out=scaled)
    return float(np.mean(highest + np.log(scaled.sum(axis=1))))
