"""Training for real, on a few small pictures."""

import json
import os
import sys

import keras
import numpy as np
import ports
import pytest
import small_training
import tensorflow as tf
from small_training import SMALL, halves, train

from components.common import schema
from components.common.errors import UserError
from components.trainer import callbacks, distribution, fitting, objective
from components.trainer.checkpoints import Checkpoints
from components.trainer.config import TrainerConfig
from components.trainer.encoders import ENCODER_NAME


class Killed(Exception):
    """Stands for the end of the process."""


class KillAfter(keras.callbacks.Callback):
    """Ends the training in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch
        self._current = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._current = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if self._current == self._epoch and batch == 1:
            raise Killed


FINE_TUNED = {"epochs": 4, "encoder": {"fine_tune_from_epoch": 2}}


@pytest.fixture(scope="module")
def two_phases():
    """Two epochs with a frozen encoder, two with all of it."""
    config = TrainerConfig(
        **SMALL | FINE_TUNED | {"learning_rate_schedule": "cosine"},
        augmentation={"brightness": 0.2},
    )
    return config, train(config).get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 1, 2, 3])
def test_a_training_that_was_ended_goes_on_to_the_same_result(two_phases, tmp_path, epoch):
    config, expected = two_phases
    folder, logs = str(tmp_path / "checkpoints"), tmp_path / "logs"
    with pytest.raises(Killed):
        history = keras.callbacks.CSVLogger(str(logs / "history.csv"), append=True)
        first = Checkpoints(folder)
        first.continue_logs(str(logs))
        train(config, [history, KillAfter(epoch)], checkpoints=first)
    again = Checkpoints(folder)
    assert again.epochs_done == epoch
    with (logs / "history.csv").open("a") as file:
        file.write(f"{epoch},0,0,0,0,0\n")  # logged, but not kept
    elsewhere = tmp_path / "other logs"
    again.continue_logs(str(elsewhere))
    history = keras.callbacks.CSVLogger(str(elsewhere / "history.csv"), append=True)
    model = train(config, [history], checkpoints=again)
    for found, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    rows = (elsewhere / "history.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["0", "1", "2", "3"]
    assert len(os.listdir(folder)) == 2  # the latest, and where the logs are
    again.remove()
    assert not os.path.exists(folder)


@pytest.mark.slow
def test_it_learns():
    history = keras.callbacks.History()
    train(TrainerConfig(**SMALL | {"epochs": 15}), [history])
    loss = history.history["loss"]
    assert loss[-1] < 0.5 * loss[0]
    assert history.history["accuracy"][-1] > 0.9


@pytest.mark.slow
def test_the_seed_makes_the_run():
    first, again, other = (
        train(TrainerConfig(**SMALL, seed=seed)).get_weights() for seed in (1, 1, 2)
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert any(not np.allclose(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.slow
def test_ignored_pixels_do_not_count():
    """Pixels that are ignored may show anything: loss and accuracy stay the same."""
    images, masks = (np.stack(x) for x in zip(*halves().as_numpy_iterator(), strict=True))
    masks[:, :10] = schema.IGNORE_INDEX
    data = tf.data.Dataset.from_tensor_slices((images, masks))
    history = keras.callbacks.History()
    train(TrainerConfig(**SMALL), [history], ignore_index=schema.IGNORE_INDEX, data=data)
    assert np.isfinite(history.history["loss"]).all()

    metric = objective.PixelAccuracy(schema.IGNORE_INDEX)
    logits = tf.one_hot(tf.where(masks == schema.IGNORE_INDEX, 0, masks), 2)
    metric.update_state(masks, logits)
    assert float(metric.result()) == 1.0
    plain = objective.PixelAccuracy()
    plain.update_state(np.where(masks == 0, 1, masks), logits)
    assert float(plain.result()) < 1.0


def test_phases_of_fine_tuning():
    config = TrainerConfig(
        epochs=10,
        learning_rate=0.01,
        learning_rate_schedule="cosine",
        encoder={"fine_tune_from_epoch": 4, "fine_tune_learning_rate": 0.001},
    )
    first, second = fitting.phases(config)
    assert (first.first_epoch, first.last_epoch, first.fine_tunes) == (0, 4, False)
    assert (second.first_epoch, second.last_epoch, second.fine_tunes) == (4, 10, True)
    assert first.rate(3) == 0.01
    assert second.rate(4) == 0.001 and second.rate(7) == pytest.approx(0.0005)
    assert len(fitting.phases(TrainerConfig())) == 1
    assert fitting.phases(TrainerConfig())[0].rate(19) == 0.001


@pytest.mark.slow
def test_fine_tuning_changes_the_encoder_from_its_epoch_on():
    class Encoder(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.sums = []

        def on_epoch_end(self, epoch, logs=None):
            kernel = self.model.get_layer(ENCODER_NAME).get_layer("conv_0").kernel
            self.sums.append(kernel.numpy().sum())

    watch = Encoder()
    train(TrainerConfig(**SMALL | FINE_TUNED), [watch])
    assert len(watch.sums) == 4
    assert watch.sums[0] == watch.sums[1] != watch.sums[2] != watch.sums[3]


@pytest.mark.slow
def test_divergence_stops_the_run_with_a_remedy():
    broken = halves().map(lambda image, mask: (image * np.nan, mask))
    with pytest.raises(UserError, match="loss is nan in epoch 1.*learning_rate"):
        train(TrainerConfig(**SMALL), [callbacks.EpochLog(2)], data=broken)


@pytest.mark.slow
def test_predictions_are_pictured_before_training_and_after_each_epoch(tmp_path):
    images, masks = (np.stack(x) for x in zip(*halves(3).as_numpy_iterator(), strict=True))
    masks[1, :, 16:] = schema.IGNORE_INDEX  # padding, say
    pictures = callbacks.PredictionPictures(images, masks, 2, str(tmp_path))
    train(TrainerConfig(**SMALL), [pictures])
    files = sorted(os.listdir(tmp_path / callbacks.PICTURES_FOLDER))
    assert files == ["epoch_000.png", "epoch_001.png", "epoch_002.png"]
    from PIL import Image

    grid = np.asarray(Image.open(tmp_path / callbacks.PICTURES_FOLDER / files[0]))
    assert grid.shape == (3 * 32, 3 * 32, 3)
    np.testing.assert_allclose(grid[:32, :32] / 255, images[0], atol=1 / 255)
    assert not grid[32:64, 80:].any() and grid[32:64, 64:80].any(-1).all()


@pytest.mark.parametrize(
    ("environment", "workers", "chief"),
    [
        (None, 1, True),
        ({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}, 1, True),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}, 2, False),
        (
            {
                "cluster": {"chief": ["a:1"], "worker": ["b:1"]},
                "task": {"type": "worker", "index": 0},
            },
            2,
            False,
        ),
    ],
)
def test_workers_are_read_from_tf_config(monkeypatch, environment, workers, chief):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if environment:
        monkeypatch.setenv("TF_CONFIG", json.dumps(environment))
    assert distribution.number_of_workers() == workers
    assert distribution.is_chief() is chief


@pytest.fixture
def start_distributed(fork_server, tmp_path):
    """Trains in a process of its own: devices and workers are fixed once TensorFlow runs."""
    script = os.path.join(os.path.dirname(small_training.__file__), "distributed_training.py")

    def start(kind, environment=None):
        command = [sys.executable, script, kind]
        return fork_server.start(command, tmp_path, {**os.environ, **(environment or {})})

    return start


def result_of(process):
    out, err = process.communicate()
    assert process.returncode == 0, err[-3000:]
    return [float(number) for number in out.split("RESULT")[1].split()]


def test_mirrored_training_on_two_devices(start_distributed):
    """Two logical CPUs stand for two GPUs."""
    first, last, _ = result_of(start_distributed("mirrored"))
    assert last < 0.6 * first


def test_two_workers_train_one_model(start_distributed):
    addresses = [f"127.0.0.1:{ports.free_port()}" for _ in range(2)]
    workers = [
        start_distributed(
            "workers",
            {
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
                )
            },
        )
        for index in range(2)
    ]
    (first, last, weights), second_worker = (result_of(worker) for worker in workers)
    alone = keras.callbacks.History()
    train(TrainerConfig(**SMALL | {"epochs": 15}), [alone])
    # Not the same: each worker's BatchNorm sees its half of the batch.
    assert first == pytest.approx(alone.history["loss"][0], rel=0.1)
    assert max(last, alone.history["loss"][-1]) < 0.05
    assert second_worker == pytest.approx([first, last, weights], rel=1e-5)
