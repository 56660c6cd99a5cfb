"""Pages of a job's rows: the right ones, in the right order, with what they say and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from looked_at import CHOSEN, job_files

from app.job_rows import Asked, page_below, page_of_chosen
from app.schemas_looks import RowPage, RowSort
from fastmtl.errors import InvalidConfig


def named(page: RowPage) -> list[tuple[str, int]]:
    return [(each.dataset, each.row) for each in page.items]


BEST = [("shops", 1), ("animals", 0), ("animals", 2)]


@pytest.mark.parametrize(
    ("asked", "rows", "total"),
    [
        (Asked(0, 10), BEST, 3),
        (Asked(1, 1), BEST[1:2], 3),
        (Asked(5, 10), [], 3),
        (Asked(0, 10, descending=True), BEST[::-1], 3),
        (Asked(0, 10, sort=RowSort.SCORE), BEST[::-1], 3),
        (Asked(0, 10, sort=RowSort.PERCENTILE, descending=True), BEST, 3),
        (Asked(0, 10, sort=RowSort.DATASET), [BEST[1], BEST[2], BEST[0]], 3),  # equal ones by rank
        (Asked(0, 10, sort=RowSort.DATASET, descending=True), BEST, 3),
        (Asked(0, 10, sort=RowSort.ROW), [BEST[1], BEST[0], BEST[2]], 3),
        (Asked(0, 10, dataset="animals"), BEST[1:], 2),
        (Asked(0, 10, text="CAT"), BEST, 3),
        (Asked(0, 10, text="order"), BEST[:1], 1),
        (Asked(0, 10, text=".*"), [], 0),  # a text, not a pattern
        (Asked(0, 10, dataset="shops", text="cat 0"), [], 0),
    ],
)
def test_chosen_rows_are_sorted_filtered_and_paged(tmp_path: Path, asked: Asked, rows: list, total: int):
    page = page_of_chosen(job_files(tmp_path), asked)
    assert (named(page), page.total, page.offset) == (rows, total, asked.offset)


def test_a_row_says_what_it_is_and_why_it_was_chosen(tmp_path: Path):
    (row,) = page_of_chosen(job_files(tmp_path), Asked(0, 1)).items
    near = {"text_b": None, "similarity": 0.5, "row": 1, "text_a": "mine 1", "label": "no"}
    assert row.model_dump(exclude={"dataset_id", "score", "nearest"}) == {
        **{"rank": 1, "dataset": "shops", "row": 1, "percentile": 100.0},
        **{"text_a": "order 1 by cat", "text_b": None, "label": 0.75},
    }
    assert (row.score, [each.row for each in row.nearest]) == (pytest.approx(0.95), [1, 0])
    assert row.nearest[0].model_dump() == near


def test_without_explanations_a_row_has_none(tmp_path: Path):
    files = job_files(tmp_path, explained=False)
    (row,) = page_of_chosen(files, Asked(1, 1)).items
    assert (row.percentile, row.nearest, row.label) == (None, [], "c0")
    with pytest.raises(InvalidConfig, match="no percentile to sort by"):
        page_of_chosen(files, Asked(0, 1, sort=RowSort.PERCENTILE))


BELOW = [("shops", 2), ("animals", 3), ("shops", 4), ("shops", 0), ("animals", 1), ("shops", 5)]
"""0.6, 0.4, 0.3, 0.2, 0.1, 0; without what is chosen, has no score, trained the method (shops 3) or is a leak."""


@pytest.mark.parametrize(
    ("asked", "rows", "total"),
    [
        (Asked(0, 10), BELOW, 6),
        (Asked(2, 2), BELOW[2:4], 6),
        (Asked(0, 10, dataset="animals"), [BELOW[1], BELOW[4]], 2),
        (Asked(9, 10), [], 6),
    ],
)
def test_the_rows_that_just_missed_come_best_first(tmp_path: Path, asked: Asked, rows: list, total: int):
    page = page_below(job_files(tmp_path), asked)
    assert (named(page), page.total) == (rows, total)
    assert {(each.rank, each.percentile) for each in page.items} <= {(None, None)}


def test_rows_that_trained_the_method_just_missed_where_they_may_be_chosen(tmp_path: Path):
    page = page_below(job_files(tmp_path, seen_rows="include"), Asked(0, 3))
    assert named(page) == [("shops", 2), ("shops", 3), ("animals", 3)]  # 0.6 twice: the first row first


@pytest.mark.parametrize(
    ("chosen", "above"),
    [
        (CHOSEN, 0),  # the lowest has 0.8, and the best of the others 0.6
        ((("shops", 1, 0.95), ("animals", 3, 0.4)), 3),  # 0.9, 0.8 and 0.6
        ((("shops", 1, 0.95), ("shops", 2, 0.6)), 2),  # 0.9 and 0.8; animals 5 has 0.7 and is a leak
    ],
)
def test_rows_that_score_higher_than_a_chosen_one_and_were_left_are_counted(tmp_path: Path, chosen: tuple, above: int):
    assert page_below(job_files(tmp_path, explained=False, chosen=chosen), Asked(0, 1)).above_cut == above


@pytest.mark.parametrize("page", [page_of_chosen, page_below])
def test_a_dataset_that_the_job_does_not_have_is_refused(tmp_path: Path, page):
    with pytest.raises(InvalidConfig, match="no auxiliary dataset 'primary'; it has animals, shops"):
        page(job_files(tmp_path), Asked(0, 1, dataset="primary"))
