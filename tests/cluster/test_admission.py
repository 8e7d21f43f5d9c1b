"""What the cluster's own admission says to the manifests: nothing is left behind."""

import shlex
import subprocess
import uuid
from os import environ
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "kubernetes"


@pytest.fixture
def restricted(cluster):
    """A namespace in which Pod Security `restricted` is enforced."""
    name = f"segline-test-{uuid.uuid4().hex[:6]}"
    cluster.kubectl("create", "namespace", name)
    try:
        for level in ("enforce", "warn"):
            label = f"pod-security.kubernetes.io/{level}=restricted"
            cluster.kubectl("label", "namespace", name, label)
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("folder", ["base", "upkeep", "serving/tensorflow-serving"])
def test_restricted_namespaces_take_them(restricted, folder):
    command = shlex.split(environ.get("KUBECTL", "kubectl"))
    done = subprocess.run(
        [*command, "apply", "--dry-run=server", "-n", restricted, "-k", str(FOLDER / folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "would violate" not in done.stderr, done.stderr
