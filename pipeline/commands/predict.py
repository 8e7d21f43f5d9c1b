"""`segline predict` and `segline demo`."""

from __future__ import annotations

import argparse
import sys

from components.common.errors import UserError
from pipeline.commands.common import positive, quiet_console


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the commands."""
    _add_predict(commands)
    _add_demo(commands)


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
        metavar="PATH",
        help="a SavedModel, a folder of versions (the latest is taken), or an export's file "
        "(.tflite, .onnx); default: what the config's pipeline has pushed",
    )
    command.add_argument("--out", metavar="DIR", required=True, help="folder for the results")
    command.add_argument(
        "--batch-size", type=positive, default=8, metavar="N", help="default: %(default)s"
    )
    command.add_argument(
        "--flip",
        action="store_true",
        help="average with the prediction of the mirror image: a little better, twice the work",
    )
    command.add_argument(
        "--objects",
        nargs="+",
        default=[],
        metavar="CLASS",
        help="write the connected objects of these classes too, with box and area of each",
    )
    command.add_argument(
        "--objects-format",
        choices=("coco", "geojson"),
        help="of pictures: coco, one objects.json with the pixels of each (the default); geojson, "
        "a file of polygons for each picture. Of rasters it is always geojson",
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
        "--flink_master=…; default: the config's run.beam",
    )
    command.set_defaults(function=_predict)


def _add_demo(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("demo", help="try a model in the browser")
    command.add_argument("--model", metavar="PATH", help="as for predict")
    command.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    command.add_argument("--port", type=positive, default=7860, help="default: %(default)s")
    command.set_defaults(function=_demo)


def _predict(options: argparse.Namespace) -> None:
    _check_predict(options)
    console = quiet_console()
    from pipeline.commands.prediction import predict, predict_with_beam
    from pipeline.config.beam import BeamStepConfig
    from pipeline.config.loading import load_config

    if not options.beam:
        model = options.model or load_config().serving_dir
        good = predict(
            console,
            options.pictures,
            model,
            options.out,
            options.batch_size,
            options.flip,
            options.objects,
            options.objects_format or "coco",
        )
    else:
        # Pictures with a model of their own need no config.
        config = load_config()
        beam_config = BeamStepConfig.of_args(options.beam_args) if options.beam_args else None
        good = predict_with_beam(
            console,
            config,
            options.pictures,
            options.split,
            options.model or config.serving_dir,
            options.out,
            options.format,
            options.batch_size,
            options.flip,
            beam_config.pipeline_args() if beam_config else config.run.beam.args_of("Predict"),
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
    if options.beam and options.objects:
        raise UserError("--objects does not go with --beam: it looks for no objects")
    if options.objects_format and not options.objects:
        raise UserError("--objects-format: say of which classes, too: --objects CLASS …")
    if bool(options.pictures) == bool(options.split):
        raise UserError("name pictures or folders, or (with --beam) a --split; not both")


def _demo(options: argparse.Namespace) -> None:
    import os

    console = quiet_console()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # Its statistics of calls need a newer pandas than TFX allows, and fail loudly.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise UserError("the demo needs Gradio: pip install 'segline[demo]'") from error
    from components.common.exported_model import open_model
    from components.predictor.demo import launch
    from pipeline.config.loading import load_config

    model = open_model(options.model or load_config().serving_dir)
    try:
        page = launch(model, options.host, options.port)
    except OSError as error:
        raise UserError(f"--port: {options.port} is taken; name another one") from error
    console.print(
        f"{model.path} at http://{options.host}:{options.port}  (Ctrl-C ends it)", soft_wrap=True
    )
    page.block_thread()
