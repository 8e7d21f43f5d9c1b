"""Runs a compiled Kubeflow package without a cluster: each task's real command, as a process.

What is filled in and what is tried again: kfp_rules. A task's process has no more than its
pod would have: the container's own variables, no home that it could write to, and, where this
system lets us, a user id that nobody knows.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import forked
import kfp_rules
import yaml
from google.protobuf import json_format


@dataclasses.dataclass
class TaskResult:
    """How a task went: its attempts' exit codes, all that they printed, what it made."""

    codes: list[int]
    output: str
    outputs: dict[str, str] = dataclasses.field(default_factory=dict)
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)


def _holds(condition: str | None, values: dict[str, str]) -> bool:
    """A condition in the one form that our packages use."""
    if condition is None:
        return True
    found = re.fullmatch(r"inputs\.parameter_values\['(.+)'\] == '(.*)'", condition)
    return values[found[1]] == found[2]


def _as_in_a_pod() -> list[str]:
    """What makes a process the image's user, as Kubernetes runs it: 10001, of group 0."""
    prefix = ["unshare", "--user", "--map-user=10001", "--map-group=0"]
    if (
        shutil.which("unshare")
        and not subprocess.run([*prefix, "true"], capture_output=True).returncode
    ):
        return prefix
    return []


class PackageRunner:
    """Does what Kubeflow's driver and launcher do, as far as our packages use them.

    Args:
      package: path of the YAML.
      folder: where each task has its own working directory.
      secrets: (secret, key) -> value, as the cluster's secrets would have them.
      server: where the tasks' processes come from.
      version: of Kubeflow Pipelines.

    Attributes:
      lost: (task, attempt) of pods that have vanished with their node; a test adds to it.
    """

    def __init__(
        self,
        package: Path,
        folder: Path,
        secrets: dict[tuple[str, str], str],
        server: forked.Server,
        version: tuple[int, int] = (2, 16),
    ) -> None:
        self.server = server
        self.spec, self.platform = yaml.safe_load_all(package.read_text())
        self.folder = folder
        self.secrets = secrets
        self.version = version
        self.lost: set[tuple[str, int]] = set()
        self.user = _as_in_a_pod()
        self.tasks = {
            name: task
            for dag in self.dags()
            for name, task in dag["tasks"].items()
            if "dag" not in self.component(task)
        }

    def dags(self) -> list[dict[str, Any]]:
        """The package's DAG, and those that are tasks in it."""
        nested = [part["dag"] for part in self.spec["components"].values() if "dag" in part]
        return [self.spec["root"]["dag"], *nested]

    def component(self, task: dict[str, Any]) -> dict[str, Any]:
        """What a task is made of."""
        return self.spec["components"][task["componentRef"]["name"]]

    def container(self, name: str) -> dict[str, Any]:
        """A task's container."""
        label = self.component(self.tasks[name])["executorLabel"]
        return self.spec["deploymentSpec"]["executors"][label]["container"]

    def kubernetes(self, name: str) -> dict[str, Any]:
        """What Kubernetes is told of a task."""
        label = self.component(self.tasks[name])["executorLabel"]
        return self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][label]

    def run(
        self,
        job_id: str,
        parameters: dict[str, str] | None = None,
        on_start: Callable[[str, forked.Process, int], None] | None = None,
        workers: int = 2,
    ) -> dict[str, TaskResult]:
        """Runs all tasks in the order of their dependencies, independent ones together.

        Args:
          job_id: Kubeflow's id of the run.
          parameters: of the run.
          on_start: called with task, process and attempt (from 0) when a process begins.
          workers: tasks at the same time.

        Returns:
          The results by task; what comes after a failed task is not there, nor what stands
          under a condition that does not hold.
        """
        definitions = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        inputs = {name: part.get("defaultValue") for name, part in definitions.items()}
        results: dict[str, TaskResult] = {}
        self._run_dag(
            self.spec["root"]["dag"],
            job_id,
            inputs | (parameters or {}),
            lambda name, values: self._attempts(name, job_id, values, on_start),
            threading.Semaphore(workers),
            results,
        )
        return results

    def _run_dag(self, dag, job_id, inputs, start, slots, results) -> bool:
        """Runs a DAG; tells whether all went well. An exit task runs in any case."""
        done = {name: threading.Event() for name in dag["tasks"]}
        ok: set[str] = set()

        def execute(name: str) -> None:
            task = dag["tasks"][name]
            try:
                for dependency in task.get("dependentTasks", []):
                    done[dependency].wait()
                at_exit = task.get("triggerPolicy", {}).get("strategy") is not None
                if not at_exit and not ok.issuperset(task.get("dependentTasks", [])):
                    return
                values = {
                    key: self._value(source, job_id, name, inputs, results)
                    for key, source in task.get("inputs", {}).get("parameters", {}).items()
                }
                if not _holds(task.get("triggerPolicy", {}).get("condition"), values):
                    ok.add(name)
                    return
                if "dag" in self.component(task):
                    nested = self.component(task)["dag"]
                    if self._run_dag(nested, job_id, values, start, slots, results):
                        ok.add(name)
                    return
                with slots:
                    results[name] = start(name, values)
                if results[name].codes[-1] == 0:
                    ok.add(name)
            finally:
                done[name].set()

        with ThreadPoolExecutor(len(done)) as pool:
            list(pool.map(execute, done))
        return len(ok) == len(done)

    def _value(self, source, job_id, task, inputs, results) -> str:
        if "componentInputParameter" in source:
            return inputs[source["componentInputParameter"]]
        if "runtimeValue" in source:
            constant = source["runtimeValue"]["constant"]
            return kfp_rules.resolve(constant, job_id, task, self.version)
        made = source["taskOutputParameter"]
        return results[made["producerTask"]].outputs[made["outputParameterKey"]]

    def _attempts(self, name, job_id, inputs, on_start) -> TaskResult:
        result = TaskResult([], "")
        attempts: list[kfp_rules.Attempt] = []
        skipped = 0.0  # pauses that nobody has to wait for here
        while True:
            number = len(attempts)
            folder = self.folder / job_id / f"{name}-{number}"
            folder.mkdir(parents=True)
            executor_input = self._executor_input(name, job_id, inputs, folder)
            command, environment = self.command(name, executor_input)
            started = time.monotonic() + skipped
            with open(folder / "log", "w") as log:
                words = [*self.user, *command]
                output = log.fileno()
                with self.server.start(words, folder, environment, output=output) as process:
                    if on_start:
                        on_start(name, process, number)
                result.codes.append(process.returncode)
            result.output += (folder / "log").read_text()
            phase = kfp_rules.SUCCEEDED if result.codes[-1] == 0 else kfp_rules.FAILED
            if (name, number) in self.lost:
                phase = kfp_rules.ERROR
            finished = time.monotonic() + skipped
            attempts.append(kfp_rules.Attempt(started, finished, phase))
            if phase == kfp_rules.SUCCEEDED:
                self._collect(executor_input, result)
                return result
            policy = kfp_rules.retry_policy(self.version)
            again = kfp_rules.next_start(self.tasks[name], attempts, policy)
            if again is None:
                return result
            skipped += again - finished

    def _executor_input(self, name, job_id, inputs, folder) -> dict[str, Any]:
        """What the driver gives the launcher."""
        definitions = self.component(self.tasks[name]).get("outputDefinitions", {})
        place = f"{job_id}/{name}"

        def artifact(key: str, kind: dict[str, Any]) -> dict[str, Any]:
            uri = str(self.folder / place / key)
            return {"artifacts": [{"name": key, "type": kind["artifactType"], "uri": uri}]}

        return {
            "inputs": {"parameterValues": inputs},
            "outputs": {
                "parameters": {
                    key: {"outputFile": str(self.folder / place / "parameters" / key)}
                    for key in definitions.get("parameters", {})
                },
                "artifacts": {
                    key: artifact(key, kind)
                    for key, kind in definitions.get("artifacts", {}).items()
                },
                "outputFile": str(folder / "output_metadata.json"),
            },
        }

    def _collect(self, executor_input: dict[str, Any], result: TaskResult) -> None:
        """Reads what a task has left, as the launcher does (launcher_v2.go:1208)."""
        from kfp.pipeline_spec import pipeline_spec_pb2

        for key, place in executor_input["outputs"]["parameters"].items():
            result.outputs[key] = Path(place["outputFile"]).read_text()
        told = Path(executor_input["outputs"]["outputFile"])
        if told.exists():
            output = json_format.Parse(told.read_text(), pipeline_spec_pb2.ExecutorOutput())
            for found in output.artifacts.values():
                result.metrics |= json_format.MessageToDict(found.artifacts[0].metadata)

    def command(self, name: str, executor_input: dict[str, Any]) -> tuple[list, dict]:
        """The command and the environment of a task; in the latter nothing is filled in."""
        container = self.container(name)
        words = [
            kfp_rules.fill(word, executor_input)
            for word in [*container["command"], *container.get("args", [])]
        ]
        # The real one is `/`, which the user of the tests may be able to write to.
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": "/proc"}
        environment |= {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
        for secret in self.kubernetes(name).get("secretAsEnv", []):
            for pair in secret["keyToEnv"]:
                value = self.secrets[secret["secretName"], pair["secretKey"]]
                environment[pair["envVar"]] = value
        return words, environment

    def artifact(self, job_id: str, task: str, key: str) -> Path:
        """Where an output artifact of a task lies."""
        return self.folder / job_id / task / key
