"""What TFX's Trainer calls: prepares the data, trains the model, exports it."""

from __future__ import annotations

import functools
import logging
import os
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from components import schema
from components.trainer import (
    callbacks,
    distribution,
    input_pipeline,
    record,
    sample_weights,
    warm_start,
)
from components.trainer.checkpoints import Checkpoints, checkpoint_folder
from components.trainer.config import TrainerConfig
from components.trainer.export import export_model
from components.trainer.fitting import fit
from components.trainer.unet import build_unet

_LOG = logging.getLogger("segline.trainer")


def run_fn(fn_args: FnArgs) -> None:
    """Trains on the training split and writes the saved model.

    Args:
      fn_args: TFX's; `custom_config` holds `trainer` (TrainerConfig) and
        `classes` (ClassTable) as JSON.
    """
    config = TrainerConfig.model_validate_json(fn_args.custom_config["trainer"])
    classes = schema.ClassTable.model_validate_json(fn_args.custom_config["classes"])
    strategy = distribution.make_strategy()
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    try:
        _train_and_export(fn_args, config, classes, strategy)
    finally:
        keras.config.set_dtype_policy("float32")  # the process may go on to other steps


def _train_and_export(
    fn_args: FnArgs,
    config: TrainerConfig,
    classes: schema.ClassTable,
    strategy: tf.distribute.Strategy,
) -> None:
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    train_examples = input_pipeline.read_examples(fn_args.train_files)
    train_count = input_pipeline.count_examples(train_examples)
    validation_examples = input_pipeline.read_examples(fn_args.eval_files)
    validation_count = input_pipeline.count_examples(validation_examples)
    image_size = transform.transformed_feature_spec()[schema.IMAGE].shape[:2]
    _LOG.info(
        "%d training and %d validation pictures of %dx%d on %s",
        train_count,
        validation_count,
        *image_size,
        distribution.describe(strategy),
    )

    with strategy.scope():
        model = distribution.trainable_model(
            build_unet(len(classes), tuple(image_size), config.encoder, config.decoder)
        )
        base = _begin_with(model, fn_args.base_model)
    with tempfile.TemporaryDirectory(prefix="segline-cache-") as folder:
        train = input_pipeline.cached(
            input_pipeline.prepared_pictures(train_examples, transform), config, f"{folder}/train"
        )
        validation = input_pipeline.cached(
            input_pipeline.prepared_pictures(validation_examples, transform),
            config,
            f"{folder}/validation",
        )
        weights = sample_weights.resolve_class_weights(config.class_weights, train, len(classes))
        if weights is not None:
            _LOG.info("class weights: %s", _by_name(classes, weights))
        steps_per_epoch = config.steps_per_epoch or max(1, train_count // config.batch_size)
        validation_steps = None
        if config.validation_subsplits > 1:
            batches = validation_count // config.batch_size // config.validation_subsplits
            validation_steps = max(1, batches)
        facts = {
            "image_size": list(image_size),
            "trainer": config.model_dump(mode="json"),
            "class_weights": None if weights is None else _by_name(classes, weights),
            "training_examples": train_count,
            "validation_examples": validation_count,
            "steps_per_epoch": steps_per_epoch,
            "device": distribution.describe(strategy),
            "base_model": base,
        }
        checkpoints = None
        if distribution.number_of_workers() == 1:
            checkpoints = Checkpoints(
                checkpoint_folder(
                    fn_args.model_run_dir,
                    fn_args.transform_graph_path,
                    [*fn_args.train_files, *fn_args.eval_files],
                    fn_args.custom_config,
                    base,
                )
            )
            checkpoints.continue_logs(fn_args.model_run_dir)
        if distribution.is_chief():
            tf.io.gfile.makedirs(fn_args.model_run_dir)
            layers = record.describe_layers(model)
            record.write_training(fn_args.model_run_dir, {**facts, "layers": layers})
        fit(
            model,
            strategy,
            config,
            functools.partial(input_pipeline.training_batches, train, config, weights),
            input_pipeline.validation_batches(validation, config),
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            ignore_index=schema.IGNORE_INDEX if classes.ignore_values else None,
            callbacks=_callbacks(
                config,
                input_pipeline.prepared_pictures(
                    validation_examples.take(config.sample_pictures), transform
                ),
                len(classes),
                fn_args.model_run_dir,
            ),
            checkpoints=checkpoints,
        )

    if distribution.is_chief():
        export_model(model, transform, classes, fn_args.serving_model_dir, facts)
        warm_start.save_weights(model, fn_args.serving_model_dir)
    if checkpoints:
        checkpoints.remove()


def _begin_with(model: keras.Model, base_model: str | None) -> str:
    """Takes over an earlier model's weights; returns where it is, or nothing if it can't."""
    if not base_model:
        return ""
    reason = warm_start.load_weights(model, base_model)
    if reason:
        _LOG.warning("%s can't be begun with: %s", base_model, reason)
        return ""
    _LOG.info("beginning with the weights of %s", base_model)
    return base_model


def _callbacks(
    config: TrainerConfig, samples: tf.data.Dataset, num_classes: int, folder: str
) -> list[keras.callbacks.Callback]:
    result: list[keras.callbacks.Callback] = [callbacks.EpochLog(config.epochs)]
    if not distribution.is_chief():
        return result
    result.append(keras.callbacks.TensorBoard(folder, write_graph=False))
    history = os.path.join(folder, record.HISTORY_FILE)
    result.append(keras.callbacks.CSVLogger(history, append=True))
    if config.sample_pictures:
        pairs = list(samples.as_numpy_iterator())
        images, masks = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
        result.append(callbacks.PredictionPictures(images, masks, num_classes, folder))
    return result


def _by_name(classes: schema.ClassTable, weights: np.ndarray) -> dict[str, Any]:
    return {
        name: round(float(weight), 4) for name, weight in zip(classes.names, weights, strict=True)
    }
