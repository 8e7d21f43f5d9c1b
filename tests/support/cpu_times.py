"""What the tests of each file take of the processors.

Time on the wall says little where others use the machine too.
"""

from __future__ import annotations

import collections
import resource
from collections.abc import Iterator

import forked
import pytest


def used() -> float:
    """CPU seconds, user and system, of this process and of those that it has waited for."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages) + forked.cpu_seconds()


class CpuTimes:
    """`--cpu-times`. Collection, and the fork server's own start, are not in its sums."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = collections.defaultdict(float)
        self._before: float | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        """Notes what set-up, test and tear-down have used."""
        report = yield
        now = used()
        report.cpu_seconds = now - self._before
        self._before = now
        return report

    def pytest_runtest_logstart(self) -> None:
        """The clock of a test."""
        self._before = used()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """With xdist it is the controlling process that has the reports of all."""
        self._sums[report.nodeid] += getattr(report, "cpu_seconds", 0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Files, and the tests that take most."""
        files: dict[str, float] = collections.defaultdict(float)
        for test, seconds in self._sums.items():
            files[test.split("::")[0]] += seconds
        terminalreporter.section("CPU seconds")
        for sums, least in ((files, 0.0), (self._sums, 5.0)):
            for name, seconds in sorted(sums.items(), key=lambda item: -item[1]):
                if seconds >= least:
                    terminalreporter.line(f"{seconds:8.1f}  {name}")
            terminalreporter.line(f"{sum(sums.values()):8.1f}  together")


class SlowIsMarked:
    """`--slow-from SECONDS`: what is not marked as slow must be quick.

    `make test-quick` leaves out what is marked, and stays quick by this. The limit is several
    times what the longest takes alone: beside other work, CPU time grows too (caches, threads of
    one core).
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Without set-up, which is often that of a whole file."""
        before = used()
        yield
        seconds = used() - before
        if seconds > self._limit and not item.get_closest_marker("slow"):
            pytest.fail(f"took {seconds:.0f} s of CPU time: give it the marker `slow`", False)
