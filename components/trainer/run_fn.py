"""What TFX's Trainer calls: prepares the data, trains the model, exports it."""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from components.common import schema
from components.common.bands import shown_channels
from components.common.errors import UserError
from components.trainer import (
    callbacks,
    distribution,
    hyperparameters,
    input_pipeline,
    record,
    sample_weights,
    warm_start,
)
from components.trainer.as_served import as_served
from components.trainer.calibration import calibrate
from components.trainer.checkpoints import Checkpoints, checkpoint_folder
from components.trainer.config import TrainerConfig
from components.trainer.export import export_model
from components.trainer.fitting import fit, reproducible
from components.trainer.training_data import TrainingData, training_data
from components.trainer.tuner_config import apply
from components.trainer.unet import build_unet

_LOG = logging.getLogger("segline.trainer")


def run_fn(fn_args: FnArgs) -> None:
    """Trains on the training split and writes the saved model.

    Args:
      fn_args: TFX's; `custom_config` holds `trainer` (TrainerConfig) and
        `classes` (ClassTable) as JSON. `hyperparameters`, where there are some, are
        a Tuner's and override the settings.
    """
    config = TrainerConfig.model_validate_json(fn_args.custom_config["trainer"])
    if fn_args.hyperparameters:
        found = hyperparameters.values_of(fn_args.hyperparameters)
        _LOG.info("the search has found %s", hyperparameters.describe(found))
        config = apply(config, found)
    classes = schema.ClassTable.model_validate_json(fn_args.custom_config["classes"])
    strategy = distribution.make_strategy()
    with reproducible(config), training_data(fn_args, config) as data:
        _train_and_export(fn_args, config, classes, strategy, data)


def _train_and_export(
    fn_args: FnArgs,
    config: TrainerConfig,
    classes: schema.ClassTable,
    strategy: tf.distribute.Strategy,
    data: TrainingData,
) -> None:
    _LOG.info("training on %s", distribution.describe(strategy))
    with strategy.scope():
        model = distribution.trainable_model(
            build_unet(
                len(classes), data.fit.image_size, config.encoder, config.decoder, data.channels
            )
        )
        base = _begin_with(model, fn_args.base_model)
    views = config.serving.view_sizes(data.fit.image_size)
    if views != [data.fit.image_size]:
        _check_views(model, config, views)
    weights = sample_weights.resolve_class_weights(config.class_weights, data.train, len(classes))
    if weights is not None:
        _LOG.info("class weights: %s", _by_name(classes, weights))
    facts = {
        "image_size": list(data.fit.image_size),
        "fit": data.fit.fit,
        "tiles": data.fit.tiles.model_dump() if data.tiled else None,
        "trainer": config.model_dump(mode="json"),
        "class_weights": None if weights is None else _by_name(classes, weights),
        "training_examples": data.train_count,
        "validation_examples": data.validation_count,
        "steps_per_epoch": data.steps_per_epoch(config),
        "device": distribution.describe(strategy),
        "base_model": base,
        # How pictures become what the model sees: `segline predict` reads others likewise.
        "pictures": json.loads(fn_args.custom_config.get("pictures", "{}")),
        "bands": data.bands.model_dump(mode="json") if data.bands else None,
    }
    checkpoints = Checkpoints(
        checkpoint_folder(
            fn_args.model_run_dir,
            fn_args.transform_graph_path,
            [*fn_args.train_files, *fn_args.eval_files],
            {**fn_args.custom_config, "trainer": config.model_dump_json()},
            base,
        ),
        saves=distribution.is_chief(),
    )
    if distribution.is_chief():
        checkpoints.continue_logs(fn_args.model_run_dir)
        tf.io.gfile.makedirs(fn_args.model_run_dir)
        layers = record.describe_layers(model)
        record.write_training(fn_args.model_run_dir, {**facts, "layers": layers})
    fit(
        model,
        strategy,
        config,
        functools.partial(
            input_pipeline.training_batches, data.train, config, weights, fit=data.fit
        ),
        input_pipeline.validation_batches(data.validation, config),
        steps_per_epoch=data.steps_per_epoch(config),
        validation_steps=data.validation_steps(config),
        ignore_index=data.ignore_index(classes),
        callbacks=_callbacks(config, data, len(classes), fn_args.model_run_dir),
        checkpoints=checkpoints,
    )
    if distribution.is_chief():
        # In float32: few servers compute bfloat16 any faster, and devices have the same masks then.
        served = as_served(model, config.encoder, config.decoder, config.serving.flip, views)
        if config.calibrate:
            batches = input_pipeline.validation_batches(data.validation, config)
            elements = data.validation_elements()
            found = calibrate(served, batches, elements, len(classes), config.seed)
            facts["calibration"] = found.to_json()
            record.write_calibration(fn_args.model_run_dir, found.to_json())
        export_model(
            served,
            data.transform,
            classes,
            fn_args.serving_model_dir,
            facts,
            config.serving,
            data.fit,
        )
        warm_start.save_weights(model, fn_args.serving_model_dir)
    checkpoints.remove()


def _check_views(
    model: keras.Model, config: TrainerConfig, views: Sequence[tuple[int, int]]
) -> None:
    """Makes sure, before it is trained for hours, that the network can see its other sizes."""
    try:
        as_served(model, config.encoder, config.decoder, sizes=views)
    except ValueError as error:
        raise UserError(
            f"trainer.serving.scales: {config.encoder.name} can't see pictures of other sizes than "
            f"it was built for; leave `scales` out, or take another encoder ({error})"
        ) from error


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
    config: TrainerConfig, data: TrainingData, num_classes: int, folder: str
) -> list[keras.callbacks.Callback]:
    result: list[keras.callbacks.Callback] = [callbacks.EpochLog(config.epochs)]
    if not distribution.is_chief():
        return result
    result.append(keras.callbacks.TensorBoard(folder, write_graph=False))
    history = os.path.join(folder, record.HISTORY_FILE)
    result.append(keras.callbacks.CSVLogger(history, append=True))
    if config.sample_pictures:
        pairs = list(data.samples(config.sample_pictures).as_numpy_iterator())
        images, masks = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
        shown = shown_channels(data.bands)
        result.append(callbacks.PredictionPictures(images, masks, num_classes, folder, shown))
    return result


def _by_name(classes: schema.ClassTable, weights: np.ndarray) -> dict[str, Any]:
    return {
        name: round(float(weight), 4) for name, weight in zip(classes.names, weights, strict=True)
    }
