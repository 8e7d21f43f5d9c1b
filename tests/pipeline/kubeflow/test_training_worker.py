"""TF_CONFIG, where no operator makes it: of the hosts in the manifest and the pod's own number."""

import json
import os

import pytest

from components.common.errors import UserError
from components.trainer import distribution
from pipeline.kubeflow.training_worker import set_tf_config

HOSTS = "job-node-0-0.job:2222,job-node-0-1.job:2222,job-node-0-2.job:2222"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setattr(os, "environ", {"SEGLINE_WORKER_HOSTS": HOSTS})


@pytest.mark.parametrize(
    ("number", "task", "chief"),
    [("0", ("chief", 0), True), ("1", ("worker", 0), False), ("2", ("worker", 1), False)],
)
def test_each_pod_of_the_job_has_its_place(number, task, chief):
    os.environ["JOB_COMPLETION_INDEX"] = number
    set_tf_config()
    made = json.loads(os.environ["TF_CONFIG"])
    hosts = HOSTS.split(",")
    assert made["cluster"] == {"chief": hosts[:1], "worker": hosts[1:]}
    assert (made["task"]["type"], made["task"]["index"]) == task
    assert distribution.number_of_workers() == 3 and distribution.is_chief() is chief


def test_what_an_operator_has_set_stays():
    os.environ["TF_CONFIG"] = "{}"
    set_tf_config()
    assert os.environ["TF_CONFIG"] == "{}"


def test_a_number_that_no_host_has():
    os.environ["JOB_COMPLETION_INDEX"] = "3"
    with pytest.raises(UserError, match="3 is none of the 3 hosts"):
        set_tf_config()
