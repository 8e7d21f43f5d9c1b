"""The package for Kubeflow: what it says, and what happens when its tasks are run.

Without a cluster: each task's real command is a process of its own, with ML Metadata on a
real MariaDB server and the artifacts on a shared folder.
"""

import getpass
import platform
import shutil
import threading
import time

import database_servers
import kfp_harness
import pytest
import receivers
import yaml
from google.protobuf import json_format

from components.common.lineage import upstream
from components.evaluator.verdict import read_verdict
from pipeline.config.loading import load_config
from pipeline.ir import compile_pipeline
from pipeline.metadata.history import list_runs
from pipeline.metadata.store import open_store

STEPS = {
    "cpu_request": "500m",
    "memory_limit": "8Gi",
    "retries": 1,
    "timeout_seconds": 3600,
}
TRAINER = {
    "image": "registry.example/segline:gpu",
    "accelerator": "nvidia.com/gpu",
    "accelerator_count": 2,
    "node_selector": {"pool": "gpu"},
    "tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
    "shared_memory": "2Gi",
    "retries": 2,
}


@pytest.fixture(scope="module")
def owner():
    """Whom the config names to be told."""
    with receivers.Webhook() as webhook:
        yield webhook


@pytest.fixture(scope="module")
def secrets(owner):
    return {
        ("segline-metadata", "password"): database_servers.PASSWORD,
        ("segline-notify", "webhook"): owner.url,
    }


@pytest.fixture(scope="module")
def cluster(new_workplace, small_preset, mariadb_server):
    """A workplace whose config is for a cluster, and its compiled package."""
    place = new_workplace("kubeflow")
    config = yaml.safe_load((place.folder / "tiny.yaml").read_text())
    preset = shutil.copytree(small_preset, place.folder / "volume" / "preset")
    config["trainer"]["encoder"]["preset"] = str(preset)
    config["dataset"]["data_dir"] = str(place.folder / "volume" / "tfds")
    config["run"] = {
        "root": str(place.folder / "volume" / "runs"),
        "metadata": mariadb_server.create("kubeflow"),
        "notify": [
            {
                "webhook": {"url": {"environment": "WEBHOOK"}},
                "events": ["failed", "refused", "pushed", "recovered"],
            }
        ],
    }
    config["kubeflow"] = {
        "image": "registry.example/segline:cpu",
        "volumes": [{"claim": "segline-data", "mount_path": str(place.folder / "volume")}],
        "secrets": [
            {"variable": "SEGLINE_TEST_PASSWORD", "secret": "segline-metadata", "key": "password"},
            {"variable": "WEBHOOK", "secret": "segline-notify", "key": "webhook"},
        ],
        "step": STEPS,
        "steps": {"Trainer": TRAINER},
    }
    (place.folder / "tiny.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    done = place.call("segline", "kubeflow", "compile", "--out", "package.yaml")
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def package(cluster, secrets):
    path = cluster.folder / "package.yaml"
    return kfp_harness.PackageRunner(path, cluster.folder / "tasks", secrets, cluster.server)


def test_it_is_what_kubeflow_reads(package):
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = json_format.ParseDict(package.spec, pipeline_spec_pb2.PipelineSpec())
    assert spec.schema_version == "2.1.0"
    assert set(spec.root.dag.tasks) == {"exit-handler-1", "runend"}
    steps = spec.components["comp-exit-handler-1"].dag.tasks
    assert {*steps, "runend"} == set(package.tasks)
    assert set(spec.root.input_definitions.parameters) == {"overrides"}
    (report,) = spec.components["comp-reporter"].output_definitions.artifacts.values()
    assert report.artifact_type.schema_title == "system.HTML"


def test_tasks_are_the_pipelines_nodes_in_its_order(cluster, package, monkeypatch):
    monkeypatch.setenv("SEGLINE_TEST_PASSWORD", "x")
    config = load_config(str(cluster.folder / "tiny.yaml"))
    for node in compile_pipeline(config, "x").nodes:
        node = node.pipeline_node
        task = package.tasks[node.node_info.id.lower()]
        assert task["taskInfo"]["name"] == node.node_info.id
        expected = sorted(name.lower() for name in node.upstream_nodes)
        assert sorted(task.get("dependentTasks", [])) == expected
    assert len(package.tasks) == 12  # and the run's end


def test_resources_retries_and_images(package):
    for name, task in package.tasks.items():
        is_trainer = name == "trainer"
        container, platform_ = package.container(name), package.kubernetes(name)
        flavour = "gpu" if is_trainer else "cpu"
        assert container["image"] == f"registry.example/segline:{flavour}"
        assert container["command"] == ["python", "-m", "pipeline.kubeflow.node"]
        assert container["resources"]["cpuRequest"] == 0.5
        assert container["resources"]["memoryLimit"] == pytest.approx(8 * 2**30 / 1e9)
        assert task["retryPolicy"]["maxRetryCount"] == (2 if is_trainer else 1)
        assert task["cachingOptions"] == {}
        hidden = {"name": "CUDA_VISIBLE_DEVICES"}
        assert (hidden in container.get("env", [])) != is_trainer
        assert ("accelerator" in container["resources"]) == is_trainer
        (mount,) = platform_["pvcMount"]
        assert mount["constant"] == "segline-data"
        assert platform_["activeDeadlineSeconds"] == 3600
    gpu = package.container("trainer")["resources"]["accelerator"]
    assert (gpu["type"], gpu["count"]) == ("nvidia.com/gpu", "2")
    trainer = package.kubernetes("trainer")
    assert trainer["nodeSelector"] == {"labels": {"pool": "gpu"}}
    assert trainer["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert trainer["emptyDirMounts"][0]["mountPath"] == "/dev/shm"


def test_it_holds_no_secret_and_nothing_of_the_build_machine(cluster, package):
    text = (cluster.folder / "package.yaml").read_text()
    assert database_servers.PASSWORD not in text
    without_paths = text.replace(str(cluster.folder / "volume"), "")
    for own in (str(cluster.folder), platform.node() + ":", f"/home/{getpass.getuser()}"):
        assert own not in without_paths
    assert str(load_config.__code__.co_filename.rsplit("/", 2)[0]) not in without_paths


@pytest.fixture(scope="module")
def first_job(cluster, package):
    """One run; its Trainer is killed half-way, as when its node is taken away."""
    killed = []

    def kill_once(name, process, attempt):
        if name != "trainer" or attempt:
            return

        def wait_and_kill():
            log = cluster.folder / "tasks" / "job-1" / "trainer-0" / "log"
            while process.poll() is None:
                if "epoch 2/3" in log.read_text():
                    process.kill()
                    killed.append(name)
                    return
                time.sleep(0.1)

        threading.Thread(target=wait_and_kill).start()

    results = package.run("job-1", on_start=kill_once)
    assert killed == ["trainer"]
    return results


def test_its_tasks_lead_to_a_pushed_model_though_the_trainer_was_killed(cluster, first_job):
    assert len(first_job) == 12
    for name, result in first_job.items():
        assert result.codes[-1] == 0, result.output[-4000:]
        assert len(result.codes) == (2 if name == "trainer" else 1)
        assert ("going on after epoch" in result.output) == (name == "trainer")
        assert database_servers.PASSWORD not in result.output
    (version,) = (cluster.folder / "volume/runs/tiny/serving").iterdir()
    assert (version / "saved_model.pb").is_file()


def test_its_result_is_the_local_runners(cluster, first_job, first_run, monkeypatch):
    monkeypatch.setenv("SEGLINE_TEST_PASSWORD", database_servers.PASSWORD)
    store = open_store(load_config(str(cluster.folder / "tiny.yaml")))
    (run,) = list_runs(store, "tiny")
    assert (run.id, run.state, run.verdict()) == ("job-1", "done", "pushed")
    verdict = read_verdict(run.output("Evaluator", "evaluation").uri)
    local = first_run.verdict(0)
    assert verdict.overall == pytest.approx(local.overall, nan_ok=True)
    assert (verdict.matrix == local.matrix).all()
    graph = upstream(store, [run.output("Pusher", "pushed_model").id])
    (record,) = graph.runs.values()
    assert record.runner == "Kubeflow Pipelines"


def test_kubeflow_gets_the_report_and_the_metrics(cluster, package, first_job, first_run):
    report = package.artifact("job-1", "reporter", "report")
    (made,) = (cluster.folder / "volume/runs/tiny/artifacts/Reporter/report").iterdir()
    assert report.read_bytes() == (made / "report.html").read_bytes()
    metrics, local = first_job["evaluator"].metrics, first_run.verdict(0).overall
    assert metrics["mean_iou"] == pytest.approx(local["mean_iou"], abs=1e-6)  # six digits are kept
    assert {"iou_pet", "iou_border", "pixel_accuracy"} <= set(metrics)


def test_the_owner_is_told_of_the_new_model(first_job, owner):
    (body,) = (body for body in owner.bodies if "run: job-1" in body["text"])
    assert body["text"].startswith("tiny: a new model is served")
    assert f"mean IoU: {first_job['evaluator'].metrics['mean_iou']:.4f}" in body["text"]
    assert "no model was blessed before" in body["text"]
    assert "volume/runs/tiny/artifacts/Reporter/report/" in body["text"]
    assert owner.url not in "".join(result.output for result in first_job.values())


def test_a_second_job_is_served_from_the_cache(cluster, package, first_job, owner, monkeypatch):
    """A run of its own, whatever the first one has left under its id."""
    results = package.run("job-2")
    assert len(results) == 12
    for name, result in results.items():
        assert result.codes == [0], (name, result.output[-4000:])
    monkeypatch.setenv("SEGLINE_TEST_PASSWORD", database_servers.PASSWORD)
    store = open_store(load_config(str(cluster.folder / "tiny.yaml")))
    second, first = list_runs(store, "tiny")
    assert (second.id, first.id) == ("job-2", "job-1")
    states = {step.name: step.state for step in second.steps.values()}
    assert states.pop("LatestBlessedModel") == "done"
    assert set(states.values()) == {"cached"} and len(states) == 10
    assert package.artifact("job-2", "reporter", "report").is_file()
    assert not any("job-2" in body["text"] for body in owner.bodies)  # no news
    assert len(list((cluster.folder / "volume/runs/tiny/serving").iterdir())) == 1


@pytest.fixture(scope="module")
def only_if_changed(cluster, secrets):
    """The same pipeline behind a task that looks for a reason to run it."""
    done = cluster.call("segline", "kubeflow", "compile", "--only-if-changed", "--out", "if.yaml")
    assert done.returncode == 0, done.stderr
    return kfp_harness.PackageRunner(
        cluster.folder / "if.yaml", cluster.folder / "tasks", secrets, cluster.server
    )


def test_a_package_with_a_condition_is_what_kubeflow_reads(only_if_changed, package):
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = json_format.ParseDict(only_if_changed.spec, pipeline_spec_pb2.PipelineSpec())
    assert sorted(spec.root.dag.tasks) == ["exit-handler-1", "runend"]
    assert sorted(spec.components["comp-exit-handler-1"].dag.tasks) == ["changes", "condition-2"]
    assert set(only_if_changed.tasks) == {"changes", *package.tasks}
    trainer = only_if_changed.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    before = package.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {name: trainer[name] for name in before} == before
    assert trainer["exec-changes"]["pvcMount"]


def test_nothing_changed_nothing_runs(cluster, only_if_changed, first_job, owner):
    results = only_if_changed.run("job-4")
    assert set(results) == {"changes", "runend"}
    assert not any("job-4" in body["text"] for body in owner.bodies)
    assert "Nothing has changed since the latest blessed model" in results["changes"].output


def test_a_change_is_a_reason_to_run_and_a_task_that_fails_says_why(
    cluster, only_if_changed, first_job, owner
):
    """To a feature that is not there, so that the run ends soon."""
    results = only_if_changed.run("job-5", {"overrides": "dataset.features.image=photo"})
    assert "config: dataset.features.image: image -> photo" in results["changes"].output
    assert set(results) == {"changes", "tfdsexamplegen", "runend"}
    failed = results["tfdsexamplegen"]
    assert failed.codes == [1, 1]  # tried again, as the config says
    assert "has no feature 'photo'" in failed.output
    assert "Traceback" not in failed.output.split("TfdsExampleGen failed.")[-1]
    (body,) = (body for body in owner.bodies if "run: job-5" in body["text"])
    assert body["text"].startswith("tiny: TfdsExampleGen failed")
    assert "has no feature 'photo'" in body["text"]


def test_an_id_that_is_none_is_refused(cluster, secrets):
    """As Kubeflow before 2.5 gives it: from the second run on nothing would be trained."""
    path = cluster.folder / "package.yaml"
    old = kfp_harness.PackageRunner(path, cluster.folder / "tasks", secrets, cluster.server, (2, 4))
    results = old.run("job-6")
    assert set(results) == {"tfdsexamplegen", "runend"}
    for result in results.values():
        assert result.codes[-1] == 1
        assert "'{{$.pipeline_job_uuid}}' is no run's id" in result.output
