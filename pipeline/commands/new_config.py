"""What `segline init` does: looks at a folder, and writes a config for it."""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from components.common import schema
from components.common.errors import UserError
from components.datasets import folder_survey
from components.datasets.folder_survey import Survey
from components.trainer.sample_weights import balanced_weights
from pipeline.config.loading import load_config

_IGNORED = 255  # what many datasets give to pixels that don't count
_MOST_NAMED = 5
_RARE = 0.05  # share of the pixels below which a class is likely to be missed


def init(
    console: Console,
    folder: str,
    images: str | None,
    masks: str | None,
    annotations: Sequence[str] | None,
    out: str | None,
    force: bool,
) -> str:
    """Looks at pictures and masks, prints what is there, writes a config.

    Args:
      console: where to.
      folder: with a folder of pictures and one of masks in it.
      images: the folder of pictures, where it can't be found by its name.
      masks: likewise.
      annotations: COCO files, instead of masks.
      out: the config; default: `<folder's name>.yaml` in the working directory.
      force: whether a config that is there is overwritten.

    Returns:
      The config's path.

    Raises:
      UserError: nothing to make a config of, or it is there already.
    """
    name = re.sub(r"[^a-z0-9_-]+", "_", os.path.basename(os.path.abspath(folder)).lower())
    name = name.strip("_-") or "my_pictures"
    path = out or f"{name}.yaml"
    if os.path.exists(path) and not force:
        raise UserError(f"{path} is there already: --force overwrites it, --out names another")
    if masks and annotations:
        raise UserError("--masks or --annotations: not both")
    if not images:
        images = folder_survey.find_folder(folder, "--images")
    if not (masks or annotations):
        masks = folder_survey.find_folder(folder, "--masks")
        annotations = folder_survey.find_annotations(masks)
    survey = folder_survey.survey(images, None if annotations else masks, annotations or ())
    classes, ignored = name_classes(survey.pixels, survey.names)
    print_survey(console, survey, classes, ignored)
    text = config_text(name, survey, classes, ignored)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"--out: {path} can't be written: {error.strerror}") from error
    load_config(path, {})
    console.print(
        f"\n{path} is written: name the classes in it, then\n  make run CONFIG={path}",
        soft_wrap=True,
        markup=False,
    )
    return path


def name_classes(
    pixels: Mapping[int, int], names: Mapping[int, str]
) -> tuple[dict[str, int], list[int]]:
    """Names for the mask values that were found.

    Args:
      pixels: mask value -> number of pixels.
      names: mask value -> name, as far as the data tells.

    Returns:
      Class name -> value, in the values' order; and the values that don't count: 255, where
      there are at least two others.

    Raises:
      UserError: there is one value only.
    """
    values = sorted(pixels)
    if len(values) < 2:
        raise UserError(
            f"all masks have nothing but the value {values[0] if values else 'none'}: a "
            "segmentation needs two classes"
        )
    if names:
        found = {_class_name(names.get(value, "background")): value for value in values}
        if len(found) < len(values):
            raise UserError(f"two categories have the same name: {', '.join(names.values())}")
        return found, []
    if len(values) == 2 and values[0] == 0:
        return {"background": 0, "object": values[1]}, []
    ignored = [_IGNORED] if _IGNORED in values and max(values) == _IGNORED else []
    values = [value for value in values if value not in ignored]
    return {f"class_{value}": value for value in values}, ignored


def _class_name(text: str) -> str:
    return re.sub(r"\W+", "_", text.lower()).strip("_") or "unnamed"


def print_survey(
    console: Console, survey: Survey, classes: Mapping[str, int], ignored: Sequence[int]
) -> None:
    """Prints what was found."""
    pairs = len(survey.matched.pairs)
    console.print(f"{pairs} pictures in {survey.config.images}", soft_wrap=True)
    masks = survey.config.masks or ", ".join(survey.config.annotations)
    console.print(f"with masks in {masks}", soft_wrap=True)
    console.print(
        "splits: "
        + ", ".join(f"{split} {count}" for split, count in survey.splits.items())
        + f" (by {survey.config.split_by})"
    )
    if survey.heights:
        sizes = [
            f"{min(side)}–{max(side)} (median {statistics.median_low(side)})"
            for side in (survey.heights, survey.widths)
        ]
        console.print(f"heights {sizes[0]}, widths {sizes[1]} pixels")
    table = Table()
    table.add_column("class")
    table.add_column("mask value", justify="right")
    table.add_column("colour")
    table.add_column("share of the pixels", justify="right")
    names = {value: name for name, value in classes.items()}
    total = sum(survey.pixels.values())
    for value, count in survey.pixels.items():
        color = survey.config.colors.get(value)
        table.add_row(
            names.get(value, "(ignored)" if value in ignored else "?"),
            str(value),
            "–" if color is None else ", ".join(map(str, color)),
            f"{count / total:.2%}",
        )
    console.print(table)
    for what, names_of in (
        ("without a mask, left out", survey.matched.without_mask),
        ("masks without a picture, left out", survey.matched.without_picture),
        ("can't be used (a run sets them aside)", survey.unreadable),
    ):
        if names_of:
            more = ", …" if len(names_of) > _MOST_NAMED else ""
            console.print(
                f"✗ {what}: {len(names_of)} ({', '.join(names_of[:_MOST_NAMED])}{more})",
                soft_wrap=True,
                markup=False,
                style="yellow",
            )


def config_text(
    name: str, survey: Survey, classes: Mapping[str, int], ignored: Sequence[int]
) -> str:
    """The config, with comments.

    Args:
      name: of the pipeline.
      survey: what was found.
      classes: class name -> mask value.
      ignored: mask values that don't count.
    """
    folder = survey.config
    counts = [survey.pixels[value] for value in classes.values()]
    total = sum(survey.pixels.values())
    weights = [round(float(weight), 4) for weight in balanced_weights(counts)]
    lines = [
        f"name: {name}",
        "dataset:",
        "  name: image_folder",
        "  folder:",
        f"    images: {_quoted(folder.images)}",
        f"    masks: {_quoted(folder.masks)}"
        if folder.masks
        else f"    annotations: [{', '.join(map(_quoted, folder.annotations))}]",
    ]
    if folder.mask_suffix:
        lines.append(f"    mask_suffix: {_quoted(folder.mask_suffix)}")
    if folder.colors:
        lines.append("    colors:  # mask value: [red, green, blue]")
        lines += [f"      {value}: {list(color)}" for value, color in folder.colors.items()]
    lines.append(
        f"    split_by: {folder.split_by}  # "
        + ", ".join(f"{split} {count}" for split, count in survey.splits.items())
    )
    if folder.split_by == "hash":
        lines += ["    validation: 0.1", "    test: 0.1"]
    lines += ["classes:", "  values:  # name: mask value, and its share of the pixels"]
    lines += [
        f"    {class_name}: {value}  # {survey.pixels[value] / total:.2%}"
        for class_name, value in classes.items()
    ]
    if ignored:
        lines.append(f"  ignore_values: {list(ignored)}  # pixels that count nowhere")
    lines += [
        "data_validation:",
        "  # New data against that of the latest blessed model; action: stop ends the run instead.",
        "  drift: {action: warn, max_divergence: 0.2}",
        "transform:",
        "  image_size: [128, 128]  # height and width that the model sees, multiples of 32",
        "trainer:",
        "  # Weights in the classes' order, where one is rare; none: all pixels count the same.",
        f"  class_weights: {weights}" if min(counts) < _RARE * total else "  class_weights: none",
        "  encoder:",
        "    weights: imagenet  # downloaded once; none: from scratch",
        "    input_range: [-1, 1]",
        "  augmentation: {horizontal_flip: true, min_scale: 0.65, brightness: 0.1, contrast: 0.2}",
        "  learning_rate_schedule: cosine",
        "  epochs: 20",
        f"  batch_size: {_batch_size(survey.splits[schema.TRAIN])}",
        "evaluator:",
        "  min_mean_iou: 0.5  # below it, a model is not pushed",
    ]
    return "\n".join(lines) + "\n"


def _batch_size(examples: int) -> int:
    """64, or less where an epoch would have but a few steps."""
    return next((size for size in (64, 32, 16, 8) if examples >= 8 * size), 4)


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_./~-]+", text) else "'" + text.replace("'", "''") + "'"
