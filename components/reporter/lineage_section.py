"""The lineage as a picture and a list: layers of steps and artifacts, from top to bottom."""

from __future__ import annotations

import dataclasses
import json

from components.common import readable
from components.common.lineage import EXECUTION, Edge, Lineage, Node
from components.reporter import templates

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
    nodes = {node.key: node for node in lineage.nodes}
    widths = [
        sum((_BOX_WIDTH if key in nodes else 0) + _GAP_X for key in layer) + _GAP_X
        for layer in layers
    ]
    width = max(widths, default=0)
    boxes: dict[str, Box] = {}
    bends: dict[str, tuple[float, float]] = {}
    for depth, layer in enumerate(layers):
        x = (width - widths[depth]) / 2 + _GAP_X
        y = _GAP_Y / 2 + depth * (_BOX_HEIGHT + _GAP_Y)
        for key in layer:
            if key in nodes:
                boxes[key] = _box(nodes[key], x, y)
                x += _BOX_WIDTH
            else:
                bends[key] = (x, y)
            x += _GAP_X
    return LineageSection(
        width=width,
        height=len(layers) * (_BOX_HEIGHT + _GAP_Y),
        box_width=_BOX_WIDTH,
        box_height=_BOX_HEIGHT,
        boxes=[boxes[node.key] for node in lineage.nodes],
        arrows=[
            Arrow(
                _curve(
                    boxes[edge.source],
                    [
                        bends[key]
                        for layer in layers
                        for key in layer
                        if key.startswith(_bend(edge))
                    ],
                    boxes[edge.target],
                ),
                edge.role,
            )
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


def render_page(title: str, lineage: Lineage) -> str:
    """A page with the graph alone.

    Args:
      title: of the page.
      lineage: the graph.

    Returns:
      An HTML page that needs nothing else.
    """
    return templates.render("lineage.html", title=title, lineage=make(lineage))


def arrange(lineage: Lineage) -> list[list[str]]:
    """Sorts the nodes into layers, in Sugiyama's way: longest path, then barycentres.

    K. Sugiyama et al., "Methods for Visual Understanding of Hierarchical System
    Structures", IEEE Transactions on Systems, Man, and Cybernetics, 1981.

    Args:
      lineage: the graph, without cycles.

    Returns:
      Layers of keys from top to bottom. Edges lead downwards only; one that passes
      through layers has a key of its own in each of them, so that no box is in its way.
    """
    depth = _depths(lineage)
    before: dict[str, list[str]] = {key: [] for key in depth}
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in lineage.nodes:
        layers[depth[node.key]].append(node.key)
    for edge in lineage.edges:
        above = edge.source
        for level in range(depth[edge.source] + 1, depth[edge.target]):
            passing = f"{_bend(edge)}{level}"
            layers[level].append(passing)
            before[passing] = [above]
            above = passing
        before[edge.target].append(above)
    place: dict[str, float] = {}
    for layer in layers:
        middle = {
            key: sum(place[source] for source in before[key]) / len(before[key])
            if before[key]
            else 0.0
            for key in layer
        }
        layer.sort(key=lambda key: middle[key])
        for index, key in enumerate(layer):
            place[key] = (index + 0.5) / len(layer)
    return layers


def _depths(lineage: Lineage) -> dict[str, int]:
    """Key -> layer: one below the lowest of what it was made from."""
    sources: dict[str, list[str]] = {node.key: [] for node in lineage.nodes}
    targets: dict[str, list[str]] = {node.key: [] for node in lineage.nodes}
    for edge in lineage.edges:
        sources[edge.target].append(edge.source)
        targets[edge.source].append(edge.target)
    depth: dict[str, int] = {}

    def depth_of(key: str) -> int:
        if key not in depth:
            depth[key] = 1 + max((depth_of(source) for source in sources[key]), default=-1)
        return depth[key]

    for key in sources:
        depth_of(key)
    for key, found in sources.items():
        if not found and targets[key]:
            # What comes from elsewhere stands just above where it is used.
            depth[key] = min(depth[target] for target in targets[key]) - 1
    return depth


def _bend(edge: Edge) -> str:
    """What the keys of an edge's bends begin with."""
    return f"{edge.source} {edge.target} {edge.role} "


def _box(node: Node, x: float, y: float) -> Box:
    label = node.name if node.kind == EXECUTION else node.type
    return Box(node=node, x=x, y=y, label=label, detail=_detail(node), rows=_rows(node))


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


def _curve(source: Box, bends: list[tuple[float, float]], target: Box) -> str:
    """From box to box; straight down past the boxes of the layers between."""
    x, y = source.x + _BOX_WIDTH / 2, source.y + _BOX_HEIGHT
    path = f"M{x:.0f} {y:.0f}"
    for bend_x, bend_y in bends:
        path += f" C{x:.0f} {y + _GAP_Y * 0.7:.0f} {bend_x:.0f} {bend_y - _GAP_Y * 0.7:.0f} "
        path += f"{bend_x:.0f} {bend_y:.0f} v{_BOX_HEIGHT}"
        x, y = bend_x, bend_y + _BOX_HEIGHT
    end_x, end_y = target.x + _BOX_WIDTH / 2, target.y
    path += f" C{x:.0f} {y + _GAP_Y * 0.7:.0f} {end_x:.0f} {end_y - _GAP_Y * 0.7:.0f} "
    return path + f"{end_x:.0f} {end_y:.0f}"
