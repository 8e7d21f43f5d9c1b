"""What servers look at, made after the record of what is served.

Whoever takes the newest folder (TensorFlow Serving and KServe as they come, `segline predict`) gets
the stable version, also after a rollback: what is newer is taken out of sight, the oldest of it
first, so that one rename is what changes the answer. On a volume the files of a version that is in
two places are there once (hard links); a bucket has a copy for each.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator

import tensorflow as tf
from tfx.utils import io_utils

from components.common import file_locks
from components.common.errors import UserError
from components.pusher import rollout, server_files
from components.pusher.places import ASIDE, LABELLED, PLACES, SIGHT, find, shown, versions
from components.pusher.rollout import Rollout

SAVED_MODEL = "saved_model.pb"
PARTIAL = ".partial-"  # a server looks at numbers only; these are what was ended half-way


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Holds a serving folder while versions come and go; waits for who holds it.

    The system lets go of it when the process ends, however it ends. A bucket knows no locks:
    there who changes it holds the Pusher's lease in ML Metadata.

    Args:
      folder: the serving folder. The lock lies beside it, `serving.lock`, so that it holds versions
        only; where that may not be written, in it.
    """
    if "://" in folder:
        yield
        return
    folder = os.path.abspath(folder)
    os.makedirs(folder, exist_ok=True)
    above = os.access(os.path.dirname(folder), os.W_OK)
    path = f"{folder}.lock" if above else os.path.join(folder, ".lock")
    with open(path, "a", encoding="utf-8") as file:
        file_locks.take(file, fcntl.LOCK_EX)
        yield


def commit(folder: str, new: Rollout) -> list[str]:
    """Changes what is served: the record first, then what servers look at.

    Killed before the record was replaced, nothing has changed; after that, `apply`, which every
    change and every push calls, goes on.

    Args:
      folder: the serving folder, which is `locked`.
      new: the record.

    Returns:
      As `apply` does.

    Raises:
      UserError: a version that is to be served is not there.
    """
    for version in {new.now.stable, new.now.canary} - {""}:
        if find(folder, version) is None:
            raise UserError(
                f"{version}: there is no such version in {folder}; `segline serving list` has them"
            )
    write(os.path.join(folder, rollout.RECORD), rollout.to_json(new))
    return apply(folder, new)


def apply(folder: str, known: Rollout) -> list[str]:
    """Makes what servers look at after the record; may be ended anywhere and called again.

    Args:
      folder: the serving folder, which is `locked`.
      known: its record.

    Returns:
      The versions that are served no longer and stay loaded for a while.
    """
    _sweep(folder)
    now = known.now
    _put(folder, SIGHT, now.stable)
    for version in shown(folder):
        if int(version) > int(now.stable):
            _take(folder, SIGHT, version)
    for version in set(versions(os.path.join(folder, ASIDE))) & set(shown(folder)):
        _take(folder, ASIDE, version)
    loaded = known.loaded(shown(folder), int(time.time() * 1000))
    for version in sorted(loaded, key=int):
        if find(folder, version):
            _put(folder, LABELLED, version)
            config = server_files.version_config(known.server, version)
            write(os.path.join(folder, LABELLED, server_files.of_version(version)), config)
    _write_server_files(folder, known)
    for version in versions(os.path.join(folder, LABELLED)):
        if version not in loaded:
            _take(folder, LABELLED, version)
            config = os.path.join(folder, LABELLED, server_files.of_version(version))
            if tf.io.gfile.exists(config):
                tf.io.gfile.remove(config)
    stay = {now.stable, now.canary, rollout.before(shown(folder), now.stable)}
    return [one for one in versions(os.path.join(folder, LABELLED)) if one not in stay]


def _write_server_files(folder: str, known: Rollout) -> None:
    now, server = known.now, known.server
    text = server_files.models_config(server, now.stable, now.canary)
    write(os.path.join(folder, server_files.MODELS_CONFIG), text)
    if server.storage_uri:
        text = server_files.inference_service(server, now.stable, now.canary)
        write(os.path.join(folder, server_files.INFERENCE_SERVICE), text)


def _sweep(folder: str) -> None:
    """Removes what was ended half-way."""
    for place in PLACES:
        path = os.path.join(folder, place)
        for name in tf.io.gfile.listdir(path) if tf.io.gfile.isdir(path) else []:
            if name.startswith(PARTIAL):
                partial = os.path.join(path, name.rstrip("/"))
                remove = tf.io.gfile.rmtree if tf.io.gfile.isdir(partial) else tf.io.gfile.remove
                remove(partial)


def _put(folder: str, place: str, version: str) -> None:
    """Makes a version be in a place too, complete or not at all."""
    target = os.path.join(folder, place, version)
    if tf.io.gfile.isdir(target):
        return
    source = find(folder, version)
    if source is None:
        raise UserError(f"{version}: there is no such version in {folder}")
    if "://" in folder:
        copy_to_bucket(source, target)
        return
    partial = os.path.join(folder, place, f"{PARTIAL}{version}")
    os.makedirs(os.path.dirname(partial), exist_ok=True)
    shutil.copytree(source, partial, copy_function=_link)
    os.rename(partial, target)


def _take(folder: str, place: str, version: str) -> None:
    """Takes a version out of a place; where it is nowhere else, it lies aside then."""
    path = os.path.join(folder, place, version)
    only_here = not any(
        tf.io.gfile.isdir(os.path.join(folder, other, version))
        for other in PLACES
        if other != place
    )
    if "://" in folder:
        if only_here:
            copy_to_bucket(path, os.path.join(folder, ASIDE, version))
        tf.io.gfile.rmtree(path)
        return
    if only_here:
        os.makedirs(os.path.join(folder, ASIDE), exist_ok=True)
        os.rename(path, os.path.join(folder, ASIDE, version))
        return
    partial = os.path.join(folder, place, f"{PARTIAL}{version}")
    os.rename(path, partial)
    shutil.rmtree(partial)


def copy_to_bucket(source: str, target: str) -> None:
    """Copies a SavedModel to where files can't be renamed at once (`gs://`).

    `saved_model.pb`, without which no server loads a version, comes last.

    Args:
      source: the SavedModel.
      target: where it is to be.
    """
    io_utils.copy_dir(source, target, deny_regex_patterns=[r"saved_model\.pb"])
    io_utils.copy_file(os.path.join(source, SAVED_MODEL), os.path.join(target, SAVED_MODEL))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # the volume has no hard links
        shutil.copy2(source, target)


def write(path: str, text: str) -> None:
    """Replaces a file at once, where it is another; a bucket does so by itself.

    Args:
      path: of the file.
      text: what is to be in it.
    """
    if tf.io.gfile.exists(path):
        with tf.io.gfile.GFile(path) as file:
            if file.read() == text:
                return
    if "://" in path:
        with tf.io.gfile.GFile(path, "w") as file:
            file.write(text)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    partial = os.path.join(os.path.dirname(path), f"{PARTIAL}{os.path.basename(path)}")
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(partial, path)
