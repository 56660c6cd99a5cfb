"""examples/own_csv.ipynb runs from its first cell to its last, and stands in the repository without outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from tiny import write_encoder

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "examples" / "own_csv.ipynb"
RUN = "from nbclient.cli import main; main()"
SMALL = """
known_encoders = {{"tiny": "folder:{folder}"}}
config |= {{"encoder": {{"name": "tiny", "pooling": "first", "max_length": 32}}, "precision": "fp32"}}
config |= {{"target": {{"epochs": 1}}, "finetuning": {{"epochs": 1}}, "compare": ["primary_only"]}}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """The notebook with a tiny encoder, run where the examples lie."""
    folder = tmp_path_factory.mktemp("notebook")
    for path in (ROOT / "examples").iterdir():
        if path.is_dir():
            (folder / path.name).symlink_to(path)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = 1 + next(at for at, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    small = SMALL.format(folder=write_encoder("bert", folder / "tiny"))
    notebook.cells.insert(place, nbformat.v4.new_code_cell(small))
    nbformat.write(notebook, folder / "own_csv.ipynb")
    quiet = {"IPYTHONDIR": str(folder), "JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_RUNTIME_DIR": str(folder)}
    told = subprocess.run(
        [sys.executable, "-c", RUN, "--inplace", "--timeout=280", "own_csv.ipynb"],
        cwd=folder,
        env={**os.environ, **quiet, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    return nbformat.read(folder / "own_csv.ipynb", as_version=4)


def outputs(notebook: nbformat.NotebookNode) -> str:
    """Everything that the cells show, as text."""
    shown = [each for cell in notebook.cells if cell.cell_type == "code" for each in cell.outputs]
    return "\n".join(each.get("text", each.get("data", {}).get("text/plain", "")) for each in shown)


def test_it_runs_and_says_what_was_chosen_and_whether_it_helped(ran: nbformat.NotebookNode):
    told = outputs(ran)
    assert "finetune (primary_only)" in told
    assert "policy_inference" in told and "random_share" in told
    assert [name for name in ("accuracy", "primary_only", "selection") if name not in told] == []
    last = next(cell for cell in reversed(ran.cells) if cell.cell_type == "code")
    assert last.outputs[-1]["data"]["text/plain"] in ("'entailment'", "'not_entailment'")


def test_it_stands_in_the_repository_without_outputs():
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in cells] == [([], None)] * len(cells)
