"""The join of texts: whatever is nearly one is found, however texts are cut into parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmtl import alike
from fastmtl.alike import SHINGLE, Held

NEAR = 0.8
TEXTS = st.lists(st.text("ab ", max_size=30) | st.text(max_size=8), max_size=12)


def overlap(one: str, other: str) -> float:
    first, second = ({text[i : i + SHINGLE] for i in range(len(text) - SHINGLE + 1)} or {text} for text in (one, other))
    return len(first & second) / len(first | second)


def without_a_letter(text: str) -> set[str]:
    return {text, *(text[:place] + text[place + 1 :] for place in range(len(text)))}


def one_letter_apart(one: str, other: str) -> bool:
    """At most one letter is changed, left out or put in."""
    shorter, longer = sorted((one, other), key=len)
    changed = len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) <= 1
    return changed or (len(shorter) + 1 == len(longer) and shorter in without_a_letter(longer))


def found(held: list[str], texts: list[str], near: float = NEAR) -> set[tuple[int, int]]:
    pairs = Held(held, near).find(texts)
    listed = list(zip(pairs.texts.tolist(), pairs.held.tolist(), strict=True))
    assert listed == sorted({*listed})
    return {*listed}


def expected(held: list[str], texts: list[str], near: float = NEAR) -> set[tuple[int, int]]:
    return {
        (text, place)
        for text, one in enumerate(texts)
        for place, other in enumerate(held)
        if overlap(one, other) >= near or one_letter_apart(one, other)
    }


@given(TEXTS, TEXTS, st.sampled_from([0.5, 0.8, 0.9]))
def test_all_that_overlap_enough_or_that_one_letter_sets_apart_are_found(held, texts, near):
    assert found(held, texts, near) >= expected(held, texts, near)


@given(st.lists(st.text("ab", min_size=20, max_size=60), min_size=1, max_size=4), st.data())
def test_a_letter_in_a_text_that_repeats_itself_is_found(held, data):
    """However long it is: it has few shingles, and one letter changes many of them."""
    text = data.draw(st.sampled_from(held))
    place = data.draw(st.integers(0, len(text) - 1))
    assert (0, held.index(text)) in found(held, [text[:place] + "x" + text[place + 1 :]])


def random_texts(count: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return ["".join(map(chr, draw.integers(97, 110, draw.integers(20, 60)))) for _ in range(count)]


def test_few_others_are_found_besides():
    held, texts = random_texts(2_000, 0), random_texts(2_000, 1)
    assert len(found(held, [*held, *texts]) - {(place, place) for place in range(2_000)}) < 100


def test_more_texts_than_are_hashed_together_are_found_at_their_places():
    texts = random_texts(2**alike._OWNER_BITS + 50, 2)
    places = [0, 2**alike._OWNER_BITS - 1, 2**alike._OWNER_BITS, len(texts) - 1]
    held = [f"{texts[place]} and some more that no other has" for place in places]
    for place, text in zip(places, held, strict=True):
        texts[place] = text
    assert found(held, texts) == {(place, number) for number, place in enumerate(places)}
    assert found(texts, held) == {(number, place) for number, place in enumerate(places)}


def test_texts_that_are_counted_in_parts_are_the_same(monkeypatch):
    held = random_texts(200, 3)
    texts = [text[:20] + "x" + text[21:] for text in held]
    at_once = found(held, texts)
    monkeypatch.setattr(alike, "PAIRS_AT_ONCE", 10)
    assert found(held, texts) == at_once


@pytest.mark.parametrize(("held", "texts"), [([], []), ([], ["a"]), (["a"], []), (["abcdefgh"], ["zyxwvuts"])])
def test_nothing_is_found_where_nothing_is_alike(held, texts):
    assert found(held, texts) == set()
