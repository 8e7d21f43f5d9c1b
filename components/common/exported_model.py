"""An export of a model, LiteRT or ONNX, ready to be asked as the SavedModel is."""

from __future__ import annotations

import json
import threading
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from components.common import pictures, schema
from components.common.bands import BandsConfig
from components.common.errors import UserError
from components.common.export_files import LITERT_ENDING, is_export
from components.common.model_card import RequestLimits
from components.common.picture_fit import MIDDLE_GREY, PictureFit, content_box, cut_out, place
from components.common.reliability import confidence_of, temperature_of
from components.common.served_model import Prediction, ServedModel, fit_of, reading_of
from components.common.windows import footprint

# Names of what goes in and comes out, in both formats.
IMAGE_INPUT = "image"
MASK_OUTPUT = "mask"
PROBABILITIES_OUTPUT = "probabilities"
CONFIDENCE_OUTPUT = "confidence"  # where the model is calibrated

CARD = "segline.json"  # in LiteRT's files
CARD_KEY = "segline"  # in ONNX's metadata_props


class ExportedModel:
    """An export, and around it what its graph leaves out: decoding, resizing, masks as PNG.

    It runs on one thread of the CPU, as a device would.

    Args:
      path: a file that segline has exported.

    Attributes:
      path: of the file.
      card: what the file says of itself.
      classes: its class table.
      fit: size of what the network sees, and how pictures are fitted in.
      pictures: how the pictures were read that the model learned from, but for their orientation.
      bands: None: it sees red, green and blue of 8 bits.
      limits: None: it takes pictures of any size.

    Raises:
      UserError: it is no export of segline, or ONNX Runtime is not installed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._run: _Runner
        if not Path(path).is_file():
            raise UserError(f"there is no file {path}")
        try:
            if path.endswith(LITERT_ENDING):
                self._run, self.card = _LiteRt(path), _litert_card(path)
            else:
                session = _OnnxRuntime(path)
                self._run, self.card = session, session.card
            self.classes = schema.ClassTable.model_validate(self.card["classes"])
            self.fit = fit_of(self.card)
            self.pictures = reading_of(self.card)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{path} is no export of segline: {reason}") from error
        self.bands: BandsConfig | None = None
        self.limits: RequestLimits | None = None
        self._temperature = temperature_of(self.card)
        self._alone = threading.Lock()  # LiteRT's interpreter is for one thread at a time

    def predict(self, batch: Sequence[bytes]) -> list[Prediction]:
        """Segments encoded pictures, one after the other.

        Args:
          batch: JPEG, PNG or GIF files.

        Returns:
          One prediction for each; masks are made as the SavedModel makes them: the probabilities
          are resized, not the mask.

        Raises:
          tf.errors.InvalidArgumentError: one is no picture, or, where the model sees windows, no
            window.
        """
        return [self._answer(tf.constant(one)) for one in batch]

    def predict_each(self, batch: Sequence[bytes]) -> list[Prediction | str]:
        """Segments what can be segmented: for each a prediction, or why there is none."""
        answers: list[Prediction | str] = []
        for one in batch:
            try:
                answers += self.predict([one])
            except tf.errors.InvalidArgumentError as error:
                answers.append(f"the model can't take it: {error.message.splitlines()[-1]}")
        return answers

    def segment(self, encoded: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the network says of one picture.

        Args:
          encoded: JPEG, PNG or GIF.

        Returns:
          Mask, uint8 [*image_size], IGNORE_INDEX in padding; probabilities, float32
          [*image_size, classes]; int64 [2], the picture's own height and width.
        """
        mask, probabilities, box, size = self._segment(tf.constant(encoded))
        top, left, height, width = box
        shown = np.full_like(mask, schema.IGNORE_INDEX)
        inside = slice(top, top + height), slice(left, left + width)
        shown[inside] = mask[inside]
        return shown, probabilities, size

    def _answer(self, encoded: tf.Tensor) -> Prediction:
        _, probabilities, box, size = self._segment(encoded)
        content = cut_out(tf.constant(probabilities), tf.constant(box))
        resized = tf.image.resize(content, size.astype(np.int32))
        classes = tf.argmax(resized, axis=-1)
        # Of what is seen through windows the SavedModel is sure, or not, at the picture's size.
        sure = resized if self.fit.fit == "tiles" else content
        png = tf.io.encode_png(tf.cast(classes, tf.uint8)[..., tf.newaxis]).numpy()
        return Prediction(png, float(confidence_of(sure, self._temperature).numpy().mean()))

    def _segment(self, encoded: tf.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        picture, box, size = device_picture(encoded, self.fit)
        with self._alone:
            outputs = self._run(picture.numpy()[np.newaxis])
        mask, probabilities = outputs[MASK_OUTPUT][0], outputs[PROBABILITIES_OUTPUT][0]
        return mask, probabilities, box.numpy(), size.numpy()


Segmenter = ServedModel | ExportedModel


def open_model(path: str, flip: bool = False) -> Segmenter:
    """Loads a model by its path: an export's file, or else what `ServedModel` takes.

    Args:
      path: ends in `.tflite` or `.onnx`, or is a folder.
      flip: average with the prediction of the mirror image.

    Raises:
      UserError: there is no model, it is not one of segline's, or it can't flip.
    """
    if not is_export(path):
        return ServedModel(path, flip)
    if flip:
        raise UserError(f"{path}: an export can't flip; leave --flip out, or name the SavedModel")
    return ExportedModel(path)


def device_picture(
    encoded: tf.Tensor | bytes, fit: PictureFit
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What an export is given of a picture: prepared as the Transform step prepares it.

    Args:
      encoded: JPEG, PNG or GIF.
      fit: of the model.

    Returns:
      float32 [*image_size, 3] from 0 to 255; int64 [4], where in it the picture lies; int64 [2],
      the picture's own height and width.

    Raises:
      tf.errors.InvalidArgumentError: it is no picture, or, where the model sees windows, no
        window.
    """
    image = pictures.decode_image(encoded)
    size = tf.shape(image, tf.int64)[:2]
    if fit.fit == "tiles":
        (height, width), _ = footprint(fit.image_size, fit.tiles)
        if image.shape[:2] != (height, width):
            raise tf.errors.InvalidArgumentError(
                None,
                None,
                f"it sees one window of {width}x{height} pixels at a time, and the picture has "
                f"{image.shape[1]}x{image.shape[0]}",
            )
    box = content_box(size, fit.image_size, "pad" if fit.fit == "pad" else "stretch")
    resized = tf.image.resize(image, tf.cast(box[2:], tf.int32), method="bilinear")
    return place(resized, box, fit.image_size, MIDDLE_GREY * 255), box, size


class _Runner(Protocol):
    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """From float32 [1, height, width, 3] to the outputs by their names."""


class _LiteRt:
    def __init__(self, path: str) -> None:
        with warnings.catch_warnings():
            # It moves to a package of its own, which the older stack can't have.
            warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)
            interpreter = tf.lite.Interpreter(path, num_threads=1)
        self._signature = interpreter.get_signature_runner()

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        return self._signature(**{IMAGE_INPUT: image})


class _OnnxRuntime:
    def __init__(self, path: str) -> None:
        try:
            import onnxruntime
            from onnxruntime.capi import onnxruntime_pybind11_state as faults
        except ImportError as error:
            raise UserError("ONNX needs ONNX Runtime: pip install 'segline[exports]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except _faults(faults) as error:
            raise ValueError(str(error).splitlines()[0]) from error
        told = self._session.get_modelmeta().custom_metadata_map
        self.card: dict[str, Any] = json.loads(told.get(CARD_KEY, "{}"))
        self._names = [output.name for output in self._session.get_outputs()]

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self._session.run(self._names, {IMAGE_INPUT: image})
        return dict(zip(self._names, outputs, strict=True))


def _faults(module: Any) -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises of a file that it can't run."""
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
    return tuple(getattr(module, name) for name in (*names, "NoModel", "RuntimeException"))


def _litert_card(path: str) -> dict[str, Any]:
    with zipfile.ZipFile(path) as attached:
        return json.loads(attached.read(CARD))
