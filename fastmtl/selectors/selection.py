"""What a selector returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Selection(NamedTuple):
    """K chosen rows, best first. A row is (position of its dataset, its number there), never a place in a pool."""

    datasets: npt.NDArray[np.int32]
    """[K] positions in the list of auxiliary datasets."""
    rows: npt.NDArray[np.int64]
    """[K] row numbers in the uploaded file."""
    scores: npt.NDArray[np.float32]
    """[K], falling."""
