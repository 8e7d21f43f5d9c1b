"""The size of the object in a picture, as a feature to slice by.

It comes from the true mask at the model's size, as the model's graph counted it:
the rows of a picture's confusion matrix add up to the true pixels of each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.api import model_eval_lib
from tensorflow_model_analysis.extractors import slice_key_extractor
from tensorflow_model_analysis.proto import config_pb2

from components.common import schema
from components.evaluator.config import ObjectSizeConfig
from components.evaluator.eval_config import eval_settings

NONE, SMALL, MEDIUM, LARGE = "none", "small", "medium", "large"


def object_size(matrix: np.ndarray, class_names: Sequence[str], config: ObjectSizeConfig) -> str:
    """Names the size of the object in one picture.

    Args:
      matrix: [C, C] pixel counts; rows are the truth.
      class_names: names of the C classes.
      config: which classes are the object, and where small ends and large begins.

    Returns:
      `none` where the truth has no pixel of the object, else `small`, `medium` or `large`.
    """
    truth = np.asarray(matrix).sum(axis=1)
    found = sum(truth[class_names.index(name)] for name in config.classes)
    if not found:
        return NONE
    share = found / truth.sum()
    if share < config.small_below:
        return SMALL
    return LARGE if share >= config.large_from else MEDIUM


def custom_extractors(
    eval_shared_model: Any, eval_config: config_pb2.EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor] | None:
    """TFMA's own extractors, and before the slicing the one that adds `object_size`.

    TFX's Evaluator calls it, by this name, in the module that its `module_path` names.

    Args:
      eval_shared_model: the models.
      eval_config: from `make_eval_config`.
      tensor_adapter_config: TFX's.

    Returns:
      The extractors; None (TFMA's own) where nothing is sliced by size.
    """
    settings = eval_settings(eval_config)
    if settings.object_size is None:
        return None
    result = model_eval_lib.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    names = [extractor.stage_name for extractor in result]
    slicing = names.index(slice_key_extractor.SLICE_KEY_EXTRACTOR_STAGE_NAME)
    result.insert(
        slicing,
        tfma.extractors.Extractor(
            stage_name="ObjectSize",
            ptransform=beam.Map(_add_size, settings.class_names, settings.object_size),
        ),
    )
    return result


def _add_size(
    extracts: dict[str, Any], class_names: tuple[str, ...], config: ObjectSizeConfig
) -> dict[str, Any]:
    """Adds the feature to one picture's extracts."""
    predictions = extracts[tfma.PREDICTIONS_KEY]
    if schema.CONFUSION_MATRIX not in predictions:  # a candidate and a baseline
        predictions = next(iter(predictions.values()))
    size = object_size(predictions[schema.CONFUSION_MATRIX], class_names, config)
    features = {
        **extracts[tfma.FEATURES_KEY],
        schema.OBJECT_SIZE: np.array([size.encode()]),
    }
    return {**extracts, tfma.FEATURES_KEY: features}
