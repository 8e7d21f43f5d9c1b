"""What a namespace and a volume can refuse, and what is told of it."""

import os
import time

import pytest


def test_a_quota_lets_runs_through(cluster):
    """Argo's own containers name no requests: the LimitRange of infra/kubernetes does."""
    hard = "requests.cpu=64,requests.memory=256Gi,limits.memory=512Gi,pods=200"
    cluster.kubectl("create", "quota", "segline-test", f"--hard={hard}")
    try:
        run = cluster.submit()
        assert cluster.ends(run) == "SUCCEEDED"
    finally:
        cluster.kubectl("delete", "quota", "segline-test")


def test_a_volume_that_the_steps_may_not_write_to_is_told(cluster):
    """STRICT_CLAIM: one that belongs to root, as a fresh one of many drivers does."""
    claim = os.environ.get("STRICT_CLAIM") or pytest.skip("no STRICT_CLAIM")
    config = cluster.config(("kubeflow.volumes", [{"claim": claim, "mount_path": "/mnt/segline"}]))
    run = cluster.submit(config=config)
    assert cluster.ends(run) == "FAILED"
    told = cluster.told(run)
    assert told["step"] == "TfdsExampleGen" and "may not write" in told["reason"]


def test_a_full_volume_is_told_and_what_was_finished_is_kept(cluster):
    """FULL_CLAIM: one that holds 100 MB at most, and some of it."""
    claim = os.environ.get("FULL_CLAIM") or pytest.skip("no FULL_CLAIM")
    volumes = [
        {"claim": "segline-runs", "mount_path": "/mnt/segline"},
        {"claim": claim, "mount_path": "/mnt/full"},
    ]
    config = cluster.config(
        ("kubeflow.volumes", volumes),
        ("run.root", "/mnt/full/runs"),
        ("name", f"{cluster.name}-full"),
        ("trainer.seed", int(time.time())),
    )
    with cluster.pod(claim) as shell:
        shell("head -c 200M /dev/zero > /mnt/segline/filler || true")  # as far as it goes
        shell("truncate -s -1M /mnt/segline/filler")
        run = cluster.submit(config=config)
        assert cluster.ends(run, experiment=f"{cluster.name}-full") == "FAILED"
        told = cluster.told(run)
        assert "No space left" in told["reason"] or "full" in told["reason"]
        shell("rm /mnt/segline/filler")
    run = cluster.submit(config=config)
    assert cluster.ends(run, experiment=f"{cluster.name}-full") == "SUCCEEDED"
