"""Fixtures that many tests share. Nothing here needs a network."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import cpu_times
import forked
import numpy as np
import pytest
from PIL import Image

from components.common import schema


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cpu-times", action="store_true", help="CPU seconds of each test file")
    parser.addoption(
        "--slow-from",
        type=float,
        metavar="SECONDS",
        help="a test that takes so much CPU time, and has not the marker `slow`, fails",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.option.cpu_times:
        config.pluginmanager.register(cpu_times.CpuTimes())
    if config.option.slow_from:
        config.pluginmanager.register(cpu_times.SlowIsMarked(config.option.slow_from))


# What takes its time whatever a test does with it: whole runs, servers, a browser.
SLOW_FIXTURES = {"fork_server", "mariadb_server", "postgres_server", "browser"}


def pytest_itemcollected(item: pytest.Item) -> None:
    if SLOW_FIXTURES.intersection(item.fixturenames):
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs come first: a process that took one of them last would keep all waiting.

    Among them test_run.py makes the run that most others look at; meanwhile other processes
    begin with files that don't.
    """
    waiting = {item.path for item in items if "first_run" in item.fixturenames}
    items.sort(
        key=lambda item: (
            "end_to_end" not in item.path.parts,
            item.path.name != "test_run.py",
            item.path in waiting,
        )
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """A command that a test calls here has the process to itself elsewhere, and sets log levels."""
    loggers = logging.getLogger(), logging.getLogger("segline")
    before = [(logger.level, logger.propagate) for logger in loggers]
    result = yield
    for logger, (level, propagate) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.propagate = propagate
    return result


@pytest.fixture(scope="session")
def common(tmp_path_factory) -> Path:
    """A folder that all processes of the tests have."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def fork_server(common) -> Iterator[forked.Server]:
    """For processes that need not import TFX."""
    with contextlib.closing(forked.Server.shared(common)) as server:
        yield server


@pytest.fixture(scope="session")
def pet_classes() -> schema.ClassTable:
    return schema.ClassTable(values={"pet": 1, "background": 2, "border": 3})


def encode(array: np.ndarray, kind: str = "PNG", mode: str | None = None) -> bytes:
    """Encodes a picture with Pillow, a decoder and encoder other than TensorFlow's."""
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def browser():
    """A real browser, by playwright; it asks the network for nothing of its own accord."""
    sync_api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium or Chrome here")
    quiet = [
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=quiet, timeout=600_000)
        new_page = browser.new_page

        def patient_page(**options):
            page = new_page(**options)
            page.set_default_timeout(600_000)  # half a minute is little on a busy machine
            return page

        browser.new_page = patient_page
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def encode_picture():
    return encode


@pytest.fixture(scope="session")
def make_dataset(tmp_path_factory):
    """Writes a real TFDS dataset from a list of (image bytes, mask bytes) pairs."""
    import tensorflow_datasets as tfds

    def make(name: str, pairs: list[tuple[bytes, bytes]], mask_feature=None, names=None) -> str:
        data_dir = str(tmp_path_factory.mktemp(name))
        image = tfds.features.Image()
        mask = mask_feature or tfds.features.Image(shape=(None, None, 1))
        features = tfds.features.FeaturesDict(
            {
                "image": image,
                "segmentation_mask": mask,
                "file_name": tfds.features.Text(),
                "kind": tfds.features.ClassLabel(names=["even", "odd"]),
            }
        )

        class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                return tfds.core.DatasetInfo(builder=self, features=features)

            def _split_generators(self, dl_manager):
                return {"train": self._generate_examples(), "test": self._generate_examples()}

            def _generate_examples(self):
                for index, (picture, truth) in enumerate(pairs):
                    yield (
                        index,
                        {
                            "image": io.BytesIO(picture),
                            "segmentation_mask": io.BytesIO(truth),
                            "file_name": names[index] if names else f"picture_{index}",
                            "kind": index % 2,
                        },
                    )

        Builder.name = name
        Builder(data_dir=data_dir).download_and_prepare()
        return data_dir

    return make
