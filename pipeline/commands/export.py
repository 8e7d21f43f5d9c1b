"""`segline export …`: what is made of a model's exports."""

from __future__ import annotations

import argparse

from pipeline.commands.common import quiet_console


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    export = commands.add_parser("export", help="use a model's exports elsewhere")
    verbs = export.add_subparsers(required=True, metavar="what")
    page = verbs.add_parser(
        "page",
        help="a page that segments pictures in the browser",
        description="Writes static files: the page, the ONNX export, and ONNX Runtime for the web, "
        "which npm gets. Any web server can serve them; the page asks for nothing else.",
    )
    page.add_argument(
        "--model",
        metavar="PATH",
        help="an ONNX file, or a model, a folder of versions or a pipeline's folder with one; "
        "default: what the config's pipeline has pushed",
    )
    page.add_argument("--out", metavar="DIR", required=True, help="folder of the page")
    page.add_argument("--title", help="of the page; default: the pipeline's name")
    page.add_argument(
        "--runtime",
        metavar="FILE",
        help="onnxruntime-web's package (.tgz), where npm can't get it here",
    )
    page.set_defaults(function=_page)


def _page(options: argparse.Namespace) -> None:
    console = quiet_console()
    from components.predictor.browser_page import write_page
    from pipeline.config.loading import load_config

    model, title = options.model, options.title
    if not (model and title):
        config = load_config()
        model, title = model or config.serving_dir, title or config.name
    path = write_page(model, options.out, title, options.runtime)
    console.print(path, soft_wrap=True)
    console.print(f"try it: python3 -m http.server --directory {options.out}", soft_wrap=True)
