"""What two jobs chose in common, and how the shares of their datasets differ.

A row is the same if its dataset and its number there are.
"""

from __future__ import annotations

import uuid

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from app.job_files import JobFiles
from app.schemas_looks import Overlap, SharePair

MOST_ROWS = 2**40
"""Of a dataset: a row's number and its dataset's fit into one integer."""

Keys = npt.NDArray[np.int64]


def overlap_of(ours: JobFiles, theirs: JobFiles) -> Overlap:
    """Return how much of what two jobs chose is the same."""
    known = sorted({member.dataset_id for files in (ours, theirs) for member in files.auxiliary.values()})
    numbers = {dataset_id: index for index, dataset_id in enumerate(known)}
    first, second = _keys(ours, numbers), _keys(theirs, numbers)
    common = np.intersect1d(first, second, assume_unique=True)
    names = {member.dataset_id: member.key for files in (theirs, ours) for member in files.auxiliary.values()}
    return Overlap(
        rows=len(first),
        other_rows=len(second),
        common=len(common),
        share=len(common) / (len(first) + len(second) - len(common)),
        datasets=[
            SharePair(
                dataset=names[dataset_id],
                dataset_id=dataset_id,
                rows=_of(first, number),
                other_rows=_of(second, number),
                common=_of(common, number),
                share=_of(first, number) / len(first),
                other_share=_of(second, number) / len(second),
            )
            for dataset_id, number in numbers.items()
        ],
    )


def _keys(files: JobFiles, numbers: dict[uuid.UUID, int]) -> Keys:
    """Return an integer for every chosen row, the same for the same row; [K]."""
    with files.selection.local() as path:
        table = pq.read_table(path, columns=["dataset", "row"], read_dictionary=["dataset"]).combine_chunks()
    encoded = table["dataset"].chunk(0)
    of_key = np.array([numbers[files.auxiliary[key].dataset_id] for key in encoded.dictionary.to_pylist()])
    found: Keys = of_key[encoded.indices.to_numpy()] * MOST_ROWS + table["row"].to_numpy()
    return found


def _of(keys: Keys, number: int) -> int:
    """Return how many of the rows are those of a dataset."""
    return int((keys // MOST_ROWS == number).sum())
