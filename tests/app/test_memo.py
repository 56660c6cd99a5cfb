"""What was made once is not made again, and not all of it is kept."""

from __future__ import annotations

from app.memo import Memo


def test_the_least_used_is_forgotten_first():
    memo, made = Memo(kept=2), []

    def make(name: str) -> str:
        return memo.get((name,), lambda: made.append(name) or name.upper())  # type: ignore[func-returns-value]

    assert [make(name) for name in "abacab"] == ["A", "B", "A", "C", "A", "B"]
    assert made == ["a", "b", "c", "b"]  # c took the place of b, for a had been asked for since
