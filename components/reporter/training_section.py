"""What the report says of the training: curves, pictures over the epochs, model, settings."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_metadata.proto import metadata_store_pb2 as mlmd
from PIL import Image

from components.common import readable, windows
from components.common.bands import bands_of
from components.common.windows import TilesConfig
from components.reporter import architecture, charts, images
from components.trainer import record
from components.trainer.calibration import Calibration

_MOST_EPOCHS_SHOWN = 7


@dataclasses.dataclass(frozen=True)
class Filmstrip:
    """The same pictures over the epochs, as data URIs.

    Attributes:
      headings: `picture`, `truth`, `untrained`, `epoch 1`, …
      rows: an image for each heading, picture by picture.
    """

    headings: list[str]
    rows: list[list[str]]


@dataclasses.dataclass(frozen=True)
class TrainingSection:
    """What the template shows.

    Attributes:
      facts: (name, value) pairs: device, seed, numbers of examples and steps.
      last: (name, value) pairs: the last epoch's numbers.
      curves: SVGs: loss, accuracy, learning rate.
      weighted: whether the training's loss, and only that, is weighted by class.
      filmstrip: None where no pictures were kept.
      layers: as `record.describe_layers` gives them; empty: not recorded.
      diagram: SVG of the layers; empty: not recorded.
      parameters: number of weights of the model.
      settings: flat hyperparameters, by name.
    """

    facts: list[tuple[str, str]]
    last: list[tuple[str, str]]
    curves: list[str]
    weighted: bool
    filmstrip: Filmstrip | None
    layers: list[dict[str, Any]]
    diagram: str
    parameters: int
    settings: dict[str, Any]


def make(artifacts: dict[str, mlmd.Artifact]) -> TrainingSection | None:
    """Reads the section's facts.

    Args:
      artifacts: by name; uses `model_run`.

    Returns:
      The section; None where the run did not get through the training.
    """
    if "model_run" not in artifacts:
        return None
    folder = artifacts["model_run"].uri
    training = record.read_training(folder)
    history = record.read_history(folder)
    layers = training.get("layers", [])
    return TrainingSection(
        facts=_facts(training),
        last=[
            (label, f"{history[key][-1]:.4f}")
            for key, label in (
                ("loss", "training loss"),
                ("val_loss", "validation loss"),
                ("accuracy", "training accuracy"),
                ("val_accuracy", "validation accuracy"),
            )
            if history.get(key)
        ],
        curves=_curves(history),
        weighted=bool(training.get("class_weights")),
        filmstrip=make_filmstrip(record.read_pictures(folder), training.get("image_size")),
        layers=layers,
        diagram=architecture.diagram(layers) if layers else "",
        parameters=sum(layer["parameters"] for layer in layers),
        settings=readable.flatten(training.get("trainer", {})),
    )


def shown_epochs(epochs: list[int], most: int = _MOST_EPOCHS_SHOWN) -> list[int]:
    """The epochs whose pictures are shown: first and last, more of the early ones.

    Args:
      epochs: all that there are, ascending; 0 is the untrained model.
      most: how many to choose.

    Returns:
      At most so many, ascending; early epochs change more than late ones.
    """
    if len(epochs) <= most:
        return epochs
    last = len(epochs) - 1
    spread = {round(math.expm1(i / (most - 1) * math.log1p(last))) for i in range(most)}
    for index in range(last):  # small numbers round to the same
        if len(spread) == most:
            break
        spread.add(index)
    return [epochs[index] for index in sorted(spread)]


def make_filmstrip(grids: dict[int, bytes], image_size: Sequence[int] | None) -> Filmstrip | None:
    """Cuts the grids of the epochs into pictures, and lays them out over the epochs.

    Args:
      grids: epoch -> PNG with a row for each picture: picture, true mask, prediction.
      image_size: height and width of one of those, in pixels.

    Returns:
      None where there are no grids, or their size is not known.
    """
    if not grids or not image_size:
        return None
    height, width = image_size
    epochs = shown_epochs(sorted(grids))
    arrays = {epoch: np.asarray(Image.open(io.BytesIO(grids[epoch]))) for epoch in epochs}
    first = arrays[epochs[0]]
    strip = []
    for top in range(0, len(first), height):
        cells = [first[top : top + height, :width], first[top : top + height, width : 2 * width]]
        cells += [arrays[epoch][top : top + height, 2 * width :] for epoch in epochs]
        strip.append([images.photograph(cells[0]), *(images.png(cell) for cell in cells[1:])])
    labels = ["untrained" if epoch == 0 else f"epoch {epoch}" for epoch in epochs]
    return Filmstrip(["picture", "truth", *labels], strip)


def _curves(history: dict[str, list[float]]) -> list[str]:
    if not history:
        return []
    epochs = [int(epoch) + 1 for epoch in history["epoch"]]
    result = [
        charts.curves(label, epochs, history[key], history.get(f"val_{key}"))
        for key, label in (("loss", "Loss"), ("accuracy", "Pixel accuracy"))
        if key in history
    ]
    if "learning_rate" in history:
        result.append(charts.curves("Learning rate", epochs, history["learning_rate"], None))
    return result


_FITS = {"stretch": "stretched to it", "pad": "padded", "tiles": "seen through windows of it"}


def _windows(training: dict[str, Any]) -> list[tuple[str, str]]:
    if not training.get("tiles"):
        return []
    size, tiles = training["image_size"], TilesConfig(**training["tiles"])
    (height, width), overlap = windows.footprint(size, tiles)
    covered = f"{width}×{height} pixels of the picture, overlapping by {overlap[1]}"
    chosen = f"{tiles.windows_per_picture} of each picture in an epoch"
    if tiles.rare_share:
        chosen += f", {tiles.rare_share:.0%} of them around a pixel of one of its classes"
    return [("a window", covered), ("trained on", chosen)]


_SCALES = {
    "quantiles": "each from its 1st to its 99th percentile in the training split",
    "mean_std": "each within three standard deviations of its mean in the training split",
}


def _bands(training: dict[str, Any]) -> list[tuple[str, str]]:
    bands = bands_of(training)
    if not bands:
        return []
    which = f"{bands.count} of {bands.depth}"
    if bands.take:
        which = f"{', '.join(map(str, bands.take))} of {which}"
    return [("bands", which), ("their scale", _SCALES[bands.scale])]


def _facts(training: dict[str, Any]) -> list[tuple[str, str]]:
    if not training:
        return []
    weights = training["class_weights"]
    settings = training["trainer"]
    return [
        ("device", training["device"]),
        ("precision", settings["precision"]),
        ("seed", str(settings["seed"])),
        ("begun with", training.get("base_model") or "no earlier model"),
        ("picture size", "{1}×{0}".format(*training["image_size"])),
        ("pictures of other sizes", _FITS[training.get("fit", "stretch")]),
        *_bands(training),
        *_windows(training),
        (
            "examples",
            f"{training['training_examples']:,} training, "
            f"{training['validation_examples']:,} validation",
        ),
        (
            "steps",
            f"{readable.counted(settings['epochs'], 'epoch')} of "
            f"{readable.counted(training['steps_per_epoch'], 'step')} of "
            + readable.counted(
                settings["batch_size"], "window" if training.get("tiles") else "picture"
            ),
        ),
        (
            "class weights",
            ", ".join(f"{name} {value}" for name, value in weights.items()) if weights else "none",
        ),
        ("calibration", _calibration(training.get("calibration"))),
    ]


def _calibration(found: dict[str, Any] | None) -> str:
    return str(Calibration(**found)) if found else "none"
