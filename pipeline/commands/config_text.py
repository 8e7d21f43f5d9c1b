"""The text of a new config, with what was decided as comments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from components.common import schema
from components.datasets.config import FORMS, FolderConfig
from components.datasets.survey import Survey
from components.trainer.sample_weights import balanced_weights
from pipeline.commands.proposed_fit import ProposedFit, propose_fit

IMAGE_SIDE = 128  # of a new config's transform.image_size
_RARE = 0.05  # share of the pixels below which a class is likely to be missed
_MOST_WEIGHT = 50  # times the weight of the commonest class: more and all looks like the rare one
_IN_ORDER = (
    *("images", *FORMS, "mask_suffix", "names", "mask_parts", "labels", "run_order", "run_start"),
    *("boxes", "colors"),
    *("mask_values", "pictures"),
)

_TILES = (
    "  tiles:",
    "    overlap: 32  # of neighbouring windows, in pixels",
    "    windows_per_picture: 16  # that training takes in an epoch",
)


def config_text(
    name: str,
    survey: Survey,
    classes: Mapping[str, int],
    comments: Mapping[str, str],
    leave_out: str | None = None,
) -> str:
    """The config, with comments.

    Args:
      name: of the pipeline.
      survey: what was found.
      classes: class name -> mask value.
      comments: class name -> what the data calls it.
      leave_out: file that names the pictures that can't be used.
    """
    fit = proposed_fit(survey, classes)
    counts = [survey.pixels[value] for value in classes.values()]
    total = sum(survey.pixels.values())
    lines = [f"# Written by segline init: {_line(survey.form)}."]
    lines += [f"# - {_line(note)}" for note in survey.notes]
    lines += [f"name: {name}", "dataset:", "  name: image_folder", "  folder:"]
    lines += _folder(survey.config, survey.splits)
    if survey.bands:
        bands = _flow(survey.bands.model_dump(mode="json", exclude_defaults=True))
        lines.append(f"  bands: {bands}  # of the pictures; the model sees all of them")
    if survey.unusable:
        what = "left out: the list names them" if leave_out else "set aside by each run"
        lines.append(f"  # Pictures that can't be used are {what}.")
        lines += [f"  # - {_line(reason)}" for reason in survey.reasons()]
    if leave_out:
        lines.append(f"  leave_out: {_flow(leave_out)}")
    lines += ["classes:", "  values:  # name: mask value, and its share of the pixels"]
    for class_name, value in classes.items():
        told = f", {_line(comments[class_name])}" if class_name in comments else ""
        lines.append(
            f"    {_text(class_name)}: {value}  # {share_text(survey.pixels[value], total)}{told}"
        )
    if survey.ignored:
        lines.append(f"  ignore_values: {list(survey.ignored)}  # pixels that count nowhere")
    lines += [
        "data_validation:",
        "  # New data against that of the latest blessed model; action: stop ends the run instead.",
        "  drift: {action: warn, max_divergence: 0.2}",
        "transform:",
        f"  image_size: [{IMAGE_SIDE}, {IMAGE_SIDE}]  # height and width that the model sees, "
        "multiples of 32",
        f"  fit: {fit.fit}  # {fit.reason}",
        *(_TILES if fit.fit == "tiles" else ()),
        "trainer:",
        "  # Weights in the classes' order, where one is rare; none: all pixels count the same.",
        f"  class_weights: {_weights(counts)}"
        if min(counts) < _RARE * total
        else "  class_weights: none",
        "  encoder:",
        "    weights: imagenet  # downloaded once; none: from scratch",
        "    input_range: [-1, 1]",
        "  augmentation: {horizontal_flip: true, min_scale: 0.65, brightness: 0.1, contrast: 0.2}",
        "  learning_rate_schedule: cosine",
        "  epochs: 20",
        f"  batch_size: {_batch_size(survey.splits[schema.TRAIN])}",
        "evaluator:",
        *(["  at: picture"] if fit.fit == "tiles" else []),
        "  min_mean_iou: 0.5  # below it, a model is not pushed",
    ]
    return "\n".join(lines) + "\n"


def proposed_fit(survey: Survey, classes: Mapping[str, int]) -> ProposedFit:
    """How the config fits pictures into the model's size."""
    thickness = {
        name: survey.lost[value].thickness
        for name, value in classes.items()
        if value in survey.lost
    }
    return propose_fit(survey.heights, survey.widths, IMAGE_SIDE, thickness)


def _folder(folder: FolderConfig, splits: Mapping[str, int]) -> list[str]:
    values = folder.model_dump(mode="json", exclude_defaults=True)
    lines = []
    for key in _IN_ORDER:
        if key not in values:
            continue
        if key == "colors":
            lines.append("    colors:  # mask value: [red, green, blue]")
            lines += [f"      {value}: {list(color)}" for value, color in folder.colors.items()]
        elif key == "mask_values" and folder.mask_values.recode:
            value = {**values[key], "recode": dict(folder.mask_values.recode)}
            lines.append(f"    {key}: {_flow(value)}")
        else:
            lines.append(f"    {key}: {_flow(values[key])}")
    counts = ", ".join(f"{split} {count}" for split, count in splits.items())
    lines.append(f"    split_by: {folder.split_by}  # {counts}")
    if folder.split_by == "hash":
        lines += ["    validation: 0.1", "    test: 0.1"]
    lines += [f"    {key}: {_flow(values[key])}" for key in ("lists", "borrow") if key in values]
    return lines


def _weights(counts: Sequence[int]) -> list[float]:
    """Inverse to the classes' pixels, but never more than some multiple of another.

    Without a bound, a class of a thousandth of the pixels had nearly all of the weight, and
    the others, rounded, none.
    """
    weights = [float(weight) for weight in balanced_weights(counts)]
    bounded = [max(weight, max(weights) / _MOST_WEIGHT) for weight in weights]
    return [float(f"{weight / sum(bounded):.4g}") for weight in bounded]


def _batch_size(examples: int) -> int:
    """64, or less where an epoch would have but a few steps."""
    return next((size for size in (64, 32, 16, 8) if examples >= 8 * size), 4)


def _flow(value: Any) -> str:
    """A value as YAML in one line."""
    if isinstance(value, str):
        return _text(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.strip().removesuffix("\n...").strip()


def _text(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./~-]+", text) and yaml.safe_load(text) == text:
        return text
    return (
        yaml.safe_dump(text, allow_unicode=False, width=10**6).strip().removesuffix("...").strip()
    )


def share_text(count: int, total: int) -> str:
    """A share that is never shown as none where there is some."""
    share = count / total
    return f"{share:.2%}" if share >= 0.0001 or not count else f"{share * 100:.2g}%"


def _line(text: str) -> str:
    """Text that fits into a comment."""
    plain = re.sub(r"[^\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+", " ", text)
    return plain.strip()
