"""Every manifest fits Kubernetes' own schema, and fits the pipeline."""

import os
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from pipeline.config import load_config

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "kubernetes"
CUSTOM_KINDS = ("Kustomization", "InferenceService")
DOCUMENTS = [
    pytest.param(document, id=f"{file.relative_to(FOLDER)}-{index}")
    for file in sorted(FOLDER.rglob("*.yaml"))
    for index, document in enumerate(yaml.safe_load_all(file.read_text()))
]


def load(name):
    return yaml.safe_load((FOLDER / "serving" / name).read_text())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_it_fits_the_schema(document):
    if document["kind"] not in CUSTOM_KINDS:
        kubernetes_validate.validate(document, "1.29", strict=True)


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("kustomization.yaml")), ids=str)
def test_a_kustomization_lists_the_files_beside_it(file):
    listed = set(yaml.safe_load(file.read_text())["resources"])
    assert listed == {other.name for other in file.parent.glob("*.yaml")} - {file.name}


def test_the_service_finds_the_deployment():
    deployment, service = (load(f"tensorflow-serving/{n}.yaml") for n in ("deployment", "service"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (service["spec"]["selector"], deployment["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for port in service["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"]
    assert f"--port={ports['grpc']}" in container["args"]
    assert f"--rest_api_port={ports['rest']}" in container["args"]


def test_both_serve_what_the_pipeline_pushes():
    """The path on the volume is the serving folder below run.root."""
    config = load_config("pets", environment={})
    pushed = os.path.relpath(config.serving_dir, config.run.root)
    pod = load("tensorflow-serving/deployment.yaml")["spec"]["template"]["spec"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    assert mount["subPath"] == pushed
    assert f"--model_base_path={mount['mountPath']}" in pod["containers"][0]["args"]
    claim = pod["volumes"][0]["persistentVolumeClaim"]["claimName"]
    uri = load("kserve/inference-service.yaml")["spec"]["predictor"]["model"]["storageUri"]
    assert uri == f"pvc://{claim}/{pushed}"
