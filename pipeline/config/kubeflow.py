"""What Kubeflow Pipelines is told about each step, besides what the step does."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from components.common import provenance, schema

Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(m|[KMGT]i?)?$")]


def cores(quantity: str) -> float:
    """`500m` -> 0.5."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


class Toleration(schema.Config):
    """A taint that a step may run in spite of, as Kubernetes writes it."""

    key: str | None = Field(default=None, description="of the taint; null: any")
    operator: Literal["Exists", "Equal"] = Field(
        default="Exists", description="whether the taint's value counts"
    )
    value: str | None = Field(default=None, description="for `Equal`: of the taint")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="of the taint; null: any"
    )


class NodeAffinity(schema.Config):
    """A condition on the labels of a node. Needs Kubeflow Pipelines 2.14: older ones ignore it."""

    key: str = Field(description="of the node's label")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(
        default="In", description="how the label and `values` are compared"
    )
    values: tuple[str, ...] = Field(default=(), description="none for Exists and DoesNotExist")
    weight: int | None = Field(
        default=None, ge=1, le=100, description="null: it must hold; a number: it is preferred"
    )


class StepConfig(schema.Config):
    """Where and with what a step runs."""

    image: str | None = Field(default=None, description="default: kubeflow.image")
    cpu_request: Quantity | None = Field(default=None, description="cores, such as 2 or 500m")
    cpu_limit: Quantity | None = Field(default=None, description="cores")
    memory_request: Quantity | None = Field(default=None, description="such as 4Gi")
    memory_limit: Quantity | None = Field(default=None, description="such as 8Gi")
    accelerator: str | None = Field(
        default=None, description="Kubernetes resource of the accelerator, such as nvidia.com/gpu"
    )
    accelerator_count: pydantic.PositiveInt = Field(default=1, description="of them")
    node_selector: dict[str, str] = Field(default_factory=dict, description="node labels")
    node_affinity: tuple[NodeAffinity, ...] = Field(
        default=(), description="conditions on node labels, for what node_selector can't say"
    )
    tolerations: tuple[Toleration, ...] = Field(default=(), description="tolerated taints")
    labels: dict[str, str] = Field(default_factory=dict, description="of the step's pod")
    annotations: dict[str, str] = Field(default_factory=dict, description="of the step's pod")
    shared_memory: Quantity | None = Field(
        default=None, description="size of /dev/shm, such as 2Gi; null: the node's default"
    )
    retries: int | None = Field(
        default=None,
        ge=0,
        description="after the first failure; which failures count, Kubeflow's version decides",
    )
    timeout_seconds: pydantic.PositiveInt | None = Field(
        default=None, description="after which the step's pod is ended"
    )

    def over(self, below: StepConfig) -> StepConfig:
        """This one, with what it leaves open taken from another."""
        return below.model_copy(
            update={name: getattr(self, name) for name in self.model_fields_set}
        )


class SecretVariable(schema.Config):
    """An environment variable of every step, from a Kubernetes secret."""

    variable: str = Field(description="name of the environment variable")
    secret: str = Field(description="name of the secret")
    key: str = Field(description="key in the secret")


class ConfigMap(schema.Config):
    """A config map, as files or as environment variables of every step."""

    name: str = Field(description="of the config map")
    mount_path: str | None = Field(default=None, description="folder where its keys are files")
    variables: dict[str, str] = Field(
        default_factory=dict, description="environment variable -> key in the config map"
    )

    @pydantic.model_validator(mode="after")
    def _used(self) -> ConfigMap:
        if not self.mount_path and not self.variables:
            raise ValueError("mount_path, variables: one of them is needed")
        return self


class VolumeConfig(schema.Config):
    """A volume that every step mounts."""

    claim: str = Field(description="name of the PersistentVolumeClaim")
    mount_path: str = Field(description="where the steps see it; run.root lies below it")


_TRAINING = StepConfig(
    accelerator="nvidia.com/gpu",
    memory_request="8Gi",
    memory_limit="32Gi",
    shared_memory="2Gi",
    retries=3,
)


class KubeflowConfig(schema.Config):
    """How the pipeline runs on Kubeflow Pipelines."""

    image: str = Field(
        default=f"segline:{provenance.version()}-cpu", description="the image of all steps"
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="null: Kubernetes' own rule"
    )
    image_pull_secrets: tuple[str, ...] = Field(
        default=(), description="names of the secrets that the registry asks for"
    )
    volumes: tuple[VolumeConfig, ...] = Field(
        default=(), description="none where run.root is in gs://"
    )
    secrets: tuple[SecretVariable, ...] = Field(
        default=(), description="such as the password of ML Metadata's database"
    )
    config_maps: tuple[ConfigMap, ...] = Field(
        default=(), description="such as a certificate authority or a proxy's address"
    )
    pod_fields: dict[str, str] = Field(
        default_factory=dict,
        description="environment variable -> field of the pod, such as spec.nodeName",
    )
    step: StepConfig = Field(
        default=StepConfig(cpu_request="1", memory_request="4Gi", memory_limit="16Gi", retries=2),
        description="For every step. By default: cpu_request 1, memory_request 4Gi, "
        "memory_limit 16Gi, retries 2.",
    )
    steps: dict[str, StepConfig] = Field(
        default_factory=lambda: dict.fromkeys(("Tuner", "Trainer"), _TRAINING),
        description="by step name, what differs from kubeflow.step (the same keys); by default "
        "the Trainer and the Tuner, and they alone, have a GPU",
    )
    environment: dict[str, str] = Field(
        default_factory=dict, description="further environment variables of every step"
    )

    def settings(self, step: str) -> StepConfig:
        """What holds for a step."""
        return self.steps.get(step, StepConfig()).over(self.step)

    def is_mounted(self, path: str) -> bool:
        """Whether the steps' pods see an absolute path by a volume or a config map."""
        mounts = [volume.mount_path for volume in self.volumes]
        mounts += [one.mount_path for one in self.config_maps if one.mount_path]
        return any(
            os.path.isabs(path) and os.path.commonpath([os.path.normpath(path), mount]) == mount
            for mount in map(os.path.normpath, mounts)
            if os.path.isabs(mount)
        )
