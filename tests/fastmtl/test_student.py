"""The student: its guesses set against the same ridge regression by scikit-learn, on features written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from fastmtl import student
from fastmtl.student import Student
from fastmtl.tokens import Tokens

WORDS, WIDTH = 30, 4
EMBEDDINGS = np.random.default_rng(5).normal(size=(WORDS, WIDTH)).astype(np.float32)
ROWS = st.lists(st.lists(st.integers(0, WORDS - 1), max_size=6), min_size=1, max_size=8)


def tokens(rows: list[list[int]], seconds: list[int] | None = None) -> Tokens:
    """Rows of ids; of row i the last `seconds[i]` tokens are of its second text."""
    lengths = [len(row) for row in rows]
    types = None
    if seconds is not None:
        types = np.concatenate([np.arange(n) >= n - m for n, m in zip(lengths, seconds, strict=True)]).astype(np.uint8)
    ids = np.array([each for row in rows for each in row], dtype=np.int32)
    return Tokens(ids, types, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), 0)


def drawn(rows: int, seed: int = 0) -> Tokens:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 9, rows)
    return tokens([draw.integers(0, WORDS, n).tolist() for n in lengths], [int(n) // 2 for n in lengths])


def by_hand(read: Tokens) -> np.ndarray:
    """The student's features as one wide table, [n, F + D], scaled as it scales them."""
    seen = student.features(read, EMBEDDINGS)
    dense = seen.dense.astype(np.float64)
    dense = (dense - dense.mean(0)) / dense.std(0) * np.sqrt(student.DENSE_SQUARE / dense.shape[1])
    return np.concatenate([dense, seen.grams.toarray()[:, np.unique(seen.grams.indices)]], 1)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(student, "PRECISION", 1e-7)


def test_a_row_shows_the_mean_of_its_words_and_how_long_its_texts_are():
    dense = student.features(tokens([[1, 2, 2], [7]], [1, 0]), EMBEDDINGS).dense
    means = np.stack([(EMBEDDINGS[1] + 2 * EMBEDDINGS[2]) / 3, EMBEDDINGS[7]])
    assert dense[:, :WIDTH] == pytest.approx(means, abs=1e-6)
    assert dense[:, WIDTH:] == pytest.approx(np.log([[4, 2], [2, 1]]))  # 1 + 3 tokens, 1 + 1 of the second text; ...


def test_a_row_shows_its_tokens_and_pairs_of_neighbours_each_by_the_root_of_their_number():
    grams = student.features(tokens([[3, 4, 3], [4], []]), EMBEDDINGS).grams
    assert np.diff(grams.indptr).tolist() == [5, 1, 0]  # 3 tokens and 2 pairs; 1 token; nothing
    assert [grams[row].data.tolist() for row in (0, 1)] == [pytest.approx([5**-0.5] * 5), [1]]
    third, fourth, again, forth, back = grams[0].indices.tolist()
    assert third == again and forth != back and grams[1].indices.tolist() == [fourth]


def test_the_same_token_in_the_second_text_is_another():
    one, other = (student.features(tokens([[3]], [second]), EMBEDDINGS).grams for second in (0, 1))
    assert one.indices.tolist() != other.indices.tolist()


@given(ROWS)
def test_a_rows_features_do_not_depend_on_its_neighbours(rows: list[list[int]]):
    alone = student.joined([student.features(tokens([row]), EMBEDDINGS) for row in rows])
    together = student.features(tokens(rows), EMBEDDINGS)
    assert np.allclose(alone.dense, together.dense, atol=1e-6)
    assert (alone.grams != together.grams).nnz == 0


def test_the_fit_is_the_ridge_regression_of_its_features(exact):
    read, taught = drawn(60), np.random.default_rng(1).normal(size=60)
    fitted = student.fit(student.features(read, EMBEDDINGS), taught, EMBEDDINGS)
    expected = Ridge(alpha=student.PENALTY).fit(by_hand(read), taught).predict(by_hand(read))
    assert student.guess(fitted.student, read) == pytest.approx(expected, abs=1e-4)


def test_a_row_that_was_left_out_is_guessed_by_a_regression_on_the_others(exact):
    read, taught = drawn(60), np.random.default_rng(1).normal(size=60)
    seen, wide, folds = student.features(read, EMBEDDINGS), by_hand(read), np.arange(60) % 4 - 1
    weights = student.fit(seen, taught, EMBEDDINGS).weights
    expected = np.full(60, np.nan)
    for fold in range(3):
        regression = Ridge(alpha=student.PENALTY).fit(wide[folds != fold], taught[folds != fold])
        expected[folds == fold] = regression.predict(wide[folds == fold])
    assert student.left_out(seen, taught, weights, folds, 3) == pytest.approx(expected, abs=1e-4, nan_ok=True)


def test_the_same_rows_give_the_same_bits():
    read, taught = drawn(40), np.random.default_rng(1).normal(size=40)
    fits = [student.fit(student.features(read, EMBEDDINGS), taught, EMBEDDINGS) for _ in range(2)]
    assert len({student.guess(each.student, read).tobytes() for each in fits}) == 1


def test_what_does_not_vary_over_the_rows_says_nothing():
    read = tokens([[1, 2], [2, 1], [1, 2]])  # all of one length, without a second text
    fitted = student.fit(student.features(read, EMBEDDINGS), np.array([1.0, 2.0, 3.0]), EMBEDDINGS)
    assert fitted.student.lengths.tolist() == [0, 0] and not fitted.student.words.any()


def test_a_row_without_tokens_gets_the_bias():
    made = Student(np.ones(WORDS, np.float32), np.ones(2, np.float32), np.ones(student.BUCKETS, np.float32), 0.5)
    # row 0: a mean of 1, log(1 + 1) of its length, 1 n-gram / root 1, and the bias
    assert student.guess(made, tokens([[3], []])) == pytest.approx([1 + np.log(2) + 1 + 0.5, 0.5])


@pytest.mark.parametrize(("probability", "taught"), [(0.5, 0.0), (0.75, np.log(3)), (0.0, -13.8155), (1.0, 13.8155)])
def test_what_is_taught_is_a_logit_that_is_never_infinite(probability: float, taught: float):
    assert student.logits(np.array([probability], np.float32)) == pytest.approx([taught], rel=1e-4)
