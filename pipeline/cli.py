"""The `segline` command. Thin: it parses, calls, and prints.

Nothing heavy is imported here, so that `segline --help` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich.console

from components.errors import UserError

if TYPE_CHECKING:
    from ml_metadata import MetadataStore

    from pipeline.config import PipelineConfig


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `segline` command.

    Args:
      arguments: default: those of the process. Exits with status 1 on an error of
        the user's, 2 on a wrong call.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        options.function(options)
    except UserError as error:
        rich.console.Console(stderr=True, highlight=False).print(
            f"segline: {error}", markup=False, soft_wrap=True, style="red"
        )
        sys.exit(1)


def make_parser() -> argparse.ArgumentParser:
    """All subcommands and their options."""
    parser = argparse.ArgumentParser(
        prog="segline", description="TFX pipelines for image segmentation."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    config = commands.add_parser("config", help="list, check and show pipeline configs")
    verbs = config.add_subparsers(required=True, metavar="verb")
    verbs.add_parser("list", help="the configs that come with segline").set_defaults(
        function=_list_configs
    )
    verbs.add_parser("reference", help="all keys with their meaning, as Markdown").set_defaults(
        function=_print_reference
    )
    for verb, function, text in (
        ("check", _check_config, "check a config; says nothing where it is right"),
        ("show", _show_config, "every field as it will be used, defaults and overrides included"),
        ("name", _print_name, "the name of the config's pipeline, as the tfx command wants it"),
    ):
        command = verbs.add_parser(verb, help=text)
        command.add_argument(
            "config", nargs="?", help="name or path; default: SEGLINE_CONFIG, or else quickstart"
        )
        command.set_defaults(function=function)
    _add_predict(commands)
    _add_demo(commands)
    _add_report(commands)
    _add_lineage(commands)
    _add_tensorboard(commands)
    return parser


def _add_predict(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "predict",
        help="segment pictures with a pushed model",
        description="Writes a mask (PNG with a palette) and an overlay for each picture, and "
        "prints the class shares. With --beam: any number of pictures, into Parquet or TFRecord.",
    )
    command.add_argument(
        "pictures", nargs="*", metavar="PICTURE", help="files, and folders of them"
    )
    command.add_argument(
        "--model",
        metavar="DIR",
        help="a SavedModel, or a folder of versions, of which the latest is taken; "
        "default: what the config's pipeline has pushed",
    )
    command.add_argument("--out", metavar="DIR", required=True, help="folder for the results")
    command.add_argument(
        "--batch-size", type=_positive, default=8, metavar="N", help="default: %(default)s"
    )
    beam = command.add_argument_group("for many pictures")
    beam.add_argument("--beam", action="store_true", help="predict as a Beam pipeline")
    beam.add_argument(
        "--split",
        help="instead of pictures: a split of the config's dataset, or a TFDS expression "
        "such as 'test[:10%%]'",
    )
    beam.add_argument(
        "--format", choices=("parquet", "tfrecord"), default="parquet", help="default: %(default)s"
    )
    beam.add_argument(
        "--beam-args",
        nargs=argparse.REMAINDER,
        metavar="OPTION",
        help="the rest of the line goes to Beam: --beam-args --runner=FlinkRunner "
        "--flink_master=…; default: the config's run.beam_args",
    )
    command.set_defaults(function=_predict)


def _add_demo(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("demo", help="try a model in the browser")
    command.add_argument("--model", metavar="DIR", help="as for predict")
    command.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    command.add_argument("--port", type=_positive, default=7860, help="default: %(default)s")
    command.set_defaults(function=_demo)


def _add_report(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "report",
        help="build the report of a run anew",
        description="Every run leaves its report: report.html in the pipeline's folder is the "
        "latest. This builds that of any run, also of one that failed or was interrupted.",
    )
    _add_run_argument(command, "run")
    command.add_argument("--out", metavar="FILE", help="default: report-<run>.html")
    command.add_argument("--open", action="store_true", help="show it in the browser")
    _add_config(command)
    command.set_defaults(function=_report)


def _add_lineage(commands: argparse._SubParsersAction) -> None:
    lineage = commands.add_parser(
        "lineage", help="what made this model; what came of this data; what has run"
    )
    verbs = lineage.add_subparsers(required=True, metavar="question")
    model = verbs.add_parser("model", help="everything that a model was made from")
    model.add_argument(
        "model",
        nargs="?",
        default="latest",
        help="a pushed version, its path, or the path of a Trainer's model; "
        "default: what was pushed last",
    )
    model.add_argument("--html", metavar="FILE", help="write the graph as a page")
    model.set_defaults(function=_lineage_of_model)
    data = verbs.add_parser("data", help="the models that were trained on some data")
    data.add_argument("data", help="a dataset's fingerprint (or its beginning) or version")
    data.set_defaults(function=_lineage_of_data)
    runs = verbs.add_parser("runs", help="the runs, newest first")
    runs.add_argument(
        "--limit", type=_positive, default=20, metavar="N", help="default: %(default)s"
    )
    runs.set_defaults(function=_lineage_of_runs)
    diff = verbs.add_parser("diff", help="what differs between two runs")
    _add_run_argument(diff, "first", default="latest~1")
    _add_run_argument(diff, "second")
    diff.set_defaults(function=_lineage_diff)
    for verb in (model, data, runs, diff):
        verb.add_argument("--json", action="store_true", help="for programs")
        _add_config(verb)


def _add_tensorboard(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "tensorboard", help="curves, pictures and hyperparameters of all runs side by side"
    )
    command.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    command.add_argument("--port", type=_positive, default=6006, help="default: %(default)s")
    _add_config(command)
    command.set_defaults(function=_tensorboard)


def _add_run_argument(command: argparse.ArgumentParser, name: str, default: str = "latest") -> None:
    command.add_argument(
        name,
        nargs="?",
        default=default,
        metavar="RUN",
        help="an id, its beginning, latest, or latest~1: the one before; default: %(default)s",
    )


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", help="name or path of the pipeline's config; default: SEGLINE_CONFIG"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


_positive.__name__ = "positive integer"  # as argparse's message calls it


def _list_configs(options: argparse.Namespace) -> None:
    from pipeline.config import config_names

    del options
    print("\n".join(config_names()))


def _print_reference(options: argparse.Namespace) -> None:
    from pipeline.config_reference import reference

    del options
    print(reference(), end="")


def _check_config(options: argparse.Namespace) -> None:
    from pipeline.config import load_config

    load_config(options.config)


def _show_config(options: argparse.Namespace) -> None:
    import yaml

    from pipeline.config import load_config

    values = load_config(options.config).model_dump(mode="json")
    print(yaml.safe_dump(values, sort_keys=False, default_flow_style=None), end="")


def _print_name(options: argparse.Namespace) -> None:
    from pipeline.config import load_config

    print(load_config(options.config).name)


def _predict(options: argparse.Namespace) -> None:
    _check_predict(options)
    console = _quiet_console()
    from pipeline.config import load_config
    from pipeline.prediction import predict, predict_with_beam

    if not options.beam:
        model = options.model or load_config().serving_dir
        good = predict(console, options.pictures, model, options.out, options.batch_size)
    else:
        # Pictures with a model of their own need no config.
        config = load_config()
        good = predict_with_beam(
            console,
            config,
            options.pictures,
            options.split,
            options.model or config.serving_dir,
            options.out,
            options.format,
            options.batch_size,
            options.beam_args or config.run.beam_args,
        )
    if not good:
        sys.exit(1)


def _check_predict(options: argparse.Namespace) -> None:
    """What argparse can't express.

    Raises:
      UserError: options that don't go together.
    """
    if not options.beam and (options.split or options.beam_args):
        raise UserError("--split and --beam-args need --beam")
    if bool(options.pictures) == bool(options.split):
        raise UserError("name pictures or folders, or (with --beam) a --split; not both")


def _demo(options: argparse.Namespace) -> None:
    import os

    console = _quiet_console()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Its statistics of calls need a newer pandas than TFX allows, and fail loudly.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise UserError("the demo needs Gradio: pip install 'segline[demo]'") from error
    from components.predictor.demo import launch
    from components.served_model import ServedModel
    from pipeline.config import load_config

    model = ServedModel(options.model or load_config().serving_dir)
    try:
        page = launch(model, options.host, options.port)
    except OSError as error:
        raise UserError(f"--port: {options.port} is taken; name another one") from error
    console.print(
        f"{model.path} at http://{options.host}:{options.port}  (Ctrl-C ends it)", soft_wrap=True
    )
    page.block_thread()


def _report(options: argparse.Namespace) -> None:
    import webbrowser
    from pathlib import Path

    console = _quiet_console()
    from pipeline.config import load_config
    from pipeline.history import find_run
    from pipeline.reports import build_report
    from pipeline.store import open_store

    config = load_config(options.config)
    store = open_store(config)
    run = find_run(store, config.name, options.run)
    path = _write(options.out or f"report-{run.id}.html", build_report(store, run))
    console.print(path, soft_wrap=True)
    if options.open:
        webbrowser.open(Path(path).resolve().as_uri())


def _lineage_of_model(options: argparse.Namespace) -> None:
    from pipeline import lineage
    from pipeline.lineage_view import print_tree

    config, store = _config_and_store(options)
    model = lineage.find_model(store, options.model)
    if options.html:
        from components.reporter.lineage_section import render_page

        title = f"Lineage of {config.name}, {lineage.name_of(model)}"
        _write(options.html, render_page(title, lineage.model_graph(store, model)))
    answer = lineage.describe_model(store, model)
    _answer(options, answer, lambda console: print_tree(console, lineage.name_of(model), answer))


def _lineage_of_data(options: argparse.Namespace) -> None:
    from pipeline import lineage
    from pipeline.lineage_view import print_tree

    _, store = _config_and_store(options)
    answer = lineage.describe_data(store, options.data)
    _answer(options, answer, lambda console: print_tree(console, options.data, answer))


def _lineage_of_runs(options: argparse.Namespace) -> None:
    from pipeline.history import list_runs
    from pipeline.lineage import describe_run
    from pipeline.lineage_view import print_runs

    config, store = _config_and_store(options)
    runs = list_runs(store, config.name, options.limit)
    answer = [describe_run(run) for run in runs]
    _answer(options, answer, lambda console: print_runs(console, runs))


def _lineage_diff(options: argparse.Namespace) -> None:
    from pipeline.history import find_run
    from pipeline.lineage import compare
    from pipeline.lineage_view import print_comparison

    config, store = _config_and_store(options)
    first, second = (find_run(store, config.name, name) for name in (options.first, options.second))
    sections = compare(first, second)
    _answer(
        options, sections, lambda console: print_comparison(console, first.id, second.id, sections)
    )


def _tensorboard(options: argparse.Namespace) -> None:
    console = _quiet_console()
    from pipeline.config import load_config
    from pipeline.tensorboard import serve

    serve(console, load_config(options.config), options.host, options.port)


def _config_and_store(options: argparse.Namespace) -> tuple[PipelineConfig, MetadataStore]:
    from pipeline.config import load_config
    from pipeline.store import open_store

    config = load_config(options.config)
    return config, open_store(config)


def _answer(
    options: argparse.Namespace, answer: Any, show: Callable[[rich.console.Console], None]
) -> None:
    """Prints an answer as JSON where that is asked for."""
    import json

    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        console = rich.console.Console(highlight=False)
        if not console.is_terminal:
            console.width = 160
        show(console)


def _write(path: str, text: str) -> str:
    """Writes a page.

    Raises:
      UserError: it can't be written there.
    """
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}") from error
    return path


def _quiet_console() -> rich.console.Console:
    """A console; what the libraries have to say at import is kept from it."""
    import logging
    import os
    import warnings

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    console = rich.console.Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    return console
