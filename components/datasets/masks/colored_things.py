"""Masks that give each thing a colour of its own, which says nothing of its class."""

from __future__ import annotations

from components.common.errors import UserError
from components.datasets.answers import Answers
from components.datasets.config import Color, MaskValuesConfig
from components.datasets.masks.mask_looks import COLOURS, MaskLooks
from components.datasets.masks.mask_values import color_of
from components.datasets.pairs import some

_MANY = 20  # colours
_MOST = 0.7  # share of the colours that one file alone has


def are_there(looks: MaskLooks, answers: Answers) -> bool:
    """Whether most of many colours are in one mask each; or the user says so of coloured masks."""
    if not looks.forms[COLOURS] or looks.lossy or answers.colors or answers.instances is False:
        return False
    alone = sum(len(files) == 1 for files in looks.color_files.values())
    return answers.instances is True or _MANY < len(looks.colors) < alone / _MOST


def united(
    looks: MaskLooks, settings: MaskValuesConfig, answers: Answers
) -> tuple[dict[int, Color], MaskValuesConfig, list[str]]:
    """Makes one class of all colours but the commonest.

    Raises:
      UserError: the user has not said that they are things.
    """
    background = color_of(looks.colors.most_common(1)[0][0])
    if not answers.instances:
        raise UserError(
            f"the masks have {len(looks.colors)} colours, most of them in one mask only "
            f"({some(looks.forms[COLOURS])}): a colour for each thing (instances), or smooth "
            f"edges? --instances makes one class of all that is not {list(background)}; --classes "
            "takes each colour for a class"
        )
    note = f"the colours are of single things: all but {list(background)} are one class, 1"
    return {0: background}, settings.model_copy(update={"instances": True}), [note]
