"""Which version is to be watched, and what it was made from."""

from __future__ import annotations

import dataclasses
import json

from ml_metadata import MetadataStore

from components.common.errors import UserError
from components.common.lineage import Lineage
from components.pusher import places, rollout
from components.pusher.rollout import Rollout
from components.watcher.reference import Data
from pipeline.config.loading import PipelineConfig
from pipeline.metadata.artifacts import pushed_models, text_of
from pipeline.metadata.lineage import model_graph


@dataclasses.dataclass(frozen=True)
class Served:
    """The stable version.

    Attributes:
      version: its number.
      model: the SavedModel.
      since: when it became the stable one, seconds since the epoch.
      data: what it was made from.
    """

    version: str
    model: str
    since: float
    data: Data


def stable(store: MetadataStore, config: PipelineConfig) -> Served:
    """Finds the version that most requests go to, whether or not there is a canary.

    Raises:
      UserError: there is none, or ML Metadata does not know it.
    """
    known = rollout.read(config.serving_dir)
    shown = places.shown(config.serving_dir)
    version = known.now.stable if known else (shown[-1] if shown else "")
    model = places.find(config.serving_dir, version) if version else None
    if not model:
        raise UserError(
            f"{config.serving_dir}: no version is served yet; run the pipeline first (make run)"
        )
    versions = {text_of(one, "pushed_version"): one for one in pushed_models(store, config.name)}
    pushed = versions.get(version)
    if pushed is None:
        raise UserError(
            f"{model}: ML Metadata does not know this version, so nobody knows what it was "
            "trained on"
        )
    try:
        examples, evaluated = _data(model_graph(store, pushed))
    except (StopIteration, IndexError, KeyError, ValueError) as error:
        raise UserError(
            f"{model}: ML Metadata does not know what this version was trained and evaluated on; "
            "what it serves can be watched again after the next run"
        ) from error
    since = _since(known, version) if known else 0
    return Served(
        version=version,
        model=model,
        since=(since or pushed.create_time_since_epoch) / 1000,
        data=Data(
            examples=examples,
            evaluated=evaluated,
            slice_by=config.dataset.features.slice_by,
        ),
    )


def _data(graph: Lineage) -> tuple[str, str]:
    """Folder of the examples, and name of the evaluated split."""
    trainer = next(node for node in graph.executions if node.type == "Trainer")
    evaluator = next(node for node in graph.executions if node.name == "Evaluator")
    (evaluated,) = json.loads(str(evaluator.properties["example_splits"]))
    return graph.inputs(trainer, "examples")[0].uri, evaluated


def _since(known: Rollout, version: str) -> int:
    """When the version became the stable one, milliseconds since the epoch."""
    since = 0
    for change in reversed(known.changes):
        if change.stable != version:
            break
        since = change.when
    return since
