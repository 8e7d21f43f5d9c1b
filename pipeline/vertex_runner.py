"""What `tfx … --engine=vertex` runs: compiles the pipeline for Vertex AI Pipelines.

    tfx pipeline create --engine=vertex --pipeline_path=pipeline/vertex_runner.py
    tfx run create --engine=vertex --pipeline_name=pets --project=… --region=…

`run.root` must be a bucket (gs://…); image and resources are those of `kubeflow`. An
accelerator goes by Vertex AI's name, such as NVIDIA_TESLA_T4. Vertex AI keeps the metadata:
see docs/how-to/vertex.md for what is not to be had there. See local_runner.py for why
`sys.path` is changed.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as vertex
from tfx.orchestration.pipeline import Pipeline

from components.common.errors import UserError
from pipeline.config.kubeflow import cores
from pipeline.config.loading import PipelineConfig, load_config
from pipeline.pipeline import create_pipeline

_ResourceSpec = pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec
_BYTES = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BYTES |= {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGT", start=1)}


def managed_pipeline(config: PipelineConfig) -> Pipeline:
    """The pipeline with the resources that Vertex AI gives its steps.

    Raises:
      UserError: the config can't work on Vertex AI.
    """
    if not config.run.root.startswith("gs://"):
        raise UserError(
            f"run.root: on Vertex AI it must be a bucket (gs://…), not {config.run.root}"
        )
    pipeline = create_pipeline(config, managed=True)
    for component in pipeline.components:
        if not isinstance(component, BaseComponent):
            continue  # a resolver runs nowhere
        step = config.kubeflow.settings(component.id)
        resources = _ResourceSpec()
        if quantity := step.cpu_limit or step.cpu_request:
            resources.cpu_limit = cores(quantity)
        if step.memory_limit:
            resources.memory_limit = _gigabytes(step.memory_limit)
        if step.accelerator:
            if "/" in step.accelerator:
                raise UserError(
                    f"kubeflow.steps.{component.id}.accelerator: {step.accelerator} is Kubernetes' "
                    "name; Vertex AI has others, such as NVIDIA_TESLA_T4"
                )
            resources.accelerator.type = step.accelerator
            resources.accelerator.count = step.accelerator_count
        component.with_platform_config(resources)
    return pipeline


def make_runner(config: PipelineConfig) -> vertex.KubeflowV2DagRunner:
    """TFX's own runner for Vertex AI, with our images."""
    images = {
        name: step.image for name, step in config.kubeflow.steps.items() if step.image is not None
    }
    return vertex.KubeflowV2DagRunner(
        vertex.KubeflowV2DagRunnerConfig(
            display_name=config.name,
            default_image={vertex._DEFAULT_IMAGE_PATH_KEY: config.kubeflow.image, **images},
        )
    )


def _gigabytes(quantity: str) -> float:
    number = quantity.rstrip("KMGTi")
    return float(number) * _BYTES[quantity[len(number) :]] / 1e9


def main() -> None:
    """Compiles the configured pipeline; `tfx` submits what comes of it."""
    try:
        config = load_config()
        make_runner(config).run(managed_pipeline(config))
    except UserError as error:
        sys.exit(f"segline: {error}")


if __name__ == "__main__":
    main()
