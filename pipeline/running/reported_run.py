"""What all runners share: one call runs the pipeline and tells the user how it goes."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import rich.console
from rich.markup import escape

from components.common import cpus, stack
from components.common.errors import UserError
from components.common.readable import duration_text
from pipeline.config.loading import PipelineConfig, find_config, load_config
from pipeline.running import one_config
from pipeline.running.imports import heavy_imports
from pipeline.running.run_lock import run_lock
from pipeline.running.terminal import print_error, quiet_terminal, user_message

if TYPE_CHECKING:
    from ml_metadata import MetadataStore
    from tfx.orchestration.portable.data_types import ExecutionInfo
    from tfx.proto.orchestration import pipeline_pb2

    from pipeline.metadata.history import Run


def main(runner: str) -> None:
    """Runs the configured pipeline and exits with status 1 where it fails.

    Args:
      runner: full name of one of TFX's IR-based runner classes. It is imported
        here, so that what the import prints goes to the log too.
    """
    console = rich.console.Console()
    try:
        config = load_config()
    except UserError as error:
        print_error(console, error, "The config can't be used.")
        sys.exit(1)
    started = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    log_path = os.path.join(config.folder, "logs", f"{started}.log")
    try:
        with quiet_terminal(log_path) as quiet:
            failed = not _succeeds(runner, config, quiet, log_path)
    except OSError as error:
        print_error(console, error, "The run's log can't be written.")
        failed = True
    if failed:
        sys.exit(1)


def _succeeds(
    runner: str, config: PipelineConfig, console: rich.console.Console, log_path: str
) -> bool:
    """Runs the pipeline and tells what went wrong, if anything did."""
    from pipeline.metadata.store import place
    from pipeline.running.notices import of_failure, refusal
    from pipeline.running.receivers import tell

    def tell_of_failure(error: BaseException, step: str = "", run_id: str = "") -> None:
        reason = user_message(error, place(config)) or repr(error)
        tell(config.run.notify, of_failure(config, run_id, step, reason))

    console.print(f"[bold]segline[/bold]  {config.name}  [dim]log {log_path}[/dim]")
    try:
        with run_lock(config.folder):
            one_config.claim(config.folder, find_config())
            run = run_pipeline(runner, config, console)
    except StepFailed as failure:
        console.print()
        print_error(console, failure.cause, f"{failure.step} failed.", place(config))
        console.print(
            "\n[dim]The steps before it need not run again, and what was pushed before is "
            f"still in place. Mend the cause and give the same command; log: {log_path}[/dim]",
            soft_wrap=True,
        )
        tell_of_failure(failure.cause, failure.step, failure.run_id)
    except Exception as error:
        print_error(console, error, "The pipeline could not run.", place(config))
        tell_of_failure(error)
    else:
        return not (run and config.run.refused_fails and refusal(run))
    return False


def run_pipeline(runner: str, config: PipelineConfig, console: rich.console.Console) -> Run | None:
    """Runs a config's pipeline with a runner, reporting each step.

    Returns:
      The run, all steps done; None where the `tfx` command only asks for the pipeline's name.

    Raises:
      StepFailed: a step has failed.
    """
    module, name = runner.rsplit(".", 1)
    cpus.let_beam_count_them()
    with heavy_imports():
        from pipeline.pipeline import create_pipeline

        runner_class = getattr(importlib.import_module(module), name)
    stack.forbid_prism()
    reporting = type(f"Reporting{name}", (ReportedRun, runner_class), {})
    reported = reporting(config, console)
    reported.run(create_pipeline(config))
    return reported.outcome


class StepFailed(Exception):
    """A step of the run has failed.

    Attributes:
      step: its name.
      run_id: of the run.
      cause: what it raised.
    """

    def __init__(self, step: str, run_id: str, cause: BaseException) -> None:
        super().__init__(step)
        self.step = step
        self.run_id = run_id
        self.cause = cause


class ReportedRun:
    """Mixin for TFX's IR-based runners: reports each step, and the outcome.

    It overrides `run_with_ir`, not `run`: the `tfx` command replaces `run` where
    it only wants to know the pipeline's name.

    Args:
      config: the pipeline's config.
      console: where the report goes.
    """

    def __new__(cls, config: PipelineConfig, console: rich.console.Console) -> ReportedRun:
        """BeamDagRunner makes another, older class of itself where it is given arguments."""
        del config, console
        return super().__new__(cls)

    def __init__(self, config: PipelineConfig, console: rich.console.Console) -> None:
        super().__init__()
        self._config = config
        self._console = console
        self.outcome: Run | None = None

    def run_with_ir(
        self,
        pipeline: pipeline_pb2.Pipeline,
        run_options: pipeline_pb2.RunOptions | None = None,
    ) -> None:
        """Runs all steps, then prints the summary.

        Raises:
          StepFailed: a step has failed.
        """
        import absl.logging
        from ml_metadata import MetadataStore

        from components.common.beam_engine import check_engine
        from components.trainer.encoders import check_weights
        from pipeline.metadata.store import check_not_lost, connection_config

        absl.logging.set_verbosity(absl.logging.INFO)  # TFX's own account, for the log
        absl.logging.get_absl_logger().addFilter(tells_no_secret)
        check_weights(self._config.trainer.encoder, self._config.transform.image_size)
        for args in self._config.run.beam.args_of_steps():
            check_engine(args)
        run_id = _assign_run_id(pipeline)
        os.makedirs(self._config.folder, exist_ok=True)
        check_not_lost(self._config)
        store = MetadataStore(connection_config(self._config))
        started = time.monotonic()
        with (
            recorded_run(store, run_id, self._config, type(self).__bases__[-1].__name__),
            reported_steps(self._console) as failures,
        ):
            try:
                super().run_with_ir(pipeline, run_options)  # type: ignore[misc]  # a mixin
            except Exception:
                if not failures:
                    raise
                step, cause = failures[0]  # Beam wraps what a step raises
                raise StepFailed(step, run_id, cause) from cause
            if failures:
                step, cause = failures[0]
                raise StepFailed(step, run_id, cause) from cause
        self.outcome = self._report_outcome(store, run_id, time.monotonic() - started)

    def _report_outcome(self, store: MetadataStore, run_id: str, seconds: float) -> Run:
        """Prints and tells the outcome; the report of this run becomes the pipeline's latest."""
        from components.reporter.executor import REPORT_FILE
        from pipeline.metadata.history import read_run
        from pipeline.running.notices import of_outcome
        from pipeline.running.receivers import tell
        from pipeline.running.summary import print_summary

        run = read_run(store, run_id)
        print_summary(self._console, self._config, run)
        made = os.path.join(run.made("Reporter", "report").uri, REPORT_FILE)
        report = os.path.join(self._config.folder, REPORT_FILE)
        # Written aside and renamed: a browser never sees half a page.
        shutil.copy(made, f"{report}.new")
        os.replace(f"{report}.new", report)
        self._console.print(f"report  {report}")
        self._console.print(f"run     {run_id}, {duration_text(seconds)}")
        notice = of_outcome(store, self._config, run)
        tell(self._config.run.notify, dataclasses.replace(notice, report=os.path.abspath(report)))
        return run


def tells_no_secret(record: logging.LogRecord) -> bool:
    """Keeps from the log what TFX would write there with the database's password."""
    return not str(record.msg).startswith(("Using connection config", "Using deployment config"))


def _assign_run_id(pipeline: pipeline_pb2.Pipeline) -> str:
    """Gives the run its id, as the runners do; they leave one that is there."""
    from tfx.dsl.compiler import constants
    from tfx.orchestration.portable import runtime_parameter_utils

    run_id = datetime.datetime.now().isoformat()
    runtime_parameter_utils.substitute_runtime_parameter(
        pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    )
    return run_id


@contextlib.contextmanager
def recorded_run(
    store: MetadataStore, run_id: str, config: PipelineConfig, runner: str
) -> Iterator[None]:
    """Records in ML Metadata what runs here, and how it ends.

    A process that is killed records no end: its run shows as interrupted all the same,
    since the process is gone.

    Args:
      store: the pipeline's ML Metadata.
      run_id: TFX's id of the run.
      config: the run's config.
      runner: name of the runner's class.
    """
    from components.common import run_record

    record = run_record.begin(store, run_id, config.model_dump(mode="json"), runner)
    try:
        yield
    except StepFailed as failure:
        reason = user_message(failure.cause) or repr(failure.cause)
        run_record.end(store, record, run_record.FAILED, f"{failure.step}: {reason}")
        raise
    except Exception as error:
        run_record.end(store, record, run_record.FAILED, repr(error))
        raise
    except BaseException:  # Ctrl-C
        run_record.end(store, record, run_record.INTERRUPTED)
        raise
    run_record.end(store, record, run_record.DONE)


@contextlib.contextmanager
def reported_steps(
    console: rich.console.Console,
) -> Iterator[list[tuple[str, BaseException]]]:
    """Prints a line when a step starts and when it ends, whichever runner launches it.

    TFX offers no hook for this; every IR-based runner goes through
    `Launcher.launch`, so that is wrapped while the pipeline runs.

    Args:
      console: where to.

    Yields:
      A list that gets (step, error) of each step that fails.
    """
    from ml_metadata.proto import metadata_store_pb2 as mlmd
    from tfx.orchestration.portable import launcher

    from components.common.lineage import state_of

    failures: list[tuple[str, BaseException]] = []
    original = launcher.Launcher.launch
    lock = threading.Lock()

    def state_after(self: launcher.Launcher, info: ExecutionInfo | None) -> str:
        if info is None or not info.execution_id:
            return "skipped"
        with self._mlmd_connection as handle:
            (execution,) = handle.store.get_executions_by_id([info.execution_id])
        if execution.last_known_state == mlmd.Execution.FAILED:
            # TFX does not raise where a step's inputs can't be resolved.
            raise RuntimeError("the step's inputs are not there; the log file says which")
        return state_of(execution)

    def launch(self: launcher.Launcher) -> ExecutionInfo | None:
        step = self._pipeline_node.node_info.id
        started = time.monotonic()
        console.print(f"  [cyan]▸[/cyan] {step}")
        try:
            info = original(self)
            state = state_after(self, info)
        except BaseException as error:
            with lock:
                failures.append((step, error))
            console.print(f"  [red]✗[/red] {step:<20} failed   {_since(started)}")
            raise
        color = "green" if state == "done" else "dim"
        console.print(f"  [{color}]✓ {step:<20} {state:<8}[/{color}] {escape(_since(started))}")
        return info

    launcher.Launcher.launch = launch
    try:
        yield failures
    finally:
        launcher.Launcher.launch = original


def _since(started: float) -> str:
    return duration_text(time.monotonic() - started)
