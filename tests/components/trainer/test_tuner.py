"""The search: its config, its trials, and that it goes on where it was ended."""

import contextlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_tuner.errors import FatalError
from small_training import SMALL, halves

from components.common import schema
from components.common.errors import UserError
from components.common.picture_fit import PictureFit
from components.trainer import hyperparameters, tuner_fn
from components.trainer.config import TrainerConfig
from components.trainer.training_data import TrainingData
from components.trainer.tuner_config import TunerConfig, apply

SPACE = {
    "learning_rate": {"min": 0.001, "max": 0.1, "scale": "log"},
    "decoder.filters": [(8, 8, 8, 8), (4, 4, 4, 4)],
    "augmentation.horizontal_flip": [True, False],
    "jaccard_weight": {"min": 0, "max": 2},
    "precision": ["float32", "mixed_bfloat16"],
}


def test_every_point_of_the_space_is_a_setting():
    config = TunerConfig(space=SPACE)
    config.check(TrainerConfig())
    space = tuner_fn.search_space(config)
    seen = []
    for seed in range(40):
        values = {one.name: one.random_sample(seed) for one in space.space}
        point = space.copy()
        point.values = values
        found = hyperparameters.values_of(json.loads(json.dumps(point.get_config())))
        seen.append(apply(TrainerConfig(epochs=7), found))
    assert all(0.001 <= one.learning_rate <= 0.1 and one.epochs == 7 for one in seen)
    assert np.median([one.learning_rate for one in seen]) < 0.03  # on a log scale
    assert {one.decoder.filters for one in seen} == {(8, 8, 8, 8), (4, 4, 4, 4)}
    assert {one.augmentation.horizontal_flip for one in seen} == {True, False}
    assert {one.precision for one in seen} == {"float32", "mixed_bfloat16"}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rte": [1, 2]}, "learning_rte: 1: Extra inputs"),
        ({"encoder.alfa": [0.5, 1]}, "encoder.alfa: 0.5: Extra inputs"),
        ({"epochs.more": [1, 2]}, "epochs.more: there is no such setting"),
        ({"learning_rate": {"min": -1, "max": 1}}, "learning_rate: -1.0: Input should be greater"),
        ({"batch_size": {"min": 8, "max": 64}}, "batch_size: .*valid integer"),
        ({"precision": ["float32", "half"]}, "precision: half"),
        ({"learning_rate": {"min": 0, "max": 1, "scale": "log"}}, "a min greater than 0"),
        ({"learning_rate": {"min": 1, "max": 1}}, "min must be smaller"),
        ({"seed": [1]}, "at least 2 items"),
        ({}, "at least 1 item"),
    ],
)
def test_a_space_that_can_not_be_searched(space, message):
    with pytest.raises(ValueError, match=message):
        TunerConfig(space=space).check(TrainerConfig())


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def search(monkeypatch):
    """Searches in a folder; dies in the trial of a number, has others fail.

    Trials are not trained (one test does so), but scored: the nearer to 0.003 the better.
    """
    images = halves()
    data = TrainingData(None, PictureFit(image_size=(32, 32)), images, images, 8, 8, None)
    monkeypatch.setattr(tuner_fn, "training_data", lambda *_: contextlib.nullcontext(data))
    classes = schema.ClassTable(values={"dark": 0, "light": 1})
    tried = []

    def run(folder, dies_in=None, fails=(), error=None, trials=4, train=None):
        def score(self, config):
            if len(tried) == dies_in:
                raise Killed
            tried.append(config.learning_rate)
            if len(tried) in fails:
                raise error or UserError("training diverged")
            return 1 / (1 + abs(np.log(config.learning_rate / 0.003)))

        monkeypatch.setattr(tuner_fn.UNetTuner, "_train", train or score)
        config = TunerConfig(
            space={"learning_rate": {"min": 1e-5, "max": 0.1, "scale": "log"}},
            trials=trials,
            search="random",
        )
        oracle = tuner_fn.make_oracle(config, TrainerConfig(**SMALL))
        tuner = tuner_fn.UNetTuner(oracle, None, TrainerConfig(**SMALL), classes, str(folder))
        tuner.search(verbose=0)
        (best,) = tuner.get_best_hyperparameters()
        scores = {
            trial.hyperparameters.values["learning_rate"]: trial.score
            for trial in tuner.oracle.trials.values()
            if trial.status == "COMPLETED"
        }
        return best.values, scores, tried

    return run


def test_a_search_finds_the_best_of_its_trials(search, tmp_path):
    best, scores, trained = search(tmp_path / "trials" / "one")
    assert len(scores) == 4 and sorted(scores) == sorted(trained)
    assert best["learning_rate"] == max(scores, key=scores.get)
    assert not (tmp_path / "trials" / "one").exists()


def test_a_search_that_was_ended_goes_on(search, tmp_path, caplog):
    with pytest.raises(Killed):
        search(tmp_path / "trials" / "one", dies_in=2)
    caplog.set_level("INFO", "segline.tuner")
    best, scores, trained = search(tmp_path / "trials" / "one")
    assert "going on after 2 trials" in caplog.text
    assert len(trained) == 4 and len(scores) == 4  # none twice
    assert best["learning_rate"] == max(scores, key=scores.get)


def test_settings_that_can_not_be_trained_with_are_passed_over(search, tmp_path):
    best, scores, trained = search(tmp_path / "trials" / "one", fails=[2])
    assert len(trained) == 4 and len(scores) == 3
    assert best["learning_rate"] == max(scores, key=scores.get)


def test_a_search_in_which_all_fails_is_one_clear_error(search, tmp_path):
    with pytest.raises(UserError, match="^the search was given up: training diverged$"):
        search(tmp_path / "trials" / "one", fails=[1, 2, 3, 4])
    with pytest.raises(UserError, match="come to its end: training diverged$"):
        search(tmp_path / "trials" / "two", fails=[4, 5], trials=2)


def test_a_fault_of_ours_ends_the_search(search, tmp_path):
    with pytest.raises(FatalError, match="KeyError: 'mask'"):
        search(tmp_path / "trials" / "one", fails=[2], error=KeyError("mask"))


@pytest.mark.slow
def test_the_score_is_the_mean_iou_on_validation(search, tmp_path, monkeypatch):
    models = []
    fit = tuner_fn.fit
    monkeypatch.setattr(tuner_fn, "fit", lambda *a, **k: models.append(a[0]) or fit(*a, **k))
    _, scores, _ = search(tmp_path / "one", trials=1, train=tuner_fn.UNetTuner._train)
    images, masks = (np.stack(x) for x in zip(*halves().as_numpy_iterator(), strict=True))
    guess = np.argmax(models[0](tf.constant(images), training=False), -1)
    ious = [
        np.sum((guess == c) & (masks == c)) / np.sum((guess == c) | (masks == c)) for c in (0, 1)
    ]
    assert list(scores.values()) == [pytest.approx(np.mean(ious), abs=1e-6)]
    assert keras.config.dtype_policy().name == "float32"
