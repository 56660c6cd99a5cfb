"""Tokens on disk: rows counted through all shards come back as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastmtl import stored
from fastmtl.stored import Span, Stored
from fastmtl.tokens import Tokens, joined

ROWS = [[5, 6], [], [7], [8, 9, 1], [2], [3, 4]]


def tokens(rows: list[list[int]], *, typed: bool) -> Tokens:
    ids = np.array([each for row in rows for each in row], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Tokens(ids, (ids % 2).astype(np.uint8) if typed else None, offsets, 0)


@pytest.fixture(params=[True, False], ids=["typed", "untyped"])
def shards(request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    """Six rows, four in the first shard and two in the second."""
    for name, rows in (("a", ROWS[:4]), ("b", ROWS[4:])):
        (tmp_path / name).mkdir()
        stored.write(tmp_path / name, tokens(rows, typed=request.param))
    return Stored([tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize("rows", [[], [0], [1], [5], [3, 4], [0, 1, 2, 3, 4, 5], [1, 5]])
def test_rows_are_taken_from_whatever_shard_they_stand_in(shards: Stored, rows: list[int]):
    found = shards.take(np.array(rows, dtype=np.int64))
    expected = tokens([ROWS[row] for row in rows], typed=found.types is not None)
    assert found.ids.tolist() == expected.ids.tolist() and found.offsets.tolist() == expected.offsets.tolist()
    assert found.types is None or found.types.tolist() == expected.types.tolist()


def test_runs_go_over_every_row_of_the_spans_some_at_a_time(shards: Stored, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stored, "ROWS_AT_ONCE", 2)
    found = list(shards.runs([Span("a", 0, 3), Span("b", 4, 6)]))
    assert [(start, len(part)) for start, part in found] == [(0, 2), (2, 1), (4, 2)]
    assert joined([part for _, part in found]).ids.tolist() == [5, 6, 7, 2, 3, 4]
    assert len(shards) == 6


def test_tasks_stand_one_behind_the_other():
    assert stored.spans([("a", 2), ("b", 0), ("c", 3)]) == [Span("a", 0, 2), Span("b", 2, 2), Span("c", 2, 5)]
