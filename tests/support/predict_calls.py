"""Calls of `segline predict`, and what the model of known answers says."""

import numpy as np
from PIL import Image

from pipeline import cli

PICTURE_SIZES = [(10, 14), (30, 20), (8, 8), (25, 40), (16, 9)]  # height, width


def expected_mask(path):
    """What the model is known to do, with NumPy."""
    return (np.asarray(Image.open(path), np.float64).mean(axis=-1) > 127.5).astype(np.uint8)


def call(*arguments):
    """The exit status."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code
    return 0


def bright(shape, *boxes):
    """Dark, with bright boxes: top, bottom, left, right."""
    picture = np.zeros((*shape, 3), np.uint8)
    for top, bottom, left, right in boxes:
        picture[top:bottom, left:right] = 255
    return picture
