"""`segline config …`."""

from __future__ import annotations

import argparse

from pipeline.commands.common import quiet_console


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    config = commands.add_parser("config", help="list, check and show pipeline configs")
    verbs = config.add_subparsers(required=True, metavar="verb")
    verbs.add_parser("list", help="the configs that come with segline").set_defaults(
        function=_list_configs
    )
    verbs.add_parser("reference", help="all keys with their meaning, as Markdown").set_defaults(
        function=_print_reference
    )
    for verb, function, text in (
        (
            "check",
            _check_config,
            "check a config, and that the files it names are there; silent where it is right",
        ),
        ("show", _show_config, "every field as it will be used, defaults and overrides included"),
        ("name", _print_name, "the name of the config's pipeline, as the tfx command wants it"),
    ):
        command = verbs.add_parser(verb, help=text)
        command.add_argument(
            "config", nargs="?", help="name or path; default: SEGLINE_CONFIG, or else quickstart"
        )
        command.set_defaults(function=function)


def _list_configs(options: argparse.Namespace) -> None:
    quiet_console()
    from pipeline.config.loading import config_names

    del options
    print("\n".join(config_names()))


def _print_reference(options: argparse.Namespace) -> None:
    quiet_console()
    from pipeline.config.reference import reference

    del options
    print(reference(), end="")


def _check_config(options: argparse.Namespace) -> None:
    quiet_console()
    from pipeline.config.inputs import check_inputs, is_here
    from pipeline.config.loading import load_config

    config = load_config(options.config)
    check_inputs(config)
    left_out = config.dataset.leave_out
    if left_out and is_here(config, left_out):
        from components.example_gen.leave_out import read_leave_out

        read_leave_out(left_out)


def _show_config(options: argparse.Namespace) -> None:
    quiet_console()
    import yaml

    from pipeline.config.loading import load_config

    values = load_config(options.config).model_dump(mode="json")
    print(yaml.safe_dump(values, sort_keys=False, default_flow_style=None), end="")


def _print_name(options: argparse.Namespace) -> None:
    quiet_console()
    from pipeline.config.loading import load_config

    print(load_config(options.config).name)
