"""The n-gram classifier: rows of the primary's kind score higher, and it is the regression that it says it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from fastmtl.canonical import convert
from fastmtl.methods import ScoreRequest, draw_rows, ngram_classifier
from fastmtl.plan import TaskRef

RIVER = [f"the river runs by the city {word}" for word in ("old", "new", "green", "blue", "fast", "slow")]
SHOP = [f"two late orders and a refund {word}" for word in ("price", "early", "ten", "three", "days", "shop")]


def world(folder: Path, **options: object) -> ScoreRequest:
    datasets, refs = {}, []
    for name, texts in (("primary", RIVER), ("alike", RIVER[::-1]), ("unlike", SHOP)):
        source = folder / f"{name}.csv"
        source.write_text("text,label\n" + "".join(f"{text} {name},{i % 2}\n" for i, text in enumerate(texts)))
        digest = convert(source, folder / name).digest
        datasets[digest] = folder / name
        refs.append(TaskRef(name, digest, len(texts)))
    return ScoreRequest(
        refs[0], refs[1:], seed=3, rows_seen=4, options=ngram_classifier.Options(**options), datasets=datasets
    )


def test_rows_of_the_primarys_words_score_higher_and_those_fitted_on_are_marked(tmp_path: Path):
    request = world(tmp_path)
    alike, unlike = ngram_classifier.score(request)
    assert alike.scores.min() > unlike.scores.max()
    drawn = [draw_rows(task.digest, 6, 4, 3).tolist() for task in request.auxiliary]
    assert [np.flatnonzero(each.seen).tolist() for each in (alike, unlike)] == drawn


def test_it_is_a_logistic_regression_on_tf_idf_of_words_and_letters(tmp_path: Path):
    request = world(tmp_path, inverse_regularisation=2.0)
    texts = {
        task.digest: [f"{text} {task.key}" for text in own]
        for task, own in zip([request.primary, *request.auxiliary], [RIVER, RIVER[::-1], SHOP], strict=True)
    }
    known = [texts[digest][row] for digest in texts for row in draw_rows(digest, 6, 4, 3)]
    words = TfidfVectorizer(token_pattern=r"\w+", ngram_range=(1, 2), sublinear_tf=True).fit(known)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2).fit(known)

    def features(rows: list[str]) -> np.ndarray:
        return np.hstack([words.transform(rows).toarray(), letters.transform(rows).toarray()])

    model = LogisticRegression(C=2.0, max_iter=1_000).fit(features(known), np.repeat([0, 1, 2], 4))
    for task, each in zip(request.auxiliary, ngram_classifier.score(request), strict=True):
        assert each.scores == pytest.approx(model.predict_proba(features(texts[task.digest]))[:, 0], abs=1e-4)


def test_the_same_seed_gives_the_same_bits(tmp_path: Path):
    first, again = (ngram_classifier.score(world(tmp_path)) for _ in range(2))
    assert [each.scores.tobytes() for each in first] == [each.scores.tobytes() for each in again]
