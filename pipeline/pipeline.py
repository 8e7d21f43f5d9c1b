"""The pipeline, from a TFDS dataset to a pushed model."""

from __future__ import annotations

import importlib.util

# Not `tfx.v1`: it imports Google Cloud's AI Platform too, a third of the start-up.
from tfx import components as tfx
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
    LatestBlessedModelStrategy,
)
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import infra_validator_pb2, pusher_pb2, trainer_pb2, transform_pb2
from tfx.types.channel import BaseChannel, Channel
from tfx.types.standard_artifacts import ExampleStatistics, Model, ModelBlessing

from components.common import provenance, schema
from components.common.errors import UserError
from components.common.picture_settings import PictureSettings
from components.data_validation.drift import (
    DriftValidator,
    StatisticsOfLatestModelStrategy,
    comparators,
)
from components.data_validation.statistics import CompleteStatisticsGen, statistics_options
from components.data_validation.validator import StrictExampleValidator
from components.evaluator.baseline import LatestOtherBlessedModelStrategy
from components.evaluator.component import SegmentationEvaluator
from components.evaluator.eval_config import make_eval_config
from components.example_gen.component import TfdsExampleGen
from components.exporter.component import Exporter
from components.infra_validator.component import ServingValidator
from components.infra_validator.serving_check import BATCH
from components.pusher.component import CompletePusher
from components.reporter.component import Reporter
from components.trainer.tuner import SegmentationTuner
from components.trainer.warm_start import LatestModelOfOtherDataStrategy
from pipeline.config.loading import PipelineConfig, absolute
from pipeline.metadata.store import connection_config


def create_pipeline(config: PipelineConfig, managed: bool = False) -> Pipeline:
    """Chains the components that the config describes.

    Args:
      config: all settings.
      managed: for Vertex AI, which keeps the metadata itself: no store of ours, and none of
        what asks one (report, warm start, the choice among earlier models by their classes).

    Returns:
      A pipeline for any of TFX's runners.

    Raises:
      UserError: the config asks for what can't be had on Vertex AI.
    """
    if managed and config.trainer.warm_start:
        raise UserError("trainer.warm_start: Vertex AI can't choose the model to begin with")
    if managed and config.pusher.exports:
        raise UserError("pusher.exports: on Vertex AI a step can't have an artifact for each")
    example_gen = TfdsExampleGen(config.dataset, config.classes)
    examples = example_gen.outputs["examples"]

    statistics_gen = CompleteStatisticsGen(examples, stats_options=statistics_options()).with_id(
        "StatisticsGen"
    )
    schema_gen = make_schema_gen(config, statistics_gen)
    example_validator = StrictExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]
    ).with_id("ExampleValidator")

    transform = tfx.Transform(
        examples=examples,
        schema=schema_gen.outputs["schema"],
        preprocessing_fn="components.transform.preprocessing.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=[schema.TRAIN]),
        # Materialised pictures would take more room and time than they save; what the data is
        # like, StatisticsGen tells.
        materialize=False,
        disable_statistics=True,
        disable_analyzer_cache=True,
        custom_config={
            "transform": config.transform.model_dump_json(),
            "classes": config.classes.model_dump_json(),
            "code": provenance.source_fingerprint("transform"),
            **_bands(config),
        },
    )
    transform.add_upstream_node(example_validator)
    drift = [] if managed else make_drift(config, examples, statistics_gen)
    for node in drift:
        transform.add_upstream_node(node)

    training = make_training(config, examples, transform.outputs["transform_graph"])
    trainer = training[-1]
    model = trainer.outputs["model"]

    gate = make_gate(config, examples, model, managed)
    evaluator, infra_validator, pusher = gate[1], gate[-2], gate[-1]
    exports = {"exports": gate[2].outputs["exports"]} if config.pusher.exports else {}
    reporter = Reporter(
        config.name,
        config.decisions,
        examples=examples,
        statistics=statistics_gen.outputs["statistics"],
        anomalies=example_validator.outputs["anomalies"],
        model=model,
        model_run=trainer.outputs["model_run"],
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_validator.outputs["blessing"],
        pushed_model=pusher.outputs["pushed_model"],
        **({"drift": drift[-1].outputs["anomalies"]} if drift else {}),
        **exports,
    )

    components = [
        *(example_gen, statistics_gen, schema_gen, example_validator, *drift, transform),
        *(*training, *gate),
        *([] if managed else [reporter]),
    ]
    for component in components:
        if isinstance(component, BaseBeamComponent):
            component.with_beam_pipeline_args(config.run.beam.args_of(component.id))
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=config.artifacts_dir,
        components=components,
        enable_cache=config.run.cache,
        metadata_connection_config=None if managed else connection_config(config),
    )


def make_drift(
    config: PipelineConfig, examples: BaseChannel, statistics_gen: tfx.StatisticsGen
) -> list[BaseNode]:
    """What holds new data against that of the latest blessed model; empty where it is off."""
    settings = config.data_validation.drift
    if not settings:
        return []
    baseline = Resolver(
        strategy_class=StatisticsOfLatestModelStrategy,
        examples=examples,
        statistics=Channel(type=ExampleStatistics),
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
    ).with_id("BaselineStatistics")
    validator = DriftValidator(
        statistics=statistics_gen.outputs["statistics"],
        baseline_statistics=baseline.outputs["statistics"],
        config=comparators(config.classes, settings.max_divergence),
        action=settings.action,
    ).with_id("DriftValidator")
    return [baseline, validator]


def make_training(
    config: PipelineConfig, examples: BaseChannel, transform_graph: BaseChannel
) -> list[BaseNode]:
    """What makes the model.

    Args:
      config: all settings.
      examples: Examples, training and validation split among them.
      transform_graph: of the Transform step.

    Returns:
      The resolver of the model that training begins with and the Tuner, each where the
      config asks for it; then the Trainer.
    """
    settings = {
        "trainer": config.trainer.model_dump_json(),
        "transform": config.transform.model_dump_json(),
        "classes": config.classes.model_dump_json(),
        "code": provenance.source_fingerprint("trainer"),
        "weights": provenance.file_fingerprint(config.trainer.encoder.source),
        **_bands(config),
    }
    if config.dataset.folder and config.dataset.folder.pictures != PictureSettings():
        settings["pictures"] = config.dataset.folder.pictures.model_dump_json()
    data = {
        "examples": examples,
        "transform_graph": transform_graph,
        "train_args": trainer_pb2.TrainArgs(splits=[schema.TRAIN]),
        "eval_args": trainer_pb2.EvalArgs(splits=[schema.VALIDATION]),
    }
    before: list[BaseNode] = []
    given = {}
    if config.trainer.warm_start:
        base = Resolver(
            strategy_class=LatestModelOfOtherDataStrategy,
            examples=examples,
            model=Channel(type=Model),
            model_blessing=Channel(type=ModelBlessing),
        )
        before.append(base.with_id("BaseModel"))
        given["base_model"] = base.outputs["model"]
    if config.tuner:
        tuner = SegmentationTuner(
            tuner_fn="components.trainer.tuner_fn.tuner_fn",
            custom_config={**settings, "tuner": config.tuner.model_dump_json()},
            **data,
        ).with_id("Tuner")
        before.append(tuner)
        given["hyperparameters"] = tuner.outputs["best_hyperparameters"]
    trainer = tfx.Trainer(
        run_fn="components.trainer.run_fn.run_fn", custom_config=settings, **data, **given
    )
    return [*before, trainer]


def _bands(config: PipelineConfig) -> dict[str, str]:
    bands = config.dataset.bands
    return {"bands": bands.model_dump_json()} if bands else {}


def make_gate(
    config: PipelineConfig, examples: BaseChannel, model: BaseChannel, managed: bool = False
) -> list[BaseNode]:
    """What stands between a trained model and a pushed one.

    Args:
      config: all settings.
      examples: Examples, the evaluated split among them.
      model: the Model that wants to be pushed.
      managed: whether only TFX's own resolvers work.

    Returns:
      The baseline's resolver and Evaluator; the Exporter, where exports are wanted;
      InfraValidator and Pusher.
    """
    earlier = {"model": Channel(type=Model), "model_blessing": Channel(type=ModelBlessing)}
    if managed:
        baseline = Resolver(strategy_class=LatestBlessedModelStrategy, **earlier)
    else:
        baseline = Resolver(
            strategy_class=LatestOtherBlessedModelStrategy,
            config={"at": config.evaluator.at},
            candidate=model,
            **earlier,
        )
    baseline = baseline.with_id("LatestBlessedModel")
    evaluator = SegmentationEvaluator(
        examples=examples,
        example_splits=[config.evaluator.split],
        model=model,
        baseline_model=baseline.outputs["model"],
        eval_config=make_eval_config(
            config.evaluator, config.classes, config.dataset.features.slice_by
        ),
        module_path="components.evaluator.object_size",
    ).with_id("Evaluator")

    exporters: list[BaseNode] = []
    if config.pusher.exports:
        _check_libraries(config)
        exporter = Exporter(
            model=model,
            examples=examples,
            model_blessing=evaluator.outputs["blessing"],
            exports=config.pusher.exports,
            split=config.evaluator.split,
            at=config.evaluator.at,
        )
        exporters.append(exporter.with_id("Exporter"))
    infra_validator = make_infra_validator(config, model, examples)
    pusher = CompletePusher(
        model=model,
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_validator.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(
                base_directory=absolute(config.serving_dir)
            )
        ),
        exports=exporters[0].outputs["exports"] if exporters else None,
        settings=config.pusher,
        examples=examples,
        split=config.evaluator.split,
    ).with_id("Pusher")
    return [baseline, evaluator, *exporters, infra_validator, pusher]


def _check_libraries(config: PipelineConfig) -> None:
    """Told before the training, not after it."""
    wanted = any(one.format == "onnx" for one in config.pusher.exports)
    names = ("onnx", "onnxruntime", "tf2onnx")
    if wanted and not all(map(importlib.util.find_spec, names)):
        raise UserError("pusher.exports: onnx needs more libraries: pip install 'segline[exports]'")


def make_schema_gen(
    config: PipelineConfig, statistics_gen: tfx.StatisticsGen
) -> tfx.SchemaGen | tfx.ImportSchemaGen:
    """The curated schema where there is one, or else one inferred from the training split."""
    if config.data_validation.schema_path:
        curated = tfx.ImportSchemaGen(config.data_validation.schema_path)
        return curated.with_id("SchemaGen")
    return tfx.SchemaGen(
        statistics=statistics_gen.outputs["statistics"],
        infer_feature_shape=True,
        exclude_splits=[schema.VALIDATION, schema.TEST],
    )


def make_infra_validator(
    config: PipelineConfig, model: BaseChannel, examples: BaseChannel
) -> ServingValidator | tfx.InfraValidator:
    """The check in a clean process, or TFX's own with a real TensorFlow Serving."""
    limits = config.infra_validator
    if limits.server == "clean_process":
        step = ServingValidator(model, examples, config.evaluator.split, limits)
        return step.with_id("InfraValidator")
    spec = infra_validator_pb2.ServingSpec(
        tensorflow_serving=infra_validator_pb2.TensorFlowServing(
            tags=[limits.tensorflow_serving.tag]
        )
    )
    getattr(spec, limits.tensorflow_serving.platform).SetInParent()
    return tfx.InfraValidator(
        model=model,
        examples=examples,
        serving_spec=spec,
        validation_spec=infra_validator_pb2.ValidationSpec(
            max_loading_time_seconds=limits.max_load_seconds
        ),
        request_spec=infra_validator_pb2.RequestSpec(
            # It can only send whole examples, which is what `evaluate` takes.
            tensorflow_serving=infra_validator_pb2.TensorFlowServingRequestSpec(
                signature_names=[schema.EVALUATE_SIGNATURE]
            ),
            split_name=config.evaluator.split,
            num_examples=BATCH,
        ),
    )
