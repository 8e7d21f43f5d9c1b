"""The model as a picture: its layers by resolution, in the shape that gave the U-Net its name."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from components.reporter import charts

_ENCODER_COLOR, _DECODER_COLOR = "#56b4e9", "#e69f00"
_BOX = (1.55, 0.62)  # width and height, in units of columns and levels


@dataclasses.dataclass(frozen=True)
class Stage:
    """Layers of one resolution.

    Attributes:
      name: for people.
      shape: height, width, channels of what comes out.
      level: how often the picture has been halved.
      encoder: whether it is a part of the encoder.
      joins: whether an output of the encoder comes in here.
    """

    name: str
    shape: tuple[int, int, int]
    level: int
    encoder: bool
    joins: bool


def stages(layers: list[dict[str, Any]]) -> list[Stage]:
    """Groups a U-Net's layers by resolution.

    Args:
      layers: from `trainer.record.describe_layers`.

    Returns:
      From the picture to the logits.
    """
    height = layers[0]["shape"][0]

    def level(shape: list[int]) -> int:
        return round(math.log2(height / shape[0]))

    encoders = {layer["name"] for layer in layers if layer["skips"]}
    result: list[Stage] = []
    for layer in layers:
        shapes = [*layer["skips"], layer["shape"]]
        is_encoder = layer["name"] in encoders
        joins = bool(encoders.intersection(layer["inputs"])) and len(layer["inputs"]) > 1
        for shape in shapes:
            name = layer["name"].split("_conv")[0].split("_norm")[0].split("_relu")[0]
            previous = result[-1] if result else None
            if previous and not is_encoder and previous.level == level(shape):
                # The same resolution: one stage, which gives what its last layer gives.
                result[-1] = dataclasses.replace(
                    previous, shape=tuple(shape), joins=previous.joins or joins
                )
            else:
                result.append(Stage(name, tuple(shape), level(shape), is_encoder, joins))
    return result


def diagram(layers: list[dict[str, Any]]) -> str:
    """Draws the stages, and the skips between those of the same resolution.

    Args:
      layers: from `trainer.record.describe_layers`.

    Returns:
      An SVG element.
    """
    drawn = stages(layers)
    deepest = max(stage.level for stage in drawn)
    with matplotlib.rc_context(charts.STYLE):
        figure = Figure((7.2, 0.62 * (deepest + 1) + 0.3), layout="constrained")
        axes = figure.subplots()
        axes.axis("off")
        places: list[tuple[float, float]] = []
        turned = False
        for stage in drawn:
            turned = turned or bool(places) and not stage.encoder
            x = 2 * deepest - stage.level if turned else stage.level
            places.append((x * 0.82, -stage.level))
        for index, (stage, place) in enumerate(zip(drawn, places, strict=True)):
            _draw_box(axes, stage, place)
            if index:
                _draw_arrow(axes, places[index - 1], place)
            if stage.joins:
                source = next(
                    spot
                    for spot, other in zip(places, drawn, strict=True)
                    if other.encoder and other.level == stage.level
                )
                start, end = source[0] + _BOX[0] / 2, place[0] - _BOX[0] / 2
                axes.annotate(
                    "",
                    (end, place[1]),
                    (start, place[1]),
                    arrowprops={"arrowstyle": "->", "linestyle": "--", "color": charts.FAINT},
                )
        axes.set_xlim(-_BOX[0] / 2 - 0.05, max(x for x, _ in places) + _BOX[0] / 2 + 0.05)
        axes.set_ylim(-deepest - 0.5, 0.5)
        return charts.svg(figure, "architecture")


def _draw_box(axes: matplotlib.axes.Axes, stage: Stage, place: tuple[float, float]) -> None:
    width, height = _BOX
    color = _ENCODER_COLOR if stage.encoder else _DECODER_COLOR
    axes.add_patch(
        matplotlib.patches.FancyBboxPatch(
            (place[0] - width / 2, place[1] - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.12",
            facecolor=(*matplotlib.colors.to_rgb(color), 0.35),
            edgecolor=color,
        )
    )
    name = "encoder" if stage.encoder else stage.name.replace("_", " ")
    axes.text(place[0], place[1] + 0.13, name, ha="center", va="center", fontsize=8)
    shape = "×".join(map(str, stage.shape))
    axes.text(place[0], place[1] - 0.15, shape, ha="center", va="center", fontsize=8)


def _draw_arrow(
    axes: matplotlib.axes.Axes, start: tuple[float, float], end: tuple[float, float]
) -> None:
    down = end[1] < start[1]
    offset = _BOX[1] / 2 if down else -_BOX[1] / 2
    axes.annotate(
        "",
        (end[0], end[1] + offset),
        (start[0] + 0.25, start[1] - offset),
        arrowprops={"arrowstyle": "->", "color": charts.INK},
    )
