"""`segline init`."""

from __future__ import annotations

import argparse

from components.common.errors import UserError
from pipeline.commands.common import positive, quiet_console


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    command = commands.add_parser(
        "init",
        help="look at a folder of pictures and masks, and write a config for it",
        description="Finds the pictures and their masks (files, or the annotations of a tool), "
        "matches them, finds out what the values mean, and writes a config that is ready to run. "
        "What it can't tell it asks for, by one of these options.",
    )
    command.add_argument("folder", metavar="FOLDER", help="with pictures and masks in it")
    command.add_argument("--images", metavar="DIR", help="the folder of pictures; default: found")
    command.add_argument("--masks", metavar="DIR", help="the folder of masks; default: found")
    command.add_argument(
        "--annotations",
        metavar="FILE",
        nargs="+",
        help="annotations, instead of masks: COCO files, a CSV file of run lengths, or a folder "
        "of labelme's or Ultralytics' files; default: found",
    )
    command.add_argument(
        "--leave-out",
        action="store_true",
        help="leave out pictures that can't be used, or have other bands than most, however many "
        "they are",
    )
    command.add_argument(
        "--split",
        choices=("hash",),
        help="split by the pictures' names, whatever folders and lists there are",
    )
    command.add_argument(
        "--out", metavar="FILE", help="default: the folder's name with .yaml, here"
    )
    command.add_argument("--force", action="store_true", help="overwrite the config")
    masks = command.add_argument_group("what the masks mean, where they don't tell")
    masks.add_argument(
        "--recode",
        metavar="VALUE=MEANT",
        nargs="+",
        type=_recoded,
        help="a value in the files, and the one that is meant: --recode 0.5=1 1=2",
    )
    masks.add_argument(
        "--ignore", metavar="VALUE", nargs="*", type=int, help="values that count nowhere"
    )
    masks.add_argument(
        "--colors",
        metavar="COLOR",
        nargs="+",
        type=_color,
        help="colours (red,green,blue) or grey levels of masks with smooth or lossy edges; each "
        "pixel gets the nearest: --colors 0 255",
    )
    numbers = masks.add_mutually_exclusive_group()
    numbers.add_argument(
        "--instances",
        action="store_true",
        help="the values are numbers of things: make one class of them",
    )
    numbers.add_argument(
        "--classes", action="store_true", help="the values are classes, not things"
    )
    masks.add_argument(
        "--boxes",
        choices=("leave_out", "draw", "ignore"),
        help="annotations that have a box but no shape: leave their pictures out, draw the whole "
        "box, or ignore them",
    )
    pictures = command.add_argument_group("what the pictures are, where they don't tell")
    pictures.add_argument(
        "--orientation",
        choices=("upright", "as_stored", "like_the_mask"),
        help="how pictures lie that their EXIF data says to turn",
    )
    pictures.add_argument(
        "--value-range",
        nargs=2,
        type=float,
        metavar=("BLACK", "WHITE"),
        help="the values that are black and white in pictures of more than 8 bits, or of floats",
    )
    pictures.add_argument(
        "--bands",
        nargs="+",
        type=positive,
        metavar="N",
        help="which of a picture's bands are red, green and blue, or which one is the grey",
    )
    pictures.add_argument(
        "--all-bands",
        action="store_true",
        help="show the model all bands at their own depth, as where there are other than one or "
        "three: 16 bits of a microscope, say",
    )
    command.set_defaults(function=_init)


def _recoded(text: str) -> tuple[float, int]:
    value, equals, meant = text.partition("=")
    if not equals:
        raise ValueError(text)
    return float(value), int(meant)


def _color(text: str) -> tuple[int, int, int]:
    parts = [int(part) for part in text.split(",")]
    parts = parts * 3 if len(parts) == 1 else parts
    if len(parts) != 3 or not all(0 <= part <= 255 for part in parts):
        raise ValueError(text)
    return parts[0], parts[1], parts[2]


_recoded.__name__ = "VALUE=MEANT"  # as argparse's message calls it
_color.__name__ = "colour (red,green,blue)"


def _init(options: argparse.Namespace) -> None:
    console = quiet_console()
    import pydantic

    from components.common.picture_settings import PictureSettings
    from components.datasets.answers import Answers
    from pipeline.commands.new_config import Questions, init

    if options.all_bands and (options.bands or options.value_range):
        raise UserError("--all-bands does not go with --bands and --value-range")
    try:
        pictures = PictureSettings(
            **{
                key: value
                for key, value in (
                    ("orientation", options.orientation),
                    ("value_range", options.value_range),
                    ("bands", options.bands),
                )
                if value is not None
            }
        )
    except pydantic.ValidationError as error:
        raise UserError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
    answers = Answers(
        recode=dict(options.recode or ()),
        ignore=options.ignore,
        instances=True if options.instances else False if options.classes else None,
        colors=options.colors or (),
    )
    init(
        console,
        Questions(
            folder=options.folder,
            images=options.images,
            masks=options.masks,
            annotations=tuple(options.annotations or ()),
            split_by=options.split,
            leave_out=options.leave_out,
            boxes=options.boxes,
            answers=answers,
            pictures=pictures,
            all_bands=options.all_bands,
        ),
        options.out,
        options.force,
    )
