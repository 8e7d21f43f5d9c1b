"""What `segline init` does: looks at a folder, and writes a config for it."""

from __future__ import annotations

import dataclasses
import os
import re
import statistics
import unicodedata
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from components.common import readable
from components.common.errors import UserError
from components.common.picture_settings import PictureSettings
from components.datasets import vanishing
from components.datasets.answers import Answers
from components.datasets.survey import Survey, survey
from components.example_gen.config import BadExamplesConfig
from pipeline.commands.common import write
from pipeline.commands.config_text import IMAGE_SIDE, config_text, proposed_fit, share_text
from pipeline.config.loading import load_config

_MOST_NAMED = 5
_MOST_SHOWN = 3  # pairs
_MOST_CLASSES = 255
_ALLOWED = BadExamplesConfig().max_fraction


@dataclasses.dataclass(frozen=True)
class Questions:
    """What is asked of the data, and what the user says of it; as `survey` has them.

    `leave_out`: whether the pictures that can't be used are left out, however many they are.
    """

    folder: str
    images: str | None = None
    masks: str | None = None
    annotations: tuple[str, ...] = ()
    split_by: str | None = None
    boxes: str | None = None
    leave_out: bool = False
    all_bands: bool = False
    answers: Answers = dataclasses.field(default_factory=Answers)
    pictures: PictureSettings = dataclasses.field(default_factory=PictureSettings)


def init(console: Console, questions: Questions, out: str | None, force: bool) -> str:
    """Looks at pictures and masks, prints what is there, writes a config.

    Args:
      console: where to.
      questions: the folder, and what the user says of it.
      out: the config; default: `<folder's name>.yaml` in the working directory.
      force: whether a config that is there is overwritten.

    Returns:
      The config's path.

    Raises:
      UserError: nothing to make a config of, or it is there already.
    """
    folder = os.path.basename(os.path.abspath(questions.folder))
    name = re.sub(r"[^a-z0-9_-]+", "_", _plain(folder).lower()).strip("_-") or "my_pictures"
    path = out or f"{name}.yaml"
    if os.path.exists(path) and not force:
        raise UserError(f"{path} is there already: --force overwrites it, --out names another")
    if questions.masks and questions.annotations:
        raise UserError("--masks or --annotations: not both")
    found = survey(
        questions.folder,
        questions.images,
        questions.masks,
        questions.annotations,
        questions.answers,
        questions.pictures,
        questions.split_by,
        questions.boxes,
        questions.all_bands,
        questions.leave_out,
    )
    classes, comments = name_classes(found)
    print_survey(console, found, classes)
    for class_name, told in comments.items():
        told = told or "by an empty name"
        console.print(f"! class {class_name} is what the data calls {told}", markup=False)
    if found.unusable_share > _ALLOWED and not questions.leave_out:
        raise UserError(
            f"{len(found.unusable)} of {len(found.matched.pairs)} pictures can't be used, and a "
            f"run would stop there (dataset.bad_examples.max_fraction allows {_ALLOWED:.0%}): "
            f"{'; '.join(found.reasons())}. Mend them, or leave them out: --leave-out"
        )
    leave_out = f"{os.path.splitext(path)[0]}-leave-out.txt" if questions.leave_out else None
    if leave_out and found.unusable:
        write(leave_out, "".join(f"{name}\n" for name in found.unusable))
    else:
        leave_out = None
    _write(path, config_text(name, found, classes, comments, leave_out))
    if leave_out:
        console.print(
            f"\n{leave_out} names the pictures that are left out: take out the line of one that "
            "you have mended",
            soft_wrap=True,
            markup=False,
        )
    console.print(
        f"\n{path} is written: name the classes in it, then\n  make run CONFIG={path}",
        soft_wrap=True,
        markup=False,
    )
    return path


def _write(path: str, text: str) -> None:
    """Writes the config where it can be loaded, or not at all."""
    partial = f"{path}.partial"
    try:
        with open(partial, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"--out: {path} can't be written: {error.strerror}") from error
    try:
        load_config(partial, {})
        os.replace(partial, path)
    except BaseException:
        os.remove(partial)
        raise


def name_classes(found: Survey) -> tuple[dict[str, int], dict[str, str]]:
    """Names for the mask values that were found.

    Returns:
      Class name -> value, in the values' order; and class name -> what the data calls it,
      where that is another name.

    Raises:
      UserError: there is one value only, or there are too many.
    """
    values = [value for value in found.pixels if value not in found.ignored]
    if len(values) < 2:
        raise UserError(
            f"all masks have nothing but the value {values[0] if values else 'none'} "
            f"({found.config.masks or ', '.join(found.config.annotations)}): a segmentation needs "
            "two classes. Are the masks elsewhere? --masks names their folder"
        )
    if len(values) > _MOST_CLASSES:
        things = (
            "Numbers of things (instances)? Then --instances makes one class of them. Else merge"
            if found.config.masks
            else "Merge"
        )
        raise UserError(
            f"the masks have {len(values)} values ({values[0]} to {values[-1]}), and at most "
            f"{_MOST_CLASSES} classes are possible. {things} or leave out classes in the data"
        )
    if not found.names:
        if len(values) == 2 and values[0] == 0:
            return {"background": 0, "object": values[1]}, {}
        return {f"class_{value}": value for value in values}, {}
    classes: dict[str, int] = {}
    comments: dict[str, str] = {}
    for value in values:
        told = found.names.get(value, "background" if value == 0 else f"class {value}")
        plain = _class_name(told) or f"class_{value}"
        name, number = plain, 2
        while name in classes:
            name, number = f"{plain}_{number}", number + 1
        classes[name] = value
        if name != re.sub(r"\W+", "_", told.lower()).strip("_"):
            comments[name] = told
    return classes, comments


def _class_name(text: str) -> str:
    """A name of ASCII letters; empty where too little would be left of it."""
    plain = re.sub(r"[^a-z0-9]+", "_", _plain(text).lower()).strip("_")
    letters = sum(character.isalnum() for character in text)
    return plain if sum(map(str.isalnum, plain)) >= 0.5 * letters else ""


def _plain(text: str) -> str:
    """Text without accents: Straße is Strasse, São is Sao."""
    folded = text.replace("ß", "ss").replace("ø", "o").replace("æ", "ae").replace("ł", "l")
    decomposed = unicodedata.normalize("NFKD", folded)
    return "".join(one for one in decomposed if not unicodedata.combining(one))


def print_survey(console: Console, found: Survey, classes: Mapping[str, int]) -> None:
    """Prints what was found, and what was decided."""

    def say(text: str, style: str | None = None) -> None:
        console.print(text, soft_wrap=True, markup=False, style=style)

    folder = found.config
    pairs = found.matched.pairs
    say(f"{readable.counted(len(pairs), 'picture')} in {folder.images}")
    tool = folder.labelme or folder.yolo or folder.run_lengths
    say(f"with masks in {folder.masks or tool or ', '.join(folder.annotations)} ({found.form})")
    for pair in pairs[:_MOST_SHOWN]:
        mask = os.path.relpath(pair.mask, _above(folder.images)) if folder.masks else ""
        more = f" and {len(pair.parts)} more" if pair.parts else ""
        say(f"  {pair.name} – {_readable(mask)}{more}" if mask else f"  {pair.name}")
    by = {
        "hash": "by a hash of the names",
        "folders": "by their folders",
        "names": "by their names",
    }.get(folder.split_by, "by lists" if folder.lists else "by the annotation files")
    say("splits: " + ", ".join(f"{s} {n}" for s, n in found.splits.items()) + f" ({by})")
    if found.heights:
        sizes = [
            f"{min(side)}–{max(side)} (median {statistics.median_low(side)})"
            for side in (found.heights, found.widths)
        ]
        say(f"heights {sizes[0]}, widths {sizes[1]} pixels")
    console.print(_table(found, classes))
    for note in found.notes:
        say(f"! {note}")
    things = {name: found.lost[value] for name, value in classes.items() if value in found.lost}
    fit = proposed_fit(found, classes)
    if fit.fit != "stretch":
        say(f"! {fit.reason} (transform.fit: {fit.fit})")
    for line in vanishing.told(things, IMAGE_SIDE, fit.fit):
        say(f"! {line}")
    for what, names in (
        ("without a mask, left out", found.matched.without_mask),
        ("masks without a picture, left out", found.matched.without_picture),
        (
            "can't be used (a run sets them aside)",
            [f"{name}: {reason}" for name, reason in found.unusable.items()],
        ),
    ):
        if names:
            more = ", …" if len(names) > _MOST_NAMED else ""
            shown = ", ".join(map(_readable, names[:_MOST_NAMED]))
            say(f"✗ {what}: {len(names)} ({shown}{more})", style="yellow")


def _above(images: str) -> str:
    """What paths of masks are shown relative to: the folder above the pictures."""
    from components.datasets.pairs import fixed_part

    return os.path.dirname(os.path.abspath(fixed_part(images)))


def _table(found: Survey, classes: Mapping[str, int]) -> Table:
    table = Table()
    table.add_column("class")
    table.add_column("mask value", justify="right")
    table.add_column("colour")
    table.add_column("share of the pixels", justify="right")
    names = {value: name for name, value in classes.items()}
    total = sum(found.pixels.values())
    for value, count in found.pixels.items():
        color = found.config.colors.get(value)
        table.add_row(
            names.get(value, "(ignored)" if value in found.ignored else "?"),
            str(value),
            "–" if color is None else ", ".join(map(str, color)),
            share_text(count, total),
        )
    return table


def _readable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")
