"""Which version is stable, which is a canary, and what has made it so.

The record, `rollout.json` in the serving folder, is the one truth: it is replaced by a rename, and
what servers look at is made after it (`version_store`). There is none before a canary was pushed or
`segline serving` has changed something: then the newest version is stable.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Collection, Sequence

from components.common import run_record
from components.common.errors import UserError
from components.pusher.config import RolloutConfig, Stage

RECORD = "rollout.json"
PUSH, PROMOTE, PIN, UNPIN, ROLLBACK = "push", "promote", "pin", "unpin", "rollback"


@dataclasses.dataclass(frozen=True)
class Change:
    """One change of what is served, and what is served since.

    Attributes:
      number: 1, 2, …, of the serving folder.
      action: `push`, `promote`, `pin`, `unpin` or `rollback`.
      version: the version that it is about.
      stable: the stable version since then.
      canary: the canary since then; empty: none.
      pinned: whether only people may replace the stable version.
      by: who, `anna on build-3`.
      when: milliseconds since the epoch.
      why: in their words; may be empty.
    """

    number: int
    action: str
    version: str
    stable: str
    canary: str
    pinned: bool
    by: str
    when: int
    why: str


@dataclasses.dataclass(frozen=True)
class Rollout:
    """The record of a serving folder.

    Attributes:
      changes: oldest first; at least one.
      server: what the servers' files say, as it was last known.
    """

    changes: tuple[Change, ...]
    server: RolloutConfig = RolloutConfig()

    @property
    def now(self) -> Change:
        """The latest change: what is to be served."""
        return self.changes[-1]

    @property
    def canary_since(self) -> int:
        """When the canary became one, milliseconds since the epoch; 0: there is none."""
        since = 0
        for change in reversed(self.changes):
            if not self.now.canary or change.canary != self.now.canary:
                break
            since = change.when
        return since

    def loaded(self, shown: Collection[str], now: int) -> set[str]:
        """The versions that a server by labels has to have loaded.

        Args:
          shown: the versions in plain sight.
          now: milliseconds since the epoch.

        Returns:
          Stable, canary, what a rollback would go back to, and what was served a moment ago:
          a server that has not read the labels anew would lose it.
        """
        wanted = {self.now.stable, self.now.canary, before(shown, self.now.stable)}
        ends = [*(change.when for change in self.changes[1:]), now]
        for change, end in zip(self.changes, ends, strict=True):
            if now - end < self.server.grace_seconds * 1000:
                wanted |= {change.stable, change.canary}
        return wanted - {""}


def before(shown: Collection[str], stable: str) -> str:
    """The newest version in plain sight that is older than the stable one; empty: none."""
    older = [version for version in shown if int(version) < int(stable)]
    return max(older, key=int, default="")


def read(folder: str) -> Rollout | None:
    """Reads a serving folder's record; None: it has none.

    Raises:
      UserError: it can't be read.
    """
    path = os.path.join(folder, RECORD)
    text = _text(path)
    if text is None:
        return None
    try:
        values = json.loads(text)
        changes = tuple(Change(**change) for change in values["changes"])
        server = RolloutConfig.model_validate(values["server"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    return Rollout(changes, server)


def _text(path: str) -> str | None:
    if "://" in path:
        import tensorflow as tf  # only here: lineage asks too, and has to answer at once

        return tf.io.gfile.GFile(path).read() if tf.io.gfile.exists(path) else None
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def to_json(rollout: Rollout) -> str:
    """What `read` reads."""
    values = {
        "changes": [dataclasses.asdict(change) for change in rollout.changes],
        "server": rollout.server.model_dump(mode="json"),
    }
    return json.dumps(values, indent=1)


def pushed(known: Rollout | None, version: str, stage: Stage, shown: Sequence[str]) -> Rollout:
    """After a push.

    While a version is pinned, what is pushed is a canary; the first of all is stable in any case.

    Args:
      known: the record; None: none yet.
      version: the pushed one.
      stage: as `pusher.stage` says.
      shown: the versions in plain sight, of which the newest was stable.
    """
    stable = known.now.stable if known else max(shown, key=int, default="")
    pinned = bool(known and known.now.pinned)
    as_canary = bool(stable) and (pinned or stage == "canary")
    stable, canary = (stable, version) if as_canary else (version, "")
    return _with(known, PUSH, version, stable, canary, pinned, "")


def promoted(known: Rollout, version: str, why: str) -> Rollout:
    """A version becomes stable.

    Raises:
      UserError: a version is pinned, or this one is stable or older.
    """
    check_not_pinned(known)
    now = known.now
    if version == now.stable:
        raise UserError(f"{version} is stable already")
    if int(version) < int(now.stable):
        raise UserError(
            f"{version} is older than the stable {now.stable}: `segline serving rollback --to "
            f"{version}` goes back to it"
        )
    return _with(known, PROMOTE, version, version, _newer(now.canary, version), False, why)


def pinned(known: Rollout, version: str, why: str) -> Rollout:
    """A version becomes stable, and stays so until `unpinned`."""
    canary = known.now.canary
    return _with(known, PIN, version, version, "" if canary == version else canary, True, why)


def unpinned(known: Rollout, why: str) -> Rollout:
    """Pushes may replace the stable version again.

    Raises:
      UserError: none is pinned.
    """
    now = known.now
    if not now.pinned:
        raise UserError("no version is pinned")
    return _with(known, UNPIN, now.stable, now.stable, now.canary, False, why)


def rolled_back(known: Rollout, version: str, why: str) -> Rollout:
    """A version is stable again; all that is newer is withdrawn, the canary too.

    Raises:
      UserError: a version is pinned, this one is newer than the stable one, or it is the stable
        one and there is no canary.
    """
    check_not_pinned(known)
    now = known.now
    if int(version) > int(now.stable):
        raise UserError(
            f"{version} is newer than the stable {now.stable}: `segline serving promote {version}`"
        )
    if version == now.stable and not now.canary:
        raise UserError(f"{version} is stable already, and there is no canary")
    return _with(known, ROLLBACK, version, version, "", False, why)


def begun(shown: Sequence[str]) -> Rollout:
    """The record of a folder that has none yet: the newest version is stable.

    Raises:
      UserError: there is no version.
    """
    if not shown:
        raise UserError("no version has been pushed yet")
    newest = max(shown, key=int)
    return _with(None, PUSH, newest, newest, "", False, "pushed before there was a record")


def withdrawn(changes: Sequence[Change], index: int) -> set[str]:
    """The versions that one of the changes has taken from where they were served: a rollback's.

    Args:
      changes: oldest first.
      index: of the change.
    """
    change = changes[index]
    if change.action != ROLLBACK or index == 0:
        return set()
    before_it = changes[index - 1]
    return {before_it.stable, before_it.canary} - {"", change.version}


def _newer(canary: str, version: str) -> str:
    """A canary that is older than what has become stable has had its time."""
    return canary if canary and int(canary) > int(version) else ""


def check_not_pinned(known: Rollout) -> None:
    """Makes sure that the stable version may be replaced.

    Raises:
      UserError: it is pinned.
    """
    if known.now.pinned:
        raise UserError(
            f"{known.now.stable} is pinned: `segline serving unpin` first, or pin another version"
        )


def _with(
    known: Rollout | None,
    action: str,
    version: str,
    stable: str,
    canary: str,
    pinned: bool,
    why: str,
) -> Rollout:
    changes = known.changes if known else ()
    change = Change(
        number=changes[-1].number + 1 if changes else 1,
        action=action,
        version=version,
        stable=stable,
        canary=canary,
        pinned=pinned,
        by=run_record.who(),
        when=int(time.time() * 1000),
        why=why,
    )
    server = known.server if known else RolloutConfig()
    return Rollout((*changes, change), server)
