"""A page of static files that segments pictures in the browser, with ONNX Runtime's WebAssembly."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from importlib import resources
from pathlib import Path

from components.common import palette
from components.common.errors import UserError
from components.common.export_files import ONNX_ENDING, PUSHED_FOLDER
from components.common.exported_model import ExportedModel
from components.common.served_model import find_model

# The runtime, and the SHA-512 of what npm's registry has under that version.
_RUNTIME = "onnxruntime-web"
_VERSION = "1.30.0"
_SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
_RUNTIME_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
_PAGE_FILES = ("index.html", "app.js", "pixels.js", "style.css")


def write_page(model: str, out: str, title: str, package: str | None = None) -> str:
    """Writes the page; any web server for files can serve it.

    Args:
      model: an ONNX export, or a model, a folder of versions or a pipeline's folder with one.
      out: folder of the page; made where it is missing.
      title: of the page.
      package: the runtime's npm package as a .tgz file; default: npm gets it from the registry
        that it is configured for.

    Returns:
      Path of `index.html`.

    Raises:
      UserError: there is no ONNX export, it sees windows, the runtime can't be had or is another
        than was asked for, or the page can't be written.
    """
    path = find_onnx(model)
    export = ExportedModel(path)
    if export.fit.fit == "tiles":
        raise UserError(
            f"{path} sees windows of a picture (`transform.fit: tiles`), which the page does not "
            "cut: take a model that sees pictures whole"
        )
    colors = palette.class_colors(len(export.classes))[: len(export.classes)].tolist()
    card = {**export.card, "title": title, "file": os.path.basename(path), "colors": colors}
    try:
        os.makedirs(out, exist_ok=True)
        _add_runtime(out, package)
        files = resources.files("components.predictor") / "page"
        for name in _PAGE_FILES:
            Path(out, name).write_bytes((files / name).read_bytes())
        shutil.copyfile(path, os.path.join(out, os.path.basename(path)))
        Path(out, "card.json").write_text(json.dumps(card, indent=2), encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out: the page can't be written to {out}: {error}") from error
    return os.path.join(out, "index.html")


def find_onnx(model: str) -> str:
    """The ONNX export that is meant: the file itself, or the first of a pushed version.

    Raises:
      UserError: there is none.
    """
    if model.endswith(ONNX_ENDING):
        return model
    version = find_model(model)
    folder = os.path.join(version, PUSHED_FOLDER)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = [name for name in names if name.endswith(ONNX_ENDING)]
    if not found:
        raise UserError(
            f"{version} has no ONNX export: add `{{format: onnx}}` to pusher.exports and run again"
        )
    return os.path.join(folder, found[0])


def _add_runtime(out: str, package: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="segline-page-") as folder:
        path = package or _pack(folder)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha512").hexdigest()
        if digest != _SHA512:
            raise UserError(f"{path} is not {_RUNTIME} {_VERSION}: its SHA-512 is another")
        with tarfile.open(path) as archive:
            for name in _RUNTIME_FILES:
                content = archive.extractfile(f"package/dist/{name}")
                assert content is not None  # the digest says that it is there
                Path(out, name).write_bytes(content.read())


def _pack(folder: str) -> str:
    """Gets the package; npm knows the registry, its certificates and logins."""
    command = ["npm", "pack", "--silent", f"{_RUNTIME}@{_VERSION}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise UserError(
            f"{_RUNTIME} comes by npm, which is not here: install Node.js, or give the package "
            f"with --runtime ({_RUNTIME}-{_VERSION}.tgz, as `npm pack` makes it)"
        ) from error
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        told = lines[0] if lines else f"code {error.returncode}"
        raise UserError(f"npm can't get {_RUNTIME}@{_VERSION}: {told}") from error
    return os.path.join(folder, done.stdout.split()[-1])
