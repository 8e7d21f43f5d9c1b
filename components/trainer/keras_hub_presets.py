"""KerasHub's image networks as encoders: https://keras.io/keras_hub/presets/."""

from __future__ import annotations

import os

import keras

from components.common.errors import UserError
from components.trainer.input_scaling import Channels, InputScaling


def build_backbone(preset: str, shape: tuple[int, int, int], with_weights: bool) -> keras.Model:
    """Builds the network of a preset.

    Args:
      preset: KerasHub's name of it (downloaded from Kaggle), a handle (`hf://…`), or a folder
        that `save_to_preset` has written.
      shape: height, width and channels of a picture.
      with_weights: whether it has the preset's weights, or random ones.

    Returns:
      A functional model from [batch, *shape], normalised as `scaling` says.

    Raises:
      UserError: there is no such preset, it can't be downloaded, or is none for pictures.
    """
    import keras_hub

    # Each network calls it one of these, and some take the other without using it.
    reasons: list[Exception] = []
    for argument in ("image_shape", "input_shape"):
        try:
            network = keras_hub.models.Backbone.from_preset(
                _place(preset),
                load_weights=with_weights,
                dtype=keras.config.dtype_policy(),
                **{argument: shape},
            )
            if network.input_shape[1:] == shape:
                return network
        except Exception as error:
            reasons.append(error)
            if argument not in str(error):
                break
    reasons.append(ValueError("its pictures can't have another size"))
    raise _refusal(preset, reasons[0]) from reasons[0]


def scaling(preset: str) -> InputScaling | None:
    """What the preset's own preprocessing makes of a picture.

    Returns:
      None where the preset says nothing about it, as a bare network's folder does.

    Raises:
      UserError: it can't be read.
    """
    import keras_hub

    place = _place(preset)
    if os.path.isdir(place) and not os.path.exists(os.path.join(place, "image_converter.json")):
        return None
    try:
        converter = keras_hub.layers.ImageConverter.from_preset(place)
    except Exception as error:
        raise _refusal(preset, error) from error
    red, green, blue = _per_channel(converter.scale, default=1)
    # KerasHub's pictures are in [0, 255].
    scale = (255 * red, 255 * green, 255 * blue)
    return InputScaling(scale, _per_channel(converter.offset, default=0))


def _per_channel(value: float | list[float] | tuple[float, ...] | None, default: float) -> Channels:
    if isinstance(value, list | tuple):
        red, green, blue = map(float, value)
        return red, green, blue
    return (float(default if value is None else value),) * 3


def _place(preset: str) -> str:
    folder = os.path.expanduser(preset)
    return folder if os.path.isdir(folder) else preset


def _refusal(preset: str, error: Exception) -> UserError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return UserError(
        f"trainer.encoder.preset: `{preset}` can't be had: "
        f"{reason.removesuffix(' A preset must be a one of:')} (allowed: the name of a "
        "KerasHub preset for pictures, or the folder of one that was downloaded elsewhere)"
    )
