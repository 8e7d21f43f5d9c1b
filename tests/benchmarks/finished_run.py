"""What benchmarks take from the folder of a finished run."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any


def artifact(run_dir: str, step: str, key: str) -> str:
    """The latest artifact of a step."""
    return max(glob.glob(f"{run_dir}/artifacts/{step}/{key}/*"), key=lambda p: int(Path(p).name))


def network(run_dir: str, size: tuple[int, int] | None = None) -> tuple:
    """An untrained network like the latest model's, that one's card, the transform graph.

    Args:
      run_dir: the finished run's.
      size: of what the network sees; None: that of the run.
    """
    from components.common.bands import bands_of, channels_of
    from components.common.model_card import read_card
    from components.trainer.config import TrainerConfig
    from components.trainer.unet import build_unet

    card = read_card(f"{artifact(run_dir, 'Trainer', 'model')}/Format-Serving")
    config = TrainerConfig.model_validate(card["trainer"])
    encoder = config.encoder.model_copy(update={"weights": "none", "fine_tune_from_epoch": None})
    seen = size or tuple(card["image_size"])
    channels = channels_of(bands_of(card))
    model = build_unet(len(card["classes"]), seen, encoder, config.decoder, channels)
    return model, card, transform_graph(run_dir)


def transform_graph(run_dir: str) -> Any:
    """The latest one, as a TFTransformOutput."""
    import tensorflow_transform as tft

    return tft.TFTransformOutput(artifact(run_dir, "Transform", "transform_graph"))
