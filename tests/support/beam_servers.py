"""Beam's portable job service and two worker pools, as processes on loopback.

It is the road that Flink and Spark take too: the pipeline goes to a job service over gRPC,
and workers that are processes of their own do the work, on several machines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forked
import grpc
import psutil
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from ports import free_port

JOB_SERVICE = str(Path(__file__).with_name("beam_job_service.py"))
WORKER = str(Path(__file__).with_name("beam_worker.py"))
WORKER_POOL = ("-m", "apache_beam.runners.worker.worker_pool_main")


@dataclasses.dataclass
class Engine:
    """A job service and its two worker pools.

    Attributes:
      args: the options of a runner that uses them.
      folder: of the logs.
      pools: the pools' processes.
    """

    args: list[str]
    folder: Path
    pools: list[subprocess.Popen]

    def workers(self) -> list[int]:
        """Process numbers of the pools' workers that run."""
        found = [child for pool in self.pools for child in psutil.Process(pool.pid).children()]
        return [child.pid for child in found if child.status() != psutil.STATUS_ZOMBIE]

    def log(self, name: str) -> str:
        """Of `job_service`, `pool_0` or `pool_1`."""
        return (self.folder / f"{name}.log").read_text()


class _Pools(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """One address for several pools, which take turns: what a Kubernetes Service does."""

    def __init__(self, ports: list[int]) -> None:
        channels = [grpc.insecure_channel(f"127.0.0.1:{port}") for port in ports]
        self._turns = itertools.cycle(
            [beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel) for channel in channels]
        )
        self._stubs = {}

    def StartWorker(self, request, context):
        stub = self._stubs[request.worker_id] = next(self._turns)
        return stub.StartWorker(request)

    def StopWorker(self, request, context):
        return self._stubs[request.worker_id].StopWorker(request)


@contextlib.contextmanager
def portable_engine(
    folder: Path,
    environment: dict[str, str],
    server: forked.Server | None = None,
    job_service: bool = True,
    workers: int = 2,
) -> Iterator[Engine]:
    """Starts the servers, away from the project's folder.

    Args:
      folder: their working directory and logs.
      environment: of the servers, and so of the workers.
      server: what the workers are forks of; default: they import all anew.
      job_service: whether it is Beam's own; Flink has another.
      workers: of a job, with Beam's own.
    """
    jobs, *pools = (free_port() for _ in range(3))
    pool = [*WORKER_POOL]
    if server:
        pool.append(f"--container_executable={_worker(folder, server)}")
    commands = {
        f"pool_{index}": [*pool, f"--service_port={port}"] for index, port in enumerate(pools)
    }
    if job_service:
        commands["job_service"] = [JOB_SERVICE, f"--port={jobs}"]
    processes = []
    front = grpc.server(ThreadPoolExecutor(4))
    try:
        for name, command in commands.items():
            with open(folder / f"{name}.log", "w") as log:
                process = subprocess.Popen(
                    [sys.executable, *command],
                    cwd=folder,
                    env={**environment, "WORKERS": str(workers)},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            processes.append(process)
        for port in (*pools, *([jobs] if job_service else [])):
            _wait_for(port, processes)
        beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(_Pools(pools), front)
        port = front.add_insecure_port("127.0.0.1:0")
        front.start()
        args = ["--environment_type=EXTERNAL", f"--environment_config=127.0.0.1:{port}"]
        if job_service:
            args.append(f"--job_endpoint=127.0.0.1:{jobs}")
        yield Engine(args, folder, processes[:2])
    finally:
        front.stop(None)
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the pool's workers too
            process.wait()
        if (used := folder / "cpu_seconds").exists():
            forked.add_cpu_seconds(sum(map(float, used.read_text().split())))


def _worker(folder: Path, server: forked.Server) -> Path:
    """An executable that starts a worker."""
    path = folder / "worker.sh"
    command = shlex.join([sys.executable, "-SE", WORKER, server.address])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o755)
    return path


def _wait_for(port: int, processes: list[subprocess.Popen]) -> None:
    for _ in range(6000):  # ten minutes: a busy machine is no fault
        assert all(process.poll() is None for process in processes), "a Beam server has ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")
