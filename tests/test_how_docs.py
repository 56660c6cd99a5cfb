"""docs/how-it-works.md: its equations are what the functions compute, its pictures are the script's."""

from __future__ import annotations

import importlib
import importlib.util
import re
from functools import reduce
from pathlib import Path
from types import ModuleType

import pytest
from fenced import blocks

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "how-it-works.md").read_text()
FUNCTIONS = re.findall(r"`(fastmtl/[\w/]+)\.py`: `([\w.]+)`", PAGE)


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures_of_docs", ROOT / "docs" / "figures.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_equation_is_what_its_function_computes():
    found: dict[str, object] = {}
    for block in blocks(PAGE, "python"):
        exec(compile(block, "docs/how-it-works.md", "exec"), found)
    assert PAGE.count("$$") / 2 >= 6


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_every_function_that_is_named_is_there(module: str, name: str):
    package = module.replace("/", ".").removesuffix(".__init__")
    assert callable(reduce(getattr, name.split("."), importlib.import_module(package)))


def test_the_pictures_are_those_of_the_script(figures: ModuleType):
    drawn = {name: draw().svg() for name, draw in figures.FIGURES.items()}
    assert drawn == {name: (ROOT / "docs" / name).read_text() for name in drawn}
    assert re.findall(r"!\[[^\]]+\]\((.+?)\)", PAGE) == list(drawn)


def test_every_file_that_is_linked_exists():
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
