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

BEAM_STEPS = ("TfdsExampleGen", "StatisticsGen", "Evaluator")


def examples(place):
    """split -> serialized examples, sorted: their order is the runner's affair."""
    folder = place.outputs("TfdsExampleGen/examples")[0]
    return {
        split.name: sorted(
            tf.data.TFRecordDataset(
                [str(file) for file in split.iterdir()], "GZIP"
            ).as_numpy_iterator()
        )
        for split in folder.glob("Split-*")
    }


def counts(place, split):
    """feature -> number of examples that have it, as StatisticsGen has counted."""
    folder = place.outputs("StatisticsGen/statistics")[0]
    statistics = tfdv.load_stats_binary(str(folder / split / "FeatureStats.pb"))
    return {
        feature.path.step[0]: getattr(
            feature, feature.WhichOneof("stats")
        ).common_stats.num_non_missing
        for feature in statistics.datasets[0].features
    }


@pytest.fixture(scope="module")
def portable_run(new_workplace, tmp_path_factory):
    place = new_workplace("portable")
    folder = tmp_path_factory.mktemp("beam")
    with beam_servers.portable_runner(folder, place.environment()) as args:
        place.result = place.run(
            SEGLINE__RUN__BEAM__RUNNER="PortableRunner", SEGLINE__RUN__BEAM__ARGS=json.dumps(args)
        )
    place.beam_logs = [
        (folder / name).read_text() for name in ("job_service.log", "worker_pool.log")
    ]
    return place


@pytest.fixture(scope="module")
def processes_run(new_workplace):
    place = new_workplace("processes")
    args = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    place.result = place.run(SEGLINE__RUN__BEAM__ARGS=json.dumps(args))
    return place


@pytest.mark.parametrize("runner", ["portable", "processes"])
def test_the_output_is_that_of_the_direct_runner(first_run, runner, request):
    place = request.getfixturevalue(f"{runner}_run")
    assert place.result.returncode == 0, place.result.stdout + place.result.stderr
    states = dict(re.findall(r"[✓✗] (\w+) +(done|cached|failed)", place.result.stdout))
    assert {states[step] for step in BEAM_STEPS} == {"done"}

    expected, made = examples(first_run), examples(place)
    assert {split: len(records) for split, records in made.items()} == {
        "Split-train": 128,
        "Split-validation": 16,
        "Split-test": 24,
    }
    assert made == expected
    for split in expected:
        left, right = (counts(one, split) for one in (first_run, place))
        assert left == right
    left, right = first_run.verdict(0), place.verdict(0)
    assert right.matrix.sum() == left.matrix.sum() == 24 * 32 * 64
    assert right.overall == pytest.approx(left.overall, abs=1e-5, nan_ok=True)


def test_the_pools_workers_did_the_work(portable_run):
    jobs, workers = portable_run.beam_logs
    assert jobs.count("with state DONE") >= len(BEAM_STEPS)
    assert workers.count("Starting worker with command") >= len(BEAM_STEPS)
    assert "Traceback" not in workers
