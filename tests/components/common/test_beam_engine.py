"""A remote engine that can't be had is told before anything is sent to it."""

import beam_servers
import pytest

from components.common import beam_engine
from components.common.errors import UserError


def check(*args):
    beam_engine.check_engine(args)


def test_nobody_answers(monkeypatch):
    monkeypatch.setattr(beam_engine, "_CONNECTION_SECONDS", 0.5)
    endpoint = f"127.0.0.1:{beam_servers.free_port()}"
    with pytest.raises(UserError, match=f"^run.beam: no job service answers at {endpoint} "):
        check("--runner=PortableRunner", f"--job_endpoint={endpoint}")


@pytest.mark.parametrize(
    ("runner", "option"),
    [("FlinkRunner", "--flink_job_server_jar"), ("SparkRunner", "--spark_job_server_jar")],
)
def test_a_job_server_that_is_not_there(tmp_path, monkeypatch, runner, option):
    jar = tmp_path / "server.jar"
    with pytest.raises(UserError, match=f"^run.beam: {option}: there is no file {jar}"):
        check(f"--runner={runner}", f"{option}={jar}")
    jar.touch()
    for name in ("PATH", "JAVA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(UserError, match=f"^run.beam: {option}: Java, .* is not installed"):
        check(f"--runner={runner}", f"{option}={jar}")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch()
    check(f"--runner={runner}", f"{option}={jar}")


def test_this_machine_needs_nothing():
    check("--direct_num_workers=2")
