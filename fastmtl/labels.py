"""The labels of a file: what they are, how often, and whether they are classes or numbers. Torch-free."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from fastmtl.errors import InvalidDataset, Problem, cut

FEW_CLASSES = 50
"""So many different integers, at most, are taken for classes."""
SURE_CLASSES = 10
"""More than so many are taken for classes with a warning."""
COMMA = re.compile(r"[+-]?\d+,\d+")
"""How many a country writes 1.5."""


class LabelCount(NamedTuple):
    """A class and how many rows carry it."""

    label: str
    rows: int


class Label(NamedTuple):
    """A label as it is kept."""

    text: str
    number: float | None
    """None where it is none."""


class Meaning(NamedTuple):
    """What labels are taken for."""

    regression: bool
    classes: tuple[str, ...]
    """In the order of their indices; none of a regression."""


class Labels:
    """Learns the labels of a file, a row at a time."""

    def __init__(self, regression: bool, max_labels: int) -> None:
        self._regression = regression
        self._max = max_labels
        self._counts: dict[str, int] = {}
        self._numbers = True
        self._integers = True
        self._low, self._high = math.inf, -math.inf

    def add(self, value: Any) -> tuple[str | None, str | None]:  # noqa: ANN401 - whatever the file held
        """Take note of a label; return (its text, None), or (None, what is wrong with it)."""
        label, wrong = self.read(value)
        if label is None:
            return None, wrong
        self.note(label)
        return label.text, None

    def read(self, value: Any) -> tuple[Label | None, str | None]:  # noqa: ANN401 - whatever the file held
        """Return (the label, None), or (None, what is wrong with it)."""
        if value is None or (isinstance(value, str) and not value.strip()):
            return None, "the label is missing"
        if not isinstance(value, (str, int, float)):
            return None, f"the label is a {type(value).__name__}, and a text or a number is needed"
        number = _number(value)
        if number is not None and not math.isfinite(number):
            return None, f"the label is {cut(str(value), 40)}, and a finite number or a class is needed"
        if number is None and self._regression:
            return None, f"the label {_short(value)} is not a number, and this is a regression"
        return Label(_text(value, number), number), None

    def note(self, label: Label, times: int = 1) -> None:
        """Take note of a label that stands in so many rows."""
        text, number = label
        if text in self._counts or len(self._counts) <= self._max:
            self._counts[text] = self._counts.get(text, 0) + times
        if number is None:
            self._numbers = False
            return
        self._integers = self._integers and number.is_integer()
        self._low, self._high = min(self._low, number), max(self._high, number)

    def settle(self, regression: bool | None) -> tuple[bool, tuple[str, ...]]:
        """Return whether the labels are numbers to be predicted, and what the user should know of that guess.

        Raises InvalidDataset where there are too few or too many classes.
        """
        warnings: list[str] = []
        kinds = len(self._counts)
        if regression is None:
            regression = self._are_amounts()
            if self._numbers and self._integers and kinds > SURE_CLASSES:
                guess = ("classes; kind=regression", "numbers to be predicted; kind=classification")[regression]
                warnings.append(f"the labels are {kinds} different integers, taken for {guess} says otherwise")
        if regression:
            if self._low == self._high:
                warnings.append(f"every label is {self._low:g}: there is nothing to learn from them")
            return True, tuple(warnings)
        if not self._numbers and all(COMMA.fullmatch(each) or _number(each) is not None for each in self._counts):
            warnings.append("the labels look like numbers with a comma, and are taken for classes: write 1.5, not 1,5")
        if kinds > self._max:
            raise InvalidDataset(
                [
                    Problem(
                        f"more than {self._max:,} different labels: too many classes. If they are numbers to be "
                        "predicted, kind=regression tells which row holds something else",
                        field="label",
                    )
                ]
            )
        if kinds < 2:
            only = next(iter(self._counts))
            raise InvalidDataset(
                [
                    Problem(
                        f"one class only, {_short(only)}: a classification needs at least 2; add rows of another "
                        "class, or say with label which column holds the classes",
                        field="label",
                    )
                ]
            )
        return False, tuple(warnings)

    def meaning(self, regression: bool | None) -> Meaning:
        """Return what the labels so far are taken for, as `settle` has it if they are all.

        Once another one makes that untrue it stays so, whatever follows.
        """
        if regression is None:
            regression = self._are_amounts()
        return Meaning(regression, () if regression else self.classes())

    def classes(self) -> tuple[str, ...]:
        """Return the classes in the order of their indices: numbers rising, else texts sorted."""
        return tuple(sorted(self._counts, key=float if self._numbers else None))

    def counts(self) -> tuple[LabelCount, ...]:
        """Return how many rows each class has, in the same order."""
        return tuple(LabelCount(name, self._counts[name]) for name in self.classes())

    def range(self) -> tuple[float, float]:
        """Return the lowest and the highest label of a regression."""
        return self._low, self._high

    def _are_amounts(self) -> bool:
        return self._numbers and (not self._integers or len(self._counts) > FEW_CLASSES)


def _number(value: str | int | float) -> float | None:
    """Return the label as a number; None where it is none (Python's `1_000` is none)."""
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _text(value: str | int | float, number: float | None) -> str:
    """Return the label as text: 1, 1.0 and "1.0" are the same label."""
    if isinstance(value, bool):
        return str(value).lower()
    if number is None:
        return str(value).strip()
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def _short(value: object) -> str:
    return repr(cut(str(value), 40))
