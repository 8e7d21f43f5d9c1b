"""An engine may do a piece of work twice, and end only one of them: the files don't show it."""

import dataclasses
import random
import threading

import numpy as np
import pytest
import tensorflow as tf
from example_generation import files, generate
from lossy_engine import losing

from components.example_gen import attempts, dataset, executor, shards
from components.example_gen.config import (
    BadExamplesConfig,
    DatasetConfig,
    FeaturesConfig,
    LeaksConfig,
    SplitsConfig,
)
from pipeline.config.beam import BeamStepConfig

pytestmark = pytest.mark.slow

COUNT = 12


@pytest.fixture(scope="module")
def config(make_dataset, encode_picture):
    """One example can't be used, one has another's id: there is something to set aside."""
    rng = np.random.default_rng(0)
    pairs = [
        (
            encode_picture(rng.integers(0, 255, (12, 16, 3)).astype(np.uint8)),
            encode_picture(rng.integers(1, 4, (12, 16)).astype(np.uint8)),
        )
        for _ in range(COUNT)
    ]
    pairs[1] = (b"no picture", pairs[1][1])
    names = [f"picture_{index}" for index in range(COUNT)]
    names[7] = "picture_2"
    return DatasetConfig(
        leaks=LeaksConfig(max_fraction=None),  # its splits share pictures
        name="twice",
        data_dir=make_dataset("twice", pairs, names=names),
        splits=SplitsConfig(train="train", validation="test[:50%]", test="test[50%:]"),
        features=FeaturesConfig(example_id="file_name"),
        bad_examples=BadExamplesConfig(max_fraction=0.5),
        examples_per_shard=4,
    )


@pytest.fixture(scope="module")
def expected(config, pet_classes, tmp_path_factory):
    """The files of an undisturbed run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    generate(config, pet_classes, folder)
    found = files(folder)
    assert sum(name.startswith("quarantine/train-") for name in found) > 0
    return found


@pytest.mark.parametrize("seed", range(3))
def test_two_attempts_at_once_in_any_order(
    config, pet_classes, tmp_path, monkeypatch, expected, seed
):
    plan = shards.plan_work

    def every_unit_twice(all_shards, workers):
        units = plan(all_shards, workers) * 2
        random.Random(seed).shuffle(units)
        return units

    monkeypatch.setattr(executor, "plan_work", every_unit_twice)
    generate(config, pet_classes, tmp_path)
    assert files(tmp_path) == expected


class Pause:
    """Stops one thread at a place until it is let go on."""

    def __init__(self, thread_name):
        self._thread_name = thread_name
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self):
        if threading.current_thread().name == self._thread_name:
            self.reached.set()
            assert self.go_on.wait(60)


@pytest.mark.parametrize("place", ["begin", "set_aside", "commit"])
def test_an_attempt_that_outlives_the_step_changes_nothing(
    config, pet_classes, tmp_path, monkeypatch, expected, place
):
    """A worker that was thought lost: it stops there, and goes on when the step has ended."""
    pause = Pause("late")
    owner = attempts if place == "begin" else attempts.Attempt
    original = getattr(owner, place)

    def paused(*args):
        pause()
        return original(*args)

    monkeypatch.setattr(owner, place, paused)
    builder = dataset.open_dataset(config)
    identity = dataset.identify(builder, config)
    splits = {split: str(tmp_path / f"Split-{split}") for split in identity.splits}
    unit = shards.plan_shards(identity, config, splits)[:2]
    late = shards.WriteShards(identity.data_path, config, pet_classes)
    late.setup()
    ended = []

    def write():
        try:
            ended.append(list(late.process(unit)))
        except Exception as error:
            ended.append(error)

    attempts.open_folder(str(tmp_path))
    thread = threading.Thread(target=write, name="late", daemon=True)
    thread.start()
    assert pause.reached.wait(60)
    generate(config, pet_classes, tmp_path)
    assert files(tmp_path) == expected
    pause.go_on.set()
    thread.join(60)
    assert isinstance(ended[0], Exception)
    assert files(tmp_path) == expected


def test_what_an_attempt_left_that_died_is_not_taken(
    config, pet_classes, tmp_path, expected, monkeypatch
):
    """It wrote half a file, or all of it but not that it is complete."""

    def with_dead_ones(all_shards, workers):
        for path in (shard.path for shard in all_shards):
            for size in (0, 100):
                with open(attempts.begin(path).records, "wb") as file:
                    file.write(b"x" * size)
            with open(f"{attempts.begin(path).mark}.half", "w") as file:
                file.write('{"read": 3')
        return plan(all_shards, workers)

    plan = shards.plan_work
    monkeypatch.setattr(executor, "plan_work", with_dead_ones)
    generate(config, pet_classes, tmp_path)
    assert files(tmp_path) == expected


def test_a_step_that_begins_again_in_the_same_folder(config, pet_classes, tmp_path, expected):
    """Its process died at any time; perhaps its first job still runs."""
    generate(config, pet_classes, tmp_path)
    attempts.open_folder(str(tmp_path))
    generate(config, pet_classes, tmp_path)
    assert files(tmp_path) == expected


def test_attempts_that_read_different_examples_are_refused(
    config, pet_classes, tmp_path, monkeypatch
):
    first = threading.Lock()

    def changed(self, outcome):
        if first.acquire(blocking=False):
            outcome.good[-1] = "another"
        commit(self, outcome)

    commit = attempts.Attempt.commit
    monkeypatch.setattr(attempts.Attempt, "commit", changed)
    monkeypatch.setattr(executor, "plan_work", lambda *given: shards.plan_work(*given) * 2)
    with pytest.raises(RuntimeError, match="2 attempts at it have read different examples"):
        generate(config, pet_classes, tmp_path)


def test_late_attempts_that_begin_while_their_folder_is_removed(tmp_path, monkeypatch):
    attempts.open_folder(str(tmp_path))
    rmtree = tf.io.gfile.rmtree
    late = iter(range(3))

    def disturbed(folder):
        for number in late:
            (tmp_path / ".attempts" / str(number)).touch()
            raise tf.errors.FailedPreconditionError(None, None, "Directory not empty")
        rmtree(folder)

    monkeypatch.setattr(tf.io.gfile, "rmtree", disturbed)
    attempts.publish(str(tmp_path), [])
    assert files(tmp_path) == {}


def test_an_engine_that_loses_work_and_says_nothing(config, pet_classes, tmp_path, expected):
    one_thread = BeamStepConfig(args=("--direct_num_workers=1",)).pipeline_args()
    with losing(None) as pieces:
        generate(config, pet_classes, tmp_path / "whole", one_thread)
    assert files(tmp_path / "whole") == expected
    assert pieces
    for which in range(len(pieces)):
        with losing(which), pytest.raises(RuntimeError, match="files were not written"):
            generate(config, pet_classes, tmp_path / str(which), one_thread)


def test_files_that_are_there_but_not_all_examples(config, pet_classes, tmp_path, monkeypatch):
    identify = dataset.identify

    def one_more(*args):
        found = identify(*args)
        splits = {**found.splits, "train": found.splits["train"] + 1}
        return dataclasses.replace(found, splits=splits)

    monkeypatch.setattr(dataset, "identify", one_more)
    with pytest.raises(RuntimeError, match=f"split train: {COUNT} examples were read, the da.* 13"):
        generate(config, pet_classes, tmp_path)
