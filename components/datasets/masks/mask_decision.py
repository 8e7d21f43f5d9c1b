"""Decides what masks' pixels mean: by what is in them, or by what the user answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from components.common.errors import UserError
from components.datasets.answers import Answers
from components.datasets.config import Color, FolderConfig, MaskValuesConfig
from components.datasets.masks import colored_things, mask_numbers, smooth_masks
from components.datasets.masks.mask_looks import (
    COLOURS,
    FLOATS,
    GREY,
    MOST_COLORS,
    PALETTE,
    MaskLooks,
)
from components.datasets.masks.mask_values import color_code, color_of
from components.datasets.pairs import some

_VOC_BORDER: Color = (224, 224, 192)


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What was decided.

    Attributes:
      config: with colours and `mask_values`.
      ignored: values that don't count.
      notes: each decision in words.
      names: value -> name.
    """

    config: FolderConfig
    ignored: list[int]
    notes: list[str]
    names: dict[int, str]


def decide(
    looks: MaskLooks,
    config: FolderConfig,
    answers: Answers,
    names: Mapping[int, str],
    named_colors: Mapping[str, Color],
) -> Meaning:
    """Says what the masks' values are.

    Args:
      looks: what is in them.
      config: as it was found so far.
      answers: of the user.
      names: value -> name, from a file beside the masks.
      named_colors: name -> colour, likewise.

    Raises:
      UserError: that can't be told; names files, reason and the option that decides.
    """
    notes = _told_pages(looks)
    settings = config.mask_values
    table: dict[int, Color] = {}
    ignored: list[int] = []
    found_names = dict(names)
    if alpha := _alpha_note(looks, named_colors):
        notes.append(alpha)
        update = {"alpha": True, "nearest": bool(looks.half)}
        settings = settings.model_copy(update=update)
        table = {0: (0, 0, 0), 255: (255, 255, 255)} if looks.half else {}
    elif named_colors and _by_colors(looks):
        table = dict(enumerate(named_colors.values()))
        found_names = dict(enumerate(named_colors))
        notes.append(f"the masks' {len(table)} colours are those of that file")
        table, settings, more = _strays_of_colors(looks, table, settings)
        notes += more
    elif colored_things.are_there(looks, answers):
        table, settings, more = colored_things.united(looks, settings, answers)
        notes += more
    elif looks.lossy or smooth_masks.is_smooth(looks) or answers.colors:
        table, settings, more = smooth_masks.find_levels(looks, settings, answers)
        notes += more
    elif looks.clear or _by_colors(looks):
        table, settings, more = _table(looks, settings)
        notes += more
        if (at := _value_of(table, _VOC_BORDER)) and 255 not in table and answers.ignore is None:
            table = {255 if value == at else value: color for value, color in table.items()}
            ignored = [255]
            notes.append(f"the colour {list(_VOC_BORDER)} is VOC's border: it counts nowhere, 255")
    elif looks.forms[GREY] and looks.forms[PALETTE] and _values_differ(looks):
        raise UserError(_mixed({form: files for form, files in looks.forms.items() if files}))
    elif looks.forms[FLOATS] or answers.recode:
        settings = mask_numbers.find_recode(looks, settings, answers)
    else:
        settings, ignored, more = mask_numbers.read_values(looks, settings, answers, bool(names))
        notes += more
    if answers.ignore is not None:
        ignored = [*answers.ignore]
    updated = config.model_copy(update={"colors": table, "mask_values": settings})
    return Meaning(FolderConfig.model_validate(updated.model_dump()), ignored, notes, found_names)


def _value_of(table: Mapping[int, Color], color: Color) -> int | None:
    return next((value for value, one in table.items() if one == color), None)


def _alpha_note(looks: MaskLooks, named_colors: Mapping[str, Color]) -> str:
    """Why the transparency is the mask; empty: it is not."""
    if looks.alpha_only and len(looks.alpha_only) == looks.files:
        why = "the masks are of one colour"
    elif len(looks.clear) == looks.files and len(looks.colors) > MOST_COLORS and not named_colors:
        why = "the masks are pictures that are cut out"
    else:
        return ""
    return f"{why}, and the thing is in their transparency (alpha): opaque is the object, 255"


def _told_pages(looks: MaskLooks) -> list[str]:
    if not looks.pages:
        return []
    return [
        f"{len(looks.pages)} masks have several pages: the first is taken ({some(looks.pages)})"
    ]


def _by_colors(looks: MaskLooks) -> bool:
    """Whether the colours are meant, not the values: there are colours, or palettes differ."""
    if looks.forms[COLOURS]:
        return True
    return _palettes_differ(looks)


def _values_differ(looks: MaskLooks) -> bool:
    """Whether grey masks have values that those with palettes lack, and the other way round."""
    of_grey, of_palette = (
        {value for value, files in looks.value_files.items() if set(files) & set(looks.forms[form])}
        for form in (GREY, PALETTE)
    )
    return bool(of_grey - of_palette) and bool(of_palette - of_grey)


def _palettes_differ(looks: MaskLooks) -> bool:
    colors = [code for codes in looks.palette.values() for code in codes]
    if len(set(colors)) == 1:  # a palette that nobody filled in: its indices are meant
        return False
    return any(len(codes) > 1 for codes in looks.palette.values()) or len(set(colors)) < len(colors)


def _table(
    looks: MaskLooks, settings: MaskValuesConfig
) -> tuple[dict[int, Color], MaskValuesConfig, list[str]]:
    """A table of colours."""
    notes = []
    forms = {form: files for form, files in looks.forms.items() if files}
    if _palettes_differ(looks) and PALETTE in forms:
        notes.append(
            f"the palettes of the masks differ from file to file ({some(forms[PALETTE])}): their "
            "colours count, not their indices"
        )
    codes = [code for code, _ in looks.colors.most_common()]
    if PALETTE in forms and COLOURS in forms and not _palettes_differ(looks):
        table = {index: color_of(next(iter(codes))) for index, codes in looks.palette.items()}
        table = dict(sorted(table.items()))
        known = {color_code(color) for color in table.values()}
        if GREY in forms:
            grey = {
                v for v in looks.values if any(f in set(forms[GREY]) for f in looks.value_files[v])
            }
            if not grey <= set(table):
                raise UserError(_mixed(forms))
        if set(codes) - known - {color_code((v, v, v)) for v in table}:
            raise UserError(_mixed(forms))
        notes.append(
            "the masks are in several forms ("
            + ", ".join(f"{len(files)} {form}" for form, files in forms.items())
            + "): the palette says which colour is which value"
        )
        return table, settings, notes
    if GREY in forms and (COLOURS in forms or _palettes_differ(looks)):
        shown = set()
        for form in (COLOURS, PALETTE):
            files = set(forms.get(form, ()))
            shown |= {c for c in codes if files & set(looks.color_files[c])}
        if not all(code in shown for code in codes):
            raise UserError(_mixed(forms))
    if len(codes) > MOST_COLORS:
        raise UserError(
            f"{some(looks.forms[COLOURS])}: the masks have more than {MOST_COLORS} colours. Masks "
            "must be saved without loss (PNG, not JPEG) and without smooth edges; --colors names "
            "the colours that are meant, and each pixel gets the nearest"
        )
    table = {}
    if looks.clear:
        under = list(looks.under)
        background = under[0] if len(under) == 1 else None
        codes = [code for code in codes if code != background]
        # Transparent pixels come first: they are the background.
        free = next(c for c in range(1, 1 << 24) if c not in looks.colors)
        table[0] = color_of(background if background is not None else free)
        settings = settings.model_copy(update={"transparent": 0})
        notes.append(
            f"{len(looks.clear)} masks have transparent pixels: they are the background, value 0, "
            "whatever their colour"
        )
    for code in codes:
        table[len(table)] = color_of(code)
    return _strays_of_colors(looks, table, settings, notes)


def _strays_of_colors(
    looks: MaskLooks,
    table: dict[int, Color],
    settings: MaskValuesConfig,
    notes: list[str] | None = None,
) -> tuple[dict[int, Color], MaskValuesConfig, list[str]]:
    """Takes colours out of the table that a few pixels of a few files have."""
    notes = list(notes or ())
    total = sum(looks.colors.values())
    known = {color_code(color): value for value, color in table.items()}
    strays = [
        code
        for code, count in looks.colors.items()
        if (mask_numbers.is_stray(count, looks.color_files[code], looks.files) or code not in known)
    ]
    if not strays or len(known) - len([c for c in strays if c in known]) < 2:
        return table, settings, notes
    count = sum(looks.colors[code] for code in strays)
    if count > 0.05 * total:
        files = [name for code in strays for name in looks.color_files[code]]
        raise UserError(
            f"{some(files)}: the masks have colours that are not in their table, "
            f"{list(color_of(strays[0]))} and {len(strays) - 1} more ({count / total:.1%} of the "
            "pixels)"
        )
    kept = {v: color for v, color in table.items() if color_code(color) not in strays}
    kept = dict(enumerate(kept.values())) if 0 in kept else kept
    files = [name for code in strays for name in looks.color_files[code]]
    notes.append(
        f"{len(strays)} colours are of a few stray pixels ({count} pixels in {some(files)}): they "
        "count as the nearest of the others"
    )
    return kept, settings.model_copy(update={"nearest": True}), notes


def _mixed(forms: Mapping[str, Sequence[str]]) -> str:
    told = ", ".join(f"{len(files)} {form} ({files[0]})" for form, files in forms.items())
    return (
        f"the masks are in several forms: {told}. Nothing says which value is which colour: save "
        "them in one form"
    )
