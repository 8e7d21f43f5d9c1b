"""The pipeline, from a TFDS dataset to a pushed model."""

from __future__ import annotations

import os

from tfx import v1 as tfx
from tfx.orchestration import metadata

from components import provenance, schema
from components.data_validation.statistics import statistics_options
from components.data_validation.validator import StrictExampleValidator
from components.evaluator.baseline import LatestOtherBlessedModelStrategy
from components.evaluator.eval_config import make_eval_config
from components.example_gen.component import TfdsExampleGen
from pipeline.config import PipelineConfig


def create_pipeline(config: PipelineConfig) -> tfx.dsl.Pipeline:
    """Chains the components that the config describes.

    Args:
      config: all settings.

    Returns:
      A pipeline for any of TFX's runners.
    """
    example_gen = TfdsExampleGen(config.dataset, config.classes)
    examples = example_gen.outputs["examples"]

    statistics_gen = tfx.components.StatisticsGen(examples, stats_options=statistics_options())
    schema_gen = make_schema_gen(config, statistics_gen)
    example_validator = StrictExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]
    ).with_id("ExampleValidator")

    transform = tfx.components.Transform(
        examples=examples,
        schema=schema_gen.outputs["schema"],
        preprocessing_fn="components.transform.preprocessing.preprocessing_fn",
        splits_config=tfx.proto.SplitsConfig(analyze=[schema.TRAIN]),
        materialize=False,
        custom_config={
            "transform": config.transform.model_dump_json(),
            "classes": config.classes.model_dump_json(),
            "code": provenance.source_fingerprint("transform"),
        },
    )
    transform.add_upstream_node(example_validator)

    trainer = tfx.components.Trainer(
        run_fn="components.trainer.run_fn.run_fn",
        examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        train_args=tfx.proto.TrainArgs(splits=[schema.TRAIN]),
        eval_args=tfx.proto.EvalArgs(splits=[schema.VALIDATION]),
        custom_config={
            "trainer": config.trainer.model_dump_json(),
            "classes": config.classes.model_dump_json(),
            "code": provenance.source_fingerprint("trainer"),
        },
    )
    model = trainer.outputs["model"]

    baseline = tfx.dsl.Resolver(
        strategy_class=LatestOtherBlessedModelStrategy,
        candidate=model,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("LatestBlessedModel")
    evaluator = tfx.components.Evaluator(
        examples=examples,
        example_splits=[config.evaluator.split],
        model=model,
        baseline_model=baseline.outputs["model"],
        eval_config=make_eval_config(
            config.evaluator, config.classes, config.dataset.features.slice_by
        ),
    )

    pusher = tfx.components.Pusher(
        model=model,
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(
                base_directory=os.path.abspath(config.serving_dir)
            )
        ),
    )

    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=os.path.abspath(os.path.join(config.folder, "artifacts")),
        components=[
            example_gen,
            statistics_gen,
            schema_gen,
            example_validator,
            transform,
            trainer,
            baseline,
            evaluator,
            pusher,
        ],
        enable_cache=config.run.cache,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            os.path.abspath(os.path.join(config.folder, "metadata.db"))
        ),
        beam_pipeline_args=list(config.run.beam_args),
    )


def make_schema_gen(
    config: PipelineConfig, statistics_gen: tfx.components.StatisticsGen
) -> tfx.components.SchemaGen | tfx.components.ImportSchemaGen:
    """The curated schema where there is one, or else one inferred from the training split."""
    if config.data_validation.schema_path:
        curated = tfx.components.ImportSchemaGen(config.data_validation.schema_path)
        return curated.with_id("SchemaGen")
    return tfx.components.SchemaGen(
        statistics=statistics_gen.outputs["statistics"],
        infer_feature_shape=True,
        exclude_splits=[schema.VALIDATION, schema.TEST],
    )
