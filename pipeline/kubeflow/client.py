"""Talks to Kubeflow Pipelines: submits runs, keeps a schedule, tells how it stands."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api

from components.common.errors import UserError
from pipeline.kubeflow.api_errors import clear_errors
from pipeline.kubeflow.schedule import Schedule

_MARK = "segline content "  # followed by the hash of what was scheduled
_PAGE = 100
TIMEOUT_SECONDS = (10.0, 60.0)  # for the connection, and for each answer
# All others are ends (backend/api/v2beta1/run.proto, RuntimeState); none is said of a run whose
# workflow is not there yet.
_UNDER_WAY = (None, "", "RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "CANCELING", "PAUSED")


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
        with clear_errors(self._host, "the service"):
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
        with clear_errors(self._host, f"run {name}"):
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

        Recurring runs can't be changed: one with other content is disabled, and enabled
        again where its successor can't be made. To delete it would end its running runs too
        (their workflows are its own), so that is done once there are none: with the next
        `schedule`.

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
        with clear_errors(self._host, f"recurring run {name}"):
            experiment_id = self._experiment(experiment)
            before = self._recurring(experiment_id, name)
            enabled = [run for run in before if run.status != "DISABLED"]
            if [run.description for run in enabled] == [content]:
                self._delete_idle(experiment_id, [run for run in before if run not in enabled])
                return "unchanged"
            with contextlib.ExitStack() as undo:
                for run in enabled:
                    self._client.disable_recurring_run(run.recurring_run_id)
                    undo.callback(self._client.enable_recurring_run, run.recurring_run_id)
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
                undo.pop_all()
            self._delete_idle(experiment_id, before)
        return "replaced" if before else "created"

    def disable(self, experiment: str, name: str) -> None:
        """Stops the recurring run of a name for the time being.

        Raises:
          UserError: there is none.
        """
        with clear_errors(self._host, f"recurring run {name}"):
            for run in self._existing(experiment, name):
                self._client.disable_recurring_run(run.recurring_run_id)

    def delete(self, experiment: str, name: str) -> bool:
        """Removes the recurring run of a name, unless that would end a run of it.

        Returns:
          Whether all is gone; else it is only disabled, until its run has ended.

        Raises:
          UserError: there is none.
        """
        with clear_errors(self._host, f"recurring run {name}"):
            found = self._existing(experiment, name)
            for run in found:
                self._client.disable_recurring_run(run.recurring_run_id)
            return self._delete_idle(found[0].experiment_id, found)

    def stop(self, experiment: str, run_id: str | None, older_than: float) -> list[RunStatus]:
        """Ends runs that are under way; their last task still tells of it.

        Args:
          experiment: where they are looked for.
          run_id: this one; None: all that are old enough.
          older_than: seconds since they were created.

        Returns:
          Those that were ended.
        """
        with clear_errors(self._host, f"experiment {experiment}"):
            experiment_id = self._client.get_experiment(
                experiment_name=experiment, namespace=self._namespace
            ).experiment_id
            now = datetime.datetime.now(datetime.UTC)
            late = [
                run
                for run in self._under_way(experiment_id)
                if (run_id is None or run.run_id == run_id)
                and (now - run.created_at).total_seconds() >= older_than
            ]
            for run in late:
                self._client.terminate_run(run.run_id)
        return [_status(run) for run in late]

    def status(
        self, experiment: str, limit: int = 10
    ) -> tuple[list[dict[str, Any]], list[RunStatus]]:
        """The recurring runs of an experiment, and its latest runs.

        Returns:
          (name, state and schedule of each recurring run; runs, newest first).
        """
        with clear_errors(self._host, f"experiment {experiment}"):
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
        return recurring, [_status(run) for run in found.runs or []]

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

    def _delete_idle(self, experiment_id: str, recurring: list[Any]) -> bool:
        """Deletes those of which no run is under way; tells whether these were all."""
        busy = {run.recurring_run_id for run in self._under_way(experiment_id)}
        for one in recurring:
            if one.recurring_run_id not in busy:
                self._client.delete_recurring_run(one.recurring_run_id)
        return not any(one.recurring_run_id in busy for one in recurring)

    def _under_way(self, experiment_id: str) -> list[Any]:
        runs: list[Any] = []
        token = ""
        while True:
            page = self._client.list_runs(
                experiment_id=experiment_id, page_size=_PAGE, page_token=token
            )
            runs += [run for run in page.runs or [] if run.state in _UNDER_WAY]
            token = page.next_page_token
            if not token:
                return runs

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


def _status(run: kfp_server_api.V2beta1Run) -> RunStatus:
    return RunStatus(
        id=run.run_id,
        name=run.display_name,
        state=run.state or "",
        created=str(run.created_at),
        error=run.error.message if run.error else "",
    )


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
