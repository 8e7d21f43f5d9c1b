"""Masks of numbers: stray ones, numbers of things, and pixels that don't count."""

from __future__ import annotations

from collections.abc import Sequence

from components.common.errors import UserError
from components.datasets.answers import Answers
from components.datasets.config import MaskValuesConfig
from components.datasets.masks.mask_looks import FLOATS, GREY, VOIDS, MaskLooks
from components.datasets.pairs import some

_STRAY_PIXELS = 20  # in one file
_STRAY_FILES = 0.03  # share of the files
_NEAR = 10  # grey levels: 254 is a 255 that was drawn over
_RIM = 0.9  # of a value's pixels, that lie between a lower and a higher one
_THIN = 0.8  # of the pixels of 255 that lie at an edge, where it is a border
_RARE = 0.01  # share of the pixels
_MANY = 6  # things in a picture, from which numbers of things are told from classes
_DIFFERENT = 3  # numbers of things in a picture, likewise
_MOST_FILES = 0.8  # share of the files, likewise
_SELDOM = 0.25  # share of the files that show a value of few pixels, which may be a slip
_MOST_CODES = 20  # fractions that somebody may have meant as classes
_SCALE_FILES = 2
_ENOUGH_FILES = 10


def is_stray(count: int, files: Sequence[str], all_files: int) -> bool:
    """Whether a value is of a few pixels in a few files: a slip, not a class."""
    return (
        all_files >= _ENOUGH_FILES
        and len(files) <= max(1, _STRAY_FILES * all_files)
        and count <= _STRAY_PIXELS * len(files)
    )


def find_recode(looks: MaskLooks, settings: MaskValuesConfig, answers: Answers) -> MaskValuesConfig:
    """What values are that are no whole numbers: the user's to say.

    Raises:
      UserError: the user has not said it of one of them.
    """
    broken = sorted(
        value for value in looks.values if value != int(value) and value not in answers.recode
    )
    if len(broken) > _MOST_CODES:
        raise UserError(
            f"{some(looks.forms[FLOATS])}: the masks have {len(broken)} values that are no whole "
            f"numbers, from {broken[0]:g} to {broken[-1]:g}: probabilities? Save the classes that "
            "they make, such as 1 where they are above 0.5, and else 0"
        )
    if broken:
        shown = ", ".join(f"{value:g}" for value in broken[:5]) + (", …" if broken[5:] else "")
        raise UserError(
            f"{some(looks.forms[FLOATS])}: the masks have values that are no whole numbers "
            f"({shown}): probabilities, or classes of another scale. Save whole numbers; or "
            f"--recode says what each is, as --recode {broken[0]:g}=1"
        )
    return settings.model_copy(update={"recode": dict(answers.recode)})


def read_values(
    looks: MaskLooks, settings: MaskValuesConfig, answers: Answers, named: bool
) -> tuple[MaskValuesConfig, list[int], list[str]]:
    """Values as they are, but for strays, things' numbers, and pixels that don't count."""
    values = looks.values
    if min(values) < 0 or max(values) > 65535:
        wrong = int(min(values) if min(values) < 0 else max(values))
        raise UserError(
            f"{some(looks.value_files[wrong])}: the masks have the value {wrong}; values must be "
            f"between 0 and 65535: --recode says what is meant, as --recode={wrong}=255"
        )
    if answers.instances:
        return (
            settings.model_copy(update={"instances": True}),
            [],
            ["the values are numbers of things: all above 0 are one class, 1"],
        )
    notes: list[str] = []
    if answers.instances is None and not named:
        notes += _check_things(looks)
    if answers.instances is None and not named:
        _check_scales(looks)
    recode, ignored = {}, []
    strays = [
        v
        for v, n in values.items()
        if is_stray(n, looks.value_files[v], looks.files) or _is_nearly_255(v, looks)
    ]
    kept = [value for value in values if value not in strays]
    for value in sorted(strays) if len(kept) >= 2 else ():
        nearest = min(kept, key=lambda one: (abs(one - value), -values[one]))
        where = some(looks.value_files[value])
        told = f"the value {value} is of {values[value]} stray pixels in {where}"
        if abs(nearest - value) <= _NEAR and _spread(kept) > 2 * _NEAR:
            recode[float(value)] = int(nearest)
            notes.append(f"{told}: they count as {nearest}, the level beside it")
        else:
            ignored.append(int(value))
            notes.append(f"{told}: they count nowhere (classes.ignore_values)")
    if answers.instances is None and not named:
        _check_slips(kept, looks, answers)
    notes += _check_void(kept, looks, answers, ignored)
    if answers.instances is None and not named:
        notes += _between(kept, looks)
    return settings.model_copy(update={"recode": recode}), ignored, notes


def _check_void(
    kept: Sequence[float], looks: MaskLooks, answers: Answers, ignored: list[int]
) -> list[str]:
    """Whether 255, or 65535 of 16 bits, counts nowhere: where it is thin or rare."""
    void = int(max(kept, default=0))
    others = [value for value in kept if value != void]
    if answers.ignore is not None or void not in VOIDS or len(others) < 2:
        return []
    share = looks.values[void] / looks.pixels
    thin = looks.thin_void / looks.values[void]
    if thin >= _THIN or share < _RARE:
        ignored.append(void)
        how = "thin" if thin >= _THIN else "rare"
        return [f"the value {void} is {how}: it counts nowhere"]
    return [
        f"the value {void} is a class as the others: --ignore {void} if its pixels shall count "
        "nowhere"
    ]


def _between(kept: Sequence[float], looks: MaskLooks) -> list[str]:
    """Values that only lie between a lower and a higher one: classes, or interpolated edges."""
    inner = sorted(kept)[1:-1]
    rims = [int(v) for v in inner if looks.between[v] >= _RIM * looks.values[v]]
    left = [int(value) for value in sorted(kept) if value not in rims]
    if not rims:
        return []
    return [
        f"{'the values' if rims[1:] else 'the value'} {', '.join(map(str, rims))} "
        f"{'lie' if rims[1:] else 'lies'} nearly always between a lower and a higher value, as in "
        "masks that were resized with interpolation: if it is no class of rims, --colors "
        f"{' '.join(map(str, left))} gives its pixels to the nearest of the others"
    ]


def _check_things(looks: MaskLooks) -> list[str]:
    """Numbers of things, which look like classes.

    Raises:
      UserError: the values look like numbers of things.
    """
    grey = looks.forms[GREY]
    things = [value for value in looks.values if value > 0]
    share = len(looks.whole) / max(1, len(grey))
    counted = [looks.whole[name] for name in looks.runs]
    several = len(set(counted)) >= _DIFFERENT
    in_runs = several and len(counted) >= _MOST_FILES * len(grey)
    apart = share >= _MOST_FILES and len(things) > 20
    codes = [value for value in things if value not in VOIDS]
    coded = {int(value) // 1000 for value in codes if value >= 1000}
    if coded and len(codes) > 2 * len(coded) and all(v < 256 or v >= 1000 for v in codes):
        raise UserError(
            f"{some(grey)}: the masks' values look like a class times 1000 and the number of a "
            f"thing ({int(max(codes))}), as Cityscapes' instanceIds: take the masks of the "
            "classes (labelIds); --instances makes one class of all things; --classes takes the "
            "values for classes all the same"
        )
    if apart or (in_runs and max(counted) >= _MANY):
        raise UserError(
            f"the masks' values look like numbers of things ({int(min(things))} to "
            f"{int(max(things))}, up to {max(looks.whole.values())} in a mask, {some(grey)}, each "
            "in one piece), not like classes: --instances makes one class of all things; "
            "--classes takes the values for classes all the same"
        )
    if in_runs and len(things) > 1:
        return [
            f"the values {int(min(things))} to {int(max(things))} are each in one piece, and not "
            "all in every mask: if they number things, --instances makes one class of them"
        ]
    return []


def _check_slips(kept: Sequence[float], looks: MaskLooks, answers: Answers) -> None:
    """Values of a few pixels in several files.

    Raises:
      UserError: nobody can tell whether they are a class.
    """
    told = set(answers.ignore or ())
    if len(kept) < 3:
        return
    for value in sorted(kept):
        count, files = looks.values[value], looks.value_files[value]
        seldom = len(files) <= _SELDOM * looks.files and looks.files >= _ENOUGH_FILES
        if value and value not in told and seldom and count <= _STRAY_PIXELS * len(files):
            raise UserError(
                f"the value {int(value)} is of {count} pixels in {len(files)} of {looks.files} "
                f"masks ({some(files)}): a class of small things, or slips? --ignore {int(value)} "
                f"lets them count nowhere; --classes takes it for a class"
            )


def _check_scales(looks: MaskLooks) -> None:
    """Two annotators' masks, of other scales: 0 and 1 here, 0 and 255 there.

    Raises:
      UserError: some masks have nothing but 0 and one value, others nothing but 0 and another.
    """
    things = sorted(value for value in looks.values if value)
    if len(things) != 2 or things[1] not in (255, 65535) or things[0] > 1:
        return
    files = [set(looks.value_files[value]) for value in things]
    if not files[0] & files[1] and min(map(len, files)) >= _SCALE_FILES:
        names = [some(looks.value_files[value]) for value in things]
        raise UserError(
            f"{len(files[0])} masks have nothing but 0 and {things[0]} ({names[0]}), "
            f"{len(files[1])} nothing but 0 and {things[1]} ({names[1]}): one thing in two "
            f"scales? Then --recode {things[1]}={things[0]}; else --classes takes them for two "
            "classes"
        )


def _is_nearly_255(value: float, looks: MaskLooks) -> bool:
    """Whether it is a 255 that an editor drew over: 254 beside far more of 255."""
    return 255 - _NEAR <= value < 255 and 20 * looks.values[value] <= looks.values[255]


def _spread(values: Sequence[float]) -> float:
    """The smallest distance of two values."""
    ordered = sorted(values)
    return min((b - a for a, b in zip(ordered, ordered[1:], strict=False)), default=0)
