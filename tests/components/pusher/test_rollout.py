"""What is served after pushes, promotions and rollbacks, also where they are ended half-way."""

import itertools
import os
import shutil
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from serving_folders import change, loaded, push, served, server_config

from components.common.errors import UserError
from components.pusher import component, places, rollout, version_store
from components.pusher.config import RolloutConfig

pytestmark = pytest.mark.usefixtures("no_disk")


def is_whole(folder):
    files = {str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file()}
    return files == {"saved_model.pb", "variables/0"}


def test_without_a_rollout_a_push_is_what_it_was(source, tmp_path):
    serving = tmp_path / "serving"
    assert push(source, serving, "1001") == push(source, serving, "1002") == "stable"
    assert sorted(os.listdir(serving)) == ["1001", "1002"]


def test_a_canary_is_not_in_the_sight_of_who_takes_the_newest(source, tmp_path, clock):
    serving = tmp_path / "serving"
    push(source, serving, "1001")
    assert push(source, serving, "1002", "canary") == "canary"
    assert served(serving) == "1001"
    assert server_config(serving) == {"stable": "1001", "canary": "1002"}
    assert loaded(serving) == ["1001", "1002"]
    change(serving, "promoted", "1002", "looks good")
    assert served(serving) == "1002"
    assert server_config(serving) == {"stable": "1002", "canary": "1002"}
    assert loaded(serving) == ["1001", "1002"]  # a rollback finds the one before loaded
    assert rollout.read(str(serving)).now.why == "looks good"


def test_the_first_of_all_is_stable(source, tmp_path):
    assert push(source, tmp_path / "serving", "1001", "canary") == "stable"
    assert served(tmp_path / "serving") == "1001"


def test_a_rollback_withdraws_all_that_is_newer(source, tmp_path, clock):
    serving = tmp_path / "serving"
    for version in ("1001", "1002", "1003"):
        push(source, serving, version)
    push(source, serving, "1004", "canary")
    change(serving, "rolled_back", "1001", "Friday")
    assert served(serving) == "1001"
    assert server_config(serving) == {"stable": "1001", "canary": "1001"}
    assert {"1003", "1004"} <= set(loaded(serving))  # servers have not read the labels yet
    clock[0] += RolloutConfig().grace_seconds + 1
    version_store.apply(str(serving), rollout.read(str(serving)))
    assert loaded(serving) == ["1001"]
    assert places.known_versions(str(serving)) == ["1001", "1002", "1003", "1004"]
    assert all(is_whole(places.find(str(serving), v)) for v in ("1001", "1002", "1003", "1004"))
    # A withdrawn version can be had back, and the next push is newer than all of them.
    change(serving, "promoted", "1003", "")
    assert served(serving) == "1003"
    assert component.next_version(str(serving), 5) == "1005"


def test_files_of_a_version_in_two_places_are_there_once(source, tmp_path):
    serving = tmp_path / "serving"
    push(source, serving, "1001")
    push(source, serving, "1002", "canary")
    change(serving, "promoted", "1002", "")
    for version in ("1001", "1002"):
        files = [serving / place / version / "variables" / "0" for place in ("", "rollout")]
        assert os.path.samefile(*files)


def test_a_volume_without_hard_links_has_copies(source, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    serving = tmp_path / "serving"
    push(source, serving, "1001")
    push(source, serving, "1002", "canary")
    assert all(is_whole(serving / "rollout" / version) for version in ("1001", "1002"))


@pytest.mark.parametrize("action", ["rollback", "promote", "pin", "push stable", "push canary"])
def test_a_bucket_has_the_same_versions_in_the_same_places(source, tmp_path, clock, action):
    """By an address all goes through TensorFlow's files: no renames, no links, no locks."""
    trees = {}
    for folder in (str(tmp_path / "serving"), f"file://{tmp_path}/bucket"):
        clock[0] = 1000.0
        prepared(source, folder, clock)
        STEPS[action](source, folder)
        clock[0] += 100  # what is served no longer is taken from the servers
        version_store.apply(folder, rollout.read(folder))
        trees[folder] = {
            os.path.relpath(os.path.join(path, name), folder): content_of(path, name)
            for path, _, names in tf.io.gfile.walk(folder)
            for name in names
        }
    volume, bucket = trees.values()
    assert volume == bucket
    assert "rollout.json" in bucket and sum(name.endswith(".pb") for name in bucket) > 4


def content_of(path, name):
    with tf.io.gfile.GFile(os.path.join(path, name)) as file:
        return file.read()


def test_while_a_version_is_pinned_what_is_pushed_is_a_canary(source, tmp_path, clock):
    serving = tmp_path / "serving"
    push(source, serving, "1001")
    push(source, serving, "1002")
    change(serving, "pinned", "1001", "audit")
    assert served(serving) == "1001"
    assert push(source, serving, "1003") == "canary"
    assert served(serving) == "1001"
    for step, arguments in (("promoted", ["1003", ""]), ("rolled_back", ["1001", ""])):
        with pytest.raises(UserError, match="1001 is pinned: `segline serving unpin` first"):
            change(serving, step, *arguments)
    change(serving, "unpinned", "")
    change(serving, "promoted", "1003", "")
    assert served(serving) == "1003"
    assert push(source, serving, "1004") == "stable" and served(serving) == "1004"


@pytest.mark.parametrize(
    ("step", "arguments", "message"),
    [
        ("promoted", ("1002", ""), "1002 is stable already"),
        ("promoted", ("1001", ""), "`segline serving rollback --to 1001` goes back"),
        ("promoted", ("1009", ""), "1009: there is no such version in "),
        ("rolled_back", ("1000", ""), "1000: there is no such version in "),
        ("rolled_back", ("1009", ""), "`segline serving promote 1009`"),
        ("rolled_back", ("1002", ""), "1002 is stable already, and there is no canary"),
        ("pinned", ("7", ""), "7: there is no such version in "),
        ("unpinned", ("",), "no version is pinned"),
    ],
)
def test_what_can_not_be_changes_nothing(source, tmp_path, step, arguments, message):
    serving = tmp_path / "serving"
    push(source, serving, "1001")
    push(source, serving, "1002")
    with pytest.raises(UserError, match=message):
        change(serving, step, *arguments)
    assert sorted(os.listdir(serving)) == ["1001", "1002"]


def test_nothing_can_be_changed_before_the_first_push(tmp_path):
    with pytest.raises(UserError, match="no version has been pushed yet"):
        change(tmp_path / "serving", "promoted", "7", "")


def prepared(source, serving, clock):
    """Three stable versions, one of them withdrawn, and a canary."""
    for version in ("1001", "1002", "1003"):
        push(source, serving, version)
    change(serving, "rolled_back", "1002", "")
    clock[0] += 100
    push(source, serving, "1004", "canary")
    clock[0] += 100


STEPS = {
    "promote": lambda source, serving: change(serving, "promoted", "1004", ""),
    "promote the withdrawn": lambda source, serving: change(serving, "promoted", "1003", ""),
    "rollback": lambda source, serving: change(serving, "rolled_back", "1001", ""),
    "pin": lambda source, serving: change(serving, "pinned", "1001", ""),
    "push canary": lambda source, serving: push(source, serving, "1005", "canary"),
    "push stable": lambda source, serving: push(source, serving, "1005"),
}
CALLS = ((os, "rename"), (os, "link"), (os, "mkdir"), (os, "unlink"), (os, "rmdir"), (os, "fsync"))


class Killed(BaseException):
    """As SIGKILL: nothing catches it, nothing is tidied up."""


def tree(serving):
    return sorted(
        str(path.relative_to(serving))
        for path in Path(serving).rglob("*")
        if path.name != "rollout.json"
    )


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_point_one_whole_version_is_served(
    source, tmp_path, clock, monkeypatch, step
):
    """At every call that changes the disk; then the next command goes on."""
    reference = tmp_path / "reference"
    prepared(source, reference, clock)
    clean = tmp_path / "clean"
    shutil.copytree(reference, clean)
    begun = clock[0]
    before = served(clean)
    STEPS[step](source, clean)
    after = served(clean)
    outcomes = set()
    for count in itertools.count():
        serving = tmp_path / f"killed-{count}"
        shutil.copytree(reference, serving)
        left = [count]

        def dying(real, left=left):
            def call(*arguments, **options):
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                return real(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for module, name in CALLS:
                patch.setattr(module, name, dying(getattr(module, name)))
            try:
                STEPS[step](source, serving)
                killed = False
            except Killed:
                killed = True
        now = served(serving)
        assert now in (before, after) and is_whole(serving / now)
        labels = server_config(serving)
        assert all(is_whole(serving / "rollout" / version) for version in labels.values())
        outcomes.add((now, labels["stable"]))
        if not killed:
            break
        known = rollout.read(str(serving))
        version_store.apply(str(serving), known)
        assert served(serving) == known.now.stable == server_config(serving)["stable"]
        assert known.now.stable in (before, after)
        assert not [path for path in tree(serving) if ".partial" in path]
        assert all(is_whole(serving / "rollout" / version) for version in loaded(serving))
        clock[0] = begun
    assert tree(serving) == tree(clean)
    assert count > 5 and {(before, before), (after, after)} <= outcomes


PROMOTE = """
import sys
from components.pusher import component, places, rollout, version_store
from components.pusher.config import RolloutConfig
folder, kind, source = sys.argv[1:]
for turn in range(15):
    with version_store.locked(folder):
        if kind == "push":
            version = component.next_version(folder, 0)
            component.push_as("canary", source, folder, version)
        else:
            known = rollout.read(folder)
            if known.now.canary:
                version_store.commit(folder, rollout.promoted(known, known.now.canary, str(turn)))
"""


@pytest.mark.slow
def test_changes_and_pushes_of_several_processes_are_one_after_the_other(
    source, tmp_path, fork_server
):
    serving, script = tmp_path / "serving", tmp_path / "change.py"
    script.write_text(PROMOTE)
    push(source, serving, "1001")
    push(source, serving, "1002", "canary")
    call = [sys.executable, str(script), str(serving)]
    processes = [
        fork_server.start([*call, kind, source], tmp_path, dict(os.environ), merged=True)
        for kind in ("push", "promote", "push")
    ]
    told = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], told
    changes = rollout.read(str(serving)).changes
    assert [change.number for change in changes] == list(range(1, len(changes) + 1))
    pushed = [change.version for change in changes if change.action == "push"]
    assert pushed == [str(number) for number in range(1002, 1033)]
    assert served(serving) == changes[-1].stable == server_config(serving)["stable"]
    assert not [path for path in tree(serving) if ".partial" in path]


@pytest.mark.parametrize("bad", ["{", '{"changes": [{}], "server": {}}', "[]"])
def test_a_record_that_can_not_be_read_is_told(tmp_path, bad):
    (tmp_path / "rollout.json").write_text(bad)
    with pytest.raises(UserError, match="rollout.json can't be read"):
        rollout.read(str(tmp_path))
