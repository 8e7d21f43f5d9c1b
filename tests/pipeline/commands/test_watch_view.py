"""What `segline watch` shows."""

import io
from collections import Counter

import numpy as np
import pytest
from rich.console import Console

from components.watcher.comparison import Finding
from components.watcher.request_log import Requests
from components.watcher.table import Table
from components.watcher.verdict import Watched
from pipeline.commands.watch_view import print_watch


@pytest.mark.parametrize("name", ["site: [north]", "site: [/x]", "site: [red]"])
def test_a_slice_s_value_is_shown_as_it_is(name):
    asked = Requests(Table(60, {"brightness": np.zeros(60)}, {}), Counter(), 0, [])
    finding = Finding("brightness", name, 0.5, 0.1, 0.2, 60, 100, before=0.5, now=0.1)
    out = io.StringIO()
    watched = Watched("pets", "7", 0, asked, [finding], 50, refused=3)
    print_watch(Console(file=out, width=150), watched, "", "")
    row = next(line for line in out.getvalue().splitlines() if "0.500" in line)
    assert row.startswith(f"brightness of {name} ") and row.rstrip().endswith("drifted")
    assert "of its own data the version refuses 3 pictures" in out.getvalue()
