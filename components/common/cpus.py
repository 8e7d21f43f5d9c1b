"""How many processors this process may use: in a container, not those of the machine."""

from __future__ import annotations

import math
import multiprocessing
import os
from pathlib import Path

VARIABLE = "SEGLINE_CPUS"
_CGROUP = Path("/sys/fs/cgroup")


def usable_cpus() -> int:
    """Processors that this process may use.

    `SEGLINE_CPUS` where it is set; else the container's limit (cgroup) or the processors that
    the scheduler leaves to it, whichever is less. At least 1.
    """
    if told := os.environ.get(VARIABLE):
        return max(1, math.ceil(float(told)))
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = (allowed, cgroup_cpus(_CGROUP))
    return min((limit for limit in limits if limit), default=1)


def let_beam_count_them() -> None:
    """Makes Beam's direct runner take as many workers, in this process.

    It asks `multiprocessing.cpu_count()`, which knows the machine only
    (apache/beam@v2.59.0 sdks/python/apache_beam/runners/portability/fn_api_runner/
    fn_runner.py:166). In its options the number would be a part of TFX's cache key: another
    machine would do everything again.
    """
    multiprocessing.cpu_count = usable_cpus


def cgroup_cpus(folder: Path) -> int | None:
    """The limit of a control group, rounded up; None: it has none.

    Args:
      folder: where the control groups are mounted, in a container its own (version 2's
        `cpu.max`, or version 1's quota and period).
    """
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in ("max", "-1"):
        return None
    return max(1, math.ceil(int(quota) / int(period)))
