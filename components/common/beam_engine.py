"""Beam pipelines on any engine: it must answer before the work, and be heard when it fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions
from tfx.dsl.components.base import base_beam_executor

from components.common.errors import UserError

_CONNECTION_SECONDS = 60
_JARS = {"FlinkRunner": "--flink_job_server_jar", "SparkRunner": "--spark_job_server_jar"}


class EnginePipeline(beam.Pipeline):
    """A Beam pipeline, to be used with `with`, that is checked and whose failures are told.

    Args:
      args: Beam's options.

    Raises:
      UserError: the engine can't be reached, or lacks what it needs; at the end of `with`,
        that it went away, or needed more than the time limit.
    """

    def __init__(self, args: Sequence[str]) -> None:
        check_engine(args)
        options = PipelineOptions(list(args))
        super().__init__(options=options)
        portable = options.view_as(PortableOptions)
        self._endpoint = portable.job_endpoint
        self._limit = portable.job_server_timeout

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Runs it and waits for the end."""
        try:
            super().__exit__(kind, error, traceback)
        except grpc.RpcError as failure:
            if not self._endpoint:
                raise
            raise UserError(self._explain(failure)) from failure

    def _explain(self, failure: grpc.RpcError) -> str:
        code = failure.code() if isinstance(failure, grpc.Call) else None
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return (
                f"the job service at {self._endpoint} did not end the work in {self._limit} s: "
                "a worker was lost (Beam's own job service does not notice; the worker pool's "
                "log says why), or more time is needed (run.beam.args: "
                "--job_server_timeout=SECONDS)"
            )
        text = failure.details() if isinstance(failure, grpc.Call) else str(failure)
        return f"the job service at {self._endpoint} does not answer any more: {text}"


class EngineExecutor(base_beam_executor.BaseBeamExecutor):
    """Mixin for the executors of Beam steps, before TFX's own: they use an `EnginePipeline`."""

    def _make_beam_pipeline(self) -> beam.Pipeline:
        if self._make_beam_pipeline_fn is not None:
            return super()._make_beam_pipeline()
        return EnginePipeline(self._beam_pipeline_args)


def check_engine(args: Sequence[str]) -> None:
    """Makes sure that a remote engine can be had, before anything is sent to it.

    Args:
      args: Beam's options.

    Raises:
      UserError: the job service does not answer, or there is no job server or Java to
        start one.
    """
    options = PipelineOptions(list(args))
    runner = options.view_as(StandardOptions).runner
    endpoint = options.view_as(PortableOptions).job_endpoint
    if endpoint:
        _check_answers(endpoint)
    elif runner in _JARS:
        _check_jar(_JARS[runner], options.get_all_options())


def _check_answers(endpoint: str) -> None:
    with grpc.insecure_channel(endpoint) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=_CONNECTION_SECONDS)
        except grpc.FutureTimeoutError as error:
            raise UserError(
                f"run.beam: no job service answers at {endpoint} (--job_endpoint)"
            ) from error


def _check_jar(option: str, options: dict[str, Any]) -> None:
    jar = options.get(option.removeprefix("--"))
    if not jar or not ("://" in jar or os.path.isfile(jar)):
        raise UserError(f"run.beam: {option}: there is no file {jar}")
    java = os.path.join(os.environ.get("JAVA_HOME", ""), "bin", "java")
    if not (os.path.isfile(java) or shutil.which("java")):
        raise UserError(f"run.beam: {option}: Java, which the job server needs, is not installed")
