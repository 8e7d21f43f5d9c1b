"""What made it: fingerprints of the source code that a step runs, and of files.

TFX caches a step by its inputs and parameters; it does not see that the code
behind an importable `run_fn` has changed. Each of our steps therefore carries
the fingerprint of its own package as a parameter.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_ROOT = Path(__file__).resolve().parent
_SHARED = ("schema.py", "pictures.py", "model_card.py")


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
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(_ROOT).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def file_fingerprint(path: str) -> str:
    """SHA-256 (first 16 hex digits) of a file's content; empty where there is no such file."""
    file = Path(path).expanduser()
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else ""
