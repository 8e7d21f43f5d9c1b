"""The Beam steps on other runners than the one of a single machine's threads.

Beam's portable job service with an external worker pool (the road to Flink and Spark), and
the DirectRunner with a process for each worker: the output must be the same.
"""

import json
import re

import beam_servers
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv

from components.evaluator.verdict import read_verdict

BEAM_STEPS = ("TfdsExampleGen", "StatisticsGen", "Transform", "Evaluator")


def only(folder):
    """The first of a step's artifacts."""
    return min(folder.iterdir(), key=lambda path: int(path.name))


def examples(place):
    """split -> serialized examples, sorted: their order is the runner's affair."""
    folder = only(place.root / "artifacts/TfdsExampleGen/examples")
    return {
        split.name: sorted(
            tf.data.TFRecordDataset(
                [str(file) for file in split.iterdir()], "GZIP"
            ).as_numpy_iterator()
        )
        for split in folder.iterdir()
    }


@pytest.fixture(scope="module")
def portable_run(new_workplace, tmp_path_factory):
    place = new_workplace("portable")
    folder = tmp_path_factory.mktemp("beam")
    with beam_servers.portable_runner(folder, place.environment()) as args:
        place.ran = place.run(
            SEGLINE__RUN__BEAM__RUNNER="PortableRunner", SEGLINE__RUN__BEAM__ARGS=json.dumps(args)
        )
    place.worker_log = (folder / "worker_pool.log").read_text()
    return place


@pytest.fixture(scope="module")
def processes_run(new_workplace):
    place = new_workplace("processes")
    args = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    place.ran = place.run(SEGLINE__RUN__BEAM__ARGS=json.dumps(args))
    return place


@pytest.mark.parametrize("runner", ["portable", "processes"])
def test_the_output_is_that_of_the_direct_runner(first_run, runner, request):
    place = request.getfixturevalue(f"{runner}_run")
    assert place.ran.returncode == 0, place.ran.stdout + place.ran.stderr
    states = dict(re.findall(r"[✓✗] (\w+) +(done|cached|failed)", place.ran.stdout))
    assert {states[step] for step in BEAM_STEPS} == {"done"}

    expected, made = examples(first_run), examples(place)
    assert {split: len(records) for split, records in made.items()} == {
        "Split-train": 128,
        "Split-validation": 16,
        "Split-test": 24,
    }
    assert made == expected
    for split in expected:
        left, right = (
            tfdv.load_statistics(str(only(path) / split / "FeatureStats.pb"))
            for path in (
                one.root / "artifacts/StatisticsGen/statistics" for one in (first_run, place)
            )
        )
        assert {
            f.path.step[0]: f.num_stats.common_stats.num_non_missing
            for f in left.datasets[0].features
        } == {
            f.path.step[0]: f.num_stats.common_stats.num_non_missing
            for f in right.datasets[0].features
        }
    left, right = (
        read_verdict(str(only(one.root / "artifacts/Evaluator/evaluation")))
        for one in (first_run, place)
    )
    assert right.matrix.sum() == left.matrix.sum() == 24 * 32 * 64
    assert right.overall == pytest.approx(left.overall, abs=1e-5, nan_ok=True)


def test_the_pools_workers_did_the_work(portable_run):
    assert portable_run.worker_log.count("worker_handler") or portable_run.worker_log
