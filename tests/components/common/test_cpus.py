import os
import subprocess
import sys

import pytest

from components.common import cpus


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_limit_of_a_container(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpus.cgroup_cpus(tmp_path) == expected


def test_the_fewest_count(tmp_path, monkeypatch):
    monkeypatch.delenv(cpus.VARIABLE, raising=False)
    monkeypatch.setattr(cpus, "_CGROUP", tmp_path)
    here = len(os.sched_getaffinity(0))
    assert cpus.usable_cpus() == here
    (tmp_path / "cpu.max").write_text("100000 100000")
    assert cpus.usable_cpus() == 1
    monkeypatch.setenv(cpus.VARIABLE, "3.5")
    assert cpus.usable_cpus() == 4


@pytest.mark.slow
def test_beam_takes_as_many():
    code = """
from components.common import cpus
cpus.let_beam_count_them()
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import fn_runner
options = PipelineOptions(["--direct_running_mode=multi_threading", "--direct_num_workers=0"])
runner = fn_runner.FnApiRunner()
with beam.Pipeline(runner, options) as pipeline:
    pipeline | beam.Create([1])
print(runner._num_workers)
"""
    environment = {**os.environ, cpus.VARIABLE: "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "3", done.stderr
