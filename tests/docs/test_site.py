"""The docs as a site: it builds without a warning, and asks nobody for anything."""

import html.parser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LOADS = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}


def build(root, site):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)],
        cwd=root,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder


class Addresses(html.parser.HTMLParser):
    """What a browser fetches to show a page, and where its links lead to."""

    def __init__(self):
        super().__init__()
        self.loaded, self.linked = [], []

    def handle_starttag(self, tag, attrs):
        self.loaded += [value for name, value in attrs if value and name == LOADS.get(tag)]
        self.linked += [value for name, value in attrs if value and (tag, name) == ("a", "href")]


def test_pages_load_nothing_from_elsewhere_and_nothing_that_is_not_there(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        found = Addresses()
        found.feed(page.read_text())
        assert len(found.loaded) > 3
        assert not [url for url in found.loaded if re.match(r"(\w+:)?//", url)], page
        if page.name == "404.html":  # a server shows it at any address
            continue
        inside = [url for url in found.loaded + found.linked if not re.match(r"\w+:", url)]
        gone = [url for url in inside if not (page.parent / url.split("#")[0]).exists()]
        assert not gone, page
    styles = "".join(style.read_text() for style in site.rglob("*.css"))
    assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", styles)


def test_every_file_of_docs_is_in_it(site):
    for file in (ROOT / "docs").rglob("*.md"):
        assert (site / file.relative_to(ROOT / "docs")).with_suffix(".html").exists(), file


def test_it_is_searched_and_read_without_a_server_and_fits_a_phone(site, browser):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{site}/reference/config.html")
    page.click("label.md-header__button[for=__search]")
    page.type("input.md-search__input", "jaccard")
    page.wait_for_selector(".md-search-result__item a")
    found = page.eval_on_selector_all(".md-search-result__item a", "all => all.map(a => a.href)")
    assert any("reference/api/training.html" in link for link in found)
    for name in ("index", "reference/config", "reference/cli", "reference/api/lineage"):
        page.goto(f"file://{site}/{name}.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "about", "blob"}, asked
    page.close()


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path):
    """To a page, to a heading, to code; beside one of each that is right."""
    copy = tmp_path / "copy"
    heavy = (".git", ".venv", ".tools", "runs", "site", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*heavy))
    with open(copy / "docs/getting-started.md", "a") as page:
        page.write("\n[1](how-to/nowhere.md) [2](how-to/serve.md#nowhere) [3](../nowhere.py)\n")
        page.write("[4](how-to/serve.md) [5](how-to/serve.md#kubernetes) [6](../pipeline/ir.py)\n")
    done = build(copy, tmp_path / "site")
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert done.returncode == 1 and len(warnings) == 3, done.stderr
    assert all("nowhere" in line for line in warnings)
    shown = (tmp_path / "site/source/pipeline/ir.py.html").read_text()
    assert "compile_pipeline" in shown
