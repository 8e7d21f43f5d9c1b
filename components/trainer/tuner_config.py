"""The search over the Trainer's settings.

A hyperparameter's name is the path of a setting, such as `encoder.fine_tune_learning_rate`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from components.common import schema
from components.trainer.config import TrainerConfig


class Range(schema.Config):
    """Numbers between two others."""

    min: float = Field(description="smallest value")
    max: float = Field(description="largest value")
    scale: Literal["linear", "log"] = Field(
        default="linear", description="`log`: each factor of ten gets the same attention"
    )

    def examples(self) -> tuple[float, ...]:
        """The ends, and a number between them that is not a whole one."""
        return self.min, self.max, self.min + (self.max - self.min) / math.e

    @pydantic.model_validator(mode="after")
    def _check(self) -> Range:
        if self.min >= self.max:
            raise ValueError("min must be smaller than max")
        if self.scale == "log" and self.min <= 0:
            raise ValueError("a log scale needs a min greater than 0")
        return self


Choices = Annotated[tuple[Any, ...], Field(min_length=2)]

# Told apart by their form, so that an error is about the one that was meant.
Values = Annotated[
    Annotated[Range, pydantic.Tag("(range)")] | Annotated[Choices, pydantic.Tag("(choices)")],
    pydantic.Discriminator(
        lambda value: "(range)" if isinstance(value, dict | Range) else "(choices)"
    ),
]


class TunerConfig(schema.Config):
    """A search over the Trainer's settings."""

    space: dict[str, Values] = Field(
        min_length=1,
        description="setting below `trainer`, such as `encoder.fine_tune_learning_rate`, -> "
        "`{min, max, scale}` (scale: linear or log), or a list of values to choose from",
    )
    trials: pydantic.PositiveInt = Field(default=10, description="trainings in all")
    epochs: pydantic.PositiveInt | None = Field(
        default=None, description="of each trial; default: trainer.epochs"
    )
    search: Literal["bayesian", "random"] = Field(
        default="bayesian", description="how the next trial is chosen"
    )

    def check(self, trainer: TrainerConfig) -> None:
        """Tries the ends of all ranges, something between them, and all choices.

        Raises:
          ValueError: names the setting that there is none of, or the value that it can't have.
        """
        for name, values in self.space.items():
            if name.partition(".")[0] == "serving":
                raise ValueError(f"{name}: no trial's score depends on it; set it below trainer")
            for value in values.examples() if isinstance(values, Range) else values:
                try:
                    apply(trainer, {name: value})
                except pydantic.ValidationError as error:
                    raise ValueError(f"{name}: {value}: {error.errors()[0]['msg']}") from error


def apply(trainer: TrainerConfig, values: Mapping[str, Any]) -> TrainerConfig:
    """Replaces settings.

    Args:
      trainer: the settings.
      values: setting -> value.

    Returns:
      The changed settings, checked.

    Raises:
      ValueError: there is no such setting, or it can't have this value.
    """
    settings = trainer.model_dump()
    for name, value in values.items():
        section: Any = settings
        *parents, last = name.split(".")
        for parent in parents:
            section = section.get(parent)
            if not isinstance(section, dict):
                raise ValueError(f"{name}: there is no such setting below trainer")
        section[last] = value
    return TrainerConfig.model_validate(settings)
