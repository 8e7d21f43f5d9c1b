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
    """How a task went: its attempts' exit codes, and all that they printed."""

    codes: list[int]
    output: str


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
        self.tasks = self.spec["root"]["dag"]["tasks"]

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
          The results by task; what comes after a failed task is not there.
        """
        done = {name: threading.Event() for name in self.tasks}
        results: dict[str, TaskResult] = {}

        def execute(name: str) -> None:
            try:
                dependencies = self.tasks[name].get("dependentTasks", [])
                for dependency in dependencies:
                    done[dependency].wait()
                if all(d in results and results[d].codes[-1] == 0 for d in dependencies):
                    with slots:
                        results[name] = self._attempts(name, job_id, parameters or {}, on_start)
            finally:
                done[name].set()

        slots = threading.Semaphore(workers)
        with ThreadPoolExecutor(len(self.tasks)) as pool:
            list(pool.map(execute, self.tasks))
        return results

    def _attempts(self, name, job_id, parameters, on_start) -> TaskResult:
        most = self.tasks[name].get("retryPolicy", {}).get("maxRetryCount", 0) + 1
        result = TaskResult([], "")
        for attempt in range(most):
            command, environment = self.command(name, job_id, parameters)
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
                break
        return result

    def command(self, name: str, job_id: str, parameters: dict[str, str]) -> tuple[list, dict]:
        """The command and the environment of a task, placeholders filled in."""
        task = self.tasks[name]
        component = self.spec["components"][task["componentRef"]["name"]]
        label = component["executorLabel"]
        container = self.spec["deploymentSpec"]["executors"][label]["container"]
        defaults = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        inputs = {}
        for key, source in task.get("inputs", {}).get("parameters", {}).items():
            outer = source["componentInputParameter"]
            inputs[key] = parameters.get(outer, defaults[outer].get("defaultValue"))
        outputs = component.get("outputDefinitions", {}).get("artifacts", {})

        def fill(text: str) -> str:
            def value(match: re.Match) -> str:
                path = match[1]
                if found := re.fullmatch(r"\.inputs\.parameters\['(.*)'\]", path):
                    return str(inputs[found[1]])
                if found := re.fullmatch(r"\.outputs\.artifacts\['(.*)'\]\.path", path):
                    assert found[1] in outputs
                    return str(self.folder / job_id / f"{name}-{found[1]}" / found[1])
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
        label = self.spec["components"][self.tasks[name]["componentRef"]["name"]]["executorLabel"]
        container = self.spec["deploymentSpec"]["executors"][label]["container"]
        return container.get("resources", {})
