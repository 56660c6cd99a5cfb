"""What is told of a dataset's rows as a whole (fastmtl/tally.py learns it). Torch-free."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lengths:
    """Characters of a row, both texts together."""

    mean: float
    median: float
    p95: float
    longest: int


@dataclass(frozen=True)
class Example:
    """A row, its texts cut short."""

    row: int
    text_a: str
    text_b: str | None
    label: str | float
