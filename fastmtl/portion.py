"""How much is computed at once: as much as a batch holds, and half as much from where that did not fit in memory."""

from __future__ import annotations

from fastmtl.errors import NotEnoughMemory, is_out_of_memory
from fastmtl.plan import Progress
from fastmtl.telling import warn


class Portion:
    """A size that only falls: rows of a training batch, or tokens of an inference batch."""

    def __init__(self, size: int, unit: str, progress: Progress) -> None:
        self.size = size
        self._unit = unit
        self._progress = progress

    def shrink(self, error: Exception, rows: int, size: int, row_tokens: int) -> None:
        """Halve what did not fit, `rows` rows that are `size` in our unit; re-raise an error that says something else.

        Raises NotEnoughMemory where it was one row, of `row_tokens` tokens.
        """
        if not is_out_of_memory(error):
            raise error
        if rows == 1:
            raise NotEnoughMemory(
                f"not even one row of {row_tokens:,} tokens fits in this machine's memory. Make "
                "config.encoder.max_length smaller, use a smaller encoder, or a machine with more memory."
            ) from error
        self.size = max(1, size // 2)
        warn(
            self._progress,
            f"a batch of {rows:,} rows did not fit in memory: the step goes on with at most {self.size:,} {self._unit} "
            "at a time",
        )
