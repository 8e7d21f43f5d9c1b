"""The plan of the house: what the docs and the packages say of it is what there is."""

import importlib
import re
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(
    str(file.parent.relative_to(ROOT)).replace("/", ".")
    for top in ("components", "pipeline")
    for file in (ROOT / top).glob("*/**/__init__.py")
)


@pytest.fixture(scope="module")
def imports():
    return grimp.build_graph("components", "pipeline")


def test_the_plan_in_the_docs_names_all_rooms_and_no_others():
    text = (ROOT / "docs/explanation/design.md").read_text()
    plan = re.search(r"^## The house\n.*?^```\n(.*?)^```", text, re.M | re.S)[1]
    named, above = [], []
    for indent, name in re.findall(r"^( *)(\w+)/", plan, re.M):
        above = [*above[: len(indent) // 2], name]
        named += [".".join(above)] if indent else []
    houses = [name for name in named if name.split(".")[0] in ("components", "pipeline")]
    assert sorted(houses) == sorted([*PACKAGES, "pipeline.configs"])


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_may_be_imported_from_outside(package, imports):
    about = importlib.import_module(package).__doc__
    if "All of it may be imported from anywhere" in about:
        return
    taken = {
        module.removeprefix(f"{package}.")
        for module in imports.find_descendants(package)
        for by in imports.find_modules_that_directly_import(module)
        if not by.startswith(f"{package}.")
    }
    unsaid = sorted(module for module in taken if f"`{module}`" not in about)
    assert not unsaid, f"{package}/__init__.py does not name {unsaid}"
