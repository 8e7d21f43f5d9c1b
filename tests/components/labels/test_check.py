"""The page of the worst labels."""

import pytest

from components.labels.check import Doubt
from components.labels.folds import Scored
from components.reporter import templates


@pytest.mark.parametrize("leave_out", [True, False, None])
def test_the_page_says_what_is_left_out_and_what_nobody_has_decided(leave_out):
    scored = Scored("a.jpg", "train", 0.25, "model")
    page = templates.render(
        "labels.html",
        title="pets",
        doubts=[Doubt(1, scored, leave_out, *["data:,"] * 4)],
        marked=int(leave_out is True),
        total=1,
        class_colors={},
    )
    (caption,) = [part.split("</figcaption>")[0] for part in page.split("<figcaption>")[1:]]
    assert ("leave out</b>" in caption) == (leave_out is True)
    assert ("leave out?</b>" in caption) == (leave_out is None)
    assert ("nobody has said so yet" in page) == (leave_out is None)
