"""The Beam steps on other runners than the one of a single machine's threads.

Beam's portable job service with two external worker pools (the road to Flink and Spark), the
DirectRunner with a process for each worker, with one that does each bundle twice, and a real
Flink where it is at hand: each step is done again with what the first run had, as the chain has
it that is configured so, and the output must be the same, with nothing beside it.

For Flink: SEGLINE_TEST_FLINK_JAR is Beam's job server, SEGLINE_TEST_FLINK_MASTER the cluster's
address (localhost:8081), on this machine.
"""

import contextlib
import json
import os
import re
import signal
import threading
import time

import apache_beam as beam
import beam_servers
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from beam_steps import BeamSteps, near, read_statistics
from example_generation import files
from ports import free_port

from components.common import beam_engine
from components.common.errors import UserError
from components.evaluator.verdict import read_verdict
from pipeline.config.beam import BeamConfig

FLINK_JAR = "SEGLINE_TEST_FLINK_JAR"
LONG_ENOUGH = 40  # seconds for ExampleGen, which waits for its killed worker then
RUNNERS = ["portable", "processes", "repeated", "flink"]


@pytest.fixture(scope="module")
def engine(first_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("beam")
    environment, server = first_run.environment(), first_run.server
    with beam_servers.portable_engine(folder, environment, server) as engine:
        yield engine


@pytest.fixture(scope="module")
def portable(engine):
    return BeamConfig(runner="PortableRunner", args=engine.args)


@pytest.fixture(scope="module")
def processes():
    args = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    return BeamConfig(args=args)


@pytest.fixture(scope="module")
def repeated():
    """Each bundle is done twice, and the first attempt's output thrown away."""
    return BeamConfig(args=["--direct_num_workers=1", "--direct_runner_bundle_repeat=1"])


@pytest.fixture(scope="module")
def flink(first_run, tmp_path_factory):
    if FLINK_JAR not in os.environ:
        pytest.skip(f"no Flink: {FLINK_JAR} names Beam's job server for it")
    folder = tmp_path_factory.mktemp("flink")
    environment, server = first_run.environment(), first_run.server
    with beam_servers.portable_engine(folder, environment, server, job_service=False) as pools:
        master = os.environ.get("SEGLINE_TEST_FLINK_MASTER", "localhost:8081")
        args = [
            f"--flink_job_server_jar={os.environ[FLINK_JAR]}",
            f"--flink_master={master}",
            "--parallelism=2",
            *pools.args,
        ]
        yield BeamConfig(runner="FlinkRunner", args=args)


@pytest.fixture(params=RUNNERS)
def runner(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def steps(first_run):
    return BeamSteps(first_run)


def test_examples_are_the_same_by_bytes(runner, steps, tmp_path):
    folder = steps.made("TfdsExampleGen/examples")
    expected = files(folder)
    records = {
        split.name: sum(1 for _ in tf.data.TFRecordDataset([*map(str, split.iterdir())], "GZIP"))
        for split in folder.glob("Split-*")
    }
    assert records == {"Split-train": 128, "Split-validation": 16, "Split-test": 24}
    assert steps.examples(runner, tmp_path) == expected


def test_statistics_are_the_same(runner, steps, tmp_path):
    folder = steps.made("StatisticsGen/statistics")
    expected = read_statistics(folder)
    assert int(expected["train"]["numExamples"]) == 128
    assert steps.statistics(runner, tmp_path) == near(expected)
    assert set(files(tmp_path)) == set(files(folder))


def test_transform_asks_no_engine(steps, tmp_path):
    """It has nothing to learn from the data, so that TFX makes its graph without Beam's help."""
    nobody = f"--job_endpoint=127.0.0.1:{free_port()}"
    args = [nobody, "--environment_type=EXTERNAL", "--environment_config=127.0.0.1:1"]
    made = steps.transform_graph(BeamConfig(runner="PortableRunner", args=args), tmp_path)
    (path, *_) = steps.made("TfdsExampleGen/examples").glob("Split-test/*")
    records = [*tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator()]
    found, expected = (
        transformed(folder, records) for folder in (made, steps.made("Transform/transform_graph"))
    )
    assert found.keys() == expected.keys() and len(found) >= 2
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def transformed(graph, records):
    output = tft.TFTransformOutput(str(graph))
    features = tf.io.parse_example(records, output.raw_feature_spec())
    return {key: one.numpy() for key, one in output.transform_raw_features(features).items()}


def test_metrics_are_the_same(runner, steps, tmp_path):
    found = steps.verdict(runner, tmp_path)
    folder = steps.made("Evaluator/evaluation")
    expected = read_verdict(str(folder))
    assert found.matrix.tolist() == expected.matrix.tolist()
    assert found.matrix.sum() == 24 * 32 * 64
    assert found.metrics == near(expected.metrics)
    assert found.blessed == expected.blessed
    kinds = [
        {re.sub(r"-\d+-of-\d+", "", name) for name in files(one)}
        for one in (folder, tmp_path / "evaluation")
    ]
    assert kinds[0] == kinds[1]


@pytest.fixture(scope="module")
def predicted(steps, tmp_path_factory):
    one_thread = BeamConfig(args=["--direct_num_workers=1"])
    return steps.predictions(one_thread, tmp_path_factory.mktemp("predicted"))


# Two processes that import all anew cost much, and would show nothing that two pools don't.
@pytest.mark.parametrize("runner", ["portable", "repeated", "flink"], indirect=True)
def test_predictions_are_the_same(runner, steps, predicted, tmp_path):
    assert len(predicted) == len({row["picture"] for row in predicted}) == 24
    found = steps.predictions(runner, tmp_path)
    assert found == near(predicted, rel=1e-5)  # in other batches float32 gives other last digits
    assert all(name.startswith("predictions-") for name in files(tmp_path))


def test_both_pools_did_the_work(engine, portable):
    assert engine.log("job_service").count("with state DONE") >= 4
    assert "Error running pipeline" not in engine.log("job_service")
    for pool in ("pool_0", "pool_1"):
        assert engine.log(pool).count("Starting worker with command") >= 4
        assert "Traceback" not in engine.log(pool)


def test_a_missing_jar_of_a_late_step_is_told_before_the_first(new_workplace, tmp_path):
    jar = tmp_path / "job-server.jar"
    args = [f"--flink_job_server_jar={jar}", "--flink_master=flink:8081"]
    args += ["--environment_type=EXTERNAL", "--environment_config=pool:50000"]
    place = new_workplace("jar")
    steps = {"Evaluator": {"runner": "FlinkRunner", "args": args}}
    result = place.run(SEGLINE__RUN__BEAM__STEPS=json.dumps(steps))
    assert result.returncode == 1
    told = " ".join(result.stdout.split())
    assert f"run.beam: --flink_job_server_jar: there is no file {jar}" in told
    assert not (place.root / "artifacts").exists()


# Beam's thread that reads the job's messages ends with the limit too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("limit", [3, None])
def test_a_step_may_take_longer_than_the_job_service_may_for_an_answer(portable, limit):
    """Beam's own limit is one for the whole work: 3 s here instead of its 60 or 300."""
    args = portable.pipeline_args() + ([f"--job_server_timeout={limit}"] if limit else [])
    told = pytest.raises(UserError, match=f"did not end the work in {limit} s: ")
    with told if limit else contextlib.nullcontext(), beam_engine.EnginePipeline(args) as pipeline:
        _ = pipeline | beam.Create([6]) | beam.Map(time.sleep)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_killed_worker_is_told_and_the_next_attempt_is_whole(engine, portable, steps, tmp_path):
    """What the other worker goes on with disturbs nothing."""
    killed = threading.Event()

    def kill():
        while not list(tmp_path.glob(".attempts/*.json")):
            time.sleep(0.005)
        os.kill(engine.workers()[-1], signal.SIGKILL)
        killed.set()

    threading.Thread(target=kill, daemon=True).start()
    limited = portable.model_copy(
        update={"args": (*portable.args, f"--job_server_timeout={LONG_ENOUGH}")}
    )
    with pytest.raises(UserError, match=f"did not end the work in {LONG_ENOUGH} s: a worker was"):
        steps.examples(limited, tmp_path)
    assert killed.is_set()
    expected = files(steps.made("TfdsExampleGen/examples"))
    assert steps.examples(portable, tmp_path) == expected
