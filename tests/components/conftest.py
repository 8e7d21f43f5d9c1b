"""A small network that several packages look at."""

import pytest


@pytest.fixture(scope="session")
def network():
    import small_models

    return small_models.trained()


@pytest.fixture(scope="session")
def saved(network, tmp_path_factory):
    """fit -> a SavedModel."""
    import small_models

    from components.common.picture_fit import PictureFit

    fits = {
        "stretch": PictureFit(image_size=small_models.SIZE),
        "pad": PictureFit(image_size=small_models.SIZE, fit="pad"),
        "tiles": PictureFit(image_size=small_models.SIZE, fit="tiles", tiles={"overlap": 8}),
    }
    folders = {}

    def make(fit):
        if fit not in folders:
            folder = tmp_path_factory.mktemp("models") / fit
            folders[fit] = small_models.save(network, folder, fits[fit])
        return folders[fit]

    return make
