"""The page, in a real browser."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import ports
import pytest
from PIL import Image

from components.common.palette import class_colors


@pytest.fixture(scope="module")
def address(serving_folder):
    """`segline demo` on a free port, until the tests are through."""
    port = ports.free_port()
    command = Path(sys.executable).with_name("segline")
    process = subprocess.Popen(
        [command, "demo", "--model", serving_folder, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    line = process.stdout.readline()
    assert f"http://127.0.0.1:{port}" in line, line + process.stdout.read()
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    rest = process.communicate(timeout=600)[0]
    assert "Traceback" not in rest, rest


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address, wait_until="domcontentloaded")
    page.wait_for_selector("text=Drop Image Here")
    yield page
    page.close()


PIXELS = np.full((60, 100, 3), 20, np.uint8)
PIXELS[:, 25:] = 230  # three quarters are light


def upload(page, name, content):
    page.set_input_files(
        "input[type=file] >> nth=0", {"name": name, "mimeType": "image/png", "buffer": content}
    )


def shown(page, element, after=None):
    """The picture that the page shows, once it is another than `after`."""
    page.wait_for_selector(f"#{element} img")
    page.wait_for_function(
        "([id, old]) => document.querySelector(`#${id} img`).src != old",
        arg=[element, after or ""],
    )
    source = page.locator(f"#{element} img").get_attribute("src")
    response = page.request.get(source)
    return source, np.asarray(Image.open(io.BytesIO(response.body())).convert("RGB"), np.int16)


def test_drop_a_picture_and_switch_classes(page, address):
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, "PNG")
    upload(page, "half.png", content.getvalue())

    source, overlay = shown(page, "overlay")
    dark, light = class_colors(2)[:2].astype(int)
    assert overlay.shape == PIXELS.shape
    # JPEG: near enough.
    np.testing.assert_allclose(overlay[30, 10], (20 + dark) / 2, atol=12)
    np.testing.assert_allclose(overlay[30, 80], (230 + light) / 2, atol=12)
    _, mask = shown(page, "mask")
    np.testing.assert_array_equal(mask[30, 10], dark)
    np.testing.assert_array_equal(mask[30, 80], light)

    text = re.sub(r"\s+", " ", page.inner_text("body"))
    assert "75%" in text and "25%" in text and "serving/10" in text
    link = page.locator("#file a[href*='mask.png']").first.get_attribute("href")
    indices = np.asarray(Image.open(io.BytesIO(page.request.get(link).body())))
    np.testing.assert_array_equal(indices, PIXELS[..., 0] > 127)

    page.get_by_role("checkbox", name="light").uncheck()
    _, overlay = shown(page, "overlay", after=source)
    np.testing.assert_allclose(overlay[30, 80], 230, atol=12)
    np.testing.assert_allclose(overlay[30, 10], (20 + dark) / 2, atol=12)

    foreign = [url for url in page.asked if not url.startswith((address, "data:", "blob:"))]
    assert not foreign, "the page must work without a network"


def test_a_file_that_is_no_picture_gets_a_message(page):
    upload(page, "text.png", b"no picture at all")
    page.wait_for_selector("text=This picture can't be read: it is no picture")
