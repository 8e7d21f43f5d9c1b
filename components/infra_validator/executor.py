"""Executor of ServingValidator."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.common.bands import bands_of
from components.common.model_card import limits_of, read_card
from components.infra_validator import serving_check
from components.infra_validator.clean_process import ServingError, probe
from components.infra_validator.config import InfraValidatorConfig
from components.infra_validator.result import ServingCheck, write_check


class Executor(base_executor.BaseExecutor):
    """Asks the model what a server would, and writes an InfraBlessing."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks one model; a model that fails is not blessed, the run goes on."""
        self._log_startup(input_dict, output_dict, exec_properties)
        config = InfraValidatorConfig.model_validate_json(exec_properties["config"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        folder = artifact_utils.get_split_uri(input_dict["examples"], exec_properties["split"])
        result = check_model(
            path_utils.serving_model_path(model.uri),
            fileio.glob(os.path.join(folder, "*")),
            config,
        )
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        write_check(result, blessing.uri)
        blessing.set_int_custom_property("blessed", int(result.passed))
        if result.faults:
            blessing.set_string_custom_property("reason", ": ".join(filter(None, result.faults[0])))


def check_model(
    model_dir: str, example_files: list[str], config: InfraValidatorConfig
) -> ServingCheck:
    """Loads a model in a clean process and sends it requests made from examples.

    Args:
      model_dir: a SavedModel.
      example_files: gzipped TFRecord files of one split.
      config: limits.

    Returns:
      What was found.
    """
    samples = serving_check.choose_samples(example_files)
    try:
        card = read_card(model_dir)
    except ValueError as error:
        return ServingCheck((("", str(error)),), ())
    num_classes = len(card["classes"])
    bands = bands_of(card)
    limits = limits_of(card)
    if excess := serving_check.find_excess(samples, limits):
        return ServingCheck((("", excess),), ())
    requests = serving_check.make_requests(samples, limits, bands)
    names = tuple(request.call.name for request in requests)
    try:
        with tempfile.TemporaryDirectory(prefix="segline-serving-") as work_dir:
            found = probe(model_dir, serving_check.make_calls(requests), config, work_dir)
    except ServingError as error:
        return ServingCheck((("", str(error)),), names)
    return ServingCheck(
        faults=tuple(serving_check.find_faults(requests, found.answers, num_classes)),
        requests=names,
        load_seconds=found.load_seconds,
        slowest_seconds=max(answer.seconds for answer in found.answers[: len(requests)]),
        peak_memory_mb=found.peak_memory_mb,
        tensorflow=found.tensorflow,
    )
