"""How scores become exactly K rows: one file a selector.

A selector is a function `(scores, budget) -> Selection`. `scores` holds one float32 array [n] a dataset, higher is
better, NaN where a row is not eligible; at least `budget` rows are. It returns exactly `budget` unique rows, best
first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fastmtl.selectors.selection import Selection
from fastmtl.selectors.top import top

Selector = Callable[[Sequence[npt.NDArray[np.float32]], int], Selection]

SELECTORS: Mapping[str, Selector] = {"top": top}
"""All selectors, by the name that a config uses."""

__all__ = ["SELECTORS", "Selection", "Selector"]
