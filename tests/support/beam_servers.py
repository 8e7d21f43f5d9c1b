"""Beam's portable job service and worker pool, as processes on loopback.

It is the road that Flink and Spark take too: the pipeline goes to a job service over gRPC,
and workers that are processes of their own do the work.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ports import free_port


@contextlib.contextmanager
def portable_runner(folder: Path, environment: dict[str, str]) -> Iterator[list[str]]:
    """Starts both servers, away from the project's folder.

    Args:
      folder: their working directory and logs.
      environment: of the servers, and so of the workers.

    Yields:
      The options of a PortableRunner that uses them.
    """
    jobs, pool = free_port(), free_port()
    commands = {
        "job_service": [
            "apache_beam.runners.portability.local_job_service_main",
            f"--port={jobs}",
        ],
        "worker_pool": [
            "apache_beam.runners.worker.worker_pool_main",
            f"--service_port={pool}",
        ],
    }
    processes = []
    try:
        for name, command in commands.items():
            with open(folder / f"{name}.log", "w") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", *command],
                    cwd=folder,
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            processes.append(process)
        for port in (jobs, pool):
            _wait_for(port, processes)
        yield [
            f"--job_endpoint=127.0.0.1:{jobs}",
            "--environment_type=EXTERNAL",
            f"--environment_config=127.0.0.1:{pool}",
        ]
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the pool's workers too
            process.wait()


def _wait_for(port: int, processes: list[subprocess.Popen]) -> None:
    for _ in range(6000):  # ten minutes: a busy machine is no fault
        assert all(process.poll() is None for process in processes), "a Beam server has ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")
