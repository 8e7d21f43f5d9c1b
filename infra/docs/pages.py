"""A hook of MkDocs: what the site needs from outside `docs/`.

README, changelog and the like stay where GitHub's readers look for them. A link to code leads
to a page that shows the file, so that the site needs no host for the repository.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
DOCS = "docs/"
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
}
_CODE = re.compile(r"(^ *```.*?^ *```)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")
_CELL = re.compile(r"<td.*?</td>", re.DOTALL)
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".sh": "sh"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that lie outside, and those that show what any page links to."""
    for path, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    shown = {
        target
        for file in files.documentation_pages()
        for target in _targets(file)
        if _page_of(target) == _source_page(target) and (ROOT / target).exists()
    }
    for target in sorted(shown):
        files.append(File.generated(config, _source_page(target), content=_show(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Makes links that are right in the repository right on the site."""
    here = posixpath.dirname(page.file.src_uri)

    def on_site(link: re.Match[str]) -> str:
        place = _page_of(_target(page.file, link[1]))
        return posixpath.relpath(place, here) if place in files.src_uris else link[1]

    parts = _CODE.split(markdown)  # every second one is code
    return "".join(
        part if index % 2 else _LINK.sub(on_site, part) for index, part in enumerate(parts)
    )


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Takes the backslashes off `\\|` in tables, as GitHub does in code too."""
    return _CELL.sub(lambda cell: cell[0].replace("\\|", "|"), html)


def _targets(file: File) -> Iterator[str]:
    for part in _CODE.split(file.content_string)[::2]:
        for link in _LINK.findall(part):
            yield _target(file, link)


def _target(file: File, link: str) -> str:
    """Where a link of a page leads to, from the repository's root."""
    origin = next((path for path, page in PAGES.items() if page == file.src_uri), None)
    origin = origin or DOCS + file.src_uri
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))


def _page_of(target: str) -> str:
    if target in PAGES:
        return PAGES[target]
    return target.removeprefix(DOCS) if target.startswith(DOCS) else _source_page(target)


def _source_page(target: str) -> str:
    return f"source/{target.lstrip('.')}.md"  # MkDocs leaves out what begins with a dot


def _show(target: str) -> str:
    path = ROOT / target
    if path.is_dir():
        text = "\n".join(sorted(os.listdir(path)))
    else:
        text = path.read_text(encoding="utf-8")
    language = _LANGUAGES.get(path.suffix, "text")
    return (
        f"---\nsearch: {{exclude: true}}\nhide: [toc]\n---\n# {target}\n\n"
        f'````{language} linenums="1"\n{text.rstrip()}\n````\n'
    )
