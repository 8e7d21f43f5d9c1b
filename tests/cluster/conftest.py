"""A real Kubeflow Pipelines, named by the environment; without one all is skipped.

    make test-cluster KFP=http://127.0.0.1:8888 NAMESPACE=kubeflow

`KUBECTL` is the command that reaches the cluster (default: kubectl). config.yaml is the
pipeline; `SEGLINE__…` variables change it.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = "no cluster: make test-cluster KFP=http://… NAMESPACE=…"
    for item in items:
        if HERE in item.path.parents and not os.environ.get("KFP"):
            item.add_marker(pytest.mark.skip(reason=reason))


@dataclasses.dataclass
class Cluster:
    """What a person does with the cluster: two commands, and waiting."""

    folder: Path
    namespace: str
    address: str

    def config(self, *changes: tuple[str, Any]) -> str:
        """Writes config.yaml with changes, ("kubeflow.step.retries", 0); gives its path."""
        values = copy.deepcopy(yaml.safe_load((HERE / "config.yaml").read_text()))
        for key, value in changes:
            section = values
            *names, last = key.split(".")
            for name in names:
                section = section.setdefault(name, {})
            section[last] = value
        path = self.folder / f"{uuid.uuid4().hex[:8]}.yaml"
        path.write_text(yaml.safe_dump(values))
        return str(path)

    def segline(self, *words: str, config: str | None = None) -> str:
        """`segline kubeflow …`."""
        command = [str(Path(sys.executable).parent / "segline"), "kubeflow", *words]
        command += ["--host", self.address]
        if os.environ.get("MULTI_USER"):
            command += ["--namespace", self.namespace]
        if token := os.environ.get("TOKEN_FILE"):
            command += ["--token", token]
        environment = {**os.environ, "SEGLINE_CONFIG": config or self.config()}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def submit(self, *words: str, config: str | None = None) -> str:
        """Starts a run; gives its id."""
        return self.segline("submit", *words, config=config).split()[-1]

    def runs(self) -> dict[str, str]:
        """Run -> state, newest first."""
        import kfp

        client = kfp.Client(host=self.address)
        experiment = client.get_experiment(experiment_name="segline-cluster-test")
        found = client.list_runs(
            experiment_id=experiment.experiment_id, page_size=50, sort_by="created_at desc"
        )
        return {run.run_id: run.state for run in found.runs or []}

    def ends(self, run: str, minutes: float = 40) -> str:
        """Waits for the end of a run; gives its state."""
        return self.until(lambda: self.runs()[run] in ENDED and self.runs()[run], minutes)

    def until(self, true: Callable[[], Any], minutes: float = 10) -> Any:
        """Waits until something is so; gives it."""
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            if found := true():
                return found
            time.sleep(5)
        raise TimeoutError(f"not so after {minutes} minutes")

    def kubectl(self, *words: str) -> str:
        """In the namespace."""
        command = shlex.split(os.environ.get("KUBECTL", "kubectl"))
        done = subprocess.run(
            [*command, "--namespace", self.namespace, *words], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pods(self, run: str, step: str) -> list[dict[str, Any]]:
        """The pods of a step of a run, oldest first."""
        chosen = f"pipeline/runid={run},segline/step={step}"
        found = json.loads(self.kubectl("get", "pods", "-l", chosen, "-o", "json"))["items"]
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def log(self, run: str, step: str, which: int = -1) -> str:
        """What a step of a run has printed; of its latest pod, or another."""
        name = self.pods(run, step)[which]["metadata"]["name"]
        return self.kubectl("logs", name, "-c", "main")

    def told(self, run: str) -> dict[str, Any] | None:
        """The notice of a run's end; None: there was nothing to tell."""
        lines = self.log(run, "RunEnd").splitlines()
        return next((json.loads(line) for line in lines if line.startswith("{")), None)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    return Cluster(
        tmp_path_factory.mktemp("cluster"),
        os.environ.get("NAMESPACE", "kubeflow"),
        os.environ["KFP"],
    )
