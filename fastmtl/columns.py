"""Which column of a user's file holds what: as said, else by the usual names. Torch-free."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from fastmtl.errors import InvalidDataset, Problem, cut

LABELS = ("label", "labels", "target", "score", "class", "gold_label", "similarity", "category", "rating", "y")
PAIRS = (
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "answer"),
    ("text1", "text2"),
    ("query", "passage"),
)
SINGLES = ("text", "sentence", "text_a", "sentence1", "review", "content", "question", "premise", "document", "title")

NO_HEADER = ". If that first line is a row, write a header above it, such as text,label"
MAX_NEAR_CHARS = 100
"""Longer names are not compared with what was asked for: that takes as long as both are long."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns that hold the text, the second text of a pair, and the label; None is to be inferred."""

    text_a: str | None = None
    text_b: str | None = None
    label: str | None = None


def resolve(given: Columns, there: Sequence[str]) -> Columns:
    """Return the columns by name; `text_b` is None for single texts.

    Raises InvalidDataset that lists the columns there are. Where the user names text_a alone, the file holds single
    texts; usual names are matched without regard to case.
    """
    problems = [
        Problem(f"there is no column {name!r}{_near(name, there)}; {_listed(there)}", field=role)
        for role, name in (("text_a", given.text_a), ("text_b", given.text_b), ("label", given.label))
        if name is not None and name not in there
    ]
    if problems:
        raise InvalidDataset(problems)
    text_a, text_b = _texts(given, there)
    label = given.label or _first(LABELS, there)
    if text_a is None:
        told = f"no column is known as the text: name it with text_a; {_listed(there)}{NO_HEADER}"
        problems.append(Problem(told, "text_a"))
    if label is None:
        problems.append(Problem(f"no column is known as the label: name it with label; {_listed(there)}", "label"))
    roles = [name for name in (text_a, text_b, label) if name is not None]
    problems += [
        Problem(f"column {name!r} cannot be two of text_a, text_b and label", field=name)
        for name in dict.fromkeys(roles)
        if roles.count(name) > 1
    ]
    if problems:
        raise InvalidDataset(problems)
    return Columns(text_a, text_b, label)


def _texts(given: Columns, there: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the text columns; a pair of usual names is preferred to a single one."""
    if given.text_a:
        return given.text_a, given.text_b
    free = [name for name in there if name not in (given.text_b, given.label)]
    for first, second in PAIRS:
        text_a, text_b = _first((first,), free), given.text_b or _first((second,), free)
        if text_a and text_b:
            return text_a, text_b
    return _first(SINGLES, free), given.text_b


def _first(names: Sequence[str], there: Sequence[str]) -> str | None:
    """Return the column that goes by the first of the usual names that is there."""
    lower = {name.strip().lower(): name for name in reversed(there)}
    return next((lower[name] for name in names if name in lower), None)


def _near(name: str, there: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, [each for each in there if len(each) <= MAX_NEAR_CHARS], n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _listed(there: Sequence[str]) -> str:
    more = f" and {len(there) - 20} more" if len(there) > 20 else ""
    return f"the columns are {', '.join(repr(cut(name)) for name in there[:20])}{more}"
