"""What the serving check found, as it is kept with the InfraBlessing."""

from __future__ import annotations

import dataclasses
import json
import os

from tfx.dsl.io import fileio
from tfx.utils import io_utils

_RESULT_FILE = "serving_check.json"
# The files that TFX's own InfraValidator leaves.
_BLESSED_FILE, _NOT_BLESSED_FILE = "INFRA_BLESSED", "INFRA_NOT_BLESSED"


@dataclasses.dataclass(frozen=True)
class ServingCheck:
    """What came out of the check.

    Attributes:
      faults: (request, what was wrong); the request is empty where the model did not
        get so far.
      requests: names of the requests that were sent.
      load_seconds: how long the model took to load; None if it did not.
      slowest_seconds: the slowest request; None if there was none.
      peak_memory_mb: most resident memory; None if it is not known.
      tensorflow: version of TensorFlow that it was loaded with.
    """

    faults: tuple[tuple[str, str], ...]
    requests: tuple[str, ...] = ()
    load_seconds: float | None = None
    slowest_seconds: float | None = None
    peak_memory_mb: float | None = None
    tensorflow: str = ""

    @property
    def passed(self) -> bool:
        """Whether the model may be pushed."""
        return not self.faults

    def lines(self) -> list[tuple[bool, str]]:
        """(passed, text): each fault, or what was tried."""
        if self.faults:
            return [(False, "serving: " + ": ".join(filter(None, fault))) for fault in self.faults]
        return [
            (
                True,
                f"served by TensorFlow {self.tensorflow} alone: {len(self.requests)} kinds of "
                f"requests, loaded in {self.load_seconds:.1f} s, {self.peak_memory_mb:.0f} MB",
            )
        ]


def write_check(result: ServingCheck, folder: str) -> None:
    """Writes the result, and the file by which TFX's InfraValidator tells its own."""
    io_utils.write_string_file(
        os.path.join(folder, _RESULT_FILE), json.dumps(dataclasses.asdict(result), indent=2)
    )
    name = _BLESSED_FILE if result.passed else _NOT_BLESSED_FILE
    io_utils.write_string_file(os.path.join(folder, name), "")


def read_check(folder: str) -> ServingCheck | None:
    """Reads it back; None where TFX's own InfraValidator was there in our place."""
    path = os.path.join(folder, _RESULT_FILE)
    if not fileio.exists(path):
        return None
    with fileio.open(path) as file:
        values = json.load(file)
    values["faults"] = tuple(tuple(fault) for fault in values["faults"])
    values["requests"] = tuple(values["requests"])
    return ServingCheck(**values)
