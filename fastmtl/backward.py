"""Gradients whose sums have one order, so that a seed gives the same bits twice.

`make_deterministic` asks torch for that with a warning alone, so that an encoder may hold what has no such order; but
asked so, torch's attention over long rows adds up as it comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def strictly(on: bool = True) -> Iterator[None]:
    """Let an operation that knows no one order raise a RuntimeError, and every other take its own."""
    torch.use_deterministic_algorithms(True, warn_only=not on)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(True, warn_only=True)


class Backward:
    """Lays gradients down in a model, strictly until an operation of its encoder cannot."""

    def __init__(self) -> None:
        self.strict = True

    def __call__(self, loss: torch.Tensor) -> None:
        """Add the gradients of a scalar."""
        with strictly(self.strict):
            loss.backward()  # type: ignore[no-untyped-call]

    def forgives(self, error: BaseException) -> bool:
        """Whether that was such an operation: it may be called once more, and takes any order from now on."""
        forgiven = self.strict and "does not have a deterministic implementation" in str(error)
        self.strict &= not forgiven
        return forgiven
