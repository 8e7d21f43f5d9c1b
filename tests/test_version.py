"""The version is one fact, in pyproject.toml: whatever else says one says the same."""

import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import run_record
from pipeline.config.kubeflow import KubeflowConfig

ROOT = Path(__file__).resolve().parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text()
VERSION = re.search(r'^version = "(\d+\.\d+\.\d+)"$', PROJECT, re.M)[1]


def test_the_command_tells_it_at_once():
    script = (
        "import sys, pipeline.cli\n"
        "try: pipeline.cli.main(['--version'])\n"
        "finally: print(sorted({'tensorflow', 'tfx', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    told, heavy = done.stdout.splitlines()[0], done.stdout.splitlines()[-1]
    python = platform.python_version()
    assert told == f"segline {VERSION} (TFX {version('tfx')}, Python {python})"
    assert heavy == "[]", done.stderr


def test_ml_metadata_records_it():
    store = MetadataStore(mlmd.ConnectionConfig(fake_database=mlmd.FakeDatabaseConfig()))
    run_record.begin(store, "run", config={}, runner="LocalDagRunner")
    assert run_record.read(store, ["run"])["run"].versions["segline"] == VERSION


def test_the_changelog_begins_with_it():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    first = re.search(r"^## \[(.+?)\] – (unreleased|\d{4}-\d\d-\d\d)$", changelog, re.M)
    assert first[1] == VERSION


def test_images_are_tagged_with_it():
    """In the Dockerfile, manifests, README, docs, and where a config names none."""
    label = re.search(r"^ARG VERSION=(\S+)$", (ROOT / "infra/docker/Dockerfile").read_text(), re.M)
    assert label[1] == VERSION
    assert KubeflowConfig().image == f"segline:{VERSION}-cpu"
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    files += [
        file for file in (ROOT / "infra").rglob("*") if file.is_file() and file.suffix != ".pyc"
    ]
    tags = {
        (tag, str(file.relative_to(ROOT)))
        for file in files
        for tag in re.findall(r"\bsegline:([\w][\w.-]*-?[cg]pu)\b", file.read_text())
    }
    assert len(tags) > 8
    assert {tag for tag, _ in tags} == {f"{VERSION}-cpu", f"{VERSION}-gpu"}, sorted(tags)
