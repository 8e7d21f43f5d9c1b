import pytest
import small_models

from components.common.picture_fit import PictureFit
from components.exporter.exporting import Data


@pytest.fixture(scope="session")
def network():
    return small_models.trained()


FITS = {
    "stretch": PictureFit(image_size=small_models.SIZE),
    "pad": PictureFit(image_size=small_models.SIZE, fit="pad"),
    "tiles": PictureFit(image_size=small_models.SIZE, fit="tiles", tiles={"overlap": 8}),
}


@pytest.fixture(scope="session")
def saved(network, tmp_path_factory):
    """fit -> a SavedModel."""
    folders = {}

    def make(fit):
        if fit not in folders:
            folder = tmp_path_factory.mktemp("models") / fit
            folders[fit] = small_models.save(network, folder, FITS[fit])
        return folders[fit]

    return make


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    small_models.write_examples(folder / "train", [(40, 50)] * 20, seed=1)
    shapes = [(32, 32), (40, 64), (70, 33), (100, 100), (64, 48)] * 4
    small_models.write_examples(folder / "test", shapes, seed=2)
    return Data([str(folder / "train")], 20, [str(folder / "test")])
