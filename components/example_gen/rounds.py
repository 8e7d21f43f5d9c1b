"""Which round of labelling each example came in: a file of the examples' artifact."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping

import tensorflow as tf

from components.example_gen.quarantine import Outcome

COUNTS = "rounds"  # the artifact's property: round -> examples, as JSON
_FILE = "rounds.json"


def write_rounds(artifact_uri: str, splits: Mapping[str, Outcome]) -> dict[str, int]:
    """Writes the file, where anything is told.

    Args:
      artifact_uri: of the examples.
      splits: what became of the examples.

    Returns:
      Round -> its examples in all splits; empty: nothing is told.
    """
    told = {
        split: {
            example_id: name
            for example_id, name in zip(outcome.good, outcome.rounds, strict=True)
            if name is not None
        }
        for split, outcome in splits.items()
    }
    counts = Counter(name for ids in told.values() for name in ids.values())
    if counts:
        with tf.io.gfile.GFile(os.path.join(artifact_uri, _FILE), "w") as file:
            json.dump(told, file, indent=1, ensure_ascii=False)
    return dict(sorted(counts.items()))


def read_rounds(artifact_uri: str) -> dict[str, dict[str, str]]:
    """Split -> example's id -> its round; empty where nothing is told."""
    path = os.path.join(artifact_uri, _FILE)
    if not tf.io.gfile.exists(path):
        return {}
    with tf.io.gfile.GFile(path) as file:
        return json.load(file)
