"""`segline label …`: labels that look wrong, and pictures to label next."""

from __future__ import annotations

import argparse

from components.common.errors import UserError
from pipeline.commands.common import add_config, add_run_argument, positive, quiet_console

_WRONG = 0.05  # share of the training labels that is marked where nobody says how many


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the commands."""
    label = commands.add_parser("label", help="labels that look wrong; what to label next")
    verbs = label.add_subparsers(required=True, metavar="command")
    _add_check(verbs)
    _add_next(verbs)


def _add_check(verbs: argparse._SubParsersAction) -> None:
    check = verbs.add_parser(
        "check",
        help="rank the labels of a run by how wrong they look",
        description="Scores each label by a model that has not learned from it: validation and "
        "test split by the run's own model, the training split by models of the same settings, "
        "each trained without a fold of it. Writes a page of the worst, and a table that "
        "dataset.leave_out takes. Called again, it goes on where it was ended, and keeps the marks "
        "that you have changed in the table; while dataset.leave_out names it, the check marks "
        "nothing in it, but suggests.",
    )
    add_run_argument(check, "run")
    check.add_argument(
        "--folds", type=positive, default=5, metavar="N", help="trainings; default: %(default)s"
    )
    check.add_argument(
        "--mark",
        type=positive,
        metavar="N",
        help="how many of the worst of the training split the table says to leave out, or, where "
        "dataset.leave_out names it already, suggests; default: 5%% of them",
    )
    check.add_argument(
        "--pictures",
        type=positive,
        default=60,
        metavar="N",
        help="shown on the page; default: %(default)s",
    )
    check.add_argument(
        "--out",
        metavar="DIR",
        help="folder of labels.csv, labels.html and what is done so far; default: label-check in "
        "the pipeline's folder",
    )
    add_config(check)
    check.set_defaults(function=_check)


def _add_next(verbs: argparse._SubParsersAction) -> None:
    following = verbs.add_parser(
        "next",
        help="choose pictures to label, and copy them out with predicted masks as a start",
        description="Chooses the pictures that the run's model is least sure of, no two of them "
        "alike, and none like what is labelled. They go to --out with the model's masks, in a form "
        "that Label Studio and CVAT import. Nothing is sent anywhere.",
    )
    following.add_argument("folder", metavar="FOLDER", help="pictures without labels, to any depth")
    following.add_argument(
        "--count", type=positive, required=True, metavar="N", help="how many to choose"
    )
    following.add_argument(
        "--out", metavar="DIR", required=True, help="a new folder, for this round"
    )
    following.add_argument(
        "--form",
        choices=("coco", "masks"),
        default="coco",
        help="coco: polygons, for Label Studio and for CVAT's COCO 1.0. masks: PNGs in colours, "
        "for CVAT's Segmentation mask 1.1. Default: %(default)s",
    )
    following.add_argument(
        "--run",
        default="latest",
        metavar="RUN",
        help="whose model is asked, and whose pictures are labelled; default: %(default)s",
    )
    add_config(following)
    following.set_defaults(function=_next)


def _check(options: argparse.Namespace) -> None:
    console = quiet_console()
    import os

    from components.common import schema
    from components.labels import check, folds, marks
    from components.labels.alone import alone
    from pipeline.commands.common import config_and_store, write
    from pipeline.commands.label_run import (
        files_of,
        is_in_use,
        left_out_now,
        local_folder,
        training_of,
    )
    from pipeline.metadata.history import find_run

    if options.folds < 2:
        raise UserError("--folds: at least 2, so that something is left to train on")
    config, store = config_and_store(options)
    run = find_run(store, config.name, options.run)
    training, model = training_of(run)
    out = local_folder(options.out, os.path.join(config.folder, "label-check"))
    table, page = (os.path.join(out, f"labels.{ending}") for ending in ("csv", "html"))
    busy = f"another label check is under way in {out}; wait for its end, or name another --out"
    with alone(os.path.join(out, "check.lock"), busy):
        marks.read(table)  # here too: what is wrong with the lists is said before hours of training
        left_out_now(config, table)
        work = os.path.join(out, run.id, f"{options.folds}-folds")
        os.makedirs(work, exist_ok=True)
        scored = folds.score_out_of_fold(training, options.folds, work, console.print)
        files = {split: files_of(run, split) for split in schema.SPLITS}
        for split in (schema.VALIDATION, schema.TEST):
            scored += folds.score_split(model, split, files[split])
        order = check.ranked(scored)
        # On validation the temperature is fitted, and settings are compared.
        judged = {schema.VALIDATION, schema.TEST, config.evaluator.split}
        count = options.mark or round(sum(one.split not in judged for one in order) * _WRONG)
        worst = marks.worst(order, count, judged)
        in_use = is_in_use(config, table)
        rows = marks.merged(order, worst, marks.read(table), left_out_now(config, table), in_use)
        marks.write(rows, table)
        write(page, check.render_page(config.name, order, rows, options.pictures, files))
    marked, undecided = (sum(row.leave_out is said for row in rows) for said in (True, None))
    console.print(
        f"{len(order)} labels ranked, {marked} marked: {page}",
        f"{undecided} more look wrong, and nobody has said so: look at them, and write yes or no "
        f"into column leave_out of {table}"
        if in_use
        else f"look at them, then leave them out of the next run: dataset.leave_out: {table}",
        sep="\n",
        soft_wrap=True,
        markup=False,
    )


def _next(options: argparse.Namespace) -> None:
    console = quiet_console()
    from rich.progress import track

    from components.common import schema
    from components.common.served_model import ServedModel
    from components.labels import handout, selection
    from components.labels.folds import read_records
    from components.labels.inference import Inference
    from components.predictor.picture_files import find_pictures
    from pipeline.commands.common import config_and_store
    from pipeline.commands.label_run import files_of, local_folder, training_of
    from pipeline.metadata.history import find_run

    config, store = config_and_store(options)
    run = find_run(store, config.name, options.run)
    _, path = training_of(run)
    with handout.new_folder(local_folder(options.out)) as out:
        files = find_pictures([options.folder], options.out)
        model = ServedModel(path)
        inference = Inference(model)
        candidates = []
        looked = selection.look(model, inference, files)
        for found in track(looked, "pictures", len(files), console=console, transient=True):
            if isinstance(found, str):
                console.print(f"✗ {found}", style="red", markup=False, soft_wrap=True)
            else:
                candidates.append(found)
        if not candidates:
            raise UserError(f"{options.folder}: none of its {len(files)} pictures can be read")
        with console.status("holding them against the labelled ones"):
            files_of_all = [file for split in schema.SPLITS for file in files_of(run, split)]
            labelled = (record for _, record in read_records(files_of_all))
            known = selection.features_of(inference, labelled)
            chosen = selection.choose(candidates, options.count, known)
        masks = (prediction.mask for prediction in selection.predict(model, chosen))
        handout.hand_out(chosen, masks, model.classes, out, options.form)
    console.print(
        f"{len(chosen)} of {len(candidates)} pictures in {options.out}; what the model makes of "
        f"them is a start, not a label: correct it",
        soft_wrap=True,
        markup=False,
    )
    blank = handout.left_blank(model.classes)
    if options.form == "coco" and blank:
        console.print(f"{blank} has no polygons: it is what is left, and comes back as value 0")
