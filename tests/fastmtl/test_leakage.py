"""Leaks: every planted one is found, and nothing that is not one."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmtl.alike import SHINGLE
from fastmtl.leakage import NEAR, ROWS_AT_ONCE, Leak, LeakGuard, normalise, overlap, similarity

WORDS = [
    "".join(random.Random(seed).choices(string.ascii_lowercase, k=2 + seed % 9)) for seed in range(400)
]  # as many words as a small vocabulary, of the lengths of English ones


def sentences(count: int, seed: int, words: int = 18) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=words)) for _ in range(count)]


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    return list(zip(sentences(count, seed), sentences(count, seed + 1, words=8), strict=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("The cat sat.", None), ("the cat  sat", None)),
        (("A b", "C d"), ("c-d!", "a, b")),
        (("ＡＢＣ １２３", None), ("abc 123", None)),
        (("Straße", None), ("STRASSE", None)),
    ],
)
def test_case_punctuation_width_and_the_order_of_a_pair_do_not_count(one, other):
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"), [(("a b", None), ("ab", None)), (("a", "b"), ("a b", None)), (("!!", None), ("??", None))]
)
def test_words_singles_and_texts_of_mere_punctuation_do_count(one, other):
    assert normalise(one) != normalise(other)


@given(st.lists(st.tuples(st.text(min_size=1), st.none() | st.text(min_size=1)), min_size=1))
def test_every_row_leaks_into_itself(rows):
    assert [leak and leak.similarity for leak in LeakGuard(rows, near=True).find(rows)] == [1.0] * len(rows)


@given(st.text(), st.text())
def test_overlap_is_the_share_of_shingles_that_both_have(one, other):
    def shingles(text: str) -> set[str]:
        return {text[i : i + SHINGLE] for i in range(len(text) - SHINGLE + 1)} or {text}

    both, any_ = shingles(one) & shingles(other), shingles(one) | shingles(other)
    assert overlap((one,), (other,)) == len(both) / len(any_) == overlap((other,), (one,))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("abcdefghij", "abcdexghij", 0.9),  # changed: 1 - 1/10
        ("abcdefghij", "abcdefghi", 0.9),  # left out
        ("bcdefghij", "abcdefghij", 0.9),  # put in
        ("abcdefghij", "abcdxxghij", 0.0),  # two letters: no run of five is left
        ("ab", "ac", 0.5),
        ("a", "b", 0.0),
    ],
)
def test_one_letter_makes_short_texts_no_others(one, other, expected):
    assert similarity((one,), (other,)) == similarity((other,), (one,)) == pytest.approx(expected)


@given(st.text("abc ", min_size=5, max_size=70), st.data())
def test_a_row_with_one_wrong_letter_is_always_found(text, data):
    place = data.draw(st.integers(0, len(text) - 1))
    row = (text[:place] + "x" + text[place + 1 :], None)
    (leak,) = LeakGuard([(text, None)], near=True).find([row])
    near = similarity(normalise(row), normalise((text, None))) >= NEAR
    assert (leak is not None) == near


def test_of_a_pair_both_texts_must_be_alike_in_either_order():
    premise, one, other = sentences(3, seed=1)
    assert similarity((premise, one), (premise, other)) < 0.2
    assert similarity((premise, one), (one, premise)) == 1.0
    assert similarity((premise, one), (premise,)) == 0.0


@pytest.mark.parametrize("rows", [[(text, None) for text in sentences(500, seed=3)], pairs(500, seed=3)])
def test_all_planted_leaks_are_found_at_their_rows_and_nothing_else(rows):
    """Copies in capitals, turned round, and with a typing error, among as many rows that are none."""
    held, others = rows[:250], rows[250:]
    capitals = [(a.upper() + "!", b and b.upper()) for a, b in held]
    turned = [(b or a, a if b else None) for a, b in held]
    mistyped = [(a[:20] + "x" + a[21:], b) for a, b in held]
    found = list(LeakGuard(held, near=True).find([*capitals, *turned, *mistyped, *others]))
    expected = [*range(250)] * 3 + [None] * 250
    assert [leak and leak.held_row for leak in found] == expected
    assert all(leak.similarity == 1.0 for leak in found[:500])
    assert all(leak.similarity >= NEAR for leak in found[500:750])


TEXTS = st.text("ab .", max_size=12)


@given(st.lists(st.tuples(TEXTS, TEXTS | st.none())), st.lists(st.tuples(TEXTS, TEXTS | st.none())))
def test_the_best_match_is_that_of_a_comparison_with_every_row(held, rows):
    keys = [normalise(row) for row in held]
    expected = []
    for key in map(normalise, rows):
        found = [Leak(number, 1.0 if key == other else similarity(key, other)) for number, other in enumerate(keys)]
        best = max(found, key=lambda leak: (leak.similarity, -leak.held_row), default=None)
        expected.append(best if best and best.similarity >= NEAR else None)
    assert list(LeakGuard(held, near=True).find(rows)) == expected


@given(st.text())
def test_texts_of_ascii_alone_are_normalised_like_others(text):
    """A text of ASCII alone goes a way of its own, which leaves the same of it."""
    ascii_alone = text.encode("ascii", "ignore").decode()
    ((alone,), (among,)) = normalise((ascii_alone, None)), normalise((ascii_alone + " \u00e9", None))
    assert among == f"{alone} \u00e9".strip() or not any(letter.isalnum() for letter in ascii_alone)


def test_rows_are_found_wherever_they_stand_among_many():
    held = [(text, None) for text in sentences(30, seed=5)]
    rows = [(text, None) for text in sentences(2 * ROWS_AT_ONCE + 1, seed=6, words=6)]
    places = [0, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE]
    for place, row in zip(places, held, strict=False):
        rows[place] = row
    found = list(LeakGuard(held, near=True).find(rows))
    assert [place for place, leak in enumerate(found) if leak] == places
    assert [found[place].held_row for place in places] == [0, 1, 2, 3]


def test_without_near_only_equal_texts_are_found():
    guard = LeakGuard([("the old cat sat on the mat", None)], near=False)
    assert list(guard.find([("The old cat sat on the mat.", None), ("the old cat sat on a mat", None)])) == [
        Leak(0, 1.0),
        None,
    ]


def test_the_first_of_equal_held_out_rows_is_named():
    guard = LeakGuard([("b", None), ("a", None), ("A", None)], near=True)
    assert list(guard.find([("a!", None)])) == [Leak(1, 1.0)]


def test_no_held_out_rows_are_no_leaks():
    assert list(LeakGuard([], near=True).find([("a", None)])) == [None]
