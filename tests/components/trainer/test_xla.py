"""On a GPU Keras compiles a training step with XLA. On a CPU it leaves that out, but could."""

import keras
import numpy as np
import pytest
from small_training import SMALL, train

from components.trainer import batch_norm
from components.trainer.config import TrainerConfig
from pipeline.config.loading import load_config

pytestmark = pytest.mark.slow


class Losses(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.found = []

    def on_epoch_end(self, epoch, logs=None):
        assert self.model.jit_compile
        self.found += [logs["loss"], logs["val_loss"]]


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("pets", "mixed_bfloat16"),
        ("pets_fast", "mixed_float16"),
        ("pets_tutorial_weighted", "mixed_bfloat16"),
    ],
)
def test_the_configs_can_be_trained_with_xla(name, precision, monkeypatch):
    monkeypatch.setattr(keras.Model, "_resolve_auto_jit_compile", lambda self: True)
    monkeypatch.setattr(batch_norm, "has_gpu", lambda: True)  # it computes otherwise there
    settings = load_config(name, environment={}).trainer
    encoder = {"weights": "none", "enlarge": settings.encoder.enlarge}
    decoder = {"kind": settings.decoder.kind, "filters": (8, 8, 8, 8)}
    changes = {"epochs": 1, "precision": precision, "encoder": encoder, "decoder": decoder}
    config = TrainerConfig(**SMALL | changes, jaccard_weight=settings.jaccard_weight)
    weights = None if settings.class_weights == "none" else np.array([0.6, 0.4], np.float32)
    losses = Losses()
    train(config, [losses], ignore_index=255, class_weights=weights)
    assert len(losses.found) == 2 and np.isfinite(losses.found).all()
