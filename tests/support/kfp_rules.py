"""What Kubeflow's driver and launcher fill in, and when Argo tries a task again.

Written after their sources, no kinder than they are:
kubeflow/pipelines@2.17.0 (and 2.5.0, where it differs), argoproj/argo-workflows@v4.0.5.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

# backend/src/v2/driver/resolve.go:433-452, 2.5.0 driver.go:1636: constants that are *equal* to
# one of these; a text that has one in it stays as it is. Not at all before 2.5.
_RESOLVED_FROM = (2, 5)
FAILED, ERROR, SUCCEEDED = "Failed", "Error", "Succeeded"


def resolve(constant: Any, job_id: str, task: str, version: tuple[int, int]) -> Any:
    """The value of a task's input that is a constant in the package."""
    if version < _RESOLVED_FROM:
        return constant
    known = {
        "{{$.pipeline_job_uuid}}": job_id,
        "{{$.pipeline_job_name}}": f"run of {job_id}",
        "{{$.pipeline_job_resource_name}}": f"workflow-{job_id}",
        "{{$.pipeline_task_name}}": task,
        "{{$.pipeline_task_uuid}}": "1",
    }
    return known.get(constant, constant)


def fill(text: str, executor_input: dict[str, Any]) -> str:
    """A word of the command or the arguments, as the launcher gives it to the process.

    backend/src/v2/component/launcher_v2.go:1047-1067 (`compileCmdAndArgs`), :1077
    (`getPlaceholders`): this table and nothing else, so that `{{$.pipeline_job_uuid}}` stays.
    """
    values = {"{{$}}": json.dumps(executor_input)}
    for name, value in executor_input["inputs"]["parameterValues"].items():
        shown = value if isinstance(value, str) else json.dumps(value)
        values[f"{{{{$.inputs.parameters['{name}']}}}}"] = shown
    for name, found in executor_input["outputs"]["artifacts"].items():
        uri = found["artifacts"][0]["uri"]  # a path here; there it is in a bucket
        values[f"{{{{$.outputs.artifacts['{name}'].uri}}}}"] = uri
        values[f"{{{{$.outputs.artifacts['{name}'].path}}}}"] = uri
    for name, found in executor_input["outputs"]["parameters"].items():
        values[f"{{{{$.outputs.parameters['{name}'].output_file}}}}"] = found["outputFile"]
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One pod of a task: when it began and ended (seconds), and how.

    A container that exits with a status or is killed for memory has Failed (operator.go:1776);
    a pod that is gone is an Error ("pod deleted", operator.go:1289).
    """

    started: float
    finished: float
    phase: str


def retry_policy(version: tuple[int, int]) -> str:
    """Which ends are tried again, with the controller as Kubeflow's manifests set it up.

    Up to 2.16 nothing is said, which is OnFailure (workflow_types.go:2295). 2.17.0's
    manifests/kustomize/third-party/argo/base/workflow-controller-configmap-patch.yaml:59 has
    OnError as every template's default.
    """
    return "OnError" if version >= (2, 17) else "OnFailure"


def next_start(task: dict[str, Any], attempts: list[Attempt], policy: str) -> float | None:
    """When the next pod of a task begins; None: never.

    workflow/controller/operator.go:1011-1214 (`processNodeRetries`). What the package leaves
    out is 0 (argocompiler/container.go:410).

    Args:
      task: from the package.
      attempts: those that there were.
      policy: OnFailure, OnError or Always.
    """
    if attempts[-1].phase == SUCCEEDED or "retryPolicy" not in task:
        return None
    rules = task["retryPolicy"]
    longest = _seconds(rules.get("backoffMaxDuration", "0s"))
    wait, factor = _seconds(rules.get("backoffDuration", "0s")), int(rules.get("backoffFactor", 0))
    if factor > 0:
        wait *= math.pow(factor, len(attempts) - 1)
    start = attempts[-1].finished + wait
    if start > attempts[0].started + longest:  # from the first pod's start
        return None
    counts = {"OnFailure": (FAILED,), "OnError": (ERROR,), "Always": (FAILED, ERROR)}[policy]
    if attempts[-1].phase not in counts or len(attempts) > rules["maxRetryCount"]:
        return None
    return start


def pods_of_a_failing_task(task: dict[str, Any], around: int, defaults: dict[str, str]) -> float:
    """How many pods a task that always fails gets, with `templateDefaults.retryStrategy` set.

    The defaults are merged into every template (workflow/controller/dag.go:455), also of what
    is around the executor: there they are all that it has, and each tries what is in it again.

    Args:
      task: from the package.
      around: templates around it: its task's, those of the scopes that it is in, the run's.
      defaults: `limit` (without one there is none, operator.go:1136) and `retryPolicy`.
    """
    attempts = [Attempt(0.0, 1.0, FAILED)]
    while (start := next_start(task, attempts, defaults["retryPolicy"])) is not None:
        attempts.append(Attempt(start, start + 1.0, FAILED))
    if defaults["retryPolicy"] == "OnError":
        return len(attempts)
    limit = float(defaults.get("limit", "inf"))
    return len(attempts) * (1 + limit) ** around


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


# kubernetes_platform/proto/kubernetes_executor_config.proto of 2.5.0: its server refuses a
# package with any other field (protojson.Unmarshal in apiserver/template/v2_template.go:214).
EXECUTOR_FIELDS = {
    "pvcMount": {"constant", "mountPath"},
    "secretAsEnv": {"secretName", "keyToEnv"},
    "configMapAsVolume": {"configMapName", "mountPath"},
    "configMapAsEnv": {"configMapName", "keyToEnv"},
    "fieldPathAsEnv": {"name", "fieldPath"},
    "imagePullSecret": {"secretName"},
    "imagePullPolicy": None,
    "nodeSelector": {"labels"},
    "nodeAffinity": {"matchExpressions", "weight"},
    "tolerations": {"key", "operator", "value", "effect", "tolerationSeconds"},
    "podMetadata": {"labels", "annotations"},
    "emptyDirMounts": {"volumeName", "mountPath", "medium", "sizeLimit"},
    "activeDeadlineSeconds": None,
}


def unknown_fields(executor: dict[str, Any]) -> set[str]:
    """What the oldest server that we claim would not know of an executor's settings."""
    unknown = set(executor) - set(EXECUTOR_FIELDS)
    for name, known in EXECUTOR_FIELDS.items():
        found = executor.get(name, [])
        for part in found if isinstance(found, list) else [found]:
            if known is not None and isinstance(part, dict):
                unknown |= set(part) - known
    return unknown
