"""The page of static files, in a real browser, against the model in Python."""

import functools
import http.server
import io
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import small_models
import tensorflow as tf
from PIL import Image

from components.common.errors import UserError
from components.common.export_config import ExportConfig
from components.common.exported_model import ExportedModel
from components.common.model_card import read_card
from components.common.network import take_network
from components.common.picture_fit import PictureFit
from components.exporter.conversion import Source, convert
from components.exporter.exporting import export_card
from components.exporter.on_device import on_device
from components.predictor import browser_page
from components.predictor.browser_page import find_onnx, write_page

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.slow
PACKAGE = Path(__file__).parents[3] / ".tools" / f"onnxruntime-web-{browser_page._VERSION}.tgz"
needs_package = pytest.mark.skipif(
    not PACKAGE.is_file(), reason="no onnxruntime-web here: infra/browser.sh gets it where it may"
)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """fit -> a serving folder whose version has an ONNX export."""
    network, folders = small_models.trained(), {}

    def make(fit):
        if fit not in folders:
            version = tmp_path_factory.mktemp(fit) / "serving" / "7"
            small_models.save(network, version, PictureFit(image_size=(32, 32), fit=fit))
            taken = take_network(tf.saved_model.load(str(version)), (32, 32))
            config = ExportConfig(format="onnx")
            card = export_card(read_card(str(version)), config)
            folder = version / "assets.extra" / "exports"
            folder.mkdir()
            source = Source(on_device(taken, (32, 32), 2), (), card)
            convert(source, config, str(folder / config.file))
            folders[fit] = version.parent
        return folders[fit]

    return make


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def open_page(browser, pushed, tmp_path):
    """fit -> the page, open in the browser; it keeps the addresses that it asks for."""
    servers, pages = [], []

    def open_it(fit, **options):
        out = tmp_path / f"page of {fit}"
        write_page(str(pushed(fit)), str(out), "Light & dark", str(PACKAGE))
        handler = functools.partial(Files, directory=str(out))
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        page = browser.new_page(**options)
        pages.append(page)
        page.asked, page.faults = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.faults.append(message.text))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.address = f"http://127.0.0.1:{servers[-1].server_port}/"
        page.goto(page.address)
        page.wait_for_selector("body[data-state=ready]")
        return page

    yield open_it
    for page in pages:
        page.close()
    for server in servers:
        server.shutdown()
        server.server_close()


def a_picture(*shape):
    return small_models.png(small_models.picture(np.random.default_rng(1), shape)[0])


def give(page, name, content, kind="image/png"):
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": content})
    page.wait_for_selector("body[data-state=done], body[data-state=failed]")


def saved_mask(page):
    with page.expect_download() as download:
        page.click("#save")
    with Image.open(download.value.path()) as image:
        return np.asarray(image.convert("RGB"))


@needs_package
@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_it_gives_the_masks_that_python_gives(open_page, pushed, fit):
    page = open_page(fit)
    export = ExportedModel(find_onnx(str(pushed(fit))))
    rng = np.random.default_rng(3)
    for shape in [(32, 32), (47, 120), (150, 60)]:
        encoded = small_models.png(small_models.picture(rng, shape)[0])
        give(page, "picture.png", encoded)
        mask = saved_mask(page)
        (wanted,) = export.predict([encoded])
        assert mask.shape == (*shape, 3)
        assert np.mean(mask == wanted.mask[..., None]) >= 0.999
        assert set(np.unique(mask)) == {0, 1}
        # 1280 pixels at most are shown; these are smaller.
        shares = wanted.shares(2)
        for index, row in enumerate(page.locator("#shares tr").all()):
            _, name, share = row.locator("td").all_inner_texts()
            assert name == ("dark", "light")[index]
            assert float(share.rstrip(" %")) == pytest.approx(100 * shares[index], abs=0.11)
    # Nothing but its own files, and no complaint.
    assert page.asked and all(url.startswith((page.address, "blob:")) for url in page.asked)
    assert not page.faults


@needs_package
def test_on_a_phone_nothing_is_wider_than_the_screen(open_page):
    page = open_page("stretch", viewport={"width": 360, "height": 740}, has_touch=True)
    give(
        page,
        "wide.png",
        a_picture(60, 200),
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for control in ("#drop", "#save", "#opacity"):
        assert page.locator(control).bounding_box()["height"] >= 44  # what a finger hits
    assert page.title() == page.inner_text("h1") == "Light & dark"


@needs_package
def test_what_is_no_picture_is_told_and_the_next_one_is_segmented(open_page):
    page = open_page("stretch")
    give(page, "notes.png", b"no picture")
    assert "notes.png can't be segmented" in page.inner_text("#state")
    assert not page.locator("#result").is_visible()
    give(
        page,
        "one.png",
        a_picture(40, 40),
    )
    assert page.locator("#result").is_visible()
    assert "40×40 pixels" in page.inner_text("#state")


@needs_package
def test_a_camera_that_was_held_upright(open_page):
    """EXIF orientation 6: the picture is shown, and segmented, turned."""
    page = open_page("stretch")
    buffer = io.BytesIO()
    image = Image.new("RGB", (80, 40), "white")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(buffer, "JPEG", exif=exif)
    give(page, "upright.jpg", buffer.getvalue(), "image/jpeg")
    assert "40×80 pixels" in page.inner_text("#state")


@needs_package
def test_the_command_writes_it(pushed, tmp_path):
    out = tmp_path / "page"
    done = subprocess.run(
        [
            Path(sys.executable).with_name("segline"),
            *("export", "page", "--model", pushed("stretch"), "--out", out),
            *("--title", "Mine", "--runtime", PACKAGE),
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert str(out / "index.html") in done.stdout.replace("\n", "")
    card = json.loads((out / "card.json").read_text())
    assert card["title"] == "Mine" and card["file"] == "model.onnx" and len(card["colors"]) == 2


def test_what_can_not_be_is_one_clear_error(pushed, tmp_path, monkeypatch):
    other = tmp_path / "other.tgz"
    other.write_bytes(b"another package")
    with pytest.raises(UserError, match="other.tgz is not onnxruntime-web .* SHA-512 is another"):
        write_page(str(pushed("stretch")), str(tmp_path / "page"), "", str(other))
    with pytest.raises(UserError, match="sees windows of a picture"):
        write_page(str(pushed("tiles")), str(tmp_path / "page"), "", str(other))
    bare = tmp_path / "serving" / "7"
    shutil.copytree(pushed("stretch") / "7", bare)
    shutil.rmtree(bare / "assets.extra" / "exports")
    with pytest.raises(UserError, match="has no ONNX export: add"):
        write_page(str(bare.parent), str(tmp_path / "page"), "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="comes by npm, which is not here: .*--runtime"):
        write_page(str(pushed("stretch")), str(tmp_path / "page"), "")
