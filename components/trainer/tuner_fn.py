"""What TFX's Tuner calls: a search for the settings that train the best model.

Every trial is a training as the Trainer's, shorter where the config says so; what counts is
the mean IoU on the validation split after its last epoch.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os

import keras
import keras_tuner
import tensorflow as tf
from keras_tuner import errors
from keras_tuner.engine.trial import Trial, TrialStatus
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from components.common import schema
from components.common.errors import UserError
from components.trainer import callbacks, distribution, hyperparameters, input_pipeline
from components.trainer.config import TrainerConfig
from components.trainer.fitting import fit, reproducible
from components.trainer.sample_weights import resolve_class_weights
from components.trainer.training_data import training_data
from components.trainer.tuner_config import Range, TunerConfig, apply
from components.trainer.unet import build_unet

_LOG = logging.getLogger("segline.tuner")
_OBJECTIVE = keras_tuner.Objective(f"val_{schema.MEAN_IOU}", "max")
_ORACLES = {
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    "random": keras_tuner.oracles.RandomSearchOracle,
}


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Prepares the search; TFX runs it and writes the best hyperparameters.

    Args:
      fn_args: TFX's; `custom_config` holds `trainer` (TrainerConfig), `tuner` (TunerConfig)
        and `classes` (ClassTable) as JSON.
    """
    settings = fn_args.custom_config
    trainer = TrainerConfig.model_validate_json(settings["trainer"])
    search = TunerConfig.model_validate_json(settings["tuner"])
    folder = _trials_folder(
        fn_args.working_dir,
        [fn_args.transform_graph_path, *fn_args.train_files, *fn_args.eval_files, settings],
    )
    tuner = UNetTuner(
        make_oracle(search, trainer),
        fn_args,
        trainer if search.epochs is None else trainer.model_copy(update={"epochs": search.epochs}),
        schema.ClassTable.model_validate_json(settings["classes"]),
        folder,
    )
    return TunerFnResult(tuner=tuner, fit_kwargs={"verbose": 0})


def make_oracle(config: TunerConfig, trainer: TrainerConfig) -> keras_tuner.Oracle:
    """What chooses the trials; the Trainer's seed is its seed."""
    return _ORACLES[config.search](
        objective=_OBJECTIVE,
        max_trials=config.trials,
        hyperparameters=search_space(config),
        allow_new_entries=False,
        tune_new_entries=False,
        seed=trainer.seed,
    )


def search_space(config: TunerConfig) -> keras_tuner.HyperParameters:
    """The space as KerasTuner wants it."""
    space = keras_tuner.HyperParameters()
    for name, values in config.space.items():
        if isinstance(values, Range):
            space.Float(name, values.min, values.max, sampling=values.scale)
        else:  # as JSON: its choices are of one simple type, settings are lists too
            space.Choice(name, [json.dumps(value) for value in values], ordered=False)
    return space


class UNetTuner(keras_tuner.Tuner):
    """KerasTuner with our training as the trial; goes on with a search that was ended.

    Args:
      oracle: chooses the trials.
      fn_args: TFX's; where the data is.
      trainer: settings that the hyperparameters change.
      classes: the class table.
      folder: where the trials are kept; the same for the same search.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        fn_args: FnArgs,
        trainer: TrainerConfig,
        classes: schema.ClassTable,
        folder: str,
    ) -> None:
        super().__init__(
            oracle, directory=os.path.dirname(folder), project_name=os.path.basename(folder)
        )
        self._fn_args = fn_args
        self._trainer = trainer
        self._classes = classes
        self._strategy = distribution.make_strategy()
        self._failure = ""  # of the latest trial that has failed
        done = len(self.oracle.end_order)
        if done:
            _LOG.info("going on after %d trials of a search that was ended", done)

    def search(self, *args: object, **kwargs: object) -> None:
        """All trials, on data that is prepared once.

        Raises:
          UserError: no trial has come to its end.
        """
        with training_data(self._fn_args, self._trainer) as self._data:
            try:
                super().search(*args, **kwargs)
            except RuntimeError as error:  # too many failed one after the other
                raise UserError(f"the search was given up: {self._failure}") from error
        if not any(trial.status == TrialStatus.COMPLETED for trial in self.oracle.trials.values()):
            raise UserError(f"no trial of the search has come to its end: {self._failure}")
        tf.io.gfile.rmtree(self.project_dir)  # nobody will go on with it

    def search_space_summary(self, extended: bool = False) -> None:
        """TFX asks for it: a line in the log instead of a page on the screen."""
        _LOG.info("searching %s", ", ".join(self.oracle.hyperparameters.values))

    def results_summary(self, num_trials: int = 10) -> None:
        """TFX asks for it."""
        (best,) = self.oracle.get_best_trials()
        found = hyperparameters.values_of(best.hyperparameters.get_config())
        _LOG.info("the best: mean IoU %.4f  %s", best.score, hyperparameters.describe(found))

    def run_trial(self, trial: Trial, **_: object) -> dict[str, float]:
        """Trains with a trial's hyperparameters.

        Returns:
          The objective's value.

        Raises:
          FailedTrialError: these settings can't be trained with; the search goes on.
          FatalError: anything else that goes wrong, which the search would pass over.
        """
        found = hyperparameters.values_of(trial.hyperparameters.get_config())
        text = hyperparameters.describe(found)
        config = apply(self._trainer, found)
        keras.backend.clear_session()
        with reproducible(config):
            try:
                score = self._train(config)
            except (UserError, tf.errors.ResourceExhaustedError) as error:
                self._failure = str(error)
                _LOG.warning("a trial has failed: %s  %s", error, text)
                raise errors.FailedTrialError(str(error)) from error
            except Exception as error:
                raise errors.FatalError(f"{type(error).__name__}: {error}") from error
        done = len(self.oracle.end_order) + 1
        _LOG.info("trial %d/%d  mean IoU %.4f  %s", done, self.oracle.max_trials, score, text)
        return {_OBJECTIVE.name: score}

    def _train(self, config: TrainerConfig) -> float:
        data, num_classes = self._data, len(self._classes)
        with self._strategy.scope():
            model = build_unet(
                num_classes, data.fit.image_size, config.encoder, config.decoder, data.channels
            )
        weights = resolve_class_weights(config.class_weights, data.train, num_classes)
        validation = input_pipeline.validation_batches(data.validation, config)
        ignore_index = data.ignore_index(self._classes)
        fit(
            model,
            self._strategy,
            config,
            functools.partial(
                input_pipeline.training_batches, data.train, config, weights, fit=data.fit
            ),
            validation,
            steps_per_epoch=data.steps_per_epoch(config),
            validation_steps=data.validation_steps(config),
            ignore_index=ignore_index,
            callbacks=[callbacks.EpochLog(config.epochs)],
        )
        mean_iou = keras.metrics.MeanIoU(
            num_classes, ignore_class=ignore_index, sparse_y_pred=False
        )
        for images, masks in validation:
            mean_iou.update_state(masks, model(images, training=False))
        return float(mean_iou.result())


def _trials_folder(working_dir: str, inputs: list[object]) -> str:
    """The folder for a search's trials: `<root>/Tuner/trials/<fingerprint of the inputs>`.

    Args:
      working_dir: of this execution, `<root>/Tuner/.system/…`.
      inputs: all that decides about the result.
    """
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
    root = working_dir.split(f"{os.sep}.system{os.sep}")[0]
    return os.path.join(root, "trials", digest)
