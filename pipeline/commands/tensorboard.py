"""TensorBoard over all training runs of a pipeline."""

from __future__ import annotations

import contextlib
import io
import os
import threading

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from rich.console import Console

from components.common.errors import UserError
from pipeline.config.loading import PipelineConfig
from pipeline.metadata.artifacts import made_by
from pipeline.metadata.store import open_store

_SECONDS_BETWEEN_LOOKS = 15


def training_folders(store: MetadataStore, pipeline: str) -> dict[str, str]:
    """The log folders of all trainings, those that still run included.

    Args:
      store: ML Metadata, which several pipelines may share.
      pipeline: name of the pipeline.

    Returns:
      Run id -> folder. A cached training belongs to the run that did it.
    """
    artifacts = [
        artifact
        for artifact in made_by(store, pipeline, "Trainer", "ModelRun")
        if os.path.isdir(artifact.uri)
    ]
    events = store.get_events_by_artifact_ids([a.id for a in artifacts]) if artifacts else []
    makers: dict[int, int] = {}
    for event in sorted(events, key=lambda event: event.execution_id):
        if event.type in (mlmd.Event.OUTPUT, mlmd.Event.PENDING_OUTPUT):
            makers.setdefault(event.artifact_id, event.execution_id)  # later ones are cached
    found = {}
    for artifact in artifacts:
        contexts = store.get_contexts_by_execution(makers[artifact.id])
        names = {context.type: context.name for context in contexts}
        found[names["pipeline_run"]] = artifact.uri
    return found


def link_folders(folders: dict[str, str], target: str) -> None:
    """Gives each training a link that bears the run's id, which is what TensorBoard shows.

    Args:
      folders: run id -> folder.
      target: folder of the links; links to what is gone are removed.
    """
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(target):
        if not os.path.exists(os.path.join(target, name)):
            os.remove(os.path.join(target, name))
    for run_id, folder in folders.items():
        link = os.path.join(target, run_id.replace(":", "."))
        if not os.path.islink(link):
            os.symlink(os.path.abspath(folder), link)


def serve(console: Console, config: PipelineConfig, host: str, port: int) -> None:
    """Serves TensorBoard until it is interrupted; new trainings appear as they begin.

    Args:
      console: where the address is printed.
      config: the pipeline.
      host: to listen on.
      port: to listen on.

    Raises:
      UserError: nothing has been trained yet, or the port is taken.
    """
    from tensorboard import default, program

    store = open_store(config)
    folders = training_folders(store, config.name)
    if not folders:
        raise UserError(f"{config.name} has not trained anything yet")
    logs = os.path.join(config.folder, "tensorboard")
    link_folders(folders, logs)
    board = program.TensorBoard(default.get_plugins())
    board.configure(logdir=logs, host=host, port=port, reload_multifile=True)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a note about its loader
            url = board.launch()
    except program.TensorBoardServerException as error:
        raise UserError(f"--port: {str(error).splitlines()[0]}") from error
    console.print(f"{len(folders)} trainings at {url}  (Ctrl-C ends it)")
    waiting = threading.Event()
    with contextlib.suppress(KeyboardInterrupt):
        while not waiting.wait(_SECONDS_BETWEEN_LOOKS):
            link_folders(training_folders(store, config.name), logs)
