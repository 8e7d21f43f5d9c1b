"""Where `segline label` keeps what it makes."""

import pytest

from components.common.errors import UserError
from pipeline.commands.label_run import local_folder


def test_out_goes_before_a_root_in_a_bucket():
    assert local_folder(None, "runs/pets/label-check") == "runs/pets/label-check"
    assert local_folder("here", "gs://bucket/runs/pets/label-check") == "here"


@pytest.mark.parametrize(
    "out, otherwise, message",
    [
        (None, "gs://bucket/pets", "run.root: gs://bucket/pets is not on this machine; .* --out"),
        ("s3://bucket/round", "runs", "--out: s3://bucket/round is not on this machine"),
        (None, "file:///runs/pets", "run.root: file:///runs/pets is not on this machine"),
    ],
)
def test_buckets_are_refused_with_a_remedy(out, otherwise, message):
    with pytest.raises(UserError, match=message):
        local_folder(out, otherwise)
