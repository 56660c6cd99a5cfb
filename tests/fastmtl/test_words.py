"""Words: what one is, how a data set's are streamed, and n-grams against their definition."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmtl import words
from fastmtl.canonical import convert
from fastmtl.plan import silent
from fastmtl.words import Reader, grams

ROWS = st.lists(st.lists(st.sampled_from(["a", "b", "c", "!"]), max_size=6), max_size=6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good muffins cost $3.88.", ["good", "muffins", "cost", "$", "3", ".", "88", "."]),
        ("isn't it late?!", ["isn", "'", "t", "it", "late", "?!"]),
        ("  GRÖSSE\n3_b ", ["grösse", "3_b"]),
        (" \t", []),
    ],
)
def test_words_are_runs_of_letters_or_of_other_marks_in_lower_case(text: str, expected: list[str]):
    assert words.words(text) == expected


def stored(folder: Path, rows: list[dict[str, str]]) -> Path:
    """Return the canonical file of some rows, all of one class or the other."""
    source = folder / "rows.jsonl"
    source.write_text("\n".join(json.dumps({**row, "label": str(place % 2)}) for place, row in enumerate(rows)))
    convert(source, folder / "canonical")
    return folder / "canonical"


def test_the_two_texts_of_a_pair_count_as_one(tmp_path: Path):
    path = stored(tmp_path, [{"text_a": "A cat.", "text_b": "It sat"}, {"text_a": "One", "text_b": "two"}])
    assert list(Reader({"d": path}, 2, silent).batches("d")) == [[["a", "cat", ".", "it", "sat"], ["one", "two"]]]


def test_rows_are_read_in_order_in_batches_and_the_progress_is_told(tmp_path: Path):
    path = stored(tmp_path, [{"text_a": f"row {place}"} for place in range(words.ROWS_AT_ONCE + 1)])
    told: list[tuple[int, int, str]] = []
    reader = Reader({"d": path}, 9_000, lambda done, total, unit, message="": told.append((done, total, unit)))
    batches = list(reader.batches("d"))
    assert [row for batch in batches for row in batch] == [["row", str(n)] for n in range(words.ROWS_AT_ONCE + 1)]
    assert ([len(batch) for batch in batches], told) == (
        [words.ROWS_AT_ONCE, 1],
        [(words.ROWS_AT_ONCE, 9_000, "rows"), (words.ROWS_AT_ONCE + 1, 9_000, "rows")],
    )


@given(ROWS, st.integers(1, 3))
def test_all_n_grams_of_a_row_are_found_as_often_as_they_stand_there(rows: list[list[str]], longest: int):
    asked: list[str] = []
    found = grams(rows, longest, lambda gram: asked.append(gram) or len(asked) - 1)
    expected = Counter(
        (place, " ".join(row[start : start + length]))
        for place, row in enumerate(rows)
        for length in range(1, longest + 1)
        for start in range(len(row) - length + 1)
    )
    named = [asked[each] for each in found.ids.tolist()]
    assert Counter(zip(found.rows.tolist(), named, strict=True)) == expected


def test_an_n_gram_is_identified_once_a_batch_however_often_it_stands_there():
    asked: list[str] = []
    grams([["a", "b", "a", "b"], ["a", "b"]], 2, lambda gram: asked.append(gram) or 0)
    assert sorted(asked) == ["a", "a b", "b", "b a"]
