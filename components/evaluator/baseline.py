"""Which model a new one has to stand up to."""

from __future__ import annotations

from ml_metadata import MetadataStore
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.dsl.input_resolution.strategies import latest_blessed_model_strategy
from tfx.utils import path_utils

from components.common.model_card import read_card


class LatestOtherBlessedModelStrategy(resolver.ResolverStrategy):
    """The latest blessed model that is not the candidate itself.

    TFX's LatestBlessedModelStrategy would, in a run where nothing has changed,
    bring the (cached) candidate as its own baseline: the evaluation would not be
    cached, and would compare the model with itself.

    Models with other classes than the candidate's are passed over: their confusion
    matrices can't be compared.

    Inputs: `candidate` (Model, of this run), `model` and `model_blessing` (all
    that there are). Outputs: the same keys, `model` and `model_blessing` holding
    the chosen one, or nothing.
    """

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Chooses among the artifacts that ML Metadata knows."""
        candidates = {artifact.id for artifact in input_dict["candidate"]}
        classes = _classes(input_dict["candidate"][0])
        others = [
            model
            for model in input_dict["model"]
            if model.id not in candidates and classes and _classes(model) == classes
        ]
        chosen = latest_blessed_model_strategy.LatestBlessedModelStrategy().resolve_artifacts(
            store, {"model": others, "model_blessing": list(input_dict["model_blessing"])}
        )
        return {"candidate": input_dict["candidate"], **chosen}


def _classes(model: types.Artifact) -> tuple[tuple[str, int], ...] | None:
    """The model's classes in their order; None where they can't be read, as after a clean-up."""
    try:
        card = read_card(path_utils.serving_model_path(model.uri))
    except ValueError:
        return None
    return tuple(card["classes"].values.items())
