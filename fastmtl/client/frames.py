"""Tables to and from the libraries that users have theirs in: Arrow, pandas, polars, `datasets`. Torch-free.

Each but Arrow is imported when it is asked for; where it is missing, MissingPackage says what to install.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl.client.errors import MissingPackage

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    import polars as pl

ROWS_AT_ONCE = 8_192
WHAT_IS_TAKEN = (
    "an upload is the path of a file, a pandas or polars DataFrame, an Arrow table or a datasets.Dataset, not {}"
)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a DataFrame of pandas."""
    _needed("pandas")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def to_polars(table: pa.Table) -> pl.DataFrame:
    """Return a DataFrame of polars."""
    frame: pl.DataFrame = _needed("polars").from_arrow(table)
    return frame


def to_dataset(table: pa.Table) -> datasets.Dataset:
    """Return a Dataset of Hugging Face's `datasets`."""
    made: datasets.Dataset = _needed("datasets").Dataset(table)
    return made


def write_parquet(data: object, path: Path) -> None:
    """Write a table of any of those libraries to a file, in bounded memory where it is not in memory already.

    A pandas index is left out; a `ClassLabel` of `datasets` is written by its names. Raises TypeError for what is no
    such table.
    """
    parts = _parts(data)
    first = next(parts)
    # Without Arrow's own schema, so that categories and other encodings of a text are read as the texts they stand for.
    with pq.ParquetWriter(path, first.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(first, row_group_size=ROWS_AT_ONCE)
        for part in parts:
            writer.write_table(part.cast(first.schema), row_group_size=ROWS_AT_ONCE)


def _parts(data: object) -> Iterator[pa.Table]:
    """Yield a table in pieces of one schema."""
    if isinstance(data, dict):
        names = ", ".join(map(repr, data)) or "nothing"
        raise TypeError(f"this holds several tables ({names}): upload one of them, as in data['train']")
    if hasattr(data, "with_format") and hasattr(data, "features"):
        yield from _parts_of_dataset(data)
    elif hasattr(data, "iloc") and hasattr(data, "columns"):
        yield pa.Table.from_pandas(data, preserve_index=False)
    elif hasattr(data, "__arrow_c_stream__") and hasattr(data, "columns"):
        yield pa.table(data)
    else:
        raise TypeError(WHAT_IS_TAKEN.format(type(data).__name__))


def _parts_of_dataset(data: Any) -> Iterator[pa.Table]:  # noqa: ANN401 - a datasets.Dataset, which need not be installed
    """Yield the rows of a datasets.Dataset as it shows them: selected and in its order."""
    names = {name: kind.names for name, kind in (data.features or {}).items() if hasattr(kind, "str2int")}
    found = False
    for table in data.with_format("arrow").iter(ROWS_AT_ONCE):
        found = True
        for name, classes in names.items():
            labels = [None if each is None or each < 0 else classes[each] for each in table[name].to_pylist()]
            table = table.set_column(table.column_names.index(name), name, pa.array(labels, pa.string()))
        yield table
    if not found:
        yield pa.table({name: pa.array([], pa.string()) for name in data.features or {}})


def _needed(package: str) -> Any:  # noqa: ANN401 - a module
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingPackage(f"this needs the package {package!r}: pip install {package}") from error
