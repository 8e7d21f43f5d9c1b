"""What is in mask files, gathered before anybody decides what it means."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict

import numpy as np
import scipy.ndimage

from components.datasets.masks.mask_values import color_codes
from components.datasets.masks.raw_mask import RawMask

GREY, PALETTE, COLOURS, FLOATS = "grey", "palette", "colours", "fractions"
VOIDS = (255, 65535)  # often what counts nowhere
MOST_COLORS = 256
_MOST_VALUES = 2000
_LOOKED_INTO = 4_000_000  # pixels of a mask, of which neighbours are compared
_IN_ONE_PIECE = 0.75  # share of a file's values, from which they are numbers of things
_WITHOUT_GAPS = 0.7  # likewise
_FEW_LEVELS = 5  # of a file; more are looked into for smooth edges
_FLAT = 8  # grey levels that neighbours may differ by where there is no edge


@dataclasses.dataclass
class MaskLooks:
    """Counts over all masks.

    Attributes:
      forms: form -> files of it.
      lossy: files that are saved with loss.
      pages: files that have several pages.
      values: value (or index) -> pixels.
      value_files: value -> files.
      colors: code of a colour that is shown -> pixels; too many are not all counted.
      color_files: likewise.
      palette: index -> codes of the colours that it has in the files.
      under: codes of the colours under fully transparent pixels.
      clear: files that have fully transparent pixels.
      half: files with pixels that are transparent in part.
      alpha_only: files whose colour is one, and whose transparency is not.
      flat: grey level -> pixels whose neighbours are nearly of the same level: no edges.
      ramps: pixels between their neighbours, which differ by a little.
      thin_void: pixels of 255, or 65535, that have others beside them.
      between: value -> pixels that have lower and higher ones beside them.
      whole: files whose values are each in one piece -> how many there are.
      runs: of those, the files whose values follow one another.
      files: how many there were.
    """

    forms: dict[str, list[str]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    lossy: list[str] = dataclasses.field(default_factory=list)
    pages: list[str] = dataclasses.field(default_factory=list)
    values: Counter[float] = dataclasses.field(default_factory=Counter)
    value_files: dict[float, list[str]] = dataclasses.field(
        default_factory=lambda: defaultdict(list)
    )
    colors: Counter[int] = dataclasses.field(default_factory=Counter)
    color_files: dict[int, list[str]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    palette: dict[int, set[int]] = dataclasses.field(default_factory=lambda: defaultdict(set))
    under: Counter[int] = dataclasses.field(default_factory=Counter)
    clear: list[str] = dataclasses.field(default_factory=list)
    half: list[str] = dataclasses.field(default_factory=list)
    alpha_only: list[str] = dataclasses.field(default_factory=list)
    flat: Counter[int] = dataclasses.field(default_factory=Counter)
    ramps: int = 0
    thin_void: int = 0
    between: Counter[float] = dataclasses.field(default_factory=Counter)
    whole: dict[str, int] = dataclasses.field(default_factory=dict)
    runs: set[str] = dataclasses.field(default_factory=set)
    files: int = 0

    @property
    def pixels(self) -> int:
        """Of all masks that have values or colours."""
        return sum(self.values.values()) or sum(self.colors.values())

    def add(self, name: str, raw: RawMask) -> None:
        """Looks at one mask."""
        self.files += 1
        if raw.lossy:
            self.lossy.append(name)
        if raw.pages > 1:
            self.pages.append(name)
        if raw.alpha is not None:
            self._add_alpha(name, raw)
        form = (
            COLOURS
            if raw.is_coloured
            else PALETTE
            if raw.palette is not None
            else FLOATS
            if raw.values.dtype.kind == "f"
            else GREY
        )
        self.forms[form].append(name)
        if form != COLOURS:
            self._add_values(name, raw, form)
        if form != FLOATS and raw.values.dtype == np.uint8:
            self._add_colors(name, raw)

    def _add_values(self, name: str, raw: RawMask, form: str) -> None:
        found, counts = np.unique(raw.values, return_counts=True)
        if len(found) > _MOST_VALUES:
            found, counts = found[:_MOST_VALUES], counts[:_MOST_VALUES]
        for value, count in zip(found.tolist(), counts.tolist(), strict=True):
            self.values[value] += count
            self.value_files[value].append(name)
            if form == PALETTE and raw.palette is not None and value < len(raw.palette):
                red, green, blue = raw.palette[value].tolist()
                self.palette[value].add((red << 16) + (green << 8) + blue)
        if form in (GREY, PALETTE) and found[-1] in VOIDS:
            there = raw.values == found[-1]
            inner = scipy.ndimage.binary_erosion(there, np.ones((5, 5)), border_value=1)
            self.thin_void += int((there & ~inner).sum())
        if form == GREY and len(found) > 1:
            self._add_pieces(name, raw.values, found)
        if form == GREY and 2 < len(found) <= MOST_COLORS and raw.values.size <= _LOOKED_INTO:
            low = scipy.ndimage.minimum_filter(raw.values, 3)
            inside = (low < raw.values) & (raw.values < scipy.ndimage.maximum_filter(raw.values, 3))
            self.between.update(Counter(raw.values[inside].tolist()))
        if form == GREY and len(found) > _FEW_LEVELS and found[-1] <= 255:
            self._add_flat(raw.values)

    def _add_pieces(self, name: str, values: np.ndarray, found: np.ndarray) -> None:
        """Whether each value is in one piece, as things are numbered."""
        numbers = found[found > 0]
        if not 0 < len(numbers) <= 1000 or numbers[-1] > 2**31 - 1:
            return
        at = np.searchsorted(found, values).astype(np.int32) + 1
        pieces = 0
        for number, place in enumerate(scipy.ndimage.find_objects(at), 1):
            if place is not None and found[number - 1] > 0:
                _, count = scipy.ndimage.label(at[place] == number, np.ones((3, 3)))
                pieces += count == 1
        if pieces >= _IN_ONE_PIECE * len(numbers):
            self.whole[name] = len(numbers)
            if len(numbers) >= _WITHOUT_GAPS * (numbers[-1] - numbers[0] + 1):
                self.runs.add(name)

    def _add_flat(self, values: np.ndarray) -> None:
        values = values.astype(np.int16)
        high, low = scipy.ndimage.maximum_filter(values, 3), scipy.ndimage.minimum_filter(values, 3)
        steps = high - low
        # A pixel on a slope is between its neighbours; one at a step is as one of them.
        self.ramps += int(((low < values) & (values < high) & (steps <= 2 * _FLAT)).sum())
        levels, counts = np.unique(values[steps <= _FLAT], return_counts=True)
        self.flat.update(dict(zip(levels.tolist(), counts.tolist(), strict=True)))

    def _add_alpha(self, name: str, raw: RawMask) -> None:
        assert raw.alpha is not None
        clear = raw.alpha == 0
        if clear.any():
            self.clear.append(name)
            if raw.values.dtype == np.uint8:
                codes, counts = np.unique(color_codes(raw.colors()[clear]), return_counts=True)
                self.under.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
        if ((raw.alpha > 0) & (raw.alpha < 255)).any():
            self.half.append(name)
        if len(np.unique(raw.colors().reshape(-1, 3), axis=0)) == 1:
            self.alpha_only.append(name)

    def _add_colors(self, name: str, raw: RawMask) -> None:
        try:
            shown = raw.colors()
        except ValueError:
            return
        if raw.alpha is not None and (raw.alpha == 0).any():
            shown = shown[raw.alpha > 0]
        codes, counts = np.unique(color_codes(shown), return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            if code in self.colors or len(self.colors) < 50 * MOST_COLORS:
                self.colors[code] += count
                if len(self.color_files[code]) < 1000:
                    self.color_files[code].append(name)
