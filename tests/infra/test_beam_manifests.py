"""The manifests of Beam on Flink: of one version, and of one mind about ports and slots."""

import re
from pathlib import Path

import apache_beam
import yaml
from apache_beam.options.pipeline_options import FlinkRunnerOptions

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "kubernetes"


def test_beam_is_the_locked_one():
    lock = (FOLDER.parents[1] / "infra/locks/current/run.lock").read_text()
    version = re.search(r"^apache-beam==(\S+)", lock, re.M)[1]
    image = yaml.safe_load_all((FOLDER / "beam/job-server.yaml").read_text())
    (container,) = list(image)[1]["spec"]["template"]["spec"]["containers"]
    image, tag = container["image"].split(":")
    assert tag == version
    flink = re.fullmatch(r"apache/beam_flink([\d.]+)_job_server", image)[1]
    for name in ("job-manager", "task-manager"):
        assert f"image: flink:{flink}\n" in (FOLDER / f"beam/{name}.yaml").read_text()
    if apache_beam.__version__ == version:
        assert flink in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS


def test_flinks_ports_are_those_of_its_configuration():
    """Service, containers and network policy against the settings: a port that Flink chooses
    at random (`blob.server.port` is one, by default) is reached by nobody."""
    configuration, service, job_manager = yaml.safe_load_all(
        (FOLDER / "beam/job-manager.yaml").read_text()
    )
    settings = yaml.safe_load(configuration["data"]["config.yaml"])
    (task_manager,) = yaml.safe_load_all((FOLDER / "beam/task-manager.yaml").read_text())
    ports = {
        port["name"]: port["containerPort"]
        for deployment in (job_manager, task_manager)
        for container in deployment["spec"]["template"]["spec"]["containers"]
        for port in container["ports"]
    }
    keys = {
        "rpc": "jobmanager.rpc.port",
        "blob": "blob.server.port",
        "rest": "rest.port",
        "data": "taskmanager.data.port",
        "task-rpc": "taskmanager.rpc.port",
    }
    assert {name: settings[key] for name, key in keys.items()} == {
        name: ports[name] for name in keys
    }
    assert settings["jobmanager.rpc.address"] == service["metadata"]["name"]
    for port in service["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"] == settings[keys[port["name"]]]
    policies = {
        policy["metadata"]["name"]: policy
        for policy in yaml.safe_load_all((FOLDER / "beam/network-policy.yaml").read_text())
    }
    own, job_server = policies["segline-flink"]["spec"]["ingress"]
    assert {port["port"] for port in own["ports"]} == set(keys)
    assert {port["port"] for port in job_server["ports"]} == {"rest"}


def test_flink_goes_on_without_a_task_manager_and_uses_all_of_them():
    configuration, *_ = yaml.safe_load_all((FOLDER / "beam/job-manager.yaml").read_text())
    settings = yaml.safe_load(configuration["data"]["config.yaml"])
    assert settings["restart-strategy.type"] == "fixed-delay"
    assert settings["restart-strategy.fixed-delay.attempts"] >= 1
    (task_manager,) = yaml.safe_load_all((FOLDER / "beam/task-manager.yaml").read_text())
    slots = settings["taskmanager.numberOfTaskSlots"] * task_manager["spec"]["replicas"]
    # The job server does not see `parallelism.default`: the options must say it.
    guide = (FOLDER.parents[1] / "docs/how-to/beam.md").read_text()
    assert f"--parallelism={slots}" in guide
    server = (FOLDER / "beam/job-server.yaml").read_text()
    assert f"--flink-master={service_address(settings)}" in server


def service_address(settings):
    return f"{settings['jobmanager.rpc.address']}:{settings['rest.port']}"
