"""What people do with segline on a cluster, and what happens there to their runs.

In order: each goes on with what came before. docs/explanation/reliability.md has the outcomes.
"""

import time
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def seed():
    """Another one each time: what is trained with it comes from no cache of before."""
    return int(time.time()) % 100_000


@pytest.fixture(scope="module")
def first(cluster, seed):
    """The first run, to its end."""
    run = cluster.submit("--set", f"trainer.seed={seed}")
    assert cluster.ends(run) == "SUCCEEDED"
    return run


def test_a_model_is_trained_blessed_and_pushed(cluster, first):
    told = cluster.told(first)
    assert told["run"] == first and "pushed" in told["events"] and 0 <= told["mean_iou"] <= 1
    assert "epoch 2/2" in cluster.log(first, "Trainer")


def test_lineage_and_metrics_are_read_from_outside(cluster, first):
    """Lineage in a pod beside the pipeline, the metrics in Kubeflow's own ML Metadata."""
    from ml_metadata import MetadataStore
    from ml_metadata.proto import metadata_store_pb2

    told = cluster.told(first)
    config = Path(cluster.config()).read_text()
    with cluster.pod() as shell:
        lineage = shell('printf %s "$1" > /tmp/config.yaml; segline lineage model', config)
    assert first in lineage and "synthetic_pets" in lineage
    with cluster.port("service/metadata-grpc-service", 8080) as port:
        address = metadata_store_pb2.MetadataStoreClientConfig(host="127.0.0.1", port=port)
        store = MetadataStore(address)
        (context,) = (c for c in store.get_contexts() if c.name == first)
        found = store.get_artifacts_by_context(context.id)
        types = {t.id: t.name for t in store.get_artifact_types()}
    kinds = {types[artifact.type_id]: artifact for artifact in found}
    values = kinds["system.Metrics"].custom_properties
    assert values["mean_iou"].double_value == pytest.approx(told["mean_iou"], abs=1e-6)
    assert "system.HTML" in kinds


def test_the_same_again_comes_from_the_cache(cluster, first, seed):
    run = cluster.submit("--set", f"trainer.seed={seed}")
    assert cluster.ends(run) == "SUCCEEDED" and run != first
    assert "cached" in cluster.log(run, "Trainer")
    assert cluster.told(run) is None


def test_another_setting_is_trained(cluster, first, seed):
    run = cluster.submit("--set", f"trainer.seed={seed}", "trainer.epochs=3")
    assert cluster.ends(run) == "SUCCEEDED"
    assert "epoch 3/3" in cluster.log(run, "Trainer")
    assert cluster.told(run)["mean_iou_before"] is not None


def test_new_pictures_are_a_reason_to_train(cluster):
    """The same config twice, with more pictures in the folder at the second time."""
    folder = f"/mnt/segline/pictures-{int(time.time())}"
    config = cluster.config(
        ("dataset", {"name": "image_folder", "data_dir": "/mnt/segline/tfds", "folder": {}}),
        ("dataset.folder", {"images": f"{folder}/images", "masks": f"{folder}/masks"}),
        ("classes.values", {"background": 0, "square": 1}),
        ("trainer.epochs", 1),
        ("kubeflow.steps", {}),
        ("name", f"{cluster.name}-data"),
    )
    runs, ious = [], []
    for first, last in ((0, 60), (60, 90)):
        with cluster.pod() as shell:
            shell('python -c "$1" "$2" "$3" "$4"', _DRAW, folder, str(first), str(last))
        runs.append(cluster.submit(config=config))
        assert cluster.ends(runs[-1], experiment=f"{cluster.name}-data") == "SUCCEEDED"
        told = cluster.told(runs[-1])
        assert "pushed" in told["events"] and "epoch 1/1" in cluster.log(runs[-1], "Trainer")
        ious.append(told["mean_iou_before"])
    assert ious[0] is None and ious[1] is not None and runs[0] != runs[1]


# Squares on noise, numbers from … to …, and their masks.
_DRAW = """
import os, sys
import numpy as np
from PIL import Image
folder, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for part in ("images", "masks"):
    os.makedirs(os.path.join(folder, part), exist_ok=True)
for number in range(first, last):
    random = np.random.default_rng(number)
    picture = random.integers(0, 120, (48, 64, 3), dtype=np.uint8)
    mask = np.zeros((48, 64), np.uint8)
    y, x = random.integers(0, 24), random.integers(0, 40)
    mask[y:y + 20, x:x + 20] = 1
    picture[mask == 1] += 120
    for part, values in (("images", picture), ("masks", mask)):
        Image.fromarray(values).save(os.path.join(folder, part, f"{number:04d}.png"))
"""


def test_a_refused_model_is_told_and_the_old_one_serves_on(cluster, first, seed):
    words = ("--set", f"trainer.seed={seed}", "trainer.epochs=1", "evaluator.min_mean_iou=0.999")
    run = cluster.submit(*words)
    assert cluster.ends(run) == "SUCCEEDED"
    told = cluster.told(run)
    assert told["events"] == ["refused"] and told["step"] == "Evaluator"
    assert "mean_iou" in told["reason"]
    strict = cluster.config(("run.refused_fails", True))
    run = cluster.submit(*words, config=strict)
    assert cluster.ends(run) == "FAILED"
    assert "the model was refused" in cluster.log(run, "Verdict")


def test_an_error_is_told_with_step_and_reason(cluster):
    run = cluster.submit("--set", "dataset.features.image=photo")
    assert cluster.ends(run) == "FAILED"
    told = cluster.told(run)
    assert told["events"] == ["failed"] and told["step"] == "TfdsExampleGen"
    assert "has no feature 'photo'" in told["reason"]


def test_a_training_whose_pod_is_deleted_goes_on_from_its_epoch(cluster):
    """Needs retries of both kinds of ends: docs/how-to/kubeflow.md, `retryPolicy: Always`."""
    run = cluster.submit("--set", f"trainer.seed={int(time.time())}", "trainer.epochs=200")
    cluster.until(lambda: cluster.pods(run, "Trainer"), 20)
    # (after the first line its checkpoint may be still to come)
    cluster.until(lambda: " 3/200 " in _log_or_nothing(cluster, run), 10)
    (pod,) = cluster.pods(run, "Trainer")
    cluster.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
    assert cluster.ends(run) == "SUCCEEDED"
    assert "going on after epoch" in cluster.log(run, "Trainer")


def _log_or_nothing(cluster, run):
    try:
        return cluster.log(run, "Trainer")
    except AssertionError:  # the container has not begun
        return ""


def test_too_little_memory_is_told(cluster):
    small = cluster.config(
        ("kubeflow.steps", {"Trainer": {"memory_request": "200Mi", "memory_limit": "200Mi"}})
    )
    run = cluster.submit("--set", f"trainer.seed={int(time.time())}", config=small)
    assert cluster.ends(run) == "FAILED"
    told = cluster.told(run)
    assert told["events"] == ["failed"] and told["step"] == "Trainer"


def test_an_image_that_is_not_there_blocks_nothing_for_ever(cluster):
    wrong = cluster.config(("kubeflow.steps", {"StatisticsGen": {"image": "nowhere.invalid/x:1"}}))
    run = cluster.submit(config=wrong)
    cluster.until(lambda: cluster.pods(run, "StatisticsGen"), 20)
    assert run in cluster.segline("stop", run, config=wrong)
    assert cluster.ends(run, 10) in ("FAILED", "CANCELED")
    assert cluster.told(run)["step"] == "StatisticsGen"


def test_ml_metadata_may_be_away_for_a_minute(cluster):
    run = cluster.submit("--set", f"trainer.seed={int(time.time())}")
    cluster.until(lambda: cluster.pods(run, "StatisticsGen"), 20)
    cluster.kubectl("scale", "statefulset/segline-metadata", "--replicas=0")
    try:
        time.sleep(60)
    finally:
        cluster.kubectl("scale", "statefulset/segline-metadata", "--replicas=1")
    assert cluster.ends(run) == "SUCCEEDED"


def test_a_schedule_has_two_ticks_of_two_ids(cluster):
    before = set(cluster.runs())
    try:
        cluster.segline("schedule", "--every", "1m")
        new = cluster.until(lambda: len(set(cluster.runs()) - before) >= 2 and cluster.runs(), 60)
    finally:
        cluster.segline("schedule", "--disable")
    ticks = [run for run in new if run not in before]
    assert [cluster.ends(run) for run in ticks] == ["SUCCEEDED"] * len(ticks)


def test_a_schedule_is_replaced_while_its_run_trains(cluster):
    before = set(cluster.runs())
    try:
        cluster.segline("schedule", "--every", "1m", "--set", f"trainer.seed={int(time.time())}")
        cluster.until(lambda: set(cluster.runs()) - before, 10)
        (run, *_) = set(cluster.runs()) - before
        assert "replaced" in cluster.segline("schedule", "--every", "1d")
        assert cluster.ends(run) == "SUCCEEDED"
    finally:
        cluster.segline("schedule", "--disable")
    assert "deleted" in cluster.until(lambda: cluster.segline("schedule", "--delete"), 1)
