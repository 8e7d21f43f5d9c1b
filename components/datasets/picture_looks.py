"""What is in picture files, and how they are read: decided, or asked for."""

from __future__ import annotations

import dataclasses
import functools
import io
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar, cast, get_args

import numpy as np
from PIL import Image

from components.common import deep_pictures, orientation, picture_formats, readable
from components.common.bands import BandsConfig, Depth
from components.common.errors import UserError
from components.common.picture_settings import PictureSettings
from components.datasets.pairs import some

_BITS = (8, 10, 12, 14, 16)
_SHAPE = 0.03  # by which the ratios of the sides may differ, where a mask is of another resolution
_PART = 0.1  # share of the files, from which another depth is no chance
_CLEAR = 0.8  # share of the turned pictures whose edges must speak for one way
_LEAST_TURNED = 3
_COLOURS = 3  # bands; a fourth of 8 bits is called alpha


_Key = TypeVar("_Key")


def _in(every: Sequence[str], names: Collection[str]) -> list[str]:
    return [name for name in every if name in names]


@dataclasses.dataclass
class PictureLooks:
    """Counts over all pictures.

    Attributes:
      told: what the user says of them.
      files: how many there were.
      deep: kind of the values (uint16, float32, …) -> files.
      low: smallest value of those of a kind, in the bands that are taken.
      high: largest value likewise.
      tops: file of whole numbers of more than 8 bits -> its largest value.
      bands: number of bands, alpha left out -> files of those that Pillow has no form for.
      forms: number of bands, alpha too, and kind of the values -> files.
      frames: files with several pages or frames.
      transparent: files with transparency, which is dropped.
      turned: files that EXIF says to turn.
      votes: of those, whose size is the same both ways: the way on whose edges the mask's lie.
    """

    told: PictureSettings = PictureSettings()
    files: int = 0
    deep: dict[str, list[str]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    low: dict[str, float] = dataclasses.field(default_factory=dict)
    high: dict[str, float] = dataclasses.field(default_factory=dict)
    tops: dict[str, float] = dataclasses.field(default_factory=dict)
    bands: dict[int, list[str]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    forms: dict[tuple[int, str], list[str]] = dataclasses.field(
        default_factory=lambda: defaultdict(list)
    )
    frames: list[str] = dataclasses.field(default_factory=list)
    transparent: list[str] = dataclasses.field(default_factory=list)
    turned: list[str] = dataclasses.field(default_factory=list)
    votes: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, name: str, content: bytes) -> None:
        """Looks at a picture; what can't be read is passed over: reading it says why."""
        self.files += 1
        try:
            with picture_formats.opened(content) as image:
                if image.getexif().get(orientation.TAG, 1) not in orientation.UPRIGHT:
                    self.turned.append(name)
                if deep_pictures.pages_of(image, content) > 1:
                    self.frames.append(name)
                if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                    self.transparent.append(name)
                stored = deep_pictures.stored_bands(image, content)
                if not deep_pictures.is_deep(image, content):
                    self.forms[stored, "uint8"].append(name)
                    return
                pixels = deep_pictures.read(image, content, max(self.told.bands or (0,)))
        except OSError:
            return
        self.forms[stored, str(pixels.dtype)].append(name)
        self.bands[pixels.shape[2] if pixels.ndim == 3 else 1].append(name)
        if pixels.dtype == np.uint8 or pixels.dtype.kind not in "uif":
            return
        if self.told.bands:
            try:
                pixels = deep_pictures.three_bands(pixels, self.told)
            except OSError:
                return
        kind = str(pixels.dtype)
        self.deep[kind].append(name)
        self.low[kind] = min(self.low.get(kind, np.inf), pixels.min().item())
        self.high[kind] = max(self.high.get(kind, -np.inf), pixels.max().item())
        if pixels.dtype.kind in "ui":
            self.tops[name] = pixels.max().item()

    def commonest_form(self) -> tuple[int, str]:
        """Number of bands, alpha too, and kind of the values that most files have."""
        return max(self.forms, key=lambda form: len(self.forms[form]))

    def of_the_commonest_form(self) -> PictureLooks:
        """What was seen of the files of that form alone."""
        form = self.commonest_form()
        names = set(self.forms[form])

        def kept(by: Mapping[_Key, list[str]]) -> dict[_Key, list[str]]:
            return {key: ones for key, every in by.items() if (ones := _in(every, names))}

        return dataclasses.replace(
            self,
            files=len(names),
            deep=kept(self.deep),
            low={kind: low for kind, low in self.low.items() if kind == form[1]},
            high={kind: high for kind, high in self.high.items() if kind == form[1]},
            tops={name: top for name, top in self.tops.items() if name in names},
            bands=kept(self.bands),
            forms={form: self.forms[form]},
            frames=_in(self.frames, names),
            transparent=_in(self.transparent, names),
            turned=_in(self.turned, names),
        )

    def add_turned(self, content: bytes, mask: np.ndarray) -> None:
        """Asks the edges of a picture and its mask which way round they fit.

        Args:
          content: of a picture that EXIF says to turn.
          mask: values, [height, width].
        """
        fits = {}
        for way in ("upright", "as_stored"):
            try:
                settings = PictureSettings(orientation=way)
                encoded = picture_formats.for_model(content, settings).encoded
            except OSError:
                return
            with Image.open(io.BytesIO(encoded)) as image:
                grey = _like(image.convert("L"), mask)
            if grey is None:
                return
            fits[way] = edge_agreement(steepness(grey), mask)
        if fits["upright"] != fits["as_stored"]:
            self.votes[max(fits, key=lambda way: fits[way])] += 1


def _like(image: Image.Image, mask: np.ndarray) -> np.ndarray | None:
    """A picture as large as its mask; None: they are not of one shape."""
    height, width = mask.shape
    if abs(image.height * width / (image.width * height) - 1) > _SHAPE:
        return None
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(image, np.float32)


def steepness(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much a picture changes from each pixel to the next.

    Args:
      picture: float [height, width] or [height, width, channels]: colours differ where any
        channel does, as blue from a green of the same brightness.

    Returns:
      float [height - 1, width], downwards; float [height, width - 1], to the right.
    """
    # Channel by channel: NumPy's maximum over a last axis of three is many times slower.
    channels = np.ascontiguousarray(np.moveaxis(np.atleast_3d(picture), -1, 0))
    down, right = (
        functools.reduce(np.maximum, (np.abs(np.diff(one, axis=axis)) for one in channels))
        for axis in (0, 1)
    )
    return down, right


def edge_agreement(steps: tuple[np.ndarray, np.ndarray], mask: np.ndarray) -> float:
    """How much steeper a picture is along its mask's edges than elsewhere; 1: no more.

    Args:
      steps: `steepness` of the picture.
      mask: values, [height, width].
    """
    ratios = []
    for step, edges in zip(
        steps, (mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]), strict=True
    ):
        if edges.any() and not edges.all():
            ratios.append(float((step[edges].mean() + 1) / (step[~edges].mean() + 1)))
    return float(np.mean(ratios)) if ratios else 1.0


@dataclasses.dataclass(frozen=True)
class Reading:
    """How the pictures are read.

    Attributes:
      settings: what their files don't say.
      bands: what the model sees, where that is not red, green and blue of 8 bits.
      notes: each decision, in words.
    """

    settings: PictureSettings
    bands: BandsConfig | None
    notes: tuple[str, ...]


def decide(
    looks: PictureLooks, told: PictureSettings, all_bands: bool = False, leave_out: bool = False
) -> Reading:
    """How the pictures are read, and each decision in words.

    Args:
      looks: what is in them.
      told: what the user says; its defaults: nothing.
      all_bands: whether the model is to see all bands at their own depth, whatever they are.
      leave_out: whether pictures may be left out: those of other bands than most have.

    Raises:
      UserError: that can't be told; names files, reason and the option that decides.
    """
    notes: list[str] = []
    settings = told
    bands = None
    odd = _odd(looks)
    names_alpha = max(told.bands or (0,)) > _COLOURS
    if leave_out and len(looks.forms) > 1 and (all_bands or (odd and not told.bands)):
        looks = looks.of_the_commonest_form()
        odd = _odd(looks)
    if all_bands or (odd and not told.bands):
        bands = _all_bands(looks, all_bands)
        notes.append(
            f"the pictures have {readable.counted(bands.count, 'band')} of {bands.depth}, all "
            "of which the model sees, each scaled by what the training pictures have "
            "(dataset.bands)" + ("" if all_bands else _rgb_hint(bands.count))
        )
    elif odd or names_alpha:
        notes.append(f"of the pictures' bands, {', '.join(map(str, told.bands or ()))} are taken")
    if looks.deep and not bands:
        settings, more = _range(looks, settings)
        notes += more
    if looks.frames:
        notes.append(
            f"{len(looks.frames)} pictures have several pages or frames: the first is taken "
            f"({some(looks.frames)})"
        )
    if looks.transparent and not bands and not names_alpha:
        notes.append(
            f"{len(looks.transparent)} pictures are transparent in part: their colours are taken, "
            "the transparency is dropped"
        )
    if looks.turned and told.orientation == "like_the_mask":
        settings, more = _orientation(looks, settings)
        notes += more
    return Reading(settings, bands, tuple(notes))


def _odd(looks: PictureLooks) -> list[int]:
    """Numbers of bands that are neither grey nor red, green and blue."""
    return [count for count in looks.bands if count not in (1, 3)]


def _form_text(form: tuple[int, str]) -> str:
    count, kind = form
    return f"{readable.counted(count, 'band')} of {kind}"


def _all_bands(looks: PictureLooks, with_alpha: bool) -> BandsConfig:
    """Bands and depth that all pictures have.

    Raises:
      UserError: they have several, or a depth that is not read; or none can be read.
    """
    forms = looks.forms
    if not forms:
        raise UserError(f"none of the {looks.files} pictures can be read")
    if len(forms) > 1:
        told = "; ".join(
            f"{len(names)} have {count} of {kind} ({some(names)})"
            for (count, kind), names in sorted(forms.items(), key=lambda one: -len(one[1]))
        )
        most = _form_text(looks.commonest_form())
        raise UserError(
            f"the pictures have different bands: {told}. Save them alike; or --leave-out takes "
            f"those of {most}, as most have, and leaves the others out; or --bands says which are "
            "red, green and blue, as --bands 1 2 3, or which one is the grey, as --bands 1"
        )
    ((stored, kind),) = forms
    depth = "float32" if kind == "float64" else kind
    if depth not in get_args(Depth):
        raise UserError(
            f"the pictures' values are of {kind}; save them as one of {', '.join(get_args(Depth))}"
        )
    # Alpha is no band, unless all are asked for.
    count = stored if with_alpha or not looks.bands else next(iter(looks.bands))
    return BandsConfig(count=count, depth=cast(Depth, depth))


def _rgb_hint(count: int) -> str:
    if count < 3:
        return "; --bands 1 shows it the first as grey instead"
    return "; --bands 1 2 3 shows it these as red, green and blue instead"


def _range(looks: PictureLooks, settings: PictureSettings) -> tuple[PictureSettings, list[str]]:
    count = sum(map(len, looks.deep.values()))
    kinds = ", ".join(sorted(looks.deep))
    names = some([name for ones in looks.deep.values() for name in ones])
    low, high = min(looks.low.values()), max(looks.high.values())
    told = f"{count} pictures are of {kinds}, with values from {low:g} to {high:g} ({names})"
    if settings.value_range:
        first, last = settings.value_range
        if low < first or high > last:
            raise UserError(f"--value-range {first:g} {last:g}: {told}")
        return settings, [f"{told}: {first:g} is black, {last:g} is white, as --value-range says"]
    ask = "--value-range says which values are black and white, as --value-range"
    floats = any(kind.startswith("float") for kind in looks.deep)
    if floats and low >= 0 and high <= 1 and len(looks.deep) == 1:
        return settings.model_copy(update={"value_range": (0.0, 1.0)}), [
            f"{told}: 0 is black, 1 is white"
        ]
    if floats or low < 0 or high > 65535:
        raise UserError(f"{told}; {ask} {low:g} {high:g}")
    _check_depths(looks, told)
    bits = next(bits for bits in _BITS if high < 1 << bits)
    top = (1 << bits) - 1
    note = f"{told}: 0 is black, {top} ({bits} bits) is white"
    if bits < 16:
        note += "; --value-range says otherwise"
    return settings.model_copy(update={"value_range": (0, top)}), [note]


def _check_depths(looks: PictureLooks, told: str) -> None:
    """Pictures of a camera of 12 bits beside others of 16: one range would leave these dark.

    Raises:
      UserError: a good part of the files has no value above a lower depth's, and no other file
        comes near.
    """
    tops = sorted((top, name) for name, top in looks.tops.items())
    for bits in _BITS[1:-1]:
        low = [name for top, name in tops if top < 1 << bits]
        high = [name for top, name in tops if top >= 1 << bits]
        near = [name for top, name in tops if 1 << bits <= top < 3 << bits]
        part = min(len(low), len(high))
        if part >= max(2, _PART * len(tops)) and not near:
            raise UserError(
                f"{told}, but {len(low)} of them have none above {(1 << bits) - 1} ({some(low)}): "
                f"pictures of {bits} bits beside others of more? Save them in one depth; "
                f"--value-range 0 {(1 << 16) - 1} takes all of them as they are"
            )


def _orientation(
    looks: PictureLooks, settings: PictureSettings
) -> tuple[PictureSettings, list[str]]:
    count = len(looks.turned)
    told = f"{count} pictures are to be turned, their EXIF data says ({some(looks.turned)})"
    votes = looks.votes
    total = sum(votes.values())
    if total < _LEAST_TURNED:
        return settings, [f"{told}: each lies as its mask does, by their sizes"]
    way, most = votes.most_common(1)[0]
    if most < _CLEAR * total:
        raise UserError(
            f"{told}, and their masks' sizes fit both ways; by the edges, {votes['upright']} masks "
            f"are for the picture as a viewer shows it, {votes['as_stored']} for the stored one: "
            "--orientation upright or --orientation as_stored decides"
        )
    shown = "as a viewer shows it" if way == "upright" else "as it is stored, not turned"
    return settings.model_copy(update={"orientation": way}), [
        f"{told}: in {most} of {total} whose size fits both ways, the mask's edges lie on those of "
        f"the picture {shown} (orientation: {way})"
    ]
