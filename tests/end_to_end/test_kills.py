"""A run that is killed again and again, in one step after the other."""

import re
import time

import pytest

from components.common.served_model import ServedModel

# Step, and when: seconds after its beginning (the short ones are over before that), or when
# something is there below the artifacts: half-way. (In the Trainer: test_run_history.py and
# test_kubeflow_package.py. While files are being copied to the serving folder:
# test_pusher.py.)
KILLS = (
    ("TfdsExampleGen", 0.0),
    ("TfdsExampleGen", "TfdsExampleGen/examples/*/.attempts/*.json"),
    ("StatisticsGen", 1.5),
    ("Transform", "Transform/transform_graph/*/transform_fn/*"),
    ("Evaluator", 3.0),
    ("Pusher", 0.05),
    ("Reporter", 0.5),
)


def run_and_kill(place, step, when):
    """What was printed until then."""
    with place.start_run(PYTHONUNBUFFERED="1") as process:
        shown = ""
        for line in process.stdout:
            shown += line
            if f"▸ {step}" in line:
                break
        if isinstance(when, str):
            while not any(place.root.glob(f"artifacts/{when}")):
                assert process.poll() is None, shown
                time.sleep(0.01)
        else:
            time.sleep(when)
        process.kill()
        shown += process.stdout.read()
    assert f"▸ {step}" in shown, shown
    return shown


def states(shown):
    return dict(re.findall(r"✓ (\w+) +(\w+)", shown))


def examples(place, which):
    """Path below the examples' folder -> content, of one execution."""
    chosen = place.outputs("TfdsExampleGen/examples")[which]
    return {
        path.relative_to(chosen): path.read_bytes() for path in chosen.rglob("*") if path.is_file()
    }


def test_a_run_that_is_killed_in_every_step_ends_as_one_that_never_was(new_workplace, first_run):
    place = new_workplace("kills")
    before = set()
    for step, when in KILLS:
        shown = run_and_kill(place, step, when)
        if isinstance(when, str):  # it was half-way
            assert f"✓ {step}" not in shown
        found = states(shown)
        # What was finished is not done again.
        assert {name for name in before if found.get(name) == "done"} <= {"LatestBlessedModel"}
        before |= set(found)
        for version in place.served():  # nothing half-written in sight
            assert version.startswith(".partial-") or ServedModel(
                str(place.root / "serving" / version)
            )
    done = place.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert states(done.stdout)["Trainer"] == "cached"
    assert examples(place, -1) == examples(first_run, 0)
    expected = first_run.verdict(0).overall
    found = place.verdict().overall
    assert found == {name: pytest.approx(value, abs=1e-6) for name, value in expected.items()}
    assert ServedModel(str(place.root)).path.startswith(str(place.root / "serving"))
