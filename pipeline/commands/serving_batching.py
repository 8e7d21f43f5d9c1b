"""`segline serving batching`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pipeline.commands.common import add_config, quiet_console

if TYPE_CHECKING:
    from components.common.served_model import ServedModel


def add(verbs: argparse._SubParsersAction) -> None:
    """Adds the command to those of `segline serving`."""
    command = verbs.add_parser(
        "batching", help="measure here what TensorFlow Serving should put into one batch"
    )
    command.add_argument(
        "--picture",
        action="append",
        metavar="FILE",
        help="as large as those that will come; may be given again (default: drawn, twice the "
        "size that the network sees)",
    )
    add_config(command)
    command.set_defaults(function=_batching)


def _batching(options: argparse.Namespace) -> None:
    """Measures the stable version, and writes what a server takes."""
    import os

    console = quiet_console()
    import tensorflow as tf

    from components.common.cpus import usable_cpus
    from components.common.served_model import ServedModel
    from components.pusher import batching, version_store, warmup
    from pipeline.config.loading import load_config

    config = load_config(options.config)
    model = ServedModel(config.serving_dir)
    pictures = _read(options.picture, model) or warmup.drawn_pictures(model.path)
    gpu = bool(tf.config.list_physical_devices("GPU"))
    with console.status("measuring"):
        sizes = batching.sizes_within(model.limits, pictures)
        measured = batching.measure(model.predict, pictures, usable_cpus(), gpu, sizes)
    for size, seconds in measured.seconds.items():
        console.print(f"batch of {size:2}: {1000 * seconds:8.2f} ms a picture")
    path = os.path.join(config.serving_dir, batching.FILE)
    text = batching.to_text(measured, os.path.basename(model.path))
    version_store.write(path, text)
    console.print(f"max_batch_size {measured.size}\n  {path}", soft_wrap=True)


def _read(paths: list[str] | None, model: ServedModel) -> list[bytes]:
    """Picture files as the model takes them.

    Raises:
      UserError: one is no picture, or none that the model takes.
    """
    from components.common.errors import UserError
    from components.predictor.picture_files import read_picture

    found = []
    for path in paths or ():
        try:
            content = read_picture(path, model.pictures, model.bands).encoded
        except OSError as error:
            raise UserError(f"--picture {path}: {error}") from error
        (answer,) = model.predict_each([content])
        if isinstance(answer, str):
            raise UserError(f"--picture {path}: {answer}")
        found.append(content)
    return found
