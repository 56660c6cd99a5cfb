"""The map: which rows become points, and where they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pools import write_dataset

from fastmtl.plan import StepSpec, TaskRef, Workspace, silent
from fastmtl.steps import map as mapping
from fastmtl.steps.map import arranged, draw
from fastmtl.telling import Standing

PRIMARY, FIRST, SECOND = TaskRef("mine", "p", 100), TaskRef("z", "a", 300), TaskRef("b", "b", 100)


def write_scores(path: Path, chosen: int) -> Path:
    """400 auxiliary rows of two datasets; the best are chosen, and the later a row the better it is."""
    scores = np.arange(400, dtype=np.float32)
    columns = {"dataset": ["z"] * 300 + ["b"] * 100, "row": [*range(300), *range(100)], "score": scores}
    pq.write_table(pa.table({**columns, "seen": [False] * 400, "selected": scores >= 400 - chosen}), path)
    return path


@pytest.mark.parametrize(
    ("points", "chosen", "own", "best", "others"),
    [
        (100, 20, 25, 20, 55),  # a quarter is the primary's, all chosen rows fit
        (100, 200, 25, 50, 25),  # half of them are chosen ones, the best
        (1000, 20, 100, 20, 380),  # all there are
        (4, 1, 1, 1, 2),
    ],
)
def test_points_are_of_the_primary_of_the_chosen_and_of_the_others(tmp_path, points, chosen, own, best, others):
    found = draw(write_scores(tmp_path / "scores.parquet", chosen), PRIMARY, [FIRST, SECOND], points, 0)
    mine, selected = np.array(found["dataset"].to_pylist()) == "mine", found["selected"].to_numpy()
    assert (mine.sum(), selected.sum(), (~mine & ~selected).sum()) == (own, best, others)
    scores = sorted(np.array(found["score"].to_pylist(), float)[selected], reverse=True)
    assert scores == [399 - place for place in range(best)]


def test_points_stand_by_dataset_rows_rising_and_a_seed_draws_them_the_same(tmp_path):
    path = write_scores(tmp_path / "scores.parquet", 20)
    found, again, other = (draw(path, PRIMARY, [FIRST, SECOND], 100, seed) for seed in (0, 0, 1))
    assert found.equals(again) and not found.equals(other)
    keys = found["dataset"].to_pylist()
    assert list(dict.fromkeys(keys)) == ["mine", "z", "b"]
    for key in ("mine", "z", "b"):
        rows = [row for row, whose in zip(found["row"].to_pylist(), keys, strict=True) if whose == key]
        assert rows == sorted(set(rows))


def test_what_lies_near_in_space_lies_near_in_the_plane():
    draws = np.random.default_rng(0)
    vectors = np.concatenate([draws.normal(centre, 0.01, (40, 8)) for centre in (-1, 1)]).astype(np.float32)
    place = arranged(vectors, 0, Standing(silent))
    centres = np.array([place[:40].mean(axis=0), place[40:].mean(axis=0)])
    nearest = np.linalg.norm(place[:, None] - centres, axis=2).argmin(axis=1)
    assert nearest.tolist() == [0] * 40 + [1] * 40


@pytest.mark.parametrize("points", [1, 2, 4])
def test_a_few_points_have_places_too(points: int):
    place = arranged(np.eye(points, 4, dtype=np.float32), 0, Standing(silent))
    assert (place.shape, np.isfinite(place).all()) == ((points, 2), True)


def test_the_step_writes_a_point_for_every_row_of_a_small_pool(tmp_path, encoder_folders):
    texts = {"mine": ["the cat runs", "a dog"], "z": ["two fish", "the bird sings"]}
    refs = {
        key: write_dataset(tmp_path, key, [(text, str(row)) for row, text in enumerate(each)])
        for key, each in texts.items()
    }
    (tmp_path / "chosen").mkdir()
    scores = {"dataset": ["z", "z"], "row": [0, 1], "score": pa.array([0.1, 0.9], pa.float32())}
    pq.write_table(pa.table({**scores, "selected": [False, True]}), tmp_path / "chosen" / "scores.parquet")
    encoder = {"location": f"folder:{encoder_folders['bert']}", "pooling": "mean", "max_length": 24}
    tasks = {key: {"key": key, "digest": ref.digest, "rows": 2} for key, ref in refs.items()}
    params = {"encoder": encoder, "precision": "fp32", "points": 50, "seed": 0}
    params |= {"primary": tasks["mine"], "auxiliary": [tasks["z"]]}
    digests = {ref.digest: tmp_path / key for key, ref in refs.items()}
    (tmp_path / "out").mkdir()
    spec = StepSpec("map", "map", 1, params, tuple(digests), ("select's",))
    workspace = Workspace(digests, {"select's": tmp_path / "chosen"}, tmp_path / "out", "cpu", silent)
    assert mapping.run(spec, workspace)["points"] == 4
    found = pq.read_table(tmp_path / "out" / "map.parquet").to_pylist()
    assert [(each["dataset"], each["row"], each["selected"]) for each in found] == [
        ("mine", 0, False),
        ("mine", 1, False),
        ("z", 0, False),
        ("z", 1, True),
    ]
    assert [each["score"] for each in found] == [None, None, pytest.approx(0.1), pytest.approx(0.9)]
