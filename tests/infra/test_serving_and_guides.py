"""What serves, and what the guides tell to apply, fit what the pipeline pushes and the locks."""

import os
import re

import pytest
import yaml
from manifests import FOLDER, guide, ports_of

from pipeline.kubeflow.checks import check


def load(name):
    return yaml.safe_load((FOLDER / "serving" / name).read_text())


def test_the_server_listens_on_its_ports():
    deployment = load("tensorflow-serving/deployment.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = ports_of(deployment["spec"]["template"])
    assert f"--port={ports['grpc']}" in container["args"]
    assert f"--rest_api_port={ports['rest']}" in container["args"]


def test_both_serve_what_the_pipeline_pushes():
    """The path on the volume is the serving folder of the guide's config."""
    config = guide("cluster.md")
    (volume,) = config.kubeflow.volumes
    pushed = os.path.relpath(config.serving_dir, volume.mount_path)
    pod = load("tensorflow-serving/deployment.yaml")["spec"]["template"]["spec"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    assert mount["subPath"] == pushed
    assert f"--model_base_path={mount['mountPath']}" in pod["containers"][0]["args"]
    claim = pod["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert claim == volume.claim
    uri = load("kserve/inference-service.yaml")["spec"]["predictor"]["model"]["storageUri"]
    assert uri == f"pvc://{claim}/{pushed}"


@pytest.mark.parametrize("page", ["cluster.md", "kubeflow.md"])
def test_the_guides_configs_work_on_a_cluster(page):
    check(guide(page))


def test_kustomizations_take_the_image_that_the_guide_pushes():
    text = (FOLDER.parents[1] / "docs/how-to/cluster.md").read_text()
    for file in FOLDER.rglob("kustomization.yaml"):
        for image in yaml.safe_load(file.read_text()).get("images", []):
            if image["name"] == "segline":
                assert f"docker push {image['newName']}:{image['newTag']}\n" in text


def test_the_guides_apply_what_there_is():
    text = "".join(p.read_text() for p in (FOLDER.parents[1] / "docs" / "how-to").glob("*.md"))
    for kind, path in re.findall(r"apply -(k|f) (infra/\S+)", text):
        place = FOLDER.parents[1] / path
        assert (place / "kustomization.yaml").is_file() if kind == "k" else place.is_file(), path


def test_tensorflow_serving_is_not_older_than_what_exports_its_models():
    root = FOLDER.parents[1]
    lock = (root / "infra/locks/current/run.lock").read_text()
    exports = re.search(r"^tensorflow==(\d+\.\d+)", lock, re.M)[1]
    files = [*(FOLDER / "serving").rglob("*.yaml"), root / "docs/how-to/serve.md"]
    tag = r"(?:tensorflow/serving(?::|, newTag: )|runtimeVersion: |kubernetes, tag: )(\d+\.\d+)"
    tags = [version for file in files for version in re.findall(tag, file.read_text())]
    assert len(tags) == 4 and set(tags) == {exports}
