"""The image, built from the Dockerfile and run as a cluster may run it: `make test-image`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not os.environ.get("SEGLINE_TEST_IMAGE"),
    reason="the image takes some minutes to build: make test-image",
)
PROJECT = Path(__file__).resolve().parents[2]
USER = 10001
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CANNOT = 77  # local.sh: it can't be built here
VOLUME = "/mnt"

TINY = {
    "name": "tiny",
    "dataset": {
        "name": "synthetic_pets",
        "data_dir": f"{VOLUME}/tfds",
        "splits": {"train": "train[:128]", "validation": "train[128:144]", "test": "test[:24]"},
        "features": {"example_id": "file_name"},
    },
    "classes": {"values": {"pet": 1, "background": 2, "border": 3}},
    "transform": {"image_size": [32, 64]},
    "trainer": {
        "encoder": {"weights": "none", "alpha": 0.35},
        "decoder": {"filters": [16, 16, 8, 8]},
        "class_weights": "balanced",
        "epochs": 3,
        "batch_size": 8,
        "learning_rate": 0.005,
    },
    "evaluator": {"min_mean_iou": 0.0},
    "run": {"root": f"{VOLUME}/runs"},
}

# What a container runtime does for a pod with a read-only root file system, no rights, and
# one volume: mounts of its own, the image for root, and a user without rights.
RUN = """
set -e
root=$1 volume=$2; shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$volume" "$root/mnt"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs -o mode=1777,size=64m tmpfs "$root/dev/shm"
exec chroot "$root" setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
    --bounding-set=-all --inh-caps=-all sh -c 'cd /mnt; exec "$@"' sh "$@"
"""


def build(context):
    """Builds from a folder; returns the mounted root, and what the image says of itself."""
    built = subprocess.run(
        ["sh", "infra/docker/local.sh", "cpu"],
        cwd=context,
        env={**os.environ, "COMMIT": COMMIT},
        capture_output=True,
        text=True,
    )
    if built.returncode == CANNOT:
        pytest.skip(built.stderr.strip().splitlines()[-1])
    assert built.returncode == 0, built.stderr[-4000:]
    images = os.environ.get("SEGLINE_IMAGES", "/var/tmp/segline-images")
    storage = ["--root", f"{images}/storage", "--runroot", f"{images}/run"]
    inspect = ["buildah", "inspect", *storage, "--type", "image", "localhost/segline:cpu"]
    told = json.loads(subprocess.run(inspect, capture_output=True, check=True).stdout)
    return Path(built.stdout.strip()), told


@pytest.fixture(scope="module")
def built():
    return build(PROJECT)


@pytest.fixture
def volume(tmp_path):
    os.chown(tmp_path, USER, USER)
    return tmp_path


def run(built, volume, *command, **environment):
    """A command as the image's user, in its environment, with TMPDIR on the volume."""
    root, told = built
    variables = dict(one.split("=", 1) for one in told["OCIv1"]["config"]["Env"])
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", RUN, "sh", root, volume, *command],
        env={**variables, "TMPDIR": VOLUME, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )


def layers(told):
    return json.loads(told["Manifest"])["layers"]


def test_it_runs_without_rights_on_a_read_only_root(built, volume):
    _, told = built
    assert told["OCIv1"]["config"]["User"] == str(USER)
    done = run(built, volume, "sh", "-c", "id -u; touch /tmp/x /home/segline/x /opt/code/x /mnt/x")
    assert done.stdout.split() == [str(USER)]
    assert done.stderr.count("Read-only file system") == 3 == len(done.stderr.splitlines())
    done = run(built, volume, "segline", "--version")
    assert done.returncode == 0 and done.stdout.startswith("segline "), done.stderr


def test_the_chain_runs_in_it(built, volume):
    """A whole run, from the drawn data to a pushed model; nothing but the volume is written."""
    (volume / "tiny.yaml").write_text(json.dumps(TINY))
    config = {"SEGLINE_CONFIG": f"{VOLUME}/tiny.yaml"}
    done = run(built, volume, "python", "/opt/code/pipeline/local_runner.py", **config)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "Blessed" in done.stdout
    (model,) = (volume / "runs/tiny/serving").glob("[0-9]*")
    assert (model / "saved_model.pb").is_file()
    shown = run(built, volume, "segline", "lineage", "model", **config)
    assert COMMIT in shown.stdout, shown.stderr


def test_what_it_holds(built):
    root, _ = built
    folders = [root / "usr/bin", root / "opt/segline/bin"]
    there = {path.name for folder in folders for path in folder.iterdir()}
    assert "python3.13" in there
    assert not there & {"gcc", "cc", "ld", "as", "uv", "make"}
    packages = root / "opt/segline/lib/python3.13/site-packages"
    for folder in (packages / "tfx", packages / "keras", root / "opt/code/components/trainer"):
        sources = {path.stem for path in folder.glob("*.py")}
        compiled = {path.name.split(".")[0] for path in folder.glob("__pycache__/*.pyc")}
        assert sources and sources <= compiled


def test_a_commit_ships_kilobytes(built, tmp_path):
    """With one more line of code only the last layer is another."""
    before = layers(built[1])
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard", "components", "pipeline", "infra", "."],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    context = tmp_path / "context"
    for name in filter(None, listed.split("\0")):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, context / name)
    with (context / "components/common/errors.py").open("a") as file:
        file.write("CHANGED = True\n")
    after = layers(build(context)[1])
    assert after[:-1] == before[:-1] and after[-1] != before[-1]
    assert after[-1]["size"] < 8_000_000 < 500_000_000 < after[-2]["size"]  # uncompressed
