"""What the compiled package says: read as Kubeflow's own parts read it, nothing is run."""

import re
from pathlib import Path

import kfp_rules
import pytest
import yaml

from components.common.errors import UserError
from pipeline.config.loading import PipelineConfig, load_config
from pipeline.kubeflow import runner

CONFIG = """
name: leaves
dataset: {name: synthetic_pets, data_dir: /mnt/segline/tfds}
classes: {values: {pet: 1, background: 2, border: 3}}
trainer: {encoder: {weights: none}}
run:
  root: /mnt/segline/runs
  refused_fails: true
  metadata:
    {backend: mysql, host: metadata-mysql, password: {environment: METADATA_PASSWORD}}
kubeflow:
  image: registry.example/segline:1
  image_pull_policy: Always
  image_pull_secrets: [registry]
  volumes: [{claim: segline, mount_path: /mnt/segline}]
  config_maps:
    - {name: proxy, variables: {HTTPS_PROXY: address}}
    - {name: authorities, mount_path: /etc/authorities}
  secrets: [{variable: METADATA_PASSWORD, secret: segline-metadata, key: password}]
  pod_fields: {NODE: spec.nodeName}
  step: {retries: 2, labels: {team: vision}, annotations: {example.org/note: hello}}
  steps:
    Trainer:
      retries: 3
      timeout_seconds: 7200
      accelerator: nvidia.com/gpu
      shared_memory: 2Gi
      node_selector: {pool: gpu}
      tolerations: [{key: nvidia.com/gpu}]
      node_affinity:
        - {key: nvidia.com/gpu.product, values: [A100, H100]}
        - {key: zone, operator: NotIn, values: [b], weight: 10}
"""
HOUR = 3600.0


def config(**changes):
    values = yaml.safe_load(CONFIG)
    for key, value in changes.items():
        section = values
        *sections, last = key.split("__")
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = value
    return PipelineConfig.model_validate(values)


@pytest.fixture(scope="module")
def package():
    return runner.package(config(), only_if_changed=True)


@pytest.fixture(scope="module")
def tasks(package):
    dags = [part["dag"] for part in package[0]["components"].values() if "dag" in part]
    found = {name: task for dag in dags for name, task in dag["tasks"].items()}
    return found | package[0]["root"]["dag"]["tasks"]


@pytest.fixture(scope="module")
def kubernetes(package):
    return package[1]["platforms"]["kubernetes"]


def test_every_task_is_given_the_runs_id_as_an_input(package, tasks):
    """Only there is it filled in: as a part of a text, or in the arguments, it is not."""
    for name, task in tasks.items():
        if "executorLabel" not in package[0]["components"][task["componentRef"]["name"]]:
            continue
        constant = task["inputs"]["parameters"]["job_id"]["runtimeValue"]["constant"]
        assert kfp_rules.resolve(constant, "run-1", name, (2, 5)) == "run-1"
        executor = package[0]["deploymentSpec"]["executors"][f"exec-{name}"]["container"]
        given = {
            "inputs": {"parameterValues": {"job_id": "run-1", "overrides": ""}},
            "outputs": {"artifacts": {}, "parameters": {}},
        }
        words = [kfp_rules.fill(word, given) for word in executor["args"]]
        assert words[words.index("--job-id") + 1] == "run-1"


def failing(task, phase, seconds, policy):
    """How often a task is begun whose pods all end so, after that time."""
    attempts, start = [], 0.0
    while start is not None:
        attempts.append(kfp_rules.Attempt(start, start + seconds, phase))
        start = kfp_rules.next_start(task, attempts, policy)
    return len(attempts)


@pytest.mark.parametrize("seconds", [1.0, 20 * HOUR])
def test_retries_come_also_after_long_trainings(tasks, seconds):
    """Argo counts the time from the first pod's start: ten minutes had been the limit."""
    policy = kfp_rules.retry_policy((2, 16))
    assert failing(tasks["trainer"], kfp_rules.FAILED, seconds, policy) == 4
    assert failing(tasks["evaluator"], kfp_rules.FAILED, seconds, policy) == 3


def test_which_ends_are_tried_again_is_for_the_version_to_say(tasks):
    """As docs/how-to/kubeflow.md has it; `Always` is what it recommends to set."""
    table = {
        "OnFailure": {kfp_rules.FAILED: 4, kfp_rules.ERROR: 1},
        "OnError": {kfp_rules.FAILED: 1, kfp_rules.ERROR: 4},
        "Always": {kfp_rules.FAILED: 4, kfp_rules.ERROR: 4},
    }
    for policy, expected in table.items():
        for phase, times in expected.items():
            assert failing(tasks["trainer"], phase, HOUR, policy) == times
    assert kfp_rules.retry_policy((2, 5)) == "OnFailure"
    assert kfp_rules.retry_policy((2, 17)) == "OnError"


def test_what_the_guide_sets_tries_a_step_as_often_as_the_config_says(tasks):
    """On KFP 2.17.0 with Argo 4.0.5, `Always` beside KFP's own limit of 2 made 3^5 pods of it."""
    guide = (Path(__file__).parents[3] / "docs/how-to/cluster.md").read_text()
    (block,) = re.findall(r"```yaml\ndata:\n(  workflowDefaults.*?)```", guide, re.DOTALL)
    workflow = yaml.safe_load(yaml.safe_load(block)["workflowDefaults"])
    defaults = workflow["spec"]["templateDefaults"]["retryStrategy"]
    # Its task's template, the exit handler's, root's, and the entry point's.
    pods = kfp_rules.pods_of_a_failing_task
    assert pods(tasks["evaluator"], 4, defaults) == 3
    assert pods(tasks["evaluator"], 4, defaults | {"limit": "2"}) == 243


def test_a_refused_model_is_said_once(tasks):
    assert "retryPolicy" not in tasks["verdict"]
    assert set(tasks["verdict"]["dependentTasks"]) >= {"pusher", "reporter", "evaluator"}


def test_the_oldest_server_knows_every_field(kubernetes):
    for executor in kubernetes["deploymentSpec"]["executors"].values():
        assert kfp_rules.unknown_fields(executor) == set()


def test_what_kubernetes_is_told(kubernetes):
    trainer = kubernetes["deploymentSpec"]["executors"]["exec-trainer"]
    assert trainer["imagePullSecret"] == [{"secretName": "registry"}]
    assert trainer["imagePullPolicy"] == "Always"
    assert trainer["podMetadata"] == {
        "labels": {"segline/pipeline": "leaves", "segline/step": "Trainer", "team": "vision"},
        "annotations": {"example.org/note": "hello"},
    }
    assert trainer["nodeAffinity"] == [
        {
            "matchExpressions": [
                {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["A100", "H100"]}
            ]
        },
        {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["b"]}], "weight": 10},
    ]
    assert trainer["configMapAsVolume"] == [
        {"configMapName": "authorities", "mountPath": "/etc/authorities"}
    ]
    assert trainer["configMapAsEnv"] == [
        {
            "configMapName": "proxy",
            "keyToEnv": [{"configMapKey": "address", "envVar": "HTTPS_PROXY"}],
        }
    ]
    assert trainer["fieldPathAsEnv"] == [{"name": "NODE", "fieldPath": "spec.nodeName"}]
    other = kubernetes["deploymentSpec"]["executors"]["exec-pusher"]
    assert "nodeAffinity" not in other and "activeDeadlineSeconds" not in other


def test_tfx_s_own_infra_validator_has_to_know_its_pod():
    server = {"server": "tensorflow_serving", "tensorflow_serving": {"tag": "2.21.0"}}
    with pytest.raises(UserError, match="needs kubeflow.pod_fields"):
        runner.package(config(infra_validator=server))
    fields = {"KFP_POD_NAME": "metadata.name", "KFP_NAMESPACE": "metadata.namespace"}
    runner.package(config(infra_validator=server, kubeflow__pod_fields=fields))
    server["tensorflow_serving"]["platform"] = "local_docker"
    with pytest.raises(UserError, match="in a pod there is no Docker"):
        runner.package(config(infra_validator=server, kubeflow__pod_fields=fields))


FOLDER = {"images": "/mnt/segline/photos", "masks": "/mnt/segline/masks"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run__root": "/mnt/segline-other/runs"}, "run.root: .* lies below no volume"),
        ({"dataset__data_dir": None}, "dataset.data_dir: in a pod TFDS's own folder"),
        ({"dataset__data_dir": "tfds"}, "dataset.data_dir: tfds is not to be seen in a pod"),
        ({"run__serving_dir": "/srv/models"}, "run.serving_dir: /srv/models is not to be seen"),
        (
            {"trainer__encoder": {"weights": "/home/me/w.h5"}},
            "trainer.encoder.weights: /home/me/w.h5 is not",
        ),
        (
            {"data_validation__schema_path": "schema.pbtxt"},
            "data_validation.schema_path: schema.pbtxt is not",
        ),
        (
            {
                "dataset": {
                    "name": "image_folder",
                    "data_dir": "/mnt/segline/tfds",
                    "folder": {**FOLDER, "masks": "/home/me/masks"},
                }
            },
            "dataset.folder.masks: /home/me/masks is not",
        ),
        (
            {
                "dataset": {
                    "name": "image_folder",
                    "data_dir": "/mnt/segline/tfds",
                    "folder": {"images": "/mnt/segline/photos", "yolo": "labels"},
                }
            },
            "dataset.folder.yolo: labels is not",
        ),
    ],
)
def test_paths_that_no_pod_sees(changes, message):
    with pytest.raises(UserError, match=message):
        runner.package(config(**changes))


def test_a_bucket_that_tensorflow_can_not_write_to():
    with pytest.raises(ValueError, match="TensorFlow can't write to s3://"):
        config(run__root="s3://bucket/runs")
    assert config(run__root="gs://bucket/runs").run.root == "gs://bucket/runs"


def test_shipped_configs_run_on_no_cluster_as_they_are():
    with pytest.raises(UserError, match="run.metadata.backend"):
        runner.package(load_config("pets", environment={}))
