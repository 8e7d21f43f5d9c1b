"""`segline gc`."""

from __future__ import annotations

import argparse

from pipeline.commands.common import (
    add_config,
    config_and_store,
    positive,
    quiet_console,
)

_MOST_LISTED = 20


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    command = commands.add_parser(
        "gc",
        help="remove the files of old runs",
        description="Lists the files that nobody needs any more; removes them with --delete. The "
        "latest runs keep theirs, and so does all that led to a model that was blessed or is "
        "still in the serving folder. ML Metadata keeps its records.",
    )
    command.add_argument(
        "--keep",
        type=positive,
        default=5,
        metavar="N",
        help="runs that keep their files; default: %(default)s",
    )
    command.add_argument(
        "--keep-blessed",
        type=positive,
        metavar="N",
        help="keep only the models that were blessed last, and what led to them; default: all",
    )
    command.add_argument("--delete", action="store_true", help="remove them")
    command.add_argument(
        "--wait", action="store_true", help="for the end of what writes there, instead of failing"
    )
    add_config(command)
    command.set_defaults(function=_gc)


def _gc(options: argparse.Namespace) -> None:
    console = quiet_console()
    from components.common.readable import size_text
    from pipeline.metadata import garbage
    from pipeline.running.run_lock import run_lock

    config, store = config_and_store(options, write=options.delete)
    with run_lock(config.folder, options.wait):
        found = garbage.find_garbage(store, config, options.keep, options.keep_blessed)
        if options.delete:
            garbage.remove(store, found)
    total = size_text(sum(one.size for one in found))
    listed = [one for one in found if one.size][:_MOST_LISTED]
    for one in listed:
        what = one.artifacts[0].type if one.artifacts else "of what did not get to its end"
        console.print(f"{size_text(one.size):>9}  {one.path}  [dim]{what}[/dim]", soft_wrap=True)
    if len(found) > len(listed):
        console.print(f"{'':>9}  … and {len(found) - len(listed)} more")
    if not found:
        console.print("nothing to remove")
    elif options.delete:
        console.print(f"removed: {len(found)} folders, {total}")
    else:
        console.print(f"can go: {len(found)} folders, {total}; --delete removes them")
