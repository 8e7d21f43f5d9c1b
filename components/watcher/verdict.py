"""What a watch has found, in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from components.common import readable
from components.watcher.comparison import Finding
from components.watcher.request_log import Requests


@dataclasses.dataclass(frozen=True)
class Watched:
    """What a watch has found.

    Attributes:
      pipeline: its name.
      version: the one that is served.
      since: when it became the stable one, seconds since the epoch.
      requests: what was read.
      findings: of all features that could be judged.
      least: requests that a judgement takes.
      refused: pictures of the version's own data that it can't take.
    """

    pipeline: str
    version: str
    since: float
    requests: Requests
    findings: Sequence[Finding]
    least: int
    refused: int = 0

    @property
    def drifted(self) -> bool:
        """Whether retraining has a reason."""
        return any(one.drifted for one in self.findings)

    def headline(self) -> str:
        """In a few words."""
        if not self.requests.table.count:
            return f"No request of version {self.version} was found"
        if not self.findings:
            return f"Too few requests to judge: {self.least} are needed (watch.least_requests)"
        names = [one.name for one in self.findings if one.drifted]
        if names:
            return f"Retraining has a reason: {', '.join(names)}"
        names = [one.name for one in self.findings if one.moved]
        if names:
            return f"Moved, but no further than is allowed: {', '.join(names)}"
        return "Nothing has moved"

    def lines(self) -> list[str]:
        """What was read, and what was not."""
        served = readable.time_text(round(self.since * 1000))
        found = self.requests
        lines = [
            f"version {self.version}, served since {served}: {found.table.count:,} pictures of "
            "requests"
        ]
        lines += [f"left out: {count:,} {reason}" for reason, count in found.left_out.items()]
        if self.refused:
            lines.append(f"of its own data the version refuses {self.refused:,} pictures")
        if found.unreadable:
            first = "; ".join(found.problems)
            lines.append(f"could not be read: {found.unreadable:,}, such as {first}")
        return lines
