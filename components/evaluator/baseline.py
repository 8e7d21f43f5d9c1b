"""Which model a new one has to stand up to."""

from __future__ import annotations

import logging

from ml_metadata import MetadataStore
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.common import resolver
from tfx.dsl.input_resolution.strategies import latest_blessed_model_strategy
from tfx.utils import path_utils

from components.common import schema
from components.common.bands import bands_of
from components.common.model_card import read_card
from components.evaluator.config import At

_LOG = logging.getLogger("segline.evaluator")


class LatestOtherBlessedModelStrategy(resolver.ResolverStrategy):
    """The latest blessed model that is not the candidate itself.

    TFX's LatestBlessedModelStrategy would, in a run where nothing has changed,
    bring the (cached) candidate as its own baseline: the evaluation would not be
    cached, and would compare the model with itself.

    Models with other classes than the candidate's are passed over: their confusion
    matrices can't be compared. So are models that see other bands: they can't read these
    examples. So are blessings at another size of the pixels (evaluator.at):
    what they were given for is another measure.

    Inputs: `candidate` (Model, of this run), `model` and `model_blessing` (all
    that there are). Outputs: the same keys, `model` and `model_blessing` holding
    the chosen one, or nothing.
    """

    def __init__(self, at: At = "model") -> None:
        self._at = at

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Chooses among the artifacts that ML Metadata knows."""
        candidates = {artifact.id for artifact in input_dict["candidate"]}
        kind = _kind(input_dict["candidate"][0])
        others = [
            model
            for model in input_dict["model"]
            if model.id not in candidates and kind and _kind(model) == kind
        ]
        known = list(input_dict["model_blessing"])
        comparable = [one for one in known if _counted_at(one) == self._at]
        latest = latest_blessed_model_strategy.LatestBlessedModelStrategy()
        chosen = latest.resolve_artifacts(store, {"model": others, "model_blessing": comparable})
        passed_over = {
            _model_of(one) for one in known if _counted_at(one) != self._at and _blesses(one)
        }
        if passed_over & {model.id for model in others} and not chosen["model"]:
            _LOG.info(
                "no baseline: the models blessed before were counted at another size than "
                "evaluator.at: %s asks for",
                self._at,
            )
        return {"candidate": input_dict["candidate"], **chosen}


def _counted_at(verdict: types.Artifact) -> str:
    return verdict.get_string_custom_property(schema.EVALUATED_AT) or "model"


def _blesses(verdict: types.Artifact) -> bool:
    return verdict.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY) == 1


def _model_of(verdict: types.Artifact) -> int:
    return verdict.get_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY)


def _kind(model: types.Artifact) -> tuple[object, ...] | None:
    """The model's classes in their order, and the bands that it sees.

    None where they can't be read, as after a clean-up.
    """
    try:
        card = read_card(path_utils.serving_model_path(model.uri))
    except ValueError:
        return None
    bands = bands_of(card)
    seen = (bands.count, bands.taken, bands.depth) if bands else None
    return (*card["classes"].values.items(), seen)
