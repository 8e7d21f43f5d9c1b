"""What servers read besides the versions: which of them is stable, and which is a canary.

TensorFlow Serving: a ModelServerConfig in protobuf's text form, with version labels. It assigns a
label that another version has only to a version that is loaded, and takes the list of versions to
load after that (tensorflow/serving 9d981c5: model_servers/server_core.cc, ReloadConfig and
UpdateModelVersionLabelMap): a file that names a new version and moves a label to it at once is
refused at each poll, for ever. So the file asks for all versions below a folder that holds those
that are to be loaded and no others: these are loaded whatever the labels say, and the poll after
that moves the label.

KServe: an InferenceService whose latest revision is the canary; it gives the rest of the requests
to the revision that had all of them before (kserve aaac4e2:
docs/samples/v1beta1/rollout/README.md). A revision must not change below it, so each serves one
version: its arguments name a file `only-<version>.config`, which TensorFlow Serving prefers to the
base path of KServe's runtime (model_servers/server.cc, BuildAndStart; KServe appends arguments:
pkg/controller/v1beta1/inferenceservice/utils/utils.go, MergeRuntimeContainers).
"""

from __future__ import annotations

from typing import Any

import yaml

from components.pusher.config import RolloutConfig
from components.pusher.places import LABELLED

MODELS_CONFIG, INFERENCE_SERVICE = "models.config", "inference-service.yaml"
STABLE, CANARY = "stable", "canary"

_MOUNTED = "/mnt/models"  # where KServe's runtimes see `storageUri`
_ALL = "all {}"
_MODEL = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "{base_path}"
    model_platform: "tensorflow"
    model_version_policy {{ {policy} }}
{labels}  }}
}}
"""
_LABEL = '    version_labels {{ key: "{label}" value: {version} }}\n'


def models_config(server: RolloutConfig, stable: str, canary: str) -> str:
    """TensorFlow Serving's file.

    Args:
      server: the model's name, and where the server sees the serving folder.
      stable: a version.
      canary: a version; empty: the label is the stable one's, so that whoever asks for it is
        answered.
    """
    versions = {STABLE: stable, CANARY: canary or stable}
    labels = "".join(
        _LABEL.format(label=label, version=version) for label, version in versions.items()
    )
    base_path = f"{server.base_path.rstrip('/')}/{LABELLED}"
    return _MODEL.format(name=server.model_name, base_path=base_path, policy=_ALL, labels=labels)


def of_version(version: str) -> str:
    """Name of the file that `version_config` gives."""
    return f"only-{version}.config"


def endpoint_of(version: str) -> str:
    """What KServe's logger calls the endpoint of a version."""
    return f"version-{version}"


def version_config(server: RolloutConfig, version: str) -> str:
    """The file of one of KServe's revisions: that version and no other."""
    policy = f"specific {{ versions: {version} }}"
    return _MODEL.format(name=server.model_name, base_path=_MOUNTED, policy=policy, labels="")


def inference_service(server: RolloutConfig, stable: str, canary: str) -> str:
    """KServe's InferenceService, to be applied after each change.

    Args:
      server: name, `storage_uri`, and the canary's share of the requests.
      stable: a version.
      canary: a version; empty: all requests go to the stable one.
    """
    shown = canary or stable
    predictor: dict[str, Any] = {
        # KServe gives it to the pods, and its logger writes it into each event (kserve aaac4e2:
        # predictor.go, buildObjectMeta; pkg/webhook/admission/pod/agent_injector.go): by it
        # `segline watch` tells a canary. Of a version, so that promotion changes no revision.
        "labels": {"endpoint": endpoint_of(shown)},
        "minReplicas": 1,
        "model": {
            "modelFormat": {"name": "tensorflow"},
            "protocolVersion": "v1",
            "runtimeVersion": "2.21.0",
            "storageUri": f"{server.storage_uri.rstrip('/')}/{LABELLED}",
            "args": [f"--model_config_file={_MOUNTED}/{of_version(shown)}"],
            "resources": {
                "requests": {"cpu": "1", "memory": "2Gi"},
                "limits": {"memory": "4Gi"},
            },
        },
    }
    if canary:
        predictor["canaryTrafficPercent"] = server.canary_percent
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": server.model_name,
            "labels": {
                "app.kubernetes.io/name": "segline-kserve",
                "app.kubernetes.io/part-of": "segline",
            },
        },
        "spec": {"predictor": predictor},
    }
    return yaml.safe_dump(service, sort_keys=False)
