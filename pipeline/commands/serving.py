"""`segline serving …`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline.commands import serving_batching
from pipeline.commands.common import add_config, answer, config_and_store, quiet_console

if TYPE_CHECKING:
    import rich.console

    from components.pusher.rollout import Rollout
    from pipeline.config.loading import PipelineConfig

    Transition = Callable[[Rollout, list[str]], Rollout]


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the commands."""
    serving = commands.add_parser(
        "serving", help="which version is served: list, promote, pin, roll back"
    )
    verbs = serving.add_subparsers(required=True, metavar="action")
    listed = verbs.add_parser("list", help="the versions: when, state, metrics, who and why")
    listed.add_argument("--json", action="store_true", help="for programs")
    add_config(listed)
    listed.set_defaults(function=_list)
    promote = verbs.add_parser("promote", help="make a version the stable one")
    which = promote.add_mutually_exclusive_group(required=True)
    which.add_argument("version", nargs="?", help="a version, or canary")
    which.add_argument(
        "--due",
        action="store_true",
        help="the canary, if pusher.promote_after_hours are over and no run has refused it; "
        "otherwise nothing",
    )
    pin = verbs.add_parser("pin", help="make a version the stable one, whatever is pushed")
    pin.add_argument("version")
    unpin = verbs.add_parser("unpin", help="let pushes and promotions replace it again")
    rollback = verbs.add_parser(
        "rollback", help="make an older version stable again; withdraw all that is newer"
    )
    rollback.add_argument("--to", metavar="VERSION", help="default: the one that was stable before")
    serving_batching.add(verbs)
    for verb, function in (
        (promote, _promote),
        (pin, _pin),
        (unpin, _unpin),
        (rollback, _rollback),
    ):
        verb.add_argument("--why", default="", metavar="TEXT", help="for the record")
        verb.add_argument(
            "--no-wait",
            action="store_true",
            help="leave what is no longer served loaded; the next change takes it away",
        )
        add_config(verb)
        verb.set_defaults(function=function)


def _list(options: argparse.Namespace) -> None:
    quiet_console()
    from pipeline.commands.serving_view import print_versions
    from pipeline.metadata import serving

    config, store = config_and_store(options)
    rows = serving.describe(store, config)
    answer(options, rows, lambda console: print_versions(console, rows))


def _promote(options: argparse.Namespace) -> None:
    if options.due:
        _promote_due(options)
        return

    def transition(known: Rollout, shown: list[str]) -> Rollout:
        from components.common.errors import UserError
        from components.pusher import rollout

        version = known.now.canary if options.version == "canary" else options.version
        if not version:
            raise UserError("there is no canary")
        return rollout.promoted(known, _number(version), options.why)

    _change(options, transition)


def _promote_due(options: argparse.Namespace) -> None:
    console = quiet_console()
    from components.pusher import rollout
    from pipeline.metadata import serving

    config, store = config_and_store(options)
    if rollout.read(config.serving_dir) is None:
        console.print("nothing is promoted: no canary was ever pushed")
        return
    runs = serving.runs_that_judge(store, config.name)
    hours = config.pusher.promote_after_hours

    def transition(known: Rollout, shown: list[str]) -> Rollout:
        if reason := serving.why_not_due(runs, known, hours):
            console.print(f"nothing is promoted: {reason}", soft_wrap=True)
            return known
        why = options.why or f"no run has refused it for {hours:g} hours"
        return rollout.promoted(known, known.now.canary, why)

    _change(options, transition)


def _pin(options: argparse.Namespace) -> None:
    def transition(known: Rollout, shown: list[str]) -> Rollout:
        from components.pusher import rollout

        return rollout.pinned(known, _number(options.version), options.why)

    _change(options, transition)


def _unpin(options: argparse.Namespace) -> None:
    def transition(known: Rollout, shown: list[str]) -> Rollout:
        from components.pusher import rollout

        return rollout.unpinned(known, options.why)

    _change(options, transition)


def _rollback(options: argparse.Namespace) -> None:
    def transition(known: Rollout, shown: list[str]) -> Rollout:
        from components.common.errors import UserError
        from components.pusher import rollout

        rollout.check_not_pinned(known)
        version = options.to or rollout.before(shown, known.now.stable)
        if not version:
            raise UserError(f"there is no version before the stable {known.now.stable}")
        return rollout.rolled_back(known, _number(version), options.why)

    _change(options, transition)


def _number(version: str) -> str:
    from components.common.errors import UserError

    if not version.isdigit():
        raise UserError(f"{version} is no version; `segline serving list` has them")
    return version


def _change(options: argparse.Namespace, transition: Transition) -> None:
    """Makes one change, and records it and what was not recorded yet.

    Args:
      options: of the command.
      transition: gives what is to be, of what is and the versions in plain sight; the same: no
        change, but what was ended half-way is done.
    """
    console = quiet_console()
    from pipeline.metadata import rollouts
    from pipeline.running.serving_lock import serving_lock

    config, store = config_and_store(options, write=True)
    with serving_lock(config):
        changed, new, leaving = _commit(config, transition)
        rollouts.record(store, config.name, new.changes)
    _tell(console, config, new, changed)
    if leaving and not options.no_wait:
        grace = new.server.grace_seconds
        console.print(
            f"{', '.join(leaving)}: taken from the servers in {grace:g} s, when they have read "
            "models.config (to be waited for, or --no-wait)",
            soft_wrap=True,
        )
        time.sleep(grace)
        with serving_lock(config):
            _commit(config, lambda known, shown: known)


def _commit(config: PipelineConfig, transition: Transition) -> tuple[bool, Rollout, list[str]]:
    """Whether anything has changed, what is the record now, and what stays loaded for a while."""
    import dataclasses

    from components.pusher import places, rollout, version_store

    folder = config.serving_dir
    shown = places.shown(folder)
    before = rollout.read(folder)
    known = before or rollout.begun(shown)
    known = dataclasses.replace(known, server=config.pusher.rollout)
    new = transition(known, shown)
    return new != before, new, version_store.commit(folder, new)


def _tell(
    console: rich.console.Console, config: PipelineConfig, new: Rollout, changed: bool
) -> None:
    import os

    from components.pusher.server_files import INFERENCE_SERVICE, MODELS_CONFIG

    now = new.now
    facts: list[Any] = [f"stable {now.stable}{' (pinned)' if now.pinned else ''}"]
    facts += [f"canary {now.canary}"] if now.canary else []
    console.print(", ".join(facts))
    if not changed:
        return
    console.print(f"  {os.path.join(config.serving_dir, MODELS_CONFIG)}", soft_wrap=True)
    if new.server.storage_uri:
        path = os.path.join(config.serving_dir, INFERENCE_SERVICE)
        console.print(f"  kubectl apply -f {path}", soft_wrap=True)
