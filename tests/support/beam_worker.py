"""A worker of Beam's worker pool: what its `--container_executable` starts.

    python beam_worker.py SOCKET --id=… --control_endpoint=… …

asks the fork server at the socket (tests/support/forked.py) for a process that is the worker,
and stays as long as that does: half of what a worker takes is importing TensorFlow and TFX.
"""

from __future__ import annotations

import os
import signal
import sys


def ask(address: str, args: list[str]) -> None:
    """Has the worker started, and puts down the CPU seconds that it took."""
    import forked

    command = [sys.executable, __file__, *args]
    worker = forked.Server(address).start(command, os.getcwd(), dict(os.environ), output=2)
    signal.signal(signal.SIGTERM, lambda *_: worker.kill())  # the pool's way to stop it
    worker.wait()
    with open("cpu_seconds", "a") as file:
        file.write(f"{worker.cpu_seconds or 0}\n")


def work(args: list[str]) -> None:
    """What the pool has done without that option (worker_pool_main.py:112-125, Beam 2.59)."""
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    options = dict(arg.removeprefix("--").split("=", 1) for arg in args)
    SdkHarness(
        options["control_endpoint"],
        worker_id=options["id"],
        state_cache_size=0,
        data_buffer_time_limit_ms=-1,
    ).run()


if __name__ == "__main__":
    if sys.argv[1].startswith("--"):
        work(sys.argv[1:])
    else:
        ask(sys.argv[1], sys.argv[2:])
