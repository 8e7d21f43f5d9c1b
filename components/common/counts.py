"""Whether a Beam step has seen all of a split's examples, whatever the engine says."""

from __future__ import annotations

import os

import tensorflow as tf
from tfx import types
from tfx.types import artifact_utils

from components.common.errors import UserError

_AT_A_TIME = 1024


def examples_property(split: str) -> str:
    """Name of the Examples artifact's custom property that has a split's number of examples."""
    return f"{split}_examples"


def count_examples(examples: types.Artifact, split: str) -> int:
    """How many examples a split has.

    Args:
      examples: the artifact; where it was not ExampleGen who made it, the files are counted.
      split: name of the split.
    """
    if examples.has_custom_property(examples_property(split)):
        return examples.get_int_custom_property(examples_property(split))
    files = tf.io.gfile.glob(os.path.join(artifact_utils.get_split_uri([examples], split), "*"))
    records = tf.data.TFRecordDataset(files, "GZIP").batch(_AT_A_TIME)
    return sum(len(batch) for batch in records.as_numpy_iterator())


def check_count(what: str, found: int, expected: int) -> None:
    """Holds what came out of a Beam pipeline against what went in.

    Args:
      what: such as "examples of split test were evaluated".
      found: how many.
      expected: how many there are.

    Raises:
      UserError: they are not the same.
    """
    if found != expected:
        raise UserError(
            f"{found} {what}, there are {expected}: the Beam engine has lost or repeated some, "
            "and did not say so. Give the same command again, or take another run.beam.runner"
        )
