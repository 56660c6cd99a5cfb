"""The explain step: nearest primary rows against brute force, percentiles by their definition, a row in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pools import write_dataset
from transformers import AutoModel, AutoTokenizer

from fastmtl.plan import StepSpec, Workspace, silent
from fastmtl.steps import explain
from fastmtl.steps.explain import nearest, percentiles

SMALL = st.lists(st.lists(st.integers(-2, 2), min_size=2, max_size=2), min_size=1, max_size=12)
SELECT = "select's fingerprint"


@given(SMALL, SMALL, st.integers(1, 20))
def test_the_nearest_rows_are_those_of_largest_product_and_of_equal_ones_the_first(rows, primary, count):
    found, products = nearest(np.array(rows, np.float32), np.array(primary, np.float32), count)
    for row, places, values in zip(rows, found.tolist(), products.tolist(), strict=True):
        every = sorted((-float(np.dot(row, other)), place) for place, other in enumerate(primary))[:count]
        assert list(zip(values, places, strict=True)) == [(-value, place) for value, place in every]


def test_more_rows_than_are_compared_at_once_are_all_looked_up(monkeypatch):
    generator = np.random.default_rng(0)
    rows, primary = (generator.normal(size=(n, 4)).astype(np.float32) for n in (11, 7))
    whole = nearest(rows, primary, 3)
    monkeypatch.setattr(explain, "ROWS_AT_ONCE", 4)
    parts = nearest(rows, primary, 3)
    assert [np.allclose(ours, theirs) for ours, theirs in zip(parts, whole, strict=True)] == [True, True]


def test_a_percentile_is_the_share_of_the_datasets_rows_that_score_no_higher(tmp_path):
    scores = {"a": [0.1, 0.4, 0.4, 0.9], "b": [0.9, 0.9]}
    columns = [(key, score) for key, each in scores.items() for score in each]
    table = pa.table({"dataset": [key for key, _ in columns], "score": pa.array([x for _, x in columns], pa.float32())})
    pq.write_table(table, tmp_path / "scores.parquet")
    chosen = [("b", 0.9), ("a", 0.9), ("a", 0.4), ("a", 0.1)]
    selection = pa.table(
        {"dataset": [key for key, _ in chosen], "score": pa.array([score for _, score in chosen], pa.float32())}
    )
    assert percentiles(tmp_path / "scores.parquet", selection).tolist() == [100, 100, 75, 25]


PRIMARY = ["the cat sleeps", "a big dog runs in the city", "fish", "two birds sing by the river", "the shop"]
SINGLE = ["a dog runs", "the cat eats fish", "late"]
PAIRS = [("refund the order", "ten days late"), ("the price", "is good")]
CHOSEN = [("pairs", 1, 0.9), ("single", 2, 0.8), ("single", 0, 0.7), ("pairs", 0, 0.6)]
"""In order of rank; the file with the texts is in another."""


@pytest.fixture
def explained(tmp_path: Path, encoder_folders: dict[str, Path]) -> Callable[[int], list[dict]]:
    """Explain CHOSEN with so many nearest rows."""
    primary = write_dataset(tmp_path, "primary", [(text, str(row)) for row, text in enumerate(PRIMARY)])
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    texts = {"single": [(text, None) for text in SINGLE], "pairs": PAIRS}
    keys, rows, scores = zip(*CHOSEN, strict=True)
    ranks = np.arange(1, len(CHOSEN) + 1)
    selection = pa.table({"rank": ranks, "dataset": keys, "row": rows, "score": pa.array(scores, pa.float32())})
    pq.write_table(selection, chosen / "selection.parquet")
    by_dataset = sorted((key, row, rank, *texts[key][row]) for rank, (key, row, _) in enumerate(CHOSEN, 1))
    columns = dict(zip(("dataset", "row", "rank", "text_a", "text_b"), zip(*by_dataset, strict=True), strict=True))
    pq.write_table(pa.table(columns), chosen / "subset.parquet")
    every = [(key, 0.5) for key in ("single", "pairs")] + [(key, score) for key, _, score in CHOSEN]
    table = pa.table({"dataset": [key for key, _ in every], "score": pa.array([x for _, x in every], pa.float32())})
    pq.write_table(table, chosen / "scores.parquet")

    def run(count: int) -> list[dict]:
        encoder = {"location": f"folder:{encoder_folders['bert']}", "pooling": "mean", "max_length": 24}
        params = {"encoder": encoder, "precision": "fp32", "primary": primary.digest, "nearest": count}
        spec = StepSpec("explain", "explain", 1, params, (primary.digest,), (SELECT,))
        output = tmp_path / f"out-{count}"
        output.mkdir()
        datasets = {primary.digest: tmp_path / "primary"}
        assert explain.run(spec, Workspace(datasets, {SELECT: chosen}, output, "cpu", silent))["rows"] == 4
        return pq.read_table(output / "explanations.parquet").to_pylist()

    return run


def cosines(folder: Path) -> np.ndarray:
    """Of every chosen row with every row of the primary, by plain transformers: [4, 5]."""
    encoder, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)

    def vector(*texts: str) -> torch.Tensor:
        with torch.no_grad():
            mean = encoder(**tokenizer(*texts, return_tensors="pt")).last_hidden_state[0].mean(0)
        return mean / mean.norm()

    rows = [vector(*(PAIRS[row] if key == "pairs" else (SINGLE[row],))) for key, row, _ in CHOSEN]
    return (torch.stack(rows) @ torch.stack([vector(text) for text in PRIMARY]).T).numpy()


def test_every_chosen_row_single_text_or_pair_names_its_nearest_primary_rows_in_order_of_rank(
    explained, encoder_folders
):
    found, expected = explained(3), cosines(encoder_folders["bert"])
    assert [(each["rank"], each["dataset"], each["row"]) for each in found] == [
        (rank, key, row) for rank, (key, row, _) in enumerate(CHOSEN, 1)
    ]
    assert [each["nearest_rows"] for each in found] == np.argsort(-expected, axis=1)[:, :3].tolist()
    for each, products in zip(found, expected, strict=True):
        assert each["similarities"] == pytest.approx(sorted(products, reverse=True)[:3], abs=1e-5)


def test_a_chosen_row_says_where_its_score_stands_in_its_dataset(explained):
    assert [(each["score"], each["percentile"]) for each in explained(1)] == [
        (pytest.approx(0.9), 100),
        (pytest.approx(0.8), 100),
        (pytest.approx(0.7), pytest.approx(100 * 2 / 3)),  # of 0.5, 0.8 and 0.7
        (pytest.approx(0.6), pytest.approx(100 * 2 / 3)),
    ]


def test_a_primary_of_fewer_rows_than_are_asked_for_names_all_of_them(explained):
    assert [sorted(each["nearest_rows"]) for each in explained(20)] == [[0, 1, 2, 3, 4]] * 4
