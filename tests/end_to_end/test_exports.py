"""Exports through the whole chain: made, judged, pushed, told of, found again, used."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from components.common.model_card import read_card
from components.datasets.synthetic_pets import draw_pet
from components.exporter.result import read_result

onnxruntime = pytest.importorskip("onnxruntime")

WANTED = [
    {"format": "litert", "quantize": "int8", "max_drop": 1.0},
    {"format": "onnx"},
    {"format": "onnx", "quantize": "int8", "max_drop": 0.0},
]
PUSHED = ["model.onnx", "model_int8.tflite"]


def states(output):
    return dict(re.findall(r"[✓✗] (\w+) +(done|cached|failed)", output))


def write(path, config):
    path.write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.fixture(scope="module")
def place(new_workplace):
    """After a run without exports, and one that asks for them."""
    place = new_workplace("exports")
    path = place.folder / "tiny.yaml"
    config = yaml.safe_load(path.read_text())
    config["trainer"]["precision"] = "mixed_bfloat16"
    write(path, config)
    first = place.run()
    assert first.returncode == 0, first.stdout + first.stderr
    place.plain = first.stdout
    write(path, {**config, "pusher": {"exports": WANTED}})
    second = place.run()
    assert second.returncode == 0, second.stdout + second.stderr
    place.ran = second.stdout
    return place


@pytest.fixture(scope="module")
def version(place):
    return place.root / "serving" / max(place.served())


@pytest.fixture(scope="module")
def results(place):
    (folder,) = place.outputs("Exporter/exports")
    return {one.name: read_result(str(one)) for one in folder.iterdir()}


def test_what_was_there_is_taken_from_the_cache(place):
    assert "Exporter" not in states(place.plain)
    made_anew = {step for step, state in states(place.ran).items() if state == "done"}
    # (a resolver only looks things up)
    assert made_anew - {"LatestBlessedModel"} == {"Exporter", "Pusher", "Reporter"}


def test_blessed_exports_are_pushed_and_the_others_are_told(place, version, results):
    folder = version / "assets.extra" / "exports"
    blessed = sorted(name for name, one in results.items() if one.blessed)
    assert set(PUSHED) <= set(blessed) and len(results) == len(WANTED)
    assert sorted(path.name for path in folder.iterdir()) == blessed
    for name, one in results.items():
        mark = "✓" if one.blessed else "✗"
        assert f"{mark} {name}: mean IoU {one.mean_iou:.4f}" in place.ran
    int8 = results["model_int8.onnx"]
    assert int8.blessed == (int8.mean_iou >= int8.model_mean_iou)


def test_the_saved_model_is_judged_as_the_evaluator_judged_it(place, results):
    overall = place.verdict().overall
    for one in results.values():
        assert one.model_mean_iou == pytest.approx(overall["mean_iou"], abs=1e-6)
    # In float32 an export is the model itself.
    exact = results["model.onnx"]
    assert exact.agreement >= 0.999 and abs(exact.change) < 0.002
    assert exact.class_iou["pet"] == pytest.approx(overall["iou_pet"], abs=0.002)


def test_the_report_shows_them_side_by_side(place, results):
    page = (place.root / "report.html").read_text()
    section = page[page.index('<section id="exports">') :]
    section = section[: section.index("</section>")]
    assert "SavedModel" in section
    for name, one in results.items():
        assert name in section and f"{one.mean_iou:.4f}" in section
    assert section.count("✗") == 2 * sum(not one.blessed for one in results.values())


def test_lineage_knows_a_file_wherever_it_lies(place, version, results, tmp_path):
    copy = tmp_path / "on a phone.tflite"
    shutil.copy(version / "assets.extra" / "exports" / "model_int8.tflite", copy)
    done = place.call("segline", "lineage", "model", str(copy), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["export"]["file"] == "model_int8.tflite" and found["export"]["blessed"]
    mean_iou = results["model_int8.tflite"].mean_iou
    assert found["export"]["mean_iou"] == pytest.approx(mean_iou, abs=1e-5)  # (as it is shown)
    assert found["export"]["pushed_to"] == [
        str(version / "assets.extra" / "exports" / "model_int8.tflite")
    ]
    assert found["data"]["name"] == "synthetic_pets" and found["training"]["settings"]
    whole = json.loads(place.call("segline", "lineage", "model", "--json").stdout)
    assert [one["file"] for one in whole["exports"]] == [
        *("model_int8.tflite", "model.onnx", "model_int8.onnx")
    ]
    assert whole["model"] == found["model"]
    copy.write_bytes(copy.read_bytes() + b".")
    done = place.call("segline", "lineage", "model", str(copy))
    assert done.returncode == 1 and "no run of tiny has made a file of this" in done.stderr


@pytest.mark.parametrize("name", PUSHED)
def test_predict_gives_the_models_masks(place, version, tmp_path, name):
    (tmp_path / "in").mkdir()
    for number in range(3):
        picture, _, _ = draw_pet(number)
        Image.fromarray(picture).save(tmp_path / "in" / f"{number}.png")
    masks, confidence = {}, {}
    for model in (version, version / "assets.extra" / "exports" / name):
        out = tmp_path / f"of {model.name}"
        done = place.call(
            "segline", "predict", str(tmp_path / "in"), "--model", str(model), "--out", str(out)
        )
        assert done.returncode == 0, done.stderr
        masks[model.name] = np.concatenate(
            [np.asarray(Image.open(out / f"{number}_mask.png")).ravel() for number in range(3)]
        )
        with open(out / "predictions.csv") as file:
            confidence[model.name] = [float(row["confidence"]) for row in csv.DictReader(file)]
    agreement = np.mean(masks[version.name] == masks[name])
    assert agreement >= (0.999 if name == "model.onnx" else 0.9)
    near = 1e-3 if name == "model.onnx" else 0.05
    assert confidence[name] == pytest.approx(confidence[version.name], abs=near)


def test_a_file_says_how_sure_it_is_of_its_mask(version):
    """By the bare runtime: its probabilities are the network's own, its confidence calibrated."""
    path = version / "assets.extra" / "exports" / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map["segline"])
    assert card["calibration"] == read_card(str(version))["calibration"]
    picture = np.asarray(Image.fromarray(draw_pet(0)[0]).resize((64, 32)))
    outputs = [one.name for one in session.get_outputs()]
    told = session.run(None, {"image": picture[None].astype(np.float32)})
    told = dict(zip(outputs, told, strict=True))
    powers = told["probabilities"].astype(float) ** (1 / card["calibration"]["temperature"])
    calibrated = powers / powers.sum(-1, keepdims=True)
    np.testing.assert_array_equal(told["mask"], calibrated.argmax(-1))
    np.testing.assert_allclose(told["confidence"], calibrated.max(-1), atol=1e-5)


def test_upkeep_keeps_what_is_pushed(place, version):
    done = place.call("segline", "gc", "--keep", "1", "--delete")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = place.outputs("Exporter/exports")
    assert (folder / "model.onnx" / "model.onnx").is_file()
    again = place.run()
    assert states(again.stdout)["Exporter"] == "cached", again.stdout
