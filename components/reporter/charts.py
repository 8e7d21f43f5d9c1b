"""Plots for a page: inline SVG whose ink follows the page's, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.common import palette
from components.common.reliability import CORRECT, PIXELS

# Replaced in the SVG by what the page's style says.
INK, FAINT = "#010203", "#040506"
STYLE = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
_TRAIN_COLOR, _VALIDATION_COLOR = "#2f8fd0", "#e0701a"
_BAR_COLOR = "#56b4e9"
_WIDTH = 4.2  # inches: readable on a phone without scrolling
_MOST_GROUPED = 6  # classes whose bars stand beside each other


def curves(
    title: str, epochs: Sequence[int], train: Sequence[float], validation: Sequence[float] | None
) -> str:
    """One or two lines over the epochs.

    Args:
      title: of the plot.
      epochs: from 1.
      train: values by epoch.
      validation: likewise; None: there is one line only.

    Returns:
      An SVG element.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(2.4)
        marker = "o" if len(epochs) < 3 else None
        axes.plot(epochs, train, color=_TRAIN_COLOR, marker=marker, label="training")
        if validation is not None:
            axes.plot(
                epochs, validation, color=_VALIDATION_COLOR, marker=marker, label="validation"
            )
            axes.legend()
        else:
            axes.set_ylim(bottom=0)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True)
        axes.grid(axis="y")
        return svg(figure, title)


def class_shares(shares: Mapping[str, Mapping[str, float]], class_names: Sequence[str]) -> str:
    """A stacked bar for each split.

    Args:
      shares: split -> class name -> share of its pixels.
      class_names: by index, for the colours.

    Returns:
      An SVG element.
    """
    colors = _colors(len(class_names))
    with matplotlib.rc_context(STYLE):
        rows = -(-len(class_names) // 4)
        figure, axes = _figure(0.7 + 0.32 * len(shares) + 0.22 * rows)
        left = np.zeros(len(shares))
        for name, color in zip(class_names, colors, strict=True):
            values = np.array([split[name] for split in shares.values()])
            axes.barh(list(shares), values, left=left, color=color, label=name)
            left += values
        axes.invert_yaxis()
        axes.set_xlim(0, max(1.0, left.max()))
        axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
        axes.tick_params(axis="y", length=0)
        if len(class_names) <= 24:
            figure.legend(loc="outside lower center", ncols=min(4, len(class_names)))
        return svg(figure, "class shares")


def class_metrics(values: Mapping[str, Sequence[float]], class_names: Sequence[str]) -> str:
    """Bars of the metrics, class by class; of many classes the IoU only.

    Args:
      values: metric's label -> values by class index; the first is the IoU.
      class_names: by index.

    Returns:
      An SVG element.
    """
    colors = _colors(len(class_names))
    with matplotlib.rc_context(STYLE):
        if len(class_names) > _MOST_GROUPED:
            label, numbers = next(iter(values.items()))
            return _horizontal_bars(label, class_names, np.nan_to_num(numbers).tolist(), colors)
        figure, axes = _figure(2.6)
        width = 0.8 / len(class_names)
        for index, (name, color) in enumerate(zip(class_names, colors, strict=True)):
            offsets = np.arange(len(values)) + (index - (len(class_names) - 1) / 2) * width
            heights = np.nan_to_num([numbers[index] for numbers in values.values()])
            axes.bar(offsets, heights, width * 0.9, color=color, label=name)
        axes.set_xticks(range(len(values)), list(values))
        axes.tick_params(axis="x", length=0)
        axes.set_ylim(0, 1)
        axes.grid(axis="y")
        figure.legend(loc="outside lower center", ncols=len(class_names))
        return svg(figure, "class metrics")


def confusion_matrix(matrix: np.ndarray, class_names: Sequence[str]) -> str:
    """A heat map: each row, a true class, adds up to 1.

    Args:
      matrix: [C, C] pixel counts; rows are the truth.
      class_names: by index.

    Returns:
      An SVG element.
    """
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    count = len(class_names)
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(max(2.8, 0.22 * count))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(count), class_names, rotation=0 if count < 5 else 90)
        axes.set_yticks(range(count), class_names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if count <= 12:
            for (row, column), share in np.ndenumerate(shares):
                # On the map's own colours, not on the page's.
                color = "white" if share > 0.55 else "#111111"
                text = f"{share:.1%}" if count <= 6 else f"{share:.0%}"
                axes.text(column, row, text, ha="center", va="center", color=color)
        return svg(figure, "confusion matrix")


def reliability(bins: np.ndarray) -> str:
    """How often the model is right, by how sure it is; below, how many pixels that is.

    The reliability diagram of Guo et al. (ICML 2017).

    Args:
      bins: int64 [BINS, 3], as `components.common.reliability` counts.

    Returns:
      An SVG element.
    """
    pixels = bins[:, PIXELS]
    right = np.divide(bins[:, CORRECT], pixels, out=np.zeros(len(bins)), where=pixels > 0)
    middles = (np.arange(len(bins)) + 0.5) / len(bins)
    with matplotlib.rc_context(STYLE):
        figure = Figure((_WIDTH, 3.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        above.bar(middles, right, 0.9 / len(bins), color=_BAR_COLOR)
        above.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=0.9)
        above.set_ylabel("right")
        below.bar(middles, pixels / max(1, pixels.sum()), 0.9 / len(bins), color=_BAR_COLOR)
        below.set_ylabel("pixels")
        below.set_xlabel("confidence")
        for axes in (above, below):
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1)
            axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
            axes.grid(axis="y")
        below.set_yticks([0, 0.5, 1])
        figure.align_ylabels()
        return svg(figure, "reliability")


def bars(label: str, values: Mapping[str, float]) -> str:
    """Horizontal bars of one colour, from 0 to 1, with their values.

    Args:
      label: of the axis.
      values: name -> value; NaN has no bar.

    Returns:
      An SVG element.
    """
    with matplotlib.rc_context(STYLE):
        numbers = [float(value) for value in values.values()]
        return _horizontal_bars(label, list(values), numbers, [_BAR_COLOR] * len(values))


def _horizontal_bars(
    label: str, names: Sequence[str], values: Sequence[float], colors: Sequence
) -> str:
    figure, axes = _figure(0.7 + 0.24 * len(names))
    drawn = axes.barh(range(len(names)), np.nan_to_num(values), color=list(colors))
    texts = ["–" if np.isnan(value) else f"{value:.3f}" for value in values]
    axes.bar_label(drawn, texts, padding=3, color=INK)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel(label)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    return svg(figure, f"{label} {' '.join(names)}")


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure((_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _colors(count: int) -> list[tuple[float, ...]]:
    return [tuple(color / 255) for color in palette.class_colors(count)[:count].astype(float)]


def svg(figure: Figure, name: str) -> str:
    """Renders a figure as an element for an HTML page; equal figures give equal texts.

    Args:
      figure: drawn within `matplotlib.rc_context(STYLE)`.
      name: unique on the page.

    Returns:
      An SVG element.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):  # ids are unique on the page
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;\"]*; ", "", text)  # the page's
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = text.replace(INK, "currentColor").replace(FAINT, "var(--faint)")
    return re.sub(r'width="([\d.]+)pt" height="[\d.]+pt"', _as_wide_as_fits, text, count=1)


def _as_wide_as_fits(size: re.Match[str]) -> str:
    return f'role="img" style="width: 100%; max-width: {float(size[1]) * 4 / 3:.0f}px"'
