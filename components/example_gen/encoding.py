"""From the elements of a TFDS dataset to checked, serialized tf.Examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from components.common import schema
from components.example_gen import leaks
from components.example_gen.band_features import encoded_picture, is_of_numbers, picture_of_bands
from components.example_gen.config import DatasetConfig
from components.example_gen.examination import Examination, Examiner, UnusableError
from components.example_gen.problems import find_problem

_TFDS_ID = "tfds_id"  # what TFDS calls an element: file and position
Element = dict[str, Any]  # as TFDS gives it with `ExampleEncoder.decoders`


@dataclasses.dataclass(frozen=True)
class Encoded:
    """What became of one element.

    Attributes:
      record: a serialized tf.Example with the features of `components.common.schema`.
      picture_hash: as `leaks.picture_hashes` has it.
      problem: why there is no example, in one line; empty: there is one.
      pixels: class name -> pixels of the mask, of the classes that it shows.
    """

    record: bytes = b""
    picture_hash: str = ""
    problem: str = ""
    pixels: Mapping[str, int] = dataclasses.field(default_factory=dict)


class ExampleEncoder:
    """Encodes the elements of one dataset.

    Args:
      features: the dataset's features.
      config: which of them play which part, and what an example must keep to.
      classes: the values that a mask may have.
    """

    def __init__(
        self,
        features: tfds.features.FeaturesDict,
        config: DatasetConfig,
        classes: schema.ClassTable,
    ) -> None:
        self._config = config.features
        self._classes = classes
        self._limits = config.bad_examples
        self._bands = config.bands
        self._of_numbers = is_of_numbers(features[config.features.image])
        self._examiner = Examiner(classes, config.bad_examples, config.bands)
        self._labels = {
            name: features[name]
            for name in self._config.slice_by
            if isinstance(features[name], tfds.features.ClassLabel)
        }
        image, mask = self._config.image, self._config.mask
        names = {image, mask, *self._config.slice_by}
        if self._config.example_id:
            names.add(self._config.example_id)
        if schema.PROBLEM in features:
            names.add(schema.PROBLEM)
        self._has_rounds = bool(config.folder and config.folder.rounds)
        if self._has_rounds:
            names.add(schema.ROUND)
        self.decoders = tfds.decode.PartialDecoding(
            dict.fromkeys(names, True),
            decoders={image: encoded_picture(features[image]), mask: tfds.decode.SkipDecoding()},
        )

    def id_of(self, element: Element) -> bytes:
        """An element's id: the configured feature, or TFDS's own."""
        return element[self._config.example_id or _TFDS_ID]

    def round_of(self, element: Element) -> str | None:
        """The round of labelling that an element came in; None: nobody tells."""
        return element[schema.ROUND].decode() if self._has_rounds else None

    def parts_of(self, element: Element) -> tuple[bytes, bytes]:
        """Image and mask of an element, encoded."""
        return element[self._config.image], element[self._config.mask]

    def _prepared(self, elements: Iterable[Element]) -> list[Element]:
        """Elements whose pictures are as examples have them; what can't be has its problem."""
        if not self._bands:
            return list(elements)
        image = self._config.image
        result = []
        for element in elements:
            try:
                changed = {image: picture_of_bands(element[image], self._bands, self._of_numbers)}
            except OSError as error:
                told = _known_problem(element) or f"its picture can't be used: {error}"
                changed = {schema.PROBLEM: told.encode()}
            result.append({**element, **changed})
        return result

    def encode(self, elements: Sequence[Element]) -> list[Encoded]:
        """Checks elements and serializes them.

        Args:
          elements: as TFDS gives them with `decoders`: image and mask still encoded.

        Returns:
          What became of each, in order.
        """
        return self._encode_all(self._prepared(elements))

    def _encode_all(self, elements: Sequence[Element]) -> list[Encoded]:
        try:
            seen = self._examiner(*zip(*map(self.parts_of, elements), strict=True))
        except UnusableError as error:
            # It does not tell which of them are bad.
            if len(elements) > 1:
                return [result for one in elements for result in self._encode_all([one])]
            problem = _known_problem(elements[0]) or self._problem(elements[0])
            if not problem:
                name = self.id_of(elements[0]).decode(errors="replace")
                raise RuntimeError(f"example {name} is sound, but not for TensorFlow") from error
            return [Encoded(problem=problem)]
        hashes = leaks.picture_hashes(seen.small, seen.size)
        rows = map(Examination._make, zip(*seen, strict=True))
        return [self._encode(*one) for one in zip(elements, rows, hashes, strict=True)]

    def _problem(self, element: Element) -> str:
        return find_problem(*self.parts_of(element), self._classes, self._limits, self._bands)

    def _encode(self, element: Element, seen: Examination, picture_hash: str) -> Encoded:
        pixels = dict(zip(self._classes.names, seen.class_pixels.tolist(), strict=True))
        wanted = self._limits.must_show
        if problem := _known_problem(element):
            return Encoded(problem=problem)
        if wanted and not any(pixels[name] for name in wanted):
            return Encoded(problem=f"the mask shows no {' and no '.join(wanted)}")
        height, width = seen.size.tolist()
        feature: dict[str, bytes | int | float] = {
            schema.IMAGE: element[self._config.image],
            schema.MASK: bytes(seen.mask),
            schema.EXAMPLE_ID: self.id_of(element),
            schema.HEIGHT: height,
            schema.WIDTH: width,
            schema.BRIGHTNESS: float(seen.small.mean()) / 255,
        }
        for name, count in pixels.items():
            feature[schema.share_feature(name)] = count / (height * width)
        for key in self._config.slice_by:
            feature[key] = self._slice_value(key, element[key])
        shown = {name: count for name, count in pixels.items() if count}
        return Encoded(_to_record(feature), picture_hash, pixels=shown)

    def _slice_value(self, key: str, value: Any) -> bytes | int:
        """A slice reads better by its label's name ("cat") than by its number."""
        if key in self._labels:
            return self._labels[key].int2str(int(value)).encode()
        return value if isinstance(value, bytes) else int(value)


def _known_problem(element: Element) -> str:
    """What the dataset itself says is wrong with an element."""
    return element.get(schema.PROBLEM, b"").decode()


def _to_record(values: dict[str, bytes | int | float]) -> bytes:
    example = tf.train.Example()
    feature = example.features.feature
    # Filling in costs half of what it costs to build the parts first.
    for key, value in values.items():
        if isinstance(value, bytes):
            feature[key].bytes_list.value.append(value)
        elif isinstance(value, int):
            feature[key].int64_list.value.append(value)
        else:
            feature[key].float_list.value.append(value)
    return example.SerializeToString(deterministic=True)
