"""Runs a compiled Kubeflow package without a cluster: each task's real command, as a process."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml


@dataclasses.dataclass
class TaskResult:
    """How a task went: its attempts' exit codes, all that they printed, its parameters."""

    codes: list[int]
    output: str
    outputs: dict[str, str] = dataclasses.field(default_factory=dict)


def _holds(condition: str | None, values: dict[str, str]) -> bool:
    """A condition in the one form that our packages use."""
    if condition is None:
        return True
    found = re.fullmatch(r"inputs\.parameter_values\['(.+)'\] == '(.*)'", condition)
    return values[found[1]] == found[2]


class PackageRunner:
    """Does what Kubeflow's driver and launcher do, as far as our packages use them.

    Args:
      package: path of the YAML.
      folder: where each task has its own working directory.
      secrets: (secret, key) -> value, as the cluster's secrets would have them.
    """

    def __init__(self, package: Path, folder: Path, secrets: dict[tuple[str, str], str]) -> None:
        self.spec, self.platform = yaml.safe_load_all(package.read_text())
        self.folder = folder
        self.secrets = secrets
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

    def run(
        self,
        job_id: str,
        parameters: dict[str, str] | None = None,
        on_start: Callable[[str, subprocess.Popen, int], None] | None = None,
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
            inputs | (parameters or {}),
            lambda name, values: self._attempts(name, job_id, values, on_start),
            threading.Semaphore(workers),
            results,
        )
        return results

    def _run_dag(self, dag, inputs, start, slots, results) -> bool:
        """Runs a DAG; tells whether all went well."""
        done = {name: threading.Event() for name in dag["tasks"]}
        ok: set[str] = set()

        def execute(name: str) -> None:
            task = dag["tasks"][name]
            try:
                for dependency in task.get("dependentTasks", []):
                    done[dependency].wait()
                if not ok.issuperset(task.get("dependentTasks", [])):
                    return
                values = {
                    key: self._value(source, inputs, results)
                    for key, source in task.get("inputs", {}).get("parameters", {}).items()
                }
                if not _holds(task.get("triggerPolicy", {}).get("condition"), values):
                    return
                if "dag" in self.component(task):
                    nested = self.component(task)["dag"]
                    if self._run_dag(nested, values, start, slots, results):
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

    def _value(self, source: dict[str, Any], inputs: dict[str, str], results) -> str:
        if "componentInputParameter" in source:
            return inputs[source["componentInputParameter"]]
        made = source["taskOutputParameter"]
        return results[made["producerTask"]].outputs[made["outputParameterKey"]]

    def _attempts(self, name, job_id, inputs, on_start) -> TaskResult:
        most = self.tasks[name].get("retryPolicy", {}).get("maxRetryCount", 0) + 1
        result = TaskResult([], "")
        for attempt in range(most):
            command, environment = self.command(name, job_id, inputs)
            folder = self.folder / job_id / f"{name}-{attempt}"
            folder.mkdir(parents=True)
            with open(folder / "log", "w") as log:
                process = subprocess.Popen(
                    command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
                )
                if on_start:
                    on_start(name, process, attempt)
                result.codes.append(process.wait())
            result.output += (folder / "log").read_text()
            if result.codes[-1] == 0:
                for key in self._outputs(name, "parameters"):
                    result.outputs[key] = self._path(job_id, name, key).read_text()
                break
        return result

    def _outputs(self, name: str, kind: str) -> dict[str, Any]:
        return self.component(self.tasks[name]).get("outputDefinitions", {}).get(kind, {})

    def _path(self, job_id: str, name: str, output: str) -> Path:
        return self.folder / job_id / f"{name}-{output}" / output

    def command(self, name: str, job_id: str, inputs: dict[str, str]) -> tuple[list, dict]:
        """The command and the environment of a task, placeholders filled in."""
        label = self.component(self.tasks[name])["executorLabel"]
        container = self.spec["deploymentSpec"]["executors"][label]["container"]

        def fill(text: str) -> str:
            def value(match: re.Match) -> str:
                path = match[1]
                if found := re.fullmatch(r"\.inputs\.parameters\['(.*)'\]", path):
                    return str(inputs[found[1]])
                if found := re.fullmatch(r"\.outputs\.artifacts\['(.*)'\]\.path", path):
                    assert found[1] in self._outputs(name, "artifacts")
                    return str(self._path(job_id, name, found[1]))
                if found := re.fullmatch(r"\.outputs\.parameters\['(.*)'\]\.output_file", path):
                    assert found[1] in self._outputs(name, "parameters")
                    return str(self._path(job_id, name, found[1]))
                assert path == ".pipeline_job_uuid", path
                return job_id

            return re.sub(r"\{\{\$(.*?)\}\}", value, text)

        words = [fill(word) for word in [*container["command"], *container.get("args", [])]]
        platform = self.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][label]
        binaries = str(Path(sys.executable).parent)
        environment = {"PATH": f"{binaries}:/usr/bin:/bin", "HOME": str(self.folder)}
        environment |= {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
        for secret in platform.get("secretAsEnv", []):
            for pair in secret["keyToEnv"]:
                value = self.secrets[secret["secretName"], pair["secretKey"]]
                environment[pair["envVar"]] = value
        return words, environment

    def resources(self, name: str) -> dict[str, Any]:
        """What a task asks of its machine."""
        label = self.component(self.tasks[name])["executorLabel"]
        container = self.spec["deploymentSpec"]["executors"][label]["container"]
        return container.get("resources", {})
