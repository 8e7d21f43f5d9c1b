"""Charts, the model's picture, the lineage's picture: what is drawn is what was given."""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from components.common.lineage import Edge, Lineage, Node
from components.reporter import architecture, charts, images, lineage_section

NAMES = ["pet", "background", "border"]


def texts(svg):
    """The texts of an SVG, which must be well-formed."""
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    return [element.text for element in root.iter() if element.tag.endswith("text")]


def decoded(uri):
    content = base64.b64decode(uri.split(",")[1])
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


def test_the_confusion_matrix_shows_shares_of_the_true_class():
    matrix = np.array([[75, 25, 0], [0, 10, 0], [0, 0, 0]])
    shown = texts(charts.confusion_matrix(matrix, NAMES))
    assert shown.count("75.0%") == 1 and shown.count("25.0%") == 1 and shown.count("100.0%") == 1
    assert shown.count("0.0%") == 6  # a class that does not occur has no shares
    assert {*NAMES, "predicted", "true"} <= set(shown)


def test_bars_have_their_values():
    shown = texts(charts.bars("mean IoU", {"cat": 0.76543, "dog": float("nan")}))
    assert "0.765" in shown and "–" in shown and {"cat", "dog"} <= set(shown)


@pytest.mark.parametrize("count", [2, 6, 7, 40])
def test_any_number_of_classes_can_be_drawn(count):
    names = [f"class{index}" for index in range(count)]
    values = {"IoU": np.linspace(0, 1, count), "Dice": np.full(count, np.nan)}
    assert set(names) <= set(texts(charts.class_metrics(values, names)))
    shares = {"train": dict.fromkeys(names, 1 / count)}
    assert "train" in texts(charts.class_shares(shares, names))
    assert set(names) <= set(texts(charts.confusion_matrix(np.eye(count, dtype=int), names)))


def test_bins_without_pixels_are_drawn_too():
    bins = np.zeros((15, 3), np.int64)
    bins[9], bins[14] = (10, 6, 6 << 24), (90, 80, 88 << 24)
    drawn = charts.reliability(bins)
    assert {"right", "pixels", "confidence", "100%"} <= set(texts(drawn))
    charts.reliability(np.zeros((15, 3), np.int64))


def test_charts_follow_the_page_and_are_the_same_each_time():
    drawn = charts.curves("Loss", [1, 2, 3], [3, 2, 1], [3, 2.5, 2])
    assert drawn == charts.curves("Loss", [1, 2, 3], [3, 2, 1], [3, 2.5, 2])
    assert "currentColor" in drawn and "var(--faint)" in drawn
    assert not re.search(r"#000000|font-family|<style|<metadata", drawn)


def test_a_difference_is_red_exactly_where_the_prediction_is_wrong():
    picture = np.full((8, 16, 3), 128, np.uint8)
    truth = np.zeros((8, 16), np.uint8)
    predicted = truth.copy()
    predicted[:, 8:] = 1
    truth[:, 12:] = 255  # does not count
    shown = decoded(images.difference(picture, truth, predicted))
    red = shown[..., 0] - shown[..., 1] > 90
    assert red[:, 9:11].all() and not red[:, :7].any() and not red[:, 13:].any()


def test_the_stages_of_the_tutorials_unet():
    import keras

    from components.trainer import record, unet
    from components.trainer.config import DecoderConfig, EncoderConfig

    model = unet.build_unet(3, (64, 96), EncoderConfig(weights="none"), DecoderConfig())
    layers = record.describe_layers(model)
    keras.backend.clear_session()
    assert sum(layer["parameters"] for layer in layers) == model.count_params()
    stages = architecture.stages(layers)
    assert [stage.level for stage in stages] == [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0]
    assert [stage.encoder for stage in stages] == [False] + [True] * 5 + [False] * 5
    assert [stage.joins for stage in stages] == [False] * 6 + [True] * 4 + [False]
    assert stages[0].shape == (64, 96, 3) and stages[-1].shape == (64, 96, 3)
    assert stages[5].shape == (2, 3, 320) and stages[6].shape == (4, 6, 512 + 576)
    shown = texts(architecture.diagram(layers))
    assert "64×96×3" in shown and "4×6×1088" in shown


def chain(*edges):
    names = dict.fromkeys(name for edge in edges for name in edge)
    nodes = tuple(
        Node("execution", index, name, name, "done", "", "", index, index, {})
        for index, name in enumerate(names)
    )
    keys = {node.name: node.key for node in nodes}
    links = tuple(Edge(keys[source], keys[target], "x") for source, target in edges)
    return Lineage(nodes, links, {}), keys


def test_lineage_is_drawn_downwards_and_past_the_boxes():
    graph, keys = chain(("a", "b"), ("b", "c"), ("a", "c"), ("x", "c"), ("c", "d"), ("a", "d"))
    layers = lineage_section.arrange(graph)
    level = {key: depth for depth, layer in enumerate(layers) for key in layer}
    assert [level[keys[name]] for name in "abcdx"] == [0, 1, 2, 3, 1]
    # a -> c passes one layer, a -> d two: there they have places of their own.
    assert [len(layer) for layer in layers] == [1, 4, 2, 1]
    section = lineage_section.make(graph)
    boxes = {box.node.name: box for box in section.boxes}
    for box in section.boxes:
        assert box.x >= 0 and box.x + section.box_width <= section.width
        others = [b for b in section.boxes if b.y == box.y and b is not box]
        assert all(abs(b.x - box.x) >= section.box_width for b in others)
    passing = next(
        arrow.path
        for arrow, edge in zip(section.arrows, graph.edges, strict=True)
        if (edge.source, edge.target) == (keys["a"], keys["c"])
    )
    x = float(re.search(r"(\d+) \d+ v", passing)[1])
    assert not boxes["b"].x < x < boxes["b"].x + section.box_width


def test_an_empty_lineage_is_drawn_too():
    assert lineage_section.make(Lineage((), (), {})).boxes == []
