"""`segline data`."""

from __future__ import annotations

import argparse
import os

from pipeline.commands.common import positive, quiet_console, write


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the commands."""
    command = commands.add_parser("data", help="look at a config's dataset")
    verbs = command.add_subparsers(required=True, metavar="command")
    look = verbs.add_parser(
        "look",
        help="a page of pictures with their masks, and of what looks doubtful",
        description="Reads the whole dataset as a run does, and writes a page: what segline init "
        "decided, splits, sizes, class shares, pictures with their masks over them, and the pairs "
        "that look doubtful, each with its reason.",
    )
    look.add_argument("config", metavar="CONFIG", help="name or path of the pipeline's config")
    look.add_argument(
        "--out", metavar="FILE", help="the page; default: data.html in the pipeline's folder"
    )
    look.add_argument(
        "--pictures",
        type=positive,
        default=24,
        metavar="N",
        help="pictures shown of each split; default: %(default)s",
    )
    look.set_defaults(function=_look)


def _look(options: argparse.Namespace) -> None:
    console = quiet_console()
    import tensorflow_datasets as tfds

    from components.reporter.data_look import look
    from pipeline.config.loading import load_config

    tfds.disable_progress_bar()
    config = load_config(options.config)
    path = options.out or os.path.join(config.folder, "data.html")
    page = look(
        config.name,
        config.decisions,
        config.dataset,
        config.classes,
        options.pictures,
        config.transform.image_size,
        config.transform.fit,
    )
    if os.path.dirname(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    console.print(write(path, page), soft_wrap=True, markup=False)
