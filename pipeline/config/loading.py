"""PipelineConfig: all of a pipeline's settings, from one YAML file and the environment."""

from __future__ import annotations

import difflib
import itertools
import os
import re
import shlex
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic
import yaml
from pydantic import Field

from components.common import file_tree, schema
from components.common.errors import UserError
from components.common.picture_fit import PictureFit
from components.data_validation.config import DataValidationConfig
from components.evaluator.config import EvaluatorConfig
from components.example_gen.config import DatasetConfig
from components.infra_validator.config import InfraValidatorConfig
from components.pusher.config import PusherConfig
from components.trainer.config import TrainerConfig
from components.trainer.tuner_config import TunerConfig
from components.watcher.config import WatchConfig
from pipeline.config.beam import BeamConfig
from pipeline.config.kubeflow import KubeflowConfig
from pipeline.config.metadata import MetadataConfig
from pipeline.config.notify import NotifyConfig

CONFIG_FOLDER = Path(__file__).resolve().parents[1] / "configs"
CONFIG_VARIABLE = "SEGLINE_CONFIG"
DEFAULT_CONFIG = "quickstart"
OVERRIDE_PREFIX = "SEGLINE__"
_BY_INIT = "segline init"  # in the first comment of its configs
_LONGEST_VALUE = 200  # that a message repeats


class RunConfig(schema.Config):
    """Where a run keeps its things, and how its Beam steps work."""

    root: str = Field(
        default="runs",
        description="folder with one folder for each pipeline; relative to the working directory",
    )
    serving_dir: str | None = Field(
        default=None, description="where models are pushed; default: <root>/<name>/serving"
    )
    cache: bool = Field(default=True, description="take unchanged steps from earlier runs")
    metadata: MetadataConfig = MetadataConfig()
    beam: BeamConfig = BeamConfig()
    notify: tuple[NotifyConfig, ...] = Field(
        default=(), description="who is told how a run has ended, and of what"
    )
    refused_fails: bool = Field(
        default=False,
        description="whether a run whose model is refused counts as failed, so that whoever "
        "watches runs sees it; what was made stays as it is",
    )

    @pydantic.field_validator("root", "serving_dir")
    @classmethod
    def _scheme(cls, path: str | None) -> str | None:
        scheme = (path or "").partition("://")[0]
        if path and scheme != path and scheme != "gs":
            raise ValueError(
                f"{path}: TensorFlow can't write to {scheme}://; a folder, a mounted volume or "
                "gs:// it can"
            )
        return path


class PipelineConfig(schema.Config):
    """Everything that a pipeline is made from."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = Field(
        description="name of the pipeline and of its folder: lower-case letters, digits, - and _"
    )
    dataset: DatasetConfig
    classes: schema.ClassTable
    data_validation: DataValidationConfig = DataValidationConfig()
    transform: PictureFit = PictureFit()
    tuner: TunerConfig | None = Field(
        default=None, description="a search over the trainer's settings before it trains"
    )
    trainer: TrainerConfig = TrainerConfig()
    evaluator: EvaluatorConfig = EvaluatorConfig()
    infra_validator: InfraValidatorConfig = InfraValidatorConfig()
    pusher: PusherConfig = PusherConfig()
    watch: WatchConfig = WatchConfig()
    run: RunConfig = RunConfig()
    kubeflow: KubeflowConfig = KubeflowConfig()
    _decisions: tuple[str, ...] = pydantic.PrivateAttr(default=())

    @property
    def decisions(self) -> tuple[str, ...]:
        """What `segline init` decided, from the comments of the file; for the report."""
        return self._decisions

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> PipelineConfig:
        weights = self.trainer.class_weights
        if not isinstance(weights, str) and len(weights) != len(self.classes):
            raise ValueError(
                f"trainer.class_weights: {len(weights)} weights for {len(self.classes)} classes "
                f"({', '.join(self.classes.names)})"
            )
        try:
            self.trainer.serving.view_sizes(self.transform.image_size)
        except ValueError as error:
            raise ValueError(f"trainer.serving.{error}") from error
        if self.tuner:
            try:
                self.tuner.check(self.trainer)
            except ValueError as error:
                raise ValueError(f"tuner.space: {error}") from error
        if self.transform.fit == "tiles" and self.evaluator.at == "model":
            raise ValueError(
                "evaluator.at: with `transform.fit: tiles` masks have the pictures' own sizes: "
                "set it to `picture`"
            )
        if self.pusher.exports and self.dataset.bands:
            raise ValueError(
                "pusher.exports: an export sees red, green and blue of 8 bits; with dataset.bands "
                "there is only the SavedModel"
            )
        size = self.evaluator.object_size
        for key, names in (
            ("evaluator.min_class_iou", self.evaluator.min_class_iou),
            ("evaluator.object_size.classes", size.classes if size else ()),
            ("evaluator.objects", self.evaluator.objects),
            ("dataset.bad_examples.must_show", self.dataset.bad_examples.must_show),
        ):
            for name in names:
                if name not in self.classes.names:
                    raise ValueError(
                        f"{key}: there is no class {name!r}, only {', '.join(self.classes.names)}"
                    )
        return self

    @property
    def folder(self) -> str:
        """The pipeline's own folder below the root."""
        return os.path.join(self.run.root, self.name)

    @property
    def artifacts_dir(self) -> str:
        """Where the steps' artifacts are: TFX's pipeline root."""
        return absolute(os.path.join(self.folder, "artifacts"))

    @property
    def serving_dir(self) -> str:
        """Where models are pushed, one folder for each version."""
        return self.run.serving_dir or os.path.join(self.folder, "serving")


def absolute(path: str) -> str:
    """Absolute, unless it has a scheme as `gs://` and so is already."""
    return path if "://" in path else os.path.abspath(path)


def config_names() -> list[str]:
    """Names of the configs that come with segline."""
    return sorted(file.stem for file in CONFIG_FOLDER.glob("*.yaml"))


def find_config(name_or_path: str | None = None) -> Path:
    """Finds a config by its name in `pipeline/configs` or by its path.

    Args:
      name_or_path: default: `SEGLINE_CONFIG`, or else `quickstart`.

    Raises:
      UserError: there is none.
    """
    name_or_path = name_or_path or os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG
    shipped = CONFIG_FOLDER / f"{name_or_path}.yaml"
    if shipped.is_file():
        return shipped
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    raise UserError(
        f"there is no config {name_or_path!r}: neither a file nor one of "
        f"{', '.join(config_names())} ({CONFIG_VARIABLE} chooses it)"
    )


def load_config(
    name_or_path: str | None = None, environment: Mapping[str, str] | None = None
) -> PipelineConfig:
    """Loads a config, and overrides fields from the environment.

    Args:
      name_or_path: default: `SEGLINE_CONFIG`, or else `quickstart`.
      environment: default: `os.environ`. `SEGLINE__TRAINER__EPOCHS=2` sets
        `trainer.epochs`; values are read as YAML.

    Returns:
      The checked config.

    Raises:
      UserError: a wrong file, key or value; names file, key, and what is allowed.
    """
    environment = os.environ if environment is None else environment
    path = find_config(name_or_path or environment.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)
    try:
        # (PowerShell's `>` writes UTF-16)
        values = yaml.safe_load(file_tree.decoded(path.read_bytes()))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # dates can be no dates
        raise UserError(f"{path} is no YAML: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold keys and values, such as `name: my_pipeline`")

    overrides = {
        variable: (variable.removeprefix(OVERRIDE_PREFIX).lower().split("__"), text)
        for variable, text in sorted(environment.items())
        if variable.startswith(OVERRIDE_PREFIX)
    }
    config = _validated(values, str(path), overrides)
    config._decisions = _decisions_in(path)
    return config


def _decisions_in(path: Path) -> tuple[str, ...]:
    """What `segline init` put down at the head of a config: one line for each decision."""
    lines = file_tree.decoded(path.read_bytes()).splitlines()
    head = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    if not head or _BY_INIT not in head[0]:
        return ()
    return tuple(line.lstrip("# ").removeprefix("- ").strip() for line in head)


def override_config(config: PipelineConfig, text: str) -> PipelineConfig:
    """Overrides fields of a config, as a run's parameters do.

    Args:
      config: a config.
      text: `trainer.epochs=2 trainer.seed=3`; values are read as YAML. One with a space
        in it is quoted as in a shell.

    Returns:
      The changed config, checked.

    Raises:
      UserError: a wrong key or value, or no `key=value`.
    """
    overrides = {}
    for part in shlex.split(text):
        key, equals, value = part.partition("=")
        if not equals:
            raise UserError(f"{part}: overrides are written as trainer.epochs=2")
        overrides[part] = (key.split("."), value)
    # What is left open must stay so: steps take it from elsewhere.
    values = config.model_dump(mode="json", exclude_unset=True)
    changed = _validated(values, config.name, overrides)
    changed._decisions = config.decisions
    return changed


def _validated(
    values: dict[str, Any], source: str, overrides: Mapping[str, tuple[list[str], str]]
) -> PipelineConfig:
    """Checks values after overrides: name of the override -> (keys, YAML)."""
    origins = {}
    for name, (keys, text) in overrides.items():
        _override(values, keys, name, text)
        origins[tuple(keys)] = name
    try:
        return PipelineConfig.model_validate(values)
    except pydantic.ValidationError as error:
        lines = [_describe(problem, source, origins) for problem in error.errors()]
        raise UserError("\n".join(lines)) from error


def _override(values: dict[str, Any], keys: Sequence[str], name: str, text: str) -> None:
    section = values
    for key in keys[:-1]:
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            raise UserError(f"{name}: {key!r} is a single value, it has nothing below it")
    try:
        section[keys[-1]] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{name}: {text!r} is no YAML value: {error}") from error


def _describe(problem: Mapping[str, Any], path: str, origins: Mapping[tuple, str]) -> str:
    """`file: key: what is wrong, what is allowed`, in one line."""
    location = tuple(str(part) for part in problem["loc"])
    source = next((name for keys, name in origins.items() if location[: len(keys)] == keys), path)
    # Members of a union appear in the location; they mean nothing to a user.
    shown = [part for part in location if not re.search(r"[\[\]()']", part)]
    if problem["type"] == "extra_forbidden":  # then the last one is the user's, whatever it is
        shown = [*shown, location[-1]] if location[-1:] != tuple(shown[-1:]) else shown
    key = ".".join(shown)
    if problem["type"] == "extra_forbidden":
        allowed = _allowed_keys(shown[:-1])
        close = difflib.get_close_matches(shown[-1], allowed, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return f"{source}: {key}: there is no such key{hint}. Allowed: {', '.join(allowed)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        message = "is missing"
    elif problem["type"] != "value_error":
        message += f", not {_short(repr(problem['input']))}"
    return f"{source}: {key + ': ' if key else ''}{message}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _allowed_keys(sections: list[str]) -> list[str]:
    model: Any = PipelineConfig
    for section in sections:
        if section.isdigit():  # of a list, whose members' model is already taken
            continue
        field = getattr(model, "model_fields", {}).get(section)
        if field is None:
            return []
        kinds = _kinds(field.annotation)
        model = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
    return sorted(getattr(model, "model_fields", {}))


def _kinds(annotation: Any) -> list[Any]:
    """An annotation, and all that it is made of."""
    return [annotation, *(kind for one in typing.get_args(annotation) for kind in _kinds(one))]
