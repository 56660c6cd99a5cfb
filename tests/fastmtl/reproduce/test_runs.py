"""Runs are carried out once, and a stop loses at most the step at work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from little_glue import little_glue

from fastmtl.artifacts import Cache
from fastmtl.config import JobConfig
from fastmtl.errors import DamagedArtifact
from fastmtl.plan import StepSpec, silent
from fastmtl.reproduce import glue, protocol
from fastmtl.reproduce.protocol import AS_PUBLISHED, OURS, Grid, Run
from fastmtl.reproduce.runs import Bench, RunLog, carry_out

QUICK = {"epochs": 1}
BASE = JobConfig.model_validate(
    {
        "encoder": {"name": "bert", "max_length": 16},
        "discriminator": {**QUICK, "rows_per_task": 8},
        "target": QUICK,
        "finetuning": QUICK,
        "precision": "fp32",
    }
)
SMALL = Grid(("rte",), ("CE-TD",), (5, 10), (0,))


class World:
    """A little GLUE, its runs, and what is told of them."""

    def __init__(self, folder: Path, known: dict[str, str], name: protocol.Protocol = OURS, grid: Grid = SMALL) -> None:
        data = glue.prepare(little_glue(folder / "glue"), folder / "data", grid.primaries, 0)
        self.runs = protocol.runs(grid, BASE, name, data, known)
        self.log = RunLog(folder / "runs.jsonl")
        self.begun: list[str] = []
        self.bench = Bench(Cache(folder / "cache"), data.datasets, "cpu", self._progress)

    def _progress(self, step: StepSpec):
        self.begun.append(step.name)
        return silent

    def carry_out(self, *, stop_after: int | None = None, keep: bool = False) -> list[tuple[int, bool]]:
        told: list[tuple[int, bool]] = []

        def tell(number: int, run: Run, record: dict, before: bool) -> None:
            told.append((number, before))
            if number == stop_after:
                raise KeyboardInterrupt

        carry_out(self.runs, self.log, self.bench, keeps_model=lambda run: keep, told=tell)
        return told


def test_what_is_stopped_goes_on_and_what_is_finished_is_not_computed_again(tmp_path, known):
    world = World(tmp_path, known)
    with pytest.raises(KeyboardInterrupt):
        world.carry_out(stop_after=3)
    first, world.begun = world.begun, []
    assert first.count("discriminator") == 1
    assert world.carry_out() == [(1, True), (2, True), (3, True), (4, False)]
    assert world.begun == ["select", "target (selection)", "finetune (selection)"]
    world.begun = []
    assert world.carry_out() == [(1, True), (2, True), (3, True), (4, True)]
    assert world.begun == []


def test_a_record_says_where_it_stands_what_was_reached_and_what_it_took(tmp_path, known):
    world = World(tmp_path, known)
    world.carry_out()
    record = world.log.read()[world.runs[2].key]
    place = {name: record[name] for name in ("protocol", "primary", "arm", "budget", "seed")}
    assert place == {"protocol": "ours", "primary": "rte", "arm": "CE-TD", "budget": 5, "seed": 0}
    assert (sum(record["selected"].values()), record["rows"]["measured"]) == (5, 20)
    assert set(record["metrics"]) == {"accuracy", "f1", "matthews"}
    kinds = {each["kind"] for each in record["steps"]}
    assert kinds == {"discriminator", "score", "rank", "leakage", "select", "target", "finetune"}
    assert record["seconds"] == pytest.approx(sum(each["seconds"] for each in record["steps"]))


def test_weights_are_kept_only_where_they_are_asked_for(tmp_path, known):
    world = World(tmp_path, known)
    world.carry_out(keep=True)
    kept = {step.kind for run in world.runs for step in run.steps if world.bench.kept.find(step.fingerprint)}
    assert kept == {"discriminator", "score", "rank", "leakage", "select", "finetune"}
    assert world.bench.folder_of(world.runs[3].steps).is_dir()
    world.begun = []
    world.bench.kept.remove(world.runs[3].steps[-1].fingerprint)
    assert (world.bench.folder_of(world.runs[3].steps) / "model").is_dir()
    assert world.begun == ["target (selection)", "finetune (selection)"]


def test_a_run_that_is_another_seeds_training_is_recorded_and_not_trained(tmp_path, known):
    world = World(tmp_path, known, AS_PUBLISHED, Grid(("rte",), ("bm25",), (5,), (0, 1)))
    world.carry_out()
    assert [name for name in world.begun if name.startswith("finetune")] == [
        "finetune (primary_only)",
        "finetune (full)",
        "finetune (selection)",
    ]
    assert [(each["seed"], each["arm"]) for each in world.log.read().values()][3:] == [
        (1, "primary only"),
        (1, "full MT-DNN"),
        (1, "bm25"),
    ]


def test_a_log_that_is_no_log_is_told_of_with_what_to_do(tmp_path):
    log = RunLog(tmp_path / "runs.jsonl")
    log.add({"key": "a", "seconds": 1})
    log.add({"key": "b", "seconds": 2})
    lines = (tmp_path / "runs.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["a", "b"]
    (tmp_path / "runs.jsonl").write_text(lines[0] + '\n{"key"')
    with pytest.raises(DamagedArtifact, match="no record of a run: remove the line"):
        log.read()
