"""On a GPU Keras compiles a training step with XLA. On a CPU it leaves that out, but could."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_training import SMALL, halves, small_encoder

from components.trainer import fitting, input_pipeline, unet
from components.trainer.config import TrainerConfig
from pipeline.config import load_config


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
    monkeypatch.setattr(unet, "build_encoder", small_encoder)
    settings = load_config(name, environment={}).trainer
    encoder = {"weights": "none", "enlarge": settings.encoder.enlarge}
    decoder = {"kind": settings.decoder.kind, "filters": (8, 8, 8, 8)}
    changes = {"epochs": 1, "precision": precision, "encoder": encoder, "decoder": decoder}
    config = TrainerConfig(**SMALL | changes, jaccard_weight=settings.jaccard_weight)
    weights = None if settings.class_weights == "none" else np.array([0.6, 0.4], np.float32)
    data, losses = halves(), Losses()
    with fitting.reproducible(config):
        fitting.fit(
            unet.build_unet(2, (32, 32), config.encoder, config.decoder),
            tf.distribute.get_strategy(),
            config,
            functools.partial(input_pipeline.training_batches, data, config, weights),
            input_pipeline.validation_batches(data, config),
            steps_per_epoch=2,
            validation_steps=None,
            ignore_index=255,
            callbacks=[losses],
        )
    assert len(losses.found) == 2 and np.isfinite(losses.found).all()
