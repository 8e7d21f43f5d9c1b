"""What made it: fingerprints of source code and files, the commit, the stack's versions.

TFX caches a step by its inputs and parameters; it does not see that the code
behind an importable `run_fn` has changed. Each of our steps therefore carries
the fingerprint of its own package as a parameter.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_SHARED = ("common/schema.py", "common/pictures.py", "common/model_card.py")

COMMIT_VARIABLE = "SEGLINE_GIT_COMMIT"
_STACK = (
    *("segline", "tfx", "tensorflow", "keras", "keras-hub", "tensorflow-transform"),
    *("tensorflow-datasets", "tensorflow-data-validation", "tensorflow-model-analysis"),
    *("apache-beam", "ml-metadata", "numpy"),
)


def version() -> str:
    """segline's own version. pyproject.toml is the one place that says it."""
    return importlib.metadata.version("segline")


def stack() -> str:
    """What it stands on, for people: `TFX 1.21.0, Python 3.13.5`."""
    return f"TFX {importlib.metadata.version('tfx')}, Python {platform.python_version()}"


def source_fingerprint(*packages: str) -> str:
    """SHA-256 (first 16 hex digits) over the source of component packages.

    Args:
      *packages: names of packages below `components`, such as `"trainer"`. The
        modules that all components share count too.

    Returns:
      The digest of the files' relative paths and contents.
    """
    files = [_ROOT / name for name in _SHARED]
    for package in packages:
        files += (_ROOT / package).rglob("*.py")
    return _digest(_ROOT, files)


def file_fingerprint(path: str) -> str:
    """SHA-256 (first 16 hex digits) of a file, or of all in a folder; empty: there is none."""
    place = Path(path).expanduser()
    if place.is_dir():
        return _digest(place, (file for file in place.rglob("*") if file.is_file()))
    return hashlib.sha256(place.read_bytes()).hexdigest()[:16] if place.is_file() else ""


def code_version() -> tuple[str, bool | None]:
    """The git commit of segline's source, and whether it was changed since.

    Where segline is installed without its repository, as in a container image, the
    commit is what the environment variable SEGLINE_GIT_COMMIT says.

    Returns:
      (commit, dirty); the commit is empty and dirty None where they are not known.
    """
    code = [str(path) for path in (_ROOT, _ROOT.parent / "pipeline")]
    try:
        # An environment may lie in somebody else's repository, untracked.
        _git("ls-files", "--error-unmatch", str(_ROOT / "common" / "provenance.py"))
        commit = _git("rev-parse", "HEAD")
        return commit, bool(_git("status", "--porcelain", "--", *code))
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get(COMMIT_VARIABLE, ""), None


def stack_versions() -> dict[str, str]:
    """Package -> version of Python and of the libraries that decide about the result."""
    versions = {"python": platform.python_version()}
    for package in _STACK:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _digest(folder: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
