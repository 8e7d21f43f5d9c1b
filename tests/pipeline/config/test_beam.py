"""What `run.beam` takes, refuses, and hands on to Beam."""

import apache_beam as beam
import pydantic
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from components.common.errors import UserError
from pipeline.config.beam import BeamConfig, BeamStepConfig

POOL = ("--environment_type=EXTERNAL", "--environment_config=pool:50000")
ENDPOINT = "--job_endpoint=beam:8099"


@pytest.mark.parametrize(
    ("runner", "args", "message"),
    [
        ("PortableRunner", POOL, "PortableRunner needs --job_endpoint"),
        ("FlinkRunner", POOL, "needs --flink_job_server_jar and --flink_master, or the --job_endp"),
        ("FlinkRunner", ("--flink_master=f:8081", *POOL), "needs --flink_job_server_jar, or the"),
        ("SparkRunner", POOL, "needs --spark_job_server_jar and --spark_master_url, or the"),
        ("DataflowRunner", ("--project=p",), "needs --region and --temp_location and --sdk_cont"),
        ("FlinkRunner", (ENDPOINT,), "needs to know where its workers find segline"),
        ("DaskRunner", (), "DaskRunner loses data and ends with success"),
        ("DirectRunner", ("direct_num_workers=2",), "options are written as --name=value"),
        ("DirectRunner", ("--runner=PrismRunner",), "options are written as --name=value"),
    ],
)
def test_what_can_not_work_is_refused_before_anything_runs(runner, args, message):
    with pytest.raises(pydantic.ValidationError) as error:
        BeamStepConfig(runner=runner, args=args)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("runner", "args"),
    [
        ("PortableRunner", (ENDPOINT, *POOL)),
        ("FlinkRunner", (ENDPOINT, *POOL)),
        ("FlinkRunner", ("--flink_job_server_jar=j.jar", "--flink_master=f:8081", *POOL)),
        ("SparkRunner", (ENDPOINT, *POOL)),
    ],
)
def test_a_job_server_that_runs_or_its_jar(runner, args):
    found = BeamStepConfig(runner=runner, args=args).pipeline_args()
    assert found[0] == f"--runner={runner}"
    assert set(args) <= set(found)


def time_limit(config):
    return PipelineOptions(config.pipeline_args()).view_as(PortableOptions).job_server_timeout


def test_work_may_take_longer_than_beams_own_limit_for_an_answer():
    """Beam's is 60 s or 300 s, and ends the work on a portable job service."""
    config = BeamStepConfig(runner="PortableRunner", args=(ENDPOINT, *POOL))
    assert time_limit(config) == 6 * 3600
    shorter = config.model_copy(update={"args": (*config.args, "--job_server_timeout=7")})
    assert time_limit(shorter) == 7


def test_a_step_has_its_own():
    config = BeamConfig(steps={"Evaluator": BeamStepConfig(args=("--direct_num_workers=3",))})
    assert "--direct_num_workers=3" in config.args_of("Evaluator")
    assert "--direct_num_workers=0" in config.args_of("TfdsExampleGen")


def test_a_command_lines_options_are_held_to_the_same():
    found = BeamStepConfig.of_args(["--runner=FlinkRunner", ENDPOINT, *POOL])
    assert (found.runner, found.args) == ("FlinkRunner", (ENDPOINT, *POOL))
    assert BeamStepConfig.of_args(["--direct_num_workers=1"]).runner == "DirectRunner"
    with pytest.raises(UserError, match="^--beam-args: args: FlinkRunner needs --flink_job_serv"):
        BeamStepConfig.of_args(["--runner=FlinkRunner"])


def test_this_machines_runner_is_never_prism(caplog):
    """Which a newer DirectRunner would take, and load from the internet."""
    caplog.set_level("INFO")
    with beam.Pipeline(argv=BeamConfig().args_of("Evaluator")) as pipeline:
        _ = pipeline | beam.Create([1]) | beam.Map(lambda one: one)
    assert "Prism" not in caplog.text


def test_why_dask_is_refused(tmp_path):
    """Of three sums by key that have one source, Beam 2.77's DaskRunner makes the last."""
    pytest.importorskip("distributed")
    dask_runner = pytest.importorskip("apache_beam.runners.dask.dask_runner")
    folder = str(tmp_path)

    def put(pair, name):
        import pathlib

        (pathlib.Path(folder) / f"{name}-{pair[0]}-{pair[1]}").touch()

    with beam.Pipeline(runner=dask_runner.DaskRunner()) as pipeline:
        pairs = pipeline | beam.Create([("a", 1), ("b", 2), ("a", 3)])
        for name in ("first", "second", "third"):
            summed = pairs | f"Sum {name}" >> beam.CombinePerKey(sum)
            _ = summed | f"Put {name}" >> beam.Map(put, name)
    found = {path.name for path in tmp_path.iterdir()}
    whole = {f"{name}-{sum}" for name in ("first", "second", "third") for sum in ("a-4", "b-2")}
    assert found < whole, "it loses nothing any more: take it off the list of the refused"
