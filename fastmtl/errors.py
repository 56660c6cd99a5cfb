"""What can go wrong in the science, one class a cause.

FastMTLError                      everything below; `str(error)` is a sentence for the user
├── InvalidDataset                a file cannot become a dataset; carries every `Problem` found, by row
├── InvalidConfig                 a setting is unknown, out of bounds or contradicts another; names the field
│   ├── UnknownName               no such encoder, method, selector ...; lists those there are
│   └── BudgetTooLarge            more rows asked for than are eligible; says how many are
├── NotOnHub                      a data set of the hub is not there, or not for whoever asks; says what to do
├── HubUnavailable                the hub cannot be reached, or does not answer as it should
├── EncoderUnavailable            the encoder cannot be loaded; says what to do about it
├── NotEnoughMemory               the step does not fit in this machine's memory; says what to change
└── DamagedArtifact               a stored file is missing or not what its manifest says
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


def cut(text: str, longest: int = 60) -> str:
    """Return a text of at most so many characters: what a file holds is told, but not all of it."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


class FastMTLError(Exception):
    """Something went wrong that the user can understand and mend."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file, where it is, and what would be right.

    `row` counts data rows from 0, as `pandas.DataFrame.iloc` does; `line` counts lines of the file from 1, header
    included. Both are None where the whole file is meant, `line` also where the format has no lines (Parquet).
    """

    message: str
    field: str | None = None
    row: int | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Put the place before the message: `row 3 (line 5), column 'label': ...`."""
        place = [] if self.row is None else [f"row {self.row}" + (f" (line {self.line})" if self.line else "")]
        place += [f"column {self.field!r}"] if self.field else []
        return f"{', '.join(place)}: {self.message}" if place else self.message


class InvalidDataset(FastMTLError):
    """The file cannot become a dataset.

    `problems` are the first ones found, in file order; `total` counts all of them where counting could go on.
    """

    def __init__(self, problems: Iterable[Problem], total: int | None = None) -> None:
        self.problems = tuple(problems)
        self.total = len(self.problems) if total is None else total
        more = self.total - 1
        super().__init__(f"{self.problems[0]}" + (f" (and {more} more)" if more else ""))


class InvalidConfig(FastMTLError):
    """A setting cannot be used. `field` is its dotted path, as in the request body."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class UnknownName(InvalidConfig):
    """No such encoder, method, selector or arm; the message lists those there are and the nearest one."""

    def __init__(self, field: str, name: str, known: Iterable[str]) -> None:
        self.known = tuple(sorted(known))
        near = difflib.get_close_matches(name, self.known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(field, f"{name!r} is not known here.{hint} Known: {', '.join(self.known)}.")


class BudgetTooLarge(InvalidConfig):
    """More rows are asked for than are eligible."""

    def __init__(self, budget: int, eligible: int, seen: int, leaked: int = 0) -> None:
        self.eligible = eligible
        kept = []
        if seen:
            kept.append(
                f"{seen:,} rows that train the discriminator are not; seen_rows='include' or a smaller"
                " discriminator.rows_per_task makes them so"
            )
        if leaked:
            kept.append(f"{leaked:,} rows that also stand among the rows that are measured on are not")
        reasons = f" ({'; '.join(kept)})" if kept else ""
        super().__init__("config.budget", f"a budget of {budget:,} rows, but only {eligible:,} are eligible{reasons}.")


class NotOnHub(FastMTLError):
    """There is no such data set, part, split or revision on the hub, or the token may not read it."""


class HubUnavailable(FastMTLError):
    """The hub cannot be reached, is busy, or answers what it should not; the local cache does not help."""


class EncoderUnavailable(FastMTLError):
    """The encoder cannot be loaded."""


class NotEnoughMemory(FastMTLError):
    """The step needs more memory than this machine has free, said before it starts or seen at its smallest batch."""


class DamagedArtifact(FastMTLError):
    """A stored file is missing or is not what its manifest says."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: Python's, torch's on a CPU or a GPU, or that of a library below torch.

    Known by name, so that torch need not be there.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(told in str(error) for told in _FAILED_ALLOCATIONS)


_FAILED_ALLOCATIONS = ("DefaultCPUAllocator: can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch says in a plain RuntimeError."""
