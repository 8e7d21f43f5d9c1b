"""`segline init`."""

from __future__ import annotations

import argparse

from pipeline.commands.common import quiet_console


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    command = commands.add_parser(
        "init",
        help="look at a folder of pictures and masks, and write a config for it",
        description="Finds the pictures and their masks (files, or COCO annotations), matches "
        "them, counts mask values, and writes a config that is ready to run.",
    )
    command.add_argument(
        "folder", metavar="FOLDER", help="with a folder of pictures in it, and one of masks"
    )
    command.add_argument("--images", metavar="DIR", help="the folder of pictures; default: found")
    command.add_argument("--masks", metavar="DIR", help="the folder of masks; default: found")
    command.add_argument(
        "--annotations",
        metavar="FILE",
        nargs="+",
        help="COCO annotation files, instead of masks; default: found",
    )
    command.add_argument(
        "--out", metavar="FILE", help="default: the folder's name with .yaml, here"
    )
    command.add_argument("--force", action="store_true", help="overwrite the config")
    command.set_defaults(function=_init)


def _init(options: argparse.Namespace) -> None:
    console = quiet_console()
    from pipeline.commands.new_config import init

    init(
        console,
        options.folder,
        options.images,
        options.masks,
        options.annotations,
        options.out,
        options.force,
    )
