"""A real Kubeflow Pipelines, named by the environment; without one all is skipped.

    make test-cluster KFP=http://127.0.0.1:8888 NAMESPACE=kubeflow

`KUBECTL` is the command that reaches the cluster (default: kubectl). config.yaml is the
pipeline; `SEGLINE__…` variables change it. `NAME` is the pipeline's: with one for each,
several of these can run at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
NAME = os.environ.get("NAME", "segline-cluster-test")
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = "no cluster: make test-cluster KFP=http://… NAMESPACE=…"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))  # kfp's client warns of itself
            if not os.environ.get("KFP"):
                item.add_marker(pytest.mark.skip(reason=reason))


@dataclasses.dataclass
class Cluster:
    """What a person does with the cluster: two commands, and waiting."""

    folder: Path
    namespace: str
    address: str
    name: str = NAME

    def config(self, *changes: tuple[str, Any]) -> str:
        """Writes config.yaml with changes, ("kubeflow.step.retries", 0); gives its path."""
        values = yaml.safe_load((HERE / "config.yaml").read_text()) | {"name": NAME}
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

    def runs(self, experiment: str = NAME) -> dict[str, str]:
        """Run -> state, newest first."""
        import kfp

        client = kfp.Client(host=self.address)
        experiment = client.get_experiment(experiment_name=experiment)
        found = client.list_runs(
            experiment_id=experiment.experiment_id, page_size=50, sort_by="created_at desc"
        )
        return {run.run_id: run.state for run in found.runs or []}

    def ends(self, run: str, minutes: float = 40, experiment: str = NAME) -> str:
        """Waits for the end of a run; gives its state."""

        def state() -> str | None:
            now = self.runs(experiment)[run]
            return now if now in ENDED else None

        return self.until(state, minutes)

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

    @contextlib.contextmanager
    def pod(self, claim: str = "segline-runs") -> Iterator[Callable[..., str]]:
        """A pod beside the pipeline, with its volume and ML Metadata.

        Gives what runs shell in it: words, and the values of $1, $2, … .
        """
        name = f"segline-test-{uuid.uuid4().hex[:6]}"
        password = {"secretKeyRef": {"name": "segline-metadata", "key": "password"}}
        container = {
            "name": "main",
            "image": os.environ["SEGLINE__KUBEFLOW__IMAGE"],
            "command": ["sleep", "86400"],
            "env": [
                {"name": "SEGLINE_CONFIG", "value": "/tmp/config.yaml"},
                {"name": "METADATA_PASSWORD", "valueFrom": password},
            ],
            "volumeMounts": [{"name": "volume", "mountPath": "/mnt/segline"}],
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"segline/metadata-client": "true"}},
            "spec": {
                "containers": [container],
                "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}],
            },
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(pod))
        self.kubectl("apply", "-f", str(path))
        try:
            self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=300s")
            yield lambda words, *values: self.kubectl(
                "exec", name, "--", "sh", "-euc", words, "sh", *values
            )
        finally:
            self.kubectl("delete", "pod", name, "--wait=false", "--grace-period=1")

    @contextlib.contextmanager
    def port(self, target: str, port: int) -> Iterator[int]:
        """Forwards a free port of this machine to the cluster's."""
        command = shlex.split(os.environ.get("KUBECTL", "kubectl"))
        command += ["--namespace", self.namespace, "port-forward", target, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
            try:
                said = forward.stdout.readline()  # Forwarding from 127.0.0.1:43211 -> 8080
                yield int(said.split(":")[1].split()[0])
            finally:
                forward.terminate()

    def told(self, run: str) -> dict[str, Any] | None:
        """The notice of a run's end; None: there was nothing to tell."""
        lines = self.log(run, "RunEnd").splitlines()
        told = (json.JSONDecoder().raw_decode(line)[0] for line in lines if line.startswith("{"))
        return next(told, None)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    cluster = Cluster(
        tmp_path_factory.mktemp("cluster"),
        os.environ.get("NAMESPACE", "kubeflow"),
        os.environ["KFP"],
    )
    # One that was killed before would have left it, and then no pod without a limit can start.
    cluster.kubectl("delete", "quota", "segline-test", "--ignore-not-found")
    return cluster
