"""`segline report`, `segline lineage …` and `segline tensorboard`."""

from __future__ import annotations

import argparse

from pipeline.commands.common import (
    add_config,
    add_run_argument,
    answer,
    config_and_store,
    positive,
    quiet_console,
    write,
)


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the commands."""
    _add_report(commands)
    _add_lineage(commands)
    _add_tensorboard(commands)


def _add_report(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "report",
        help="build the report of a run anew",
        description="Every run leaves its report: report.html in the pipeline's folder is the "
        "latest. This builds that of any run, also of one that failed or was interrupted.",
    )
    add_run_argument(command, "run")
    command.add_argument("--out", metavar="FILE", help="default: report-<run>.html")
    command.add_argument("--open", action="store_true", help="show it in the browser")
    add_config(command)
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
        help="a pushed version, its path, the path of a Trainer's model, or an export's file "
        "(.tflite, .onnx), wherever it lies; default: what was pushed last",
    )
    model.add_argument("--html", metavar="FILE", help="write the graph as a page")
    model.set_defaults(function=_lineage_of_model)
    data = verbs.add_parser("data", help="the models that were trained on some data")
    data.add_argument("data", help="a dataset's fingerprint (or its beginning) or version")
    data.set_defaults(function=_lineage_of_data)
    runs = verbs.add_parser("runs", help="the runs, newest first")
    runs.add_argument(
        "--limit", type=positive, default=20, metavar="N", help="default: %(default)s"
    )
    runs.set_defaults(function=_lineage_of_runs)
    diff = verbs.add_parser("diff", help="what differs between two runs")
    add_run_argument(diff, "first", default="latest~1")
    add_run_argument(diff, "second")
    diff.set_defaults(function=_lineage_diff)
    changes = verbs.add_parser(
        "changes", help="what is other now than when the latest blessed model was made"
    )
    changes.set_defaults(function=_lineage_changes)
    for verb in (model, data, runs, diff, changes):
        verb.add_argument("--json", action="store_true", help="for programs")
        add_config(verb)


def _add_tensorboard(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "tensorboard", help="curves, pictures and hyperparameters of all runs side by side"
    )
    command.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    command.add_argument("--port", type=positive, default=6006, help="default: %(default)s")
    add_config(command)
    command.set_defaults(function=_tensorboard)


def _report(options: argparse.Namespace) -> None:
    import webbrowser
    from pathlib import Path

    console = quiet_console()
    from pipeline.commands.reports import build_report
    from pipeline.config.loading import load_config
    from pipeline.metadata.history import find_run
    from pipeline.metadata.store import open_store

    config = load_config(options.config)
    store = open_store(config)
    run = find_run(store, config.name, options.run)
    path = write(options.out or f"report-{run.id}.html", build_report(store, run))
    console.print(path, soft_wrap=True)
    if options.open:
        webbrowser.open(Path(path).resolve().as_uri())


def _lineage_of_model(options: argparse.Namespace) -> None:
    quiet_console()
    from pipeline.metadata import artifacts, lineage
    from pipeline.metadata.lineage_view import print_tree

    config, store = config_and_store(options)
    model = artifacts.find_model(store, config.name, options.model)
    if options.html:
        from components.reporter.lineage_section import render_page

        title = f"Lineage of {config.name}, {artifacts.name_of(model)}"
        write(options.html, render_page(title, lineage.model_graph(store, model)))
    found = lineage.describe_model(store, model)
    answer(options, found, lambda console: print_tree(console, artifacts.name_of(model), found))


def _lineage_of_data(options: argparse.Namespace) -> None:
    quiet_console()
    from pipeline.metadata import lineage
    from pipeline.metadata.lineage_view import print_tree

    config, store = config_and_store(options)
    found = lineage.describe_data(store, config.name, options.data)
    answer(options, found, lambda console: print_tree(console, options.data, found))


def _lineage_of_runs(options: argparse.Namespace) -> None:
    quiet_console()
    from pipeline.metadata.history import list_runs
    from pipeline.metadata.lineage import DESCRIBED_OUTPUTS_OF, describe_run
    from pipeline.metadata.lineage_view import print_runs

    config, store = config_and_store(options)
    runs = list_runs(store, config.name, options.limit, outputs_of=DESCRIBED_OUTPUTS_OF)
    found = [describe_run(run) for run in runs]
    answer(options, found, lambda console: print_runs(console, found))


def _lineage_diff(options: argparse.Namespace) -> None:
    quiet_console()
    from pipeline.metadata.history import find_run
    from pipeline.metadata.lineage import compare
    from pipeline.metadata.lineage_view import print_comparison

    config, store = config_and_store(options)
    first, second = (find_run(store, config.name, name) for name in (options.first, options.second))
    sections = compare(first, second)
    answer(
        options, sections, lambda console: print_comparison(console, first.id, second.id, sections)
    )


def _lineage_changes(options: argparse.Namespace) -> None:
    quiet_console()
    from pipeline.changes import changes

    config, store = config_and_store(options)
    found = changes(store, config)
    lines = found or ["nothing has changed since the latest blessed model"]
    answer(options, found, lambda console: console.print("\n".join(lines), markup=False))


def _tensorboard(options: argparse.Namespace) -> None:
    console = quiet_console()
    from pipeline.commands.tensorboard import serve
    from pipeline.config.loading import load_config

    serve(console, load_config(options.config), options.host, options.port)
