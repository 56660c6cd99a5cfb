"""The report step on made-up inputs: all its files, the same bytes from the same inputs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_up import results
from pools import write_dataset

from fastmtl.config import JobConfig
from fastmtl.plan import Json, StepSpec, Workspace, silent
from fastmtl.report.arms import ArmResult
from fastmtl.steps import report

ROWS, CHOSEN = 60, 3
SELECT, EXPLAIN, MAP, OURS, ALONE = "select", "explain", "map", "ours", "alone"
FILES = {"report.html", "report.json", "figures.json"}
NAMES = ("shares", "differences", "scores", "method_losses", "target_losses", "losses")
FIGURES = {f"figures/{name}.{kind}" for name in NAMES for kind in ("png", "svg")}


def write_select(folder: Path) -> None:
    """Rows 59, 58 and 57 of sixty are chosen; scores stand in row groups of seven."""
    rows = np.arange(ROWS)
    chosen = rows >= ROWS - CHOSEN
    scores = {"dataset": ["other"] * ROWS, "row": rows, "score": (rows / ROWS).astype("f4"), "selected": chosen}
    pq.write_table(pa.table(scores), folder / "scores.parquet", 7)
    best = rows[chosen]
    subset = {"dataset": ["other"] * CHOSEN, "row": best, "rank": ROWS - best, "score": (best / ROWS).astype("f4")}
    subset |= {"text_a": [f"text {row}" for row in best], "text_b": [None] * CHOSEN, "label": ["yes"] * CHOSEN}
    pq.write_table(pa.table(subset), folder / "subset.parquet")
    count = {"rows": ROWS, "seen": 0, "leaked": 0, "eligible": ROWS, "selected": CHOSEN, "share": 1, "random_share": 1}
    told = {"digest": "d" * 64, "counts": {"other": count}, "primary_leaks": 0}
    (folder / "counts.json").write_text(json.dumps(told))


def write_map(folder: Path) -> None:
    """Two rows of the primary and one of the chosen ones."""
    table = {"dataset": ["primary", "primary", "other"], "row": [0, 1, 59], "x": [0.0, 1.0, 2.0], "y": [0.0, 0.5, 1.0]}
    table |= {"score": pa.array([None, None, 0.75], pa.float32()), "selected": [False, False, True]}
    pq.write_table(pa.table(table), folder / "map.parquet")


def write_final(folder: Path, arm: ArmResult, labels: np.ndarray) -> None:
    """Write what fine-tuning an arm leaves."""
    (folder / "evaluation.json").write_text(json.dumps(arm.evaluations[0]))
    trained = {"target": [0.75, 0.5], "discriminator": [2.5, 1.5], "finetune": [0.5]}
    records = {f"{kind} of {folder.name}": {"step": kind, "kind": kind, "losses": it} for kind, it in trained.items()}
    (folder / "costs.json").write_text(json.dumps(records))
    names = np.array(["no", "yes"])
    columns = {"label": names[labels.astype(int)], "predicted": names[arm.predictions[0].astype(int)]}
    pq.write_table(pa.table(columns), folder / "predictions.parquet")


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    folders = {name: tmp_path / name for name in (SELECT, EXPLAIN, MAP, OURS, ALONE)}
    for folder in folders.values():
        folder.mkdir()
    write_select(folders[SELECT])
    write_map(folders[MAP])
    why = {"rank": [1, 2, 3], "percentile": [100.0, 99.0, 98.0], "nearest_rows": [[1, 0]] * 3}
    pq.write_table(pa.table({**why, "similarities": [[0.5, 0.25]] * 3}), folders[EXPLAIN] / "explanations.parquet")
    made = results({"selection": [10], "primary_only": [30]})
    write_final(folders[OURS], made.arms["selection"], made.labels)
    write_final(folders[ALONE], made.arms["primary_only"], made.labels)
    return folders


def run(folder: Path, inputs: dict[str, Path], **params: object) -> dict[str, str]:
    """Compute the step; return the digests of its files by name."""
    folder.mkdir()
    primary = write_dataset(folder.parent, "primary", [("zero", "no"), ("one", "yes")])
    shared = {"repeat": 0, "best": None, "without": None}
    arms: list[Json] = [{**shared, "arm": "selection", "final": OURS, "select": SELECT}]
    arms += [{**shared, "arm": "primary_only", "final": ALONE, "select": None}]
    about = {"primary": "primary", "validation": "held", "encoder": {}, "config": JobConfig().model_dump(mode="json")}
    spec = StepSpec("report", "report", 5, {**about, "arms": arms, **params}, (primary.digest,), tuple(inputs))
    report.run(spec, Workspace({primary.digest: folder.parent / "primary"}, inputs, folder, "cpu", silent))
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_inputs_leave_the_same_bytes(tmp_path, inputs):
    first, again = (run(tmp_path / name, inputs, explain=EXPLAIN) for name in ("a", "b"))
    assert (first, set(first)) == (again, FILES | FIGURES)


def test_the_page_says_what_the_other_files_say(tmp_path, inputs):
    run(tmp_path / "out", inputs, explain=EXPLAIN)
    page = (tmp_path / "out" / "report.html").read_text()
    told, drawn = (json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("report", "figures"))
    assert drawn["differences"]["lines"] == [{"arm": "primary_only", **told["differences"]["primary_only"]}]
    assert (sum(drawn["scores"]["datasets"][0]["rows"]), drawn["scores"]["cut"]) == (ROWS, np.float32(57 / 60))
    assert told["recommendation"] in page and "Why row 59 of other?" in page
    assert page.index("text 59") < page.index("text 58") < page.index("text 57")
    assert "row 1, similarity 0.50, yes" in page


@pytest.mark.parametrize("params", [{"explain": None}, {}], ids=["not asked for", "planned before there were reasons"])
def test_without_explanations_rows_are_shown_without_reasons(tmp_path, inputs, params):
    assert set(run(tmp_path / "out", inputs, **params)) == FILES | FIGURES
    page = (tmp_path / "out" / "report.html").read_text()
    assert "text 59" in page and "Why row" not in page


def test_a_map_that_was_asked_for_is_in_it(tmp_path, inputs):
    files = set(run(tmp_path / "out", inputs, explain=None, map=MAP))
    assert files == FILES | FIGURES | {"figures/map.svg", "figures/map.png"}
    assert json.loads((tmp_path / "out" / "figures.json").read_text())["map"]["row"] == [0, 1, 59]
    assert "Where the rows lie" in (tmp_path / "out" / "report.html").read_text()


def test_losses_of_all_trainings_come_with_the_records_of_their_costs(tmp_path, inputs):
    run(tmp_path / "out", inputs, explain=None)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["trainings"] == {
        "target": {"selection": [[0.75, 0.5]], "primary_only": [[0.75, 0.5]]},
        "methods": [{"step": "discriminator", "kind": "discriminator", "losses": [2.5, 1.5]}] * 2,
    }


def test_what_is_odd_about_a_dataset_is_told_by_its_key(tmp_path, inputs):
    primary = write_dataset(tmp_path, "primary", [("zero", "no"), ("one", "yes")])
    run(tmp_path / "out", inputs, explain=None, members=[{"key": "mine", "digest": primary.digest}])
    told = "Fewer than five rows each have the label no, yes."
    assert json.loads((tmp_path / "out" / "report.json").read_text())["worries"] == {"mine": [told]}
