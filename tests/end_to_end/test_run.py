"""The whole chain, from the command line to the pushed model.

The tests of this file run in order on one workplace: each goes on from where the
one before left it, as a user would.
"""

import glob
import io
import json
import re
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import forked
import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.special
import tensorflow as tf
from PIL import Image

from components.common import confusion
from components.common.model_card import read_card
from components.common.network import take_network
from components.datasets.synthetic_pets import SyntheticPets, draw_pet

PROJECT = Path(__file__).resolve().parents[2]
STEPS = [
    "TfdsExampleGen",
    "StatisticsGen",
    "SchemaGen",
    "ExampleValidator",
    "Transform",
    "Trainer",
    "LatestBlessedModel",
    "Evaluator",
    "InfraValidator",
    "Pusher",
    "Reporter",
]
CATS = (("species", "cat"),)
NAMES = ["pet", "background", "border"]


def states(output):
    """step -> state, as the terminal shows them."""
    return dict(re.findall(r"[✓✗] (\w+) +(done|cached|failed)", output))


def test_create_registers_the_pipeline_and_runs_nothing(first_run):
    assert 'Pipeline "tiny" created successfully' in first_run.created
    assert "Trainer" not in first_run.created


def test_every_step_is_shown_with_its_state(first_run):
    assert states(first_run.ran) == dict.fromkeys(STEPS, "done")
    assert "epoch 1/3" in first_run.ran and "epoch 3/3" in first_run.ran


def test_the_terminal_shows_nothing_but_the_run(first_run):
    foreign = re.compile(r"^(WARNING|INFO|[EWI]\d{4}|\d{4}-\d\d-\d\d.*tensorflow)|absl|Traceback")
    for line in first_run.ran.splitlines():
        assert not foreign.search(line), line
    logs = [file.read_text() for file in (first_run.root / "logs").glob("*.log")]
    assert any("Component Trainer is running" in text for text in logs)


def test_the_summary_tells_metrics_blessing_and_paths(first_run):
    out = first_run.ran
    verdict = first_run.verdict()
    assert f"{verdict.overall['mean_iou']:.4f} (mean)" in out
    assert f"{verdict.overall['pixel_accuracy']:.4f} (pixels)" in out
    assert "Blessed" in out
    cats = verdict.metrics[CATS]
    count, mean_iou = re.search(r"species cat +│ +(\d+) │ +(\S+) │", out).groups()
    assert int(count) == cats["example_count"] and mean_iou == f"{cats['mean_iou']:.4f}"
    assert "✓ served by TensorFlow" in out and "8 kinds of requests" in out
    (version,) = first_run.served()
    assert f"runs/tiny/serving/{version}" in out
    assert "runs/tiny/report.html" in out


def load_in_a_clean_process(path, script):
    """Runs a script where only TensorFlow may be imported."""
    guard = textwrap.dedent(
        f"""
        import json, sys
        class Forbid:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {{"tfx", "tensorflow_transform", "tfx_bsl",
                        "components", "pipeline", "tensorflow_datasets"}}:
                    raise ImportError("only TensorFlow here, not " + name)
        sys.meta_path.insert(0, Forbid())
        import tensorflow as tf
        model = tf.saved_model.load({str(path)!r})
        """
    )
    result = subprocess.run(
        [sys.executable, "-c", guard + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=forked.HANGS,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_the_pushed_model_serves_with_tensorflow_alone(first_run, encode_picture, tmp_path):
    rng = np.random.default_rng(0)
    pictures = {
        "jpeg": encode_picture(rng.integers(0, 255, (50, 70, 3)).astype(np.uint8), "JPEG"),
        "png": encode_picture(rng.integers(0, 255, (90, 40, 3)).astype(np.uint8)),
        "grey": encode_picture(rng.integers(0, 255, (30, 30)).astype(np.uint8)),
        "rgba": encode_picture(rng.integers(0, 255, (64, 64, 4)).astype(np.uint8)),
    }
    for name, content in pictures.items():
        (tmp_path / name).write_bytes(content)
    (version,) = first_run.served()
    found = load_in_a_clean_process(
        first_run.root / "serving" / version,
        f"""
        serve = model.signatures["serving_default"]
        names = {list(pictures)!r}
        batch = tf.constant([open({str(tmp_path)!r} + "/" + name, "rb").read() for name in names])
        out = serve(image_bytes=batch)
        one = serve(image_bytes=batch[:1])
        masks = [tf.io.decode_png(png) for png in out["mask_png_bytes"]]
        print(json.dumps({{
            "outputs": sorted(out),
            "mask": [out["mask"].dtype.name, out["mask"].shape.as_list()],
            "sizes": [mask.shape.as_list() for mask in masks],
            "classes": sorted({{int(v) for mask in masks for v in tf.unique(
                tf.reshape(mask, [-1])).y}}),
            "confidence": [float(c) for c in out["confidence"]],
            "one": bool(tf.reduce_all(one["mask"][0] == out["mask"][0])),
            "signatures": sorted(model.signatures),
        }}))
        """,
    )
    assert found["signatures"] == [
        *(
            "evaluate",
            "evaluate_at_picture",
            "serving_default",
            "serving_flipped",
            "transform_features",
        )
    ]
    assert found["outputs"] == ["confidence", "mask", "mask_png_bytes"]
    assert found["mask"] == ["uint8", [4, 32, 64]]
    assert found["sizes"] == [[50, 70, 1], [90, 40, 1], [30, 30, 1], [64, 64, 1]]
    assert set(found["classes"]) <= {0, 1, 2}
    assert all(1 / 3 <= value <= 1 for value in found["confidence"])
    assert found["one"]


def test_flipping_makes_no_difference_between_a_picture_and_its_mirror_image(first_run):
    import tensorflow as tf

    (version,) = first_run.served()
    model = tf.saved_model.load(str(first_run.root / "serving" / version))
    pixels, _, _ = draw_pet(3)
    pair = tf.stack([tf.io.encode_png(pixels), tf.io.encode_png(pixels[:, ::-1])])
    masks = {}
    for name in ("serving_default", "serving_flipped"):
        out = model.signatures[name](image_bytes=pair)
        masks[name] = out["mask"].numpy()
    one, mirrored = masks["serving_flipped"]
    assert np.mean(one != mirrored[:, ::-1]) < 0.001  # (sums in another order)
    assert out["confidence"][0].numpy() == pytest.approx(out["confidence"][1].numpy(), abs=1e-4)
    one, mirrored = masks["serving_default"]
    assert np.mean(one != mirrored[:, ::-1]) > 0.01


def test_the_model_describes_itself(first_run):
    (version,) = first_run.served()
    card = json.loads(
        (first_run.root / "serving" / version / "assets.extra" / "segline.json").read_text()
    )
    assert card["classes"]["values"] == {"pet": 1, "background": 2, "border": 3}
    assert card["trainer"]["epochs"] == 3 and card["image_size"] == [32, 64]
    assert card["class_weights"]["border"] == max(card["class_weights"].values())


def test_the_temperature_is_the_same_wherever_it_is_told(first_run):
    (version,) = first_run.served()
    card = read_card(str(first_run.root / "serving" / version))
    found = card["calibration"]
    assert found["pixels"] == 16 * 32 * 64 and found["nll"] < found["nll_before"]
    (run,) = (first_run.root / "artifacts/Trainer/model_run").iterdir()
    assert json.loads((run / "training.json").read_text())["calibration"] == found
    done = first_run.call("segline", "lineage", "model", version, "--json")
    told = json.loads(done.stdout)["training"]["temperature"]
    assert told == pytest.approx(found["temperature"], abs=1e-5)
    report = (first_run.root / "report.html").read_text()
    assert f"temperature {found['temperature']:.4g}: on 32,768 pixels of the" in report
    error = f"{first_run.verdict().overall['expected_calibration_error']:.4f}"
    assert f"<dt>expected calibration error</dt><dd>{error}</dd>" in report
    assert f"expected calibration error {error}" in first_run.ran


def test_metrics_equal_numpy_on_the_served_predictions(first_run):
    """TFMA's numbers against masks from `serving_default` and counts by NumPy."""
    import tensorflow as tf

    (version,) = first_run.served()
    model = tf.saved_model.load(str(first_run.root / "serving" / version))
    serve, prepare = (model.signatures[name] for name in ("serving_default", "transform_features"))
    files = sorted(
        glob.glob(str(first_run.root / "artifacts/TfdsExampleGen/examples/*/Split-test/*"))
    )
    taken = take_network(model, (32, 64))
    network = tf.function(lambda images: taken(images))
    spec = tf.TensorSpec([None, 32, 64, 3])
    graph = network.get_concrete_function(spec).graph.as_graph_def()
    nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    kinds = {node.op for node in nodes}
    assert "Conv2D" in kinds and not kinds & {"FusedBatchNormV3", "Rsqrt"}  # all are folded
    temperature = read_card(str(first_run.root / "serving" / version))["calibration"]["temperature"]
    matrices = {(): np.zeros((3, 3), np.int64)}
    sure = {}
    for record in tf.data.TFRecordDataset(files, "GZIP"):
        feature = tf.train.Example.FromString(record.numpy()).features.feature
        prepared = prepare(examples=record[None])
        truth = prepared["mask"].numpy().ravel()
        logits = network(prepared["image"]).numpy().reshape(-1, 3).astype(float)
        confidence = scipy.special.softmax(logits / temperature, -1).max(-1)
        image = tf.constant([feature["image"].bytes_list.value[0]])
        predicted = serve(image_bytes=image)["mask"].numpy().ravel()
        matrix = np.zeros((3, 3), np.int64)
        np.add.at(matrix, (truth, predicted), 1)
        species = feature["species"].bytes_list.value[0].decode()
        share = np.mean(truth != NAMES.index("background"))
        size = "small" if share < 0.3 else "large" if share >= 0.4 else "medium"
        for key in ((), (("species", species),), (("object_size", size),)):
            matrices[key] = matrices.get(key, 0) + matrix
            sure.setdefault(key, []).append((confidence, truth == predicted))
    verdict = first_run.verdict()
    assert set(verdict.metrics) == set(matrices) and len(matrices) >= 5
    assert verdict.overall["example_count"] == 24
    for key, matrix in matrices.items():
        for name, value in confusion.scores(matrix, NAMES).items():
            assert verdict.metrics[key][name] == pytest.approx(value, abs=1e-6, nan_ok=True), name
        confidence, right = (np.concatenate(one) for one in zip(*sure[key], strict=True))
        bins = np.ceil(confidence * 15)
        error = sum(
            np.mean(bins == one) * abs(np.mean((right - confidence)[bins == one]))
            for one in np.unique(bins)
        )
        found = verdict.metrics[key]["expected_calibration_error"]
        assert found == pytest.approx(error, abs=1e-5)  # (a pixel on a bin's edge)


def test_the_pushed_model_predicts_a_split_of_its_dataset(first_run):
    out = first_run.folder / "masks"
    done = first_run.call(
        *("segline", "predict", "--beam", "--split", "test", "--flip", "--out", str(out))
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 of 24 predicted" in done.stdout
    rows = [row for file in out.iterdir() for row in pq.read_table(file).to_pylist()]
    assert len({row["picture"] for row in rows}) == 24
    shares = np.array([[row[f"share_{name}"] for name in NAMES] for row in rows])
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)


def test_what_is_asked_is_held_against_what_it_was_trained_on(first_run, encode_picture):
    """The batch prediction of the test before, and a folder of dark pictures."""
    dark = first_run.folder / "dark"
    dark.mkdir()
    for seed in range(500, 524):
        (dark / f"{seed}.png").write_bytes(encode_picture(draw_pet(seed)[0] // 4))
    told = first_run.folder / "notice.json"
    keep = [sys.executable, "-c", f"import sys; open({str(told)!r}, 'w').write(sys.stdin.read())"]
    done = first_run.call(
        *("segline", "watch", str(first_run.folder / "masks"), str(dark), "--notify", "--json"),
        SEGLINE__RUN__NOTIFY=json.dumps([{"command": keep}]),
        SEGLINE__WATCH__LEAST_REQUESTS="20",
    )
    assert done.returncode == 3, done.stdout + done.stderr
    found = json.loads(done.stdout)
    (version,) = first_run.served()
    assert (found["version"], found["requests"], found["unreadable"]) == (version, 48, 0)
    features = {one["feature"]: one for one in found["features"]}
    assert len(features) == 5 + 1 + len(NAMES)
    (examples,) = first_run.outputs("TfdsExampleGen/examples")
    records = tf.data.TFRecordDataset(glob.glob(f"{examples}/Split-train/*"), "GZIP")
    trained_on = [
        tf.train.Example.FromString(record).features.feature["image"].bytes_list.value[0]
        for record in records.as_numpy_iterator()
    ]
    widths = [Image.open(io.BytesIO(picture)).width for picture in trained_on]
    width, brightness = features["width"], features["brightness"]
    assert (width["requests"], width["pictures"], width["drifted"]) == (48, 128, False)
    assert width["before"] == pytest.approx(np.mean(widths))
    # Answers with mirror images are no answers as the data's: those of the folder alone count.
    assert (features["share_pet"]["requests"], features["share_pet"]["pictures"]) == (24, 24)
    assert (brightness["requests"], brightness["drifted"]) == (24, True)
    assert brightness["now"] == pytest.approx(brightness["before"] / 4, abs=0.05)
    notice = json.loads(told.read_text())
    assert notice["events"] == ["drifted"] and "brightness" in notice["reason"]
    page = Path(notice["report"])
    assert page == first_run.root / "watch.html" and "brightness" in page.read_text()
    written = page.read_bytes()
    too_few = first_run.call(
        "segline", "watch", str(dark), "--json", SEGLINE__WATCH__LEAST_REQUESTS="25"
    )
    assert too_few.returncode == 0, too_few.stdout + too_few.stderr
    found = json.loads(too_few.stdout)
    assert (found["requests"], found["features"], found["page"]) == (24, [], "")
    assert page.read_bytes() == written


def test_tensorboard_has_curves_and_pictures(first_run):
    from tensorboard.backend.event_processing import event_accumulator

    (folder,) = glob.glob(str(first_run.root / "artifacts/Trainer/model_run/*"))
    events = event_accumulator.EventAccumulator(f"{folder}/train").Reload()
    assert "epoch_loss" in events.Tags()["tensors"]
    grids = event_accumulator.EventAccumulator(f"{folder}/validation").Reload()
    tag = "picture, true mask, predicted mask"
    assert [event.step for event in grids.Tensors(tag)] == [0, 1, 2, 3]
    assert len(glob.glob(f"{folder}/predictions/*.png")) == 4
    assert Path(folder, "history.csv").read_text().startswith("epoch,accuracy")


def test_a_second_run_is_served_from_the_cache(first_run):
    before = first_run.served()
    again, seconds = with_cpu_seconds(lambda: first_run.really_call(*first_run.run_command()))
    assert again.returncode == 0, again.stdout + again.stderr
    expected = dict.fromkeys(STEPS, "cached") | {"LatestBlessedModel": "done"}
    assert states(again.stdout) == expected
    assert first_run.served() == before
    assert f"serving/{before[0]}" in again.stdout
    # It is hardly more than the imports (1.1 times: docs/benchmarks.md).
    imports = "import tfx.components, tensorflow_model_analysis"
    _, least = with_cpu_seconds(lambda: first_run.really_call(sys.executable, "-c", imports))
    assert seconds < 1.9 * least


def with_cpu_seconds(function):
    """What a function gives, and the CPU time of the processes that it ran."""

    def used():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    return function(), used() - before


# The notice of a run's end, as JSON in the file `told`.
NOTIFY = {
    "SEGLINE__RUN__NOTIFY": "[{command: [sh, -c, 'cat > told'], "
    "events: [failed, refused, pushed, recovered]}]"
}


def told(place):
    """What the owner was told last."""
    return json.loads((place.folder / "told").read_text())


def test_a_model_that_misses_a_floor_is_not_pushed_and_the_summary_says_why(first_run):
    before = first_run.served()
    refused = first_run.run(SEGLINE__EVALUATOR__MIN_CLASS_IOU__BORDER="0.999", **NOTIFY)
    assert refused.returncode == 0, refused.stdout + refused.stderr
    assert states(refused.stdout)["Trainer"] == "cached"
    assert "Not blessed, not pushed" in refused.stdout
    verdict = first_run.verdict()
    (failure,) = verdict.failures
    value = verdict.overall["iou_border"]
    assert (failure.metric, failure.value) == ("iou_border", pytest.approx(value))
    assert f"✗ iou_border {value:.4f}: at least 0.9990 is asked for, {0.999 - value:.4f} short" in (
        refused.stdout
    )
    assert first_run.served() == before
    assert f"still runs/tiny/serving/{before[0]}" in refused.stdout
    notice = told(first_run)
    assert (notice["events"], notice["step"]) == (["refused"], "Evaluator")
    assert notice["reason"].startswith(f"iou_border {value:.4f}: at least 0.9990 is asked for")
    blessed = first_run.verdict(0).overall["mean_iou"]
    assert notice["mean_iou"] == notice["mean_iou_before"]
    assert notice["mean_iou"] == pytest.approx(blessed, abs=1e-6)  # ML Metadata keeps six digits
    assert notice["report"] == str(first_run.root / "report.html")


def test_a_model_that_falls_behind_the_blessed_one_is_not_pushed(first_run):
    """An untrained model (the rate is all but zero) against the one of the first run."""
    before = first_run.served()
    refused = first_run.run(
        SEGLINE__TRAINER__LEARNING_RATE="0.000000001",
        SEGLINE__TRAINER__EPOCHS="1",
        SEGLINE__EVALUATOR__MAX_DROP="0.001",
        SEGLINE__RUN__REFUSED_FAILS="true",
    )
    assert refused.returncode == 1, refused.stdout + refused.stderr
    verdict = first_run.verdict()
    # (It may predict one class everywhere too.)
    (change,) = [check for check in verdict.failures if check.change]
    first = first_run.verdict(0)
    difference = verdict.overall["mean_iou"] - first.overall["mean_iou"]
    assert change.change and change.value == pytest.approx(difference, abs=1e-6)
    assert difference < -0.001
    assert "Not blessed" in refused.stdout
    assert f"✗ mean_iou {difference:+.4f} against the latest blessed model" in refused.stdout
    assert first_run.served() == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"SEGLINE__TRAINER__ENCODER": "{name: mobilenet_v2, weights: /no/such.h5}"},
            "there is no file /no/such.h5",
        ),
        ({"SEGLINE__DATASET__SPLITS__TEST": "tset"}, "dataset.splits.test: 'tset' does not fit"),
        ({"SEGLINE__DATASET__FEATURES__MASK": "trimap"}, "has no feature 'trimap'"),
        (
            {"SEGLINE__CLASSES__VALUES": "{pet: 1, background: 2, border: 4}"},
            "the mask has the value 3",
        ),
        ({"SEGLINE__TRAINER__EPOCHZ": "1"}, "trainer.epochz: there is no such key"),
    ],
)
def test_bad_input_is_one_clear_error_and_the_pushed_model_stays(first_run, overrides, message):
    before = first_run.served()
    failed = first_run.run(**overrides)
    assert failed.returncode == 1
    assert message in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr
    assert first_run.served() == before


def test_the_beam_engine_runs_the_same_chain(first_run):
    """Through `tfx … --engine=beam`; what the local engine has done is cached for it too."""
    runner = str(PROJECT / "pipeline" / "beam_runner.py")
    created = first_run.call(
        "tfx", "pipeline", "create", "--engine=beam", f"--pipeline_path={runner}"
    )
    assert created.returncode == 0, created.stdout + created.stderr
    ran = first_run.call(
        *("tfx", "run", "create", "--engine=beam", "--pipeline_name=tiny"),
        SEGLINE__TRAINER__SEED="3",
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = states(ran.stdout)
    assert set(shown) == set(STEPS)
    assert shown["TfdsExampleGen"] == "cached" and shown["Trainer"] == "done"
    assert "(mean)" in ran.stdout


def test_a_failing_step_on_beam_is_named_too(first_run):
    classes = "{pet: 1, background: 2, border: 4}"
    failed = first_run.run("beam", SEGLINE__CLASSES__VALUES=classes, **NOTIFY)
    assert failed.returncode == 1
    notice = told(first_run)
    assert (notice["events"], notice["step"]) == (["failed"], "TfdsExampleGen")
    assert "the mask has the value 3" in notice["reason"] and "\n" not in notice["reason"]
    assert "TfdsExampleGen failed." in failed.stdout
    assert "the mask has the value 3" in failed.stdout and "Traceback" not in failed.stdout


SEEDS = {"train": 5_000_000, "test": 6_000_000}


@pytest.fixture(scope="module")
def more_pets(tmp_path_factory):
    """Prepared data of the same name and version, with other pictures."""

    class MorePets(SyntheticPets, skip_registration=True):
        name = "synthetic_pets"

        def _split_generators(self, dl_manager):
            return {name: self._generate_examples(seed, 160) for name, seed in SEEDS.items()}

    folder = str(tmp_path_factory.mktemp("more_pets"))
    MorePets(data_dir=folder).download_and_prepare()
    return folder


def test_new_data_is_told_and_trained_from_the_latest_model(first_run, more_pets):
    def changes(**overrides):
        overrides = {"SEGLINE__TRAINER__SEED": "3", **overrides}  # as the run before has it
        done = first_run.call("segline", "lineage", "changes", **overrides)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert changes(SEGLINE__WATCH__LEAST_REQUESTS="60") == [
        "nothing has changed since the latest blessed model"
    ]
    settings = {
        "SEGLINE__DATASET__DATA_DIR": more_pets,
        "SEGLINE__TRAINER__WARM_START": "true",
        "SEGLINE__TRAINER__SEED": "3",
        "SEGLINE__TRAINER__EPOCHS": "1",
        "SEGLINE__DATA_VALIDATION__DRIFT": "{max_divergence: 0.001}",
    }
    data, *config = changes(**settings)
    assert re.fullmatch(r"data: synthetic_pets 1\.0\.0: [0-9a-f]{16} -> [0-9a-f]{16}", data)
    assert config == [
        "config: trainer.warm_start: False -> True",
        "config: trainer.epochs: 3 -> 1",
        "config: data_validation.drift.action: (none) -> warn",
        "config: data_validation.drift.max_divergence: (none) -> 0.001",
    ]
    before = first_run.served()
    (base,) = (first_run.root / "serving" / before[-1]).glob("saved_model.pb")

    ran = first_run.run(**settings)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert states(ran.stdout)["BaseModel"] == "done"
    assert states(ran.stdout)["DriftValidator"] == "done"
    assert "drift from the data of the latest blessed model: train: brightness: " in ran.stdout
    report = (first_run.root / "report.html").read_text()
    assert "The data has drifted from that of the latest blessed model" in report
    assert "train: brightness: " in report
    assert len(first_run.served()) == len(before) + 1
    answer = json.loads(first_run.call("segline", "lineage", "model", "--json", **settings).stdout)
    model = answer["training"]["base_model"]
    assert model["versions"] == [before[-1]]
    assert f"beginning with the weights of {model['uri']}" in ran.stdout
    trained = Path(model["uri"], "Format-Serving", "saved_model.pb")
    assert trained.read_bytes() == base.read_bytes()
    assert changes(**settings) == ["nothing has changed since the latest blessed model"]

    again = first_run.run(**settings)
    assert states(again.stdout)["Trainer"] == states(again.stdout)["DriftValidator"] == "cached"

    settings["SEGLINE__DATA_VALIDATION__DRIFT"] = "{max_divergence: 0.001, action: stop}"
    stopped = first_run.run(**settings)
    assert stopped.returncode == 1 and "Traceback" not in stopped.stdout
    assert "the data has drifted from that of the latest blessed model" in stopped.stdout
    settings["SEGLINE__DATA_VALIDATION__DRIFT"] = "{max_divergence: 0.9, action: stop}"
    near = first_run.run(**settings)
    assert near.returncode == 0 and "drift from" not in near.stdout
    report = (first_run.root / "report.html").read_text()
    assert "No drift from the data of the latest blessed model" in report
