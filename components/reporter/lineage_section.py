"""The lineage as a picture and a list: layers of steps and artifacts, from top to bottom."""

from __future__ import annotations

import dataclasses
import json

from components import readable
from components.lineage import EXECUTION, Lineage, Node

# Pixels.
_BOX_WIDTH, _BOX_HEIGHT = 150, 40
_GAP_X, _GAP_Y = 22, 34


@dataclasses.dataclass(frozen=True)
class Box:
    """A node and where it is drawn."""

    node: Node
    x: float
    y: float
    label: str
    detail: str
    rows: list[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Arrow:
    """An edge and its curve, as an SVG path."""

    path: str
    role: str


@dataclasses.dataclass(frozen=True)
class LineageSection:
    """What the template shows; sizes in pixels."""

    width: float
    height: float
    box_width: float
    box_height: float
    boxes: list[Box]
    arrows: list[Arrow]
    runs: list[tuple[str, list[tuple[str, str]]]]


def make(lineage: Lineage) -> LineageSection:
    """Lays the graph out.

    Args:
      lineage: the graph.

    Returns:
      Boxes in layers, each below all that it was made from.
    """
    layers = arrange(lineage)
    widest = max((len(layer) for layer in layers), default=0)
    width = widest * (_BOX_WIDTH + _GAP_X) + _GAP_X
    boxes: dict[str, Box] = {}
    for depth, layer in enumerate(layers):
        start = (width - len(layer) * (_BOX_WIDTH + _GAP_X) + _GAP_X) / 2
        for index, node in enumerate(layer):
            boxes[node.key] = Box(
                node=node,
                x=start + index * (_BOX_WIDTH + _GAP_X),
                y=_GAP_Y / 2 + depth * (_BOX_HEIGHT + _GAP_Y),
                label=node.name if node.kind == EXECUTION else node.type,
                detail=_detail(node),
                rows=_rows(node),
            )
    return LineageSection(
        width=width,
        height=len(layers) * (_BOX_HEIGHT + _GAP_Y),
        box_width=_BOX_WIDTH,
        box_height=_BOX_HEIGHT,
        boxes=[boxes[node.key] for node in lineage.nodes],
        arrows=[
            Arrow(_curve(boxes[edge.source], boxes[edge.target]), edge.role)
            for edge in lineage.edges
        ],
        runs=[
            (
                run_id,
                [
                    ("code", record.code),
                    ("started by", f"{record.user} on {record.host}"),
                    ("runner", record.runner),
                    ("stack", ", ".join(f"{k} {v}" for k, v in record.versions.items())),
                ],
            )
            for run_id, record in sorted(lineage.runs.items())
        ],
    )


def arrange(lineage: Lineage) -> list[list[Node]]:
    """Sorts the nodes into layers (Sugiyama's way: longest path, then barycentres).

    Args:
      lineage: the graph, without cycles.

    Returns:
      Layers from top to bottom; edges lead downwards only.
    """
    before: dict[str, list[str]] = {node.key: [] for node in lineage.nodes}
    after: dict[str, list[str]] = {node.key: [] for node in lineage.nodes}
    for edge in lineage.edges:
        before[edge.target].append(edge.source)
        after[edge.source].append(edge.target)
    depth: dict[str, int] = {}

    def depth_of(key: str) -> int:
        if key not in depth:
            depth[key] = 1 + max((depth_of(source) for source in before[key]), default=-1)
        return depth[key]

    for node in lineage.nodes:
        depth_of(node.key)
    for key in [key for key in depth if not before[key] and after[key]]:
        # What comes from elsewhere stands just above where it is used.
        depth[key] = min(depth[target] for target in after[key]) - 1
    layers: list[list[Node]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in lineage.nodes:
        layers[depth[node.key]].append(node)
    place: dict[str, float] = {}
    for layer in layers:
        layer.sort(
            key=lambda node: (
                sum(place[source] for source in before[node.key]) / len(before[node.key])
                if before[node.key]
                else 0.5
            )
        )
        for index, node in enumerate(layer):
            place[node.key] = (index + 0.5) / len(layer)
    return layers


def _detail(node: Node) -> str:
    if node.kind == EXECUTION:
        return f"#{node.id} · {readable.duration_text(node.seconds)}"
    return f"#{node.id} · {node.name}" if node.name else f"#{node.id}"


def _rows(node: Node) -> list[tuple[str, str]]:
    """All that is known of a node, as (name, text)."""
    if node.kind == EXECUTION:
        rows = [
            ("type", node.type),
            ("started", readable.time_text(node.started)),
            ("took", readable.duration_text(node.seconds)),
            ("run", node.run_id),
        ]
    else:
        rows = [("type", node.type), ("made", readable.time_text(node.started)), ("URI", node.uri)]
    return rows + [(name, _readable(value)) for name, value in node.properties.items()]


def _readable(value: str | int | float) -> str:
    """JSON, also within JSON, is set out over lines."""
    parsed = readable.unfold(value)
    if isinstance(parsed, dict | list):
        return json.dumps(parsed, indent=1, ensure_ascii=False)
    return f"{parsed:.6g}" if isinstance(parsed, float) else str(parsed)


def _curve(source: Box, target: Box) -> str:
    x1, y1 = source.x + _BOX_WIDTH / 2, source.y + _BOX_HEIGHT
    x2, y2 = target.x + _BOX_WIDTH / 2, target.y
    bend = max(_GAP_Y * 0.7, (y2 - y1) / 2)
    return (
        f"M{x1:.0f} {y1:.0f} C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}"
    )
