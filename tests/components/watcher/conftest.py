"""One network, exported with telemetry and without."""

import pytest
import small_models
import tensorflow as tf

from components.common.picture_fit import PictureFit
from components.watcher.observer import Observer


@pytest.fixture(scope="module")
def network():
    return small_models.untrained()


@pytest.fixture(scope="module")
def models(network, tmp_path_factory):
    """Paths of one network, exported with telemetry and without."""
    folder = tmp_path_factory.mktemp("models")
    pad = PictureFit(image_size=small_models.SIZE, fit="pad")
    return {
        "plain": small_models.save(network, folder / "plain", pad),
        "watched": small_models.save(network, folder / "watched", pad, telemetry=True),
    }


@pytest.fixture(scope="module")
def observers(models):
    return {name: Observer(models[name]) for name in ("plain", "watched")}


@pytest.fixture(scope="module")
def plain(observers):
    return observers["plain"]


@pytest.fixture(scope="module")
def watched(observers):
    return observers["watched"]


@pytest.fixture(scope="module")
def answers(models):
    """Asks a model for what a server would give."""
    loaded = {}

    def ask(kind, pictures):
        if kind not in loaded:
            loaded[kind] = tf.saved_model.load(models[kind])
        out = loaded[kind].signatures["serving_default"](image_bytes=tf.constant(pictures))
        return {name: value.numpy() for name, value in out.items()}

    return ask
