"""The served version, asked for what requests are compared by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from components.common import picture_formats, pictures, schema, telemetry
from components.common.errors import UserError
from components.common.examples import unlabelled
from components.common.model_digest import digest_of
from components.common.one_by_one import each_or_reason
from components.common.served_model import ServedModel
from components.watcher.payloads import values_of

Values = dict[str, float]
_Ask = Callable[[Sequence[bytes]], list[Values]]


class Observer:
    """A SavedModel of segline.

    Args:
      path: the SavedModel.

    Attributes:
      class_names: of its classes, by index.
      has_telemetry: whether its answers have telemetry.
      max_megapixels: of a picture that it takes.
      digest: which model it is.

    Raises:
      UserError: there is no such model, or it is too old to be watched.
    """

    def __init__(self, path: str) -> None:
        served = ServedModel(path)
        # (A signature does not keep what it is a part of.)
        self._model = served.saved_model
        signatures = self._model.signatures
        prepare = signatures.get(schema.TRANSFORM_SIGNATURE)
        if prepare is None or schema.CONTENT_BOX not in prepare.structured_outputs:
            raise UserError(f"{path} was made by an earlier segline: train again to watch it")
        self._serve, self._prepare = signatures[schema.SERVING_SIGNATURE], prepare
        self._classes, self.max_megapixels = served.classes, served.limits.max_megapixels
        self.class_names = served.classes.names
        self.has_telemetry = schema.CLASS_SHARES in self._serve.structured_outputs
        self.digest = digest_of(served.path)
        self._settings, self._bands = served.pictures, served.bands
        self._tiles = served.fit.fit == "tiles"

    def read(self, content: bytes) -> bytes:
        """A picture file as `segline predict` gives it to the model.

        Raises:
          OSError: it is no picture.
        """
        return picture_formats.for_model(content, self._settings, self._bands).encoded

    def looks(self, batch: Sequence[bytes]) -> list[Values | str]:
        """Brightness, contrast, sharpness, height and width, without the network.

        Args:
          batch: pictures as requests carry them.

        Returns:
          For each its values, or why there are none.
        """
        return self._each(self._look, batch)

    def answers(self, batch: Sequence[bytes]) -> list[Values | str]:
        """The same, and what the model says: each class's share, and its confidence."""
        return self._each(self._answer, batch)

    def _each(self, ask: _Ask, batch: Sequence[bytes]) -> list[Values | str]:
        # One after another where each has its own size: a batch is enlarged to the largest.
        parts = [[one] for one in batch] if self._tiles else [batch]
        # TensorFlow quotes bytes of the picture in some messages: Python finds no text there.
        bad = (tf.errors.InvalidArgumentError, UnicodeDecodeError, OSError)
        return [found for part in parts for found in each_or_reason(ask, part, bad, _reason)]

    def _answer(self, batch: Sequence[bytes]) -> list[Values]:
        outputs = self._serve(**{schema.IMAGE_BYTES: tf.constant(list(batch))})
        columns = {
            name: outputs[name].numpy().tolist()
            for name in outputs
            if name != schema.MASK  # of another size
        }
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        answers = [values_of(row, self.class_names, self.max_megapixels) for row in rows]
        if self.has_telemetry:
            return answers
        looks = self._look(batch)
        return [{**answer, **look} for answer, look in zip(answers, looks, strict=True)]

    def _look(self, batch: Sequence[bytes]) -> list[Values]:
        examples = [unlabelled(self._narrow(one), self._classes) for one in batch]
        prepared = self._prepare(**{schema.EXAMPLES: tf.constant(examples)})
        looks = telemetry.look_at_each(prepared[schema.IMAGE], prepared[schema.CONTENT_BOX])
        sizes = prepared[schema.ORIGINAL_SIZE].numpy().tolist()
        return [
            {
                **dict(zip(telemetry.LOOKS, look, strict=True)),
                schema.HEIGHT: size[0],
                schema.WIDTH: size[1],
            }
            for look, size in zip(looks.numpy().tolist(), sizes, strict=True)
        ]

    def _narrow(self, picture: bytes) -> bytes:
        """What `serving_default` refuses is refused; a PNG of 16 bits has 8 then, as there.

        Raises:
          OSError: it is too large, or a damaged PNG of 16 bits.
        """
        if (picture_formats.pixels_of(picture) or 0) > self.max_megapixels * 10**6:
            raise OSError(f"it has more than {self.max_megapixels} megapixels")
        return picture if self._bands or not pictures.is_wide(picture) else self.read(picture)


def _reason(error: Exception) -> str:
    why = f": {error}" if isinstance(error, OSError) else ""
    return f"the model can't take the picture{why}"
