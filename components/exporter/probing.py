"""Whether exports run at all, and how fast: found out in processes of their own."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_SCRIPT = Path(__file__).with_name("device_probe.py")
_REQUESTS = 20
_MOST_SECONDS = 900  # of a process: TensorFlow's start, and the requests of all


@dataclasses.dataclass
class Probed:
    """What was found.

    Attributes:
      latency_ms: by path, the median; what failed has none.
      failures: by path, why it can't be run.
    """

    latency_ms: dict[str, float] = dataclasses.field(default_factory=dict)
    failures: dict[str, str] = dataclasses.field(default_factory=dict)


def probe(model_dir: str, picture: bytes, image: np.ndarray, exports: Sequence[str]) -> Probed:
    """Runs exports and their SavedModel for a while, on one thread.

    A file that ends the process that runs it costs the others nothing.

    Args:
      model_dir: the SavedModel.
      picture: JPEG, PNG or GIF, for the SavedModel.
      image: float32 [1, height, width, 3] from 0 to 255, for the exports.
      exports: their paths.
    """
    found = Probed()
    with tempfile.TemporaryDirectory(prefix="segline-probe-") as folder:
        Path(folder, "picture").write_bytes(picture)
        np.save(Path(folder, "input.npy"), image)
        left = [*exports, model_dir]
        while left:
            plan = {
                "exports": [one for one in left if one != model_dir],
                "model": model_dir,
                "input": str(Path(folder, "input.npy")),
                "picture": str(Path(folder, "picture")),
                "requests": _REQUESTS,
            }
            _run(plan, folder, found)
            left = [one for one in left if one not in (*found.latency_ms, *found.failures)]
            if model_dir not in left:
                break
    return found


def _run(plan: dict, folder: str, found: Probed) -> None:
    """One process; what it began last and did not end is what it died of."""
    path = Path(folder, "plan.json")
    path.write_text(json.dumps(plan), encoding="utf-8")
    reason = ""
    try:
        done = subprocess.run(
            [sys.executable, str(_SCRIPT), str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_MOST_SECONDS,
            check=False,
        )
        output = done.stdout
        reason = f"the process that ran it died (code {done.returncode})"
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        reason = f"it was not done after {_MOST_SECONDS} s"
    name = plan["exports"][0] if plan["exports"] else plan["model"]
    ended = False
    for line in output.decode(errors="replace").splitlines():
        if not line.startswith("{"):  # what libraries have to say
            continue
        told = json.loads(line)
        ended = "begin" not in told
        name = told.get("begin", name)
        if "ms" in told:
            found.latency_ms[name] = told["ms"]
        elif "error" in told:
            found.failures[name] = f"it can't be run: {told['error']}"
    if not ended:
        found.failures[name] = f"it can't be run: {reason}"
