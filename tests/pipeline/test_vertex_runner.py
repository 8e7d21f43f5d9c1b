"""The job for Vertex AI, as TFX's own runner compiles it. It can't be submitted from here."""

import json

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.common.errors import UserError
from pipeline import vertex_runner
from pipeline.config.loading import load_config

SETTINGS = {
    "SEGLINE__RUN__ROOT": "gs://bucket/runs",
    "SEGLINE__KUBEFLOW__IMAGE": "registry.example/segline:cpu",
    "SEGLINE__KUBEFLOW__STEPS": (
        "{Trainer: {accelerator: NVIDIA_TESLA_T4, accelerator_count: 2, cpu_limit: '8', "
        "memory_limit: 32Gi, image: 'registry.example/segline:gpu'}}"
    ),
}


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    config = load_config("pets", SETTINGS)
    runner = vertex_runner.make_runner(config)
    runner._output_dir = str(tmp_path_factory.mktemp("vertex"))  # as the `tfx` command sets it
    runner.run(vertex_runner.managed_pipeline(config))
    with open(f"{runner._output_dir}/pipeline.json") as file:
        return json.load(file)


def test_it_is_a_pipeline_job(job):
    parsed = json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
    assert parsed.display_name == "pets"
    assert parsed.runtime_config.gcs_output_directory.startswith("gs://bucket/runs/pets")


def test_the_chain_is_the_same_but_for_the_report(job):
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
    chain = ["TfdsExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform"]
    chain += ["Trainer", "Evaluator", "InfraValidator", "Pusher"]
    assert [name for name in tasks if not name.endswith("resolver")] == sorted(chain)
    assert {"Evaluator", "InfraValidator"} <= set(tasks["Pusher"]["dependentTasks"])
    assert "LatestBlessedModel-model-resolver" in tasks["Evaluator"]["dependentTasks"]


def test_images_and_resources(job):
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    containers = {n: e["container"] for n, e in executors.items() if "container" in e}
    trainer = containers.pop("Trainer_executor")
    assert trainer["image"] == "registry.example/segline:gpu"
    assert trainer["resources"]["accelerator"] == {"type": "NVIDIA_TESLA_T4", "count": "2"}
    assert trainer["resources"]["cpuLimit"] == 8
    assert trainer["resources"]["memoryLimit"] == pytest.approx(34.36, abs=0.01)
    for container in containers.values():
        assert container["image"] == "registry.example/segline:cpu"
        assert "accelerator" not in container["resources"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"SEGLINE__RUN__ROOT": "runs"}, "run.root: on Vertex AI it must be a bucket"),
        ({"SEGLINE__TRAINER__WARM_START": "true"}, "trainer.warm_start"),
        ({"SEGLINE__KUBEFLOW__STEPS": "{Trainer: {accelerator: nvidia.com/gpu}}"}, "NVIDIA_TESLA"),
    ],
)
def test_what_can_not_work_is_said_at_once(overrides, message):
    with pytest.raises(UserError, match=message):
        vertex_runner.managed_pipeline(load_config("pets", {**SETTINGS, **overrides}))
