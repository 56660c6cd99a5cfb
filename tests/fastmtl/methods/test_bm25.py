"""BM25: shares against a hand-written Lucene variant, and what length and rarity do to them."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from fastmtl import words
from fastmtl.canonical import convert
from fastmtl.datasets import TaskKind
from fastmtl.methods import Scored, ScoreRequest, bm25
from fastmtl.methods.bm25 import Options
from fastmtl.plan import TaskRef
from fastmtl.words import Reader

PRIMARY = ["The river runs to the city.", "A dog, a cat; a bird.", "The dog sleeps."]
AUXILIARY = ["The cat sleeps to the river, the river.", "Refund my order!", "a bird", "sleeps dog the .", "late late ."]


def task(folder: Path, name: str, texts: list[str]) -> tuple[TaskRef, Path]:
    """Write the texts as a canonical file."""
    rows = [{"text_a": text, "label": str(row)} for row, text in enumerate(texts)]
    (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    convert(folder / f"{name}.jsonl", folder / name, kind=TaskKind.REGRESSION)
    return TaskRef(name, name, len(texts)), folder / name


def score(folder: Path, primary: list[str], *auxiliary: list[str], **options: float) -> list[Scored]:
    """Score the texts."""
    made = [task(folder, f"task-{place}", texts) for place, texts in enumerate([primary, *auxiliary])]
    first, *others = [each for each, _ in made]
    datasets = {each.digest: path for each, path in made}
    return bm25.score(ScoreRequest(first, others, options=Options(**options), datasets=datasets))


def tokens(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def lucene(primary: list[str], k1: float, b: float) -> Callable[[str, str], float]:
    """Return the score of a row, the first, for the different words of another."""
    rows = [tokens(text) for text in primary]
    mean_length = sum(len(row) for row in rows) / len(rows)

    def value(text: str, query: str) -> float:
        row, total = tokens(text), 0.0
        for word in set(tokens(query)):
            holders = sum(word in each for each in rows)
            rarity = math.log(1 + (len(rows) - holders + 0.5) / (holders + 0.5))
            times = row.count(word)
            total += rarity * times / (times + k1 * (1 - b + b * len(row) / mean_length)) if times else 0.0
        return total

    return value


@pytest.mark.parametrize(("nearest", "k1", "b"), [(1, 0.9, 0.4), (2, 1.2, 0.75), (8, 2.0, 1.0), (2, 0.0, 0.0)])
def test_the_score_is_the_mean_share_of_the_nearest_rows_by_lucenes_bm25(
    tmp_path: Path, nearest: int, k1: float, b: float
):
    found = score(tmp_path, PRIMARY, AUXILIARY[:2], AUXILIARY[2:], nearest=nearest, k1=k1, b=b)
    value = lucene(PRIMARY, k1, b)
    expected = []
    for row in AUXILIARY:
        shares = [value(known, row) / max(value(known, known), value(row, row)) for known in PRIMARY]
        best = sorted(shares, reverse=True)[:nearest]
        expected.append(sum(best) / len(best))
    assert np.concatenate([each.scores for each in found]) == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert not any(each.seen.any() for each in found)


def test_the_index_scores_as_bm25s_itself_is_on_record_to_do(tmp_path: Path):
    primary, path = task(tmp_path, "primary", PRIMARY)
    options = Options(k1=1.2, b=0.75)
    index = bm25.build(primary, Reader({"primary": path}, 3, lambda *told: None), options)
    asked = bm25.queries([["the", "dog"]], index, options)
    # bm25s 0.3.16: BM25(method="lucene", k1=1.2, b=0.75), get_scores(["the", "dog"])
    assert (asked.known @ index.weights).toarray()[0] == pytest.approx([0.28967866, 0.18688017, 0.5108735])


def test_a_row_of_the_primary_has_the_whole_share_and_a_row_without_its_words_none(tmp_path: Path):
    (found,) = score(tmp_path, PRIMARY, [*PRIMARY, "refund my order"], nearest=1)
    assert found.scores == pytest.approx([1, 1, 1, 0])


def test_a_row_gains_nothing_by_being_longer_than_what_it_shares(tmp_path: Path):
    short, long = "the dog sleeps.", "the dog sleeps. " + " ".join(f"word{place}" for place in range(40))
    (found,) = score(tmp_path, PRIMARY, [short, long], nearest=1)
    assert found.scores[0] == pytest.approx(1) and found.scores[1] < 0.2


def test_a_short_row_of_common_words_shares_less_than_one_of_rare_words(tmp_path: Path):
    (found,) = score(tmp_path, PRIMARY, ["the .", "river city"], nearest=1)
    assert found.scores[0] < found.scores[1] < 1


def test_a_word_that_the_row_repeats_is_asked_for_once(tmp_path: Path):
    primary, path = task(tmp_path, "primary", PRIMARY)
    index = bm25.build(primary, Reader({"primary": path}, 3, lambda *told: None), Options())
    asked = bm25.queries([["dog", "dog", "late", "late", "dog"]], index, Options())
    assert Counter(asked.known.toarray()[0].tolist()) == {1.0: 1, 0.0: len(index.vocabulary) - 1}


def test_the_same_texts_give_the_same_bits_however_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (whole,) = score(tmp_path, PRIMARY, AUXILIARY)
    monkeypatch.setattr(words, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(bm25, "CELLS_AT_ONCE", 1)
    (single,) = score(tmp_path, PRIMARY, AUXILIARY)
    assert np.array_equal(whole.scores, single.scores)


@pytest.mark.parametrize("options", [{"nearest": 0}, {"k1": -1}, {"b": 1.5}, {"stemmer": "english"}])
def test_settings_out_of_bounds_are_refused(options: dict[str, float]):
    with pytest.raises(ValidationError):
        Options.model_validate(options)
