"""Talks to Kubeflow Pipelines: submits runs, keeps a schedule, tells how it stands."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3
from kfp_server_api.exceptions import ApiException

from components.common.errors import UserError
from pipeline.kubeflow.schedule import Schedule

_MARK = "segline content "  # followed by the hash of what was scheduled
_PAGE = 100
TIMEOUT_SECONDS = (10.0, 60.0)  # for the connection, and for each answer


class _Client(kfp.Client):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        api_client = self._run_api.api_client  # all of kfp's APIs share it
        call_api = api_client.call_api

        def call(*arguments: Any, **named: Any) -> Any:
            named["_request_timeout"] = named.get("_request_timeout") or TIMEOUT_SECONDS
            return call_api(*arguments, **named)

        api_client.call_api = call  # without, a server that never answers is waited for

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
        """Asks once: kfp's own asks five times, five seconds apart, whatever the answer."""
        del sleep_duration
        return self._healthz_api.healthz_service_get_healthz()


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """A run, as Kubeflow tells."""

    id: str
    name: str
    state: str
    created: str
    error: str


class Cluster:
    """Kubeflow Pipelines at one address.

    Args:
      host: `https://…/pipeline`; None: what KF_PIPELINES_ENDPOINT or kfp's own
        configuration says.
      namespace: of the user; None: kfp's own configuration, or none.
      token: bearer token; None: kfp's own ways.

    Raises:
      UserError: it can't be reached.
    """

    def __init__(self, host: str | None, namespace: str | None, token: str | None) -> None:
        self._host = host or os.environ.get("KF_PIPELINES_ENDPOINT") or "the configured host"
        self._namespace = namespace
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it tells of every attempt
        with self._clear_errors("the service"):
            self._client = _Client(
                host=host, namespace=namespace or "kubeflow", existing_token=token
            )
            self._client.get_kfp_healthz()

    def submit(self, package: str, experiment: str, name: str, parameters: dict[str, str]) -> str:
        """Starts a run; gives its id.

        Args:
          package: path of the compiled YAML.
          experiment: made where it does not exist.
          name: of the run, for people.
          parameters: the run's.
        """
        with self._clear_errors(f"run {name}"):
            run = self._client.create_run_from_pipeline_package(
                package,
                arguments=parameters,
                run_name=name,
                experiment_id=self._experiment(experiment),
                enable_caching=False,
            )
        return run.run_id

    def schedule(
        self,
        package: str,
        experiment: str,
        name: str,
        schedule: Schedule,
        parameters: dict[str, str],
        catch_up: bool = False,
    ) -> str:
        """Makes the recurring run of a name be as described; says what was done.

        Recurring runs can't be changed: one with other content is deleted once its
        successor is there, so that there is never none.

        Args:
          package: path of the compiled YAML.
          experiment: made where it does not exist.
          name: of the recurring run; there is one of a name.
          schedule: when.
          parameters: of each run.
          catch_up: whether missed runs are made up for.

        Returns:
          `created`, `unchanged` or `replaced`.
        """
        content = _MARK + _fingerprint(package, schedule, parameters, catch_up)
        with self._clear_errors(f"recurring run {name}"):
            experiment_id = self._experiment(experiment)
            before = self._recurring(experiment_id, name)
            enabled = [run for run in before if run.status != "DISABLED"]
            if len(before) == 1 and enabled and before[0].description == content:
                return "unchanged"
            self._client.create_recurring_run(
                experiment_id=experiment_id,
                job_name=name,
                description=content,
                cron_expression=schedule.cron or None,
                interval_second=schedule.interval_seconds or None,
                max_concurrency=1,
                no_catchup=not catch_up,
                params=parameters,
                pipeline_package_path=package,
                enable_caching=False,
            )
            for run in before:
                self._client.delete_recurring_run(run.recurring_run_id)
        return "replaced" if before else "created"

    def disable(self, experiment: str, name: str) -> None:
        """Stops the recurring run of a name for the time being.

        Raises:
          UserError: there is none.
        """
        with self._clear_errors(f"recurring run {name}"):
            for run in self._existing(experiment, name):
                self._client.disable_recurring_run(run.recurring_run_id)

    def delete(self, experiment: str, name: str) -> None:
        """Removes the recurring run of a name.

        Raises:
          UserError: there is none.
        """
        with self._clear_errors(f"recurring run {name}"):
            for run in self._existing(experiment, name):
                self._client.delete_recurring_run(run.recurring_run_id)

    def status(
        self, experiment: str, limit: int = 10
    ) -> tuple[list[dict[str, Any]], list[RunStatus]]:
        """The recurring runs of an experiment, and its latest runs.

        Returns:
          (name, state and schedule of each recurring run; runs, newest first).
        """
        with self._clear_errors(f"experiment {experiment}"):
            experiment_id = self._client.get_experiment(
                experiment_name=experiment, namespace=self._namespace
            ).experiment_id
            recurring = [
                {"name": run.display_name, "state": run.status, "schedule": _trigger(run.trigger)}
                for run in self._all_recurring(experiment_id)
            ]
            found = self._client.list_runs(
                experiment_id=experiment_id, page_size=limit, sort_by="created_at desc"
            )
        runs = [
            RunStatus(
                id=run.run_id,
                name=run.display_name,
                state=run.state or "",
                created=str(run.created_at),
                error=run.error.message if run.error else "",
            )
            for run in found.runs or []
        ]
        return recurring, runs

    def _experiment(self, name: str) -> str:
        return self._client.create_experiment(name, namespace=self._namespace).experiment_id

    def _existing(self, experiment: str, name: str) -> list[Any]:
        experiment_id = self._client.get_experiment(
            experiment_name=experiment, namespace=self._namespace
        ).experiment_id
        found = self._recurring(experiment_id, name)
        if not found:
            raise UserError(f"there is no recurring run {name!r} in experiment {experiment!r}")
        return found

    def _recurring(self, experiment_id: str, name: str) -> list[Any]:
        return [run for run in self._all_recurring(experiment_id) if run.display_name == name]

    def _all_recurring(self, experiment_id: str) -> list[Any]:
        runs: list[Any] = []
        token = ""
        while True:
            page = self._client.list_recurring_runs(
                experiment_id=experiment_id, page_size=_PAGE, page_token=token
            )
            runs += page.recurring_runs or []
            token = page.next_page_token
            if not token:
                return runs

    @contextlib.contextmanager
    def _clear_errors(self, what: str) -> Iterator[None]:
        """One line for each way in which a cluster can fail."""
        try:
            yield
        except ApiException as error:
            raise UserError(f"{self._host}: {_reason(error, what)}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = str(getattr(error, "reason", None) or error).split(">: ")[-1]
            raise UserError(
                f"{self._host} can't be reached: {reason} (--host or KF_PIPELINES_ENDPOINT "
                "names it; is a port-forward or VPN needed?)"
            ) from error
        except ValueError as error:  # how kfp reports an experiment that is not there
            raise UserError(f"{self._host}: {error}") from error


def _reason(error: ApiException, what: str) -> str:
    known = {
        401: "it doesn't know you: give a valid --token, or log in with kfp's own configuration",
        403: f"you are not allowed to use {what}; ask for the role, or name another --namespace",
        404: f"{what} is not there; is it Kubeflow Pipelines 2 at this address?",
        409: f"{what} exists already",
    }
    if error.status in known:
        return f"{known[error.status]} (HTTP {error.status})"
    return f"{what}: HTTP {error.status} {error.reason or ''}: {_message(error)}"


def _message(error: ApiException) -> str:
    """The server's own words."""
    try:
        return str(json.loads(error.body).get("message", ""))[:300]
    except (TypeError, ValueError, AttributeError):
        return str(error.body or "")[:300]


def _trigger(trigger: kfp_server_api.V2beta1Trigger) -> str:
    if trigger.cron_schedule:
        return str(Schedule(cron=trigger.cron_schedule.cron))
    return str(Schedule(interval_seconds=int(trigger.periodic_schedule.interval_second)))


def _fingerprint(
    package: str, schedule: Schedule, parameters: dict[str, str], catch_up: bool
) -> str:
    digest = hashlib.sha256(Path(package).read_bytes())
    digest.update(json.dumps([str(schedule), parameters, catch_up], sort_keys=True).encode())
    return digest.hexdigest()[:16]
