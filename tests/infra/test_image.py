"""What the image's lock brings is enough for what is started in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
STACK = subprocess.run(["sh", "infra/stack.sh"], cwd=PROJECT, capture_output=True, text=True)
LOCKS = PROJECT / "infra" / "locks" / STACK.stdout.partition(":")[0]

# Hides every package that the lock has not. Of the folder `kfp`, to which two packages
# install, it leaves what belongs to the locked one.
ONLY_THE_LOCK = """
import importlib.metadata, pathlib, re, sys, types
lock = pathlib.Path(sys.argv[1]).read_text()
name_of = lambda text: re.sub(r"[-_.]+", "-", text).lower()
locked = {name_of(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.M)} | {"segline"}
owners = importlib.metadata.packages_distributions()

class Hidden:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if "." not in name and top in owners and not {name_of(o) for o in owners[top]} & locked:
            raise ModuleNotFoundError(f"{name}: not in the lock", name=name)

sys.meta_path.insert(0, Hidden())
if "kfp" not in locked and "kfp-pipeline-spec" in locked:
    folder = pathlib.Path(sys.argv[2])
    for entry in sys.path:
        spec = pathlib.Path(entry) / "kfp" / "pipeline_spec"
        if spec.is_dir():
            (folder / "pipeline_spec").symlink_to(spec)
    sys.modules["kfp"] = types.ModuleType("kfp")
    sys.modules["kfp"].__path__ = [str(folder)]
import importlib
importlib.import_module(sys.argv[3])
"""
# What TFX's Vertex AI runner gives as the command of each task's container.
VERTEX = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"


@pytest.mark.parametrize("lock", ["run.lock", "gpu.lock"])
@pytest.mark.parametrize("module", [VERTEX, "pipeline.kubeflow.node"])
@pytest.mark.slow
def test_it_can_be_imported(lock, module, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ONLY_THE_LOCK, str(LOCKS / lock), str(tmp_path), module],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_it_is_what_vertex_starts():
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

    source = Path(kubeflow_v2_dag_runner.__file__).read_text()
    assert re.search(rf"['\"]{re.escape(VERTEX)}['\"]", source)
