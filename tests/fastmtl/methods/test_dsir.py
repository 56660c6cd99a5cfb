"""DSIR: log importance weights against their definition, and against those of the authors' package."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from data_selection import HashedNgramDSIR
from pydantic import ValidationError

from fastmtl import words
from fastmtl.canonical import convert
from fastmtl.datasets import TaskKind
from fastmtl.methods import Scored, ScoreRequest, dsir
from fastmtl.methods.dsir import Options
from fastmtl.plan import TaskRef

PRIMARY = ["The river runs. The river sings!", "A dog, a cat; a bird."]
AUXILIARY = ["The cat sings to the river.", "Refund my order #12, please!", "a bird", "The dog isn't late… Größe 3.5"]

AS_THE_PACKAGE = {"smoothing": 1e-8, "per_ngram": False}
"""What makes our weights those of data-selection."""


def score(folder: Path, primary: list[str], auxiliary: list[list[str]], **options: float) -> list[Scored]:
    """Write the texts as canonical files and score them."""
    datasets, tasks = {}, []
    for place, texts in enumerate([primary, *auxiliary]):
        source, target = folder / f"{place}.jsonl", folder / f"{place}.parquet"
        rows = [{"text_a": text, "label": str(row)} for row, text in enumerate(texts)]
        source.write_text("\n".join(json.dumps(row) for row in rows))
        convert(source, target, kind=TaskKind.REGRESSION)
        tasks.append(TaskRef(f"task {place}", f"digest {place}", len(texts)))
        datasets[f"digest {place}"] = target
    return dsir.score(ScoreRequest(tasks[0], tasks[1:], options=Options(**options), datasets=datasets))


def by_definition(
    primary: list[str], auxiliary: list[str], ngrams: int, buckets: int, smoothing: float, per_ngram: bool
) -> list[float]:
    def hashed(text: str) -> list[int]:
        tokens = re.findall(r"\w+|[^\w\s]+", text.lower())
        found = [" ".join(tokens[i : i + n]) for n in range(1, ngrams + 1) for i in range(len(tokens) - n + 1)]
        return [int(hashlib.sha256(each.encode()).hexdigest(), 16) % buckets for each in found]

    target = Counter(each for text in primary for each in hashed(text))
    raw = Counter(each for text in auxiliary for each in hashed(text))
    result = []
    for text in auxiliary:
        terms = [
            math.log(target[each] / target.total() + smoothing) - math.log(raw[each] / raw.total() + smoothing)
            for each in hashed(text)
        ]
        result.append(math.fsum(terms) / (len(terms) if per_ngram else 1))
    return result


@pytest.mark.parametrize(
    "options",
    [
        Options().model_dump(),
        {"ngrams": 1, "buckets": 20, "smoothing": 1e-3, "per_ngram": True},
        {"ngrams": 3, "buckets": 500, "smoothing": 1e-8, "per_ngram": False},
    ],
)
def test_scores_are_log_importance_weights(tmp_path: Path, options: dict[str, float]):
    found = score(tmp_path, PRIMARY, [AUXILIARY[:1], AUXILIARY[1:]], **options)
    assert np.concatenate([each.scores for each in found]) == pytest.approx(
        by_definition(PRIMARY, AUXILIARY, **options), rel=1e-5
    )
    assert not any(each.seen.any() for each in found)


# What data-selection 1.0.3 gives for these texts, fitted on all tokens.
@pytest.mark.parametrize(
    ("ngrams", "buckets", "expected"),
    [
        (2, 10_000, [-82.8427076635156, -186.43852583769694, 2.555134922680176, -259.3988177907708]),
        (3, 50, [-84.53365931433473, -142.27287139138457, 0.8346465928336668, -210.7152021230707]),
    ],
)
def test_weights_are_those_recorded_of_the_authors_package(
    tmp_path: Path, ngrams: int, buckets: int, expected: list[float]
):
    (found,) = score(tmp_path, PRIMARY, [AUXILIARY], ngrams=ngrams, buckets=buckets, **AS_THE_PACKAGE)
    assert found.scores.tolist() == pytest.approx(expected, abs=1e-4)


def test_weights_are_those_of_the_authors_package(tmp_path: Path):
    for name, texts in (("target", PRIMARY), ("raw", AUXILIARY)):
        (tmp_path / name).write_text("\n".join(json.dumps({"text": text}) for text in texts))
    theirs = HashedNgramDSIR(
        [str(tmp_path / "raw")], [str(tmp_path / "target")], str(tmp_path / "cache"), num_proc=1, num_buckets=777
    )
    theirs.fit_importance_estimator()
    theirs.compute_importance_weights()
    expected = np.load(tmp_path / "cache" / "log_importance_weights" / "0.npy")
    (found,) = score(tmp_path, PRIMARY, [AUXILIARY], buckets=777, **AS_THE_PACKAGE)
    assert np.allclose(found.scores, expected, rtol=0, atol=1e-4)


def test_a_row_that_is_repeated_within_itself_is_not_better_for_its_length(tmp_path: Path):
    once, often = "the river", " ".join(["the river"] * 50)
    (mean,) = score(tmp_path, PRIMARY, [[once, often, "refund"]], ngrams=1)
    (total,) = score(tmp_path, PRIMARY, [[once, often, "refund"]], ngrams=1, per_ngram=False)
    assert mean.scores[0] == pytest.approx(mean.scores[1])
    assert total.scores[1] == pytest.approx(50 * total.scores[0])


def test_the_same_texts_give_the_same_bits_however_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (whole,) = score(tmp_path, PRIMARY, [AUXILIARY])
    monkeypatch.setattr(words, "ROWS_AT_ONCE", 1)
    (single,) = score(tmp_path, PRIMARY, [AUXILIARY])
    assert np.array_equal(whole.scores, single.scores)


@pytest.mark.parametrize(
    "options", [{"ngrams": 4}, {"ngrams": 0}, {"buckets": 0}, {"smoothing": 0}, {"per_word": True}]
)
def test_settings_out_of_bounds_are_refused(options: dict[str, float]):
    with pytest.raises(ValidationError):
        Options.model_validate(options)
