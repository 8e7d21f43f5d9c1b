"""Examples for the network that is exported."""

import pytest
import small_models

from components.exporter.exporting import Data


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    small_models.write_examples(folder / "train", [(40, 50)] * 20, seed=1)
    shapes = [(32, 32), (40, 64), (70, 33), (100, 100), (64, 48)] * 4
    small_models.write_examples(folder / "test", shapes, seed=2)
    return Data([str(folder / "train")], 20, [str(folder / "test")])
