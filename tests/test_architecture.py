"""The house's rules, read from the source: which way imports point, what stays free of torch, how long things are.

worker ──▶ app ──▶ fastmtl        app reaches only what is torch-free; fastmtl knows neither of the others
migrations ──▶ app.models, app.settings
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from fastmtl import methods, selectors

ROOT = Path(__file__).parent.parent
FOLDERS = ("app", "fastmtl", "migrations", "worker")
HEAVY = {"huggingface_hub", "safetensors", "scipy", "sklearn", "tokenizers", "torch", "transformers"}
TORCH_FREE = "arms artifacts client config cost datasets encoders errors methods pipeline plan selectors".split()
MAX_FILE_LINES, MAX_FUNCTION_LINES = 350, 70
MAX_LOCAL_IMPORTS = 2


class Import(NamedTuple):
    """One imported module, and where."""

    importer: str
    imported: str
    local: bool
    """Inside a function, where it costs nothing until that is called, or for type checkers alone."""


@cache
def modules() -> dict[str, Path]:
    """Return all our modules by dotted name."""
    return {name_of(path): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports() -> list[Import]:
    """Return every import of our modules, of `from package import module` the module."""
    return [found for name, path in modules().items() for found in imports_of(name, ast.parse(path.read_text()), False)]


def imports_of(importer: str, node: ast.AST, local: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(importer, alias.name, local) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{importer}: imports are absolute"
            inner = [f"{child.module}.{alias.name}" for alias in child.names]
            yield from (Import(importer, name if name in modules() else str(child.module), local) for name in inner)
        else:
            inside = local or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or for_types(child)
            yield from imports_of(importer, child, inside)


def for_types(node: ast.AST) -> bool:
    """Whether it is `if TYPE_CHECKING:`, which no run enters."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def top(name: str) -> str:
    return name.partition(".")[0]


def reached_by(start: str) -> set[str]:
    """Return what importing a module loads: all it names outside functions, and what those name, and their packages."""
    reached: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += [each.imported for each in imports() if each.importer == name and not each.local]
            todo += [name.rpartition(".")[0]] if name in modules() and "." in name else []
    return reached


def crossing(importer: str, *imported: str) -> list[Import]:
    """Return the imports that point from one top-level folder to others."""
    return [each for each in imports() if top(each.importer) == importer and top(each.imported) in imported]


def test_fastmtl_knows_neither_the_service_nor_its_workers():
    assert crossing("fastmtl", "app", "worker", "migrations") == []


def test_the_service_does_not_know_its_workers_but_for_the_command_that_starts_one():
    known = [each for each in crossing("app", "worker") if not (each.importer == "app.cli" and each.local)]
    assert known == []


def test_workers_stay_below_http():
    http = {"fastapi", "starlette", "uvicorn"}
    loaded = {name for each in modules() if top(each) == "worker" for name in reached_by(each)}
    assert {name for name in loaded if top(name) in http or name.startswith("app.routes")} == set()


def test_migrations_know_only_the_models_and_the_settings():
    ours = {each.imported for each in imports() if top(each.importer) == "migrations" and top(each.imported) in FOLDERS}
    assert ours <= {"app.models", "app.settings"}


def test_nothing_imports_tests_benchmarks_or_examples():
    assert [each for each in imports() if top(each.imported) in ("tests", "benchmarks", "examples")] == []


@pytest.mark.parametrize("name", [*(f"fastmtl.{each}" for each in TORCH_FREE), "app", "migrations"])
def test_what_must_be_free_of_torch_is(name: str):
    inside = [each for each in modules() if each == name or each.startswith(f"{name}.")]
    assert {each: sorted(loaded & HEAVY) for each in inside if (loaded := tops(reached_by(each))) & HEAVY} == {}


def tops(names: set[str]) -> set[str]:
    return {top(name) for name in names}


def test_no_modules_import_one_another():
    graph = {
        name: {each.imported for each in imports() if each.importer == name} & set(modules()) for name in modules()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as cycle:
        pytest.fail(" → ".join(reversed(cycle.args[1])))


def test_imports_inside_functions_are_exceptions():
    optional = (
        "fastmtl.client.frames",
        "fastmtl.client.tables",
        "fastmtl.hub",
    )  # libraries that are needed by those who ask for them
    rows = (
        "app.routes.looks",
        "app.selection_file",
        "fastmtl.datasets",
    )  # Arrow, which an API without work does without
    free = ("worker", "app.cli", "fastmtl.methods", "fastmtl.selectors", *optional, *rows)
    local = [each for each in imports() if each.local and not each.importer.startswith(free)]
    found = {(each.importer, each.imported if top(each.imported) in FOLDERS else top(each.imported)) for each in local}
    assert len(found) <= MAX_LOCAL_IMPORTS, f"imports inside functions: {sorted(found)}"


LOADS = "import sys; import {}; print(*sorted(set(sys.modules) & {}))"


@pytest.mark.parametrize(
    "name",
    [
        "app.main",
        "app.cli",
        "app.doctor",
        "app.jobs_command",
        "fastmtl.client",
        "fastmtl.pipeline",
        *(f"fastmtl.methods.{name}" for name in methods.names()),
        *(f"fastmtl.selectors.{name}" for name in selectors.names()),
        "fastmtl.datasets",
    ],
)
def test_importing_it_loads_no_torch(name: str):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not there yet")
    forbidden = HEAVY | ({"worker", "pyarrow"} if name == "app.main" else set())
    told = subprocess.run(
        [sys.executable, "-c", LOADS.format(name, forbidden)], capture_output=True, text=True, cwd=ROOT
    )
    assert (told.returncode, told.stdout.split(), told.stderr) == (0, [], "")


def sources() -> list[Path]:
    return [*modules().values(), *sorted((ROOT / "tests").rglob("*.py"))]


def test_files_are_short_enough_to_be_read_at_once():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_functions_are_short():
    lengths = {
        f"{path.relative_to(ROOT)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in sources()
        if path.parent != ROOT / "migrations" / "versions"  # a list of tables, in the order Alembic wrote it
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch", [("torch", False)]),
        ("from fastmtl import errors", [("fastmtl.errors", False)]),
        ("from fastmtl.errors import Problem", [("fastmtl.errors", False)]),
        ("def f():\n    import torch", [("torch", True)]),
        ("class A:\n    import torch", [("torch", False)]),
        ("if TYPE_CHECKING:\n    from app import db", [("app.db", True)]),
    ],
)
def test_the_reader_of_imports_reads(source: str, expected: list[tuple[str, bool]]):
    assert [(each.imported, each.local) for each in imports_of("a", ast.parse(source), False)] == expected
