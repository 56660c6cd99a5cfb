"""A job's map: where rows of its datasets lie beside one another, as the step that arranges them left it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.errors import Conflict
from app.job_files import JobFiles
from app.schemas_looks import MapOut

DIGITS = 3
"""Of a place in the plane: some tens wide, and a screen has some thousand points."""


def map_of(files: JobFiles) -> MapOut:
    """Return the map. Raises Conflict where there is none."""
    if files.map is None:
        wanted = files.config.map_points
        told = f"the map of {wanted:,} points is not drawn yet" if wanted else "the job was asked for no map"
        raise Conflict(f"{told}: its config says map_points {wanted}")
    with files.map.local() as path:
        table = pq.read_table(path)
    datasets = [files.primary.key, *files.auxiliary]
    return MapOut(
        datasets=datasets,
        dataset=pc.index_in(table["dataset"], pa.array(datasets, pa.string())).to_pylist(),
        row=table["row"].to_pylist(),
        x=table["x"].to_numpy().astype(float).round(DIGITS).tolist(),
        y=table["y"].to_numpy().astype(float).round(DIGITS).tolist(),
        score=[each if each is None else float(f"{each:.6g}") for each in table["score"].to_pylist()],
        chosen=table["selected"].to_pylist(),
    )
