"""Pages of a job's rows: those that were chosen, with why, and the best of those that were not.

Columns of numbers are read whole (some bytes a row), texts only for the rows of the page, a row group at a time.
Letters: K chosen rows · m rows of a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.job_files import JobFiles, Member, Text, texts_of
from app.schemas_looks import NearRow, RowOut, RowPage, RowsLeft, RowSort
from app.storage import Stored
from fastmtl.errors import InvalidConfig

Positions = npt.NDArray[np.int64]

TEXTS_AT_ONCE = 8_192
DEEPEST_BELOW = 1_000
"""So many of the rows that were not chosen are shown."""


class Asked(NamedTuple):
    """Which rows, in what order, and which of those."""

    offset: int
    limit: int
    dataset: str | None = None
    """Key of the one to show; None shows all."""
    text: str | None = None
    """What a text has to hold, in whatever case."""
    sort: RowSort = RowSort.RANK
    descending: bool = False


def page_of_chosen(files: JobFiles, asked: Asked) -> RowPage:
    """Return some of the chosen rows, with texts and, where there are explanations, why."""
    _check_dataset(files, asked.dataset)
    source = files.explanations or files.selection
    if asked.sort == RowSort.PERCENTILE and files.explanations is None:
        raise InvalidConfig("sort", "the job has no explanations, so no percentile to sort by")
    columns = dict.fromkeys(["dataset", asked.sort.value])
    with source.local() as path:
        table = pq.read_table(path, columns=list(columns), read_dictionary=["dataset"])
    places = _sorted_places(table, asked, _matching(files, table, asked))
    shown = _take(source, places[asked.offset : asked.offset + asked.limit])
    return RowPage(items=_explained(files, shown.to_pylist()), total=len(places), offset=asked.offset)


def page_below(files: JobFiles, asked: Asked) -> RowsLeft:
    """Return some of the rows that could have been chosen and were not, the highest score first."""
    _check_dataset(files, asked.dataset)
    left = _best_left(files, asked.dataset, min(asked.offset + asked.limit, DEEPEST_BELOW))
    rows = left.best.slice(asked.offset, asked.limit).to_pylist()
    return RowsLeft(
        items=_explained(files, rows),
        total=min(left.total, DEEPEST_BELOW),
        offset=asked.offset,
        above_cut=left.above_cut,
    )


def _check_dataset(files: JobFiles, key: str | None) -> None:
    if key is not None and key not in files.auxiliary:
        raise InvalidConfig("dataset", f"the job has no auxiliary dataset {key!r}; it has {', '.join(files.auxiliary)}")


def _matching(files: JobFiles, table: pa.Table, asked: Asked) -> Positions:
    """Return the places, in order of rank, of the rows that were asked for; [<= K]."""
    mask = np.ones(table.num_rows, dtype=np.bool_)
    if asked.dataset is not None:
        mask &= pc.equal(table["dataset"], asked.dataset).to_numpy()
    if asked.text:
        mask &= _holding(files.subset, asked.text, table.num_rows)
    return np.flatnonzero(mask)


def _holding(subset: Stored, text: str, rows: int) -> npt.NDArray[np.bool_]:
    """Return which chosen rows hold a text, in order of rank; [K]."""
    mask = np.zeros(rows, dtype=np.bool_)
    with subset.local() as path, pq.ParquetFile(path) as file:
        for batch in file.iter_batches(TEXTS_AT_ONCE, columns=["rank", "text_a", "text_b"]):
            held = [
                pc.fill_null(pc.match_substring(batch[name], text, ignore_case=True), False)
                for name in ("text_a", "text_b")
            ]
            mask[batch["rank"].to_numpy()[pc.or_(*held).to_numpy(zero_copy_only=False)] - 1] = True
    return mask


def _sorted_places(table: pa.Table, asked: Asked, places: Positions) -> Positions:
    """Return the places sorted as was asked; equal ones by rank."""
    if asked.sort == RowSort.RANK:
        return places[::-1] if asked.descending else places
    column = table[asked.sort.value]
    if asked.sort == RowSort.DATASET:
        encoded = column.combine_chunks()
        encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
        names = encoded.dictionary.to_pylist()
        rank_of = {name: index for index, name in enumerate(sorted(names))}
        values = np.array([rank_of[name] for name in names])[encoded.indices.to_numpy()]
    else:
        values = column.to_numpy()
    keys = values[places]
    order = np.argsort(-keys if asked.descending else keys, kind="stable")
    return places[order]


def _take(source: Stored, places: Positions) -> pa.Table:
    """Return the rows at these places of a file, in the order given, reading the row groups that they stand in."""
    with source.local() as path, pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
        starts = np.cumsum([0, *sizes])
        groups = np.searchsorted(starts, places, side="right") - 1
        parts = [file.schema_arrow.empty_table()]
        for group in np.unique(groups).tolist():
            inside = places[groups == group] - starts[group]
            parts.append(file.read_row_group(group).take(pa.array(inside)))
    back = np.argsort(np.argsort(groups, kind="stable"))
    return pa.concat_tables(parts).take(pa.array(back, pa.int64()))


class _Left(NamedTuple):
    """Eligible rows that were not chosen."""

    best: pa.Table
    """Those of highest score."""
    total: int
    above_cut: int
    """Of the total, how many score higher than the lowest chosen row."""


def _best_left(files: JobFiles, key: str | None, count: int) -> _Left:
    """Return the best eligible rows that were not chosen. A row group is held at a time."""
    with files.leaks.local() as path:
        leaks = pq.read_table(path, columns=["dataset", "row"])
    seen_too = files.config.seen_rows == "include"
    with files.selection.local() as path:
        cut = pc.min(pq.read_table(path, columns=["score"])["score"]).as_py()
    best, total, above_cut = None, 0, 0
    with files.scores.local() as path, pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            left = table.filter(_eligible(table, leaks, key, seen_too)).select(["dataset", "row", "score"])
            scores = left["score"].to_numpy()
            total, above_cut = total + left.num_rows, above_cut + int((scores > cut).sum())
            # Ties stand in the order of the file, which is that of datasets and rows.
            together = left if best is None else pa.concat_tables([best, left])
            order = np.argsort(-together["score"].to_numpy(), kind="stable")[:count]
            best = together.take(pa.array(order))
    assert best is not None, "a selection has scores"
    return _Left(best, total, above_cut)


def _eligible(table: pa.Table, leaks: pa.Table, key: str | None, seen_too: bool) -> pa.Array:
    """Return which rows could have been chosen and were not."""
    mask = ~table["selected"].to_numpy() & ~np.isnan(table["score"].to_numpy())
    if not seen_too:
        mask &= ~table["seen"].to_numpy()
    names = table["dataset"]
    for name in pc.unique(names).to_pylist():
        here = pc.equal(names, name).to_numpy()
        leaked = leaks.filter(pc.equal(leaks["dataset"], name))["row"].to_numpy()
        mask &= ~(here & np.isin(table["row"].to_numpy(), leaked))
        if key is not None and name != key:
            mask &= ~here
    return pa.array(mask)


def _explained(files: JobFiles, rows: Sequence[dict[str, object]]) -> list[RowOut]:
    """Return rows of a page with what they say, and what the primary's rows that they are near to say."""
    texts = _texts(files, rows)
    near = [number for row in rows for number in _numbers(row.get("nearest_rows"))]
    primary = texts_of(files.primary, near)
    return [_row_out(files.auxiliary[str(row["dataset"])], row, texts, primary) for row in rows]


def _texts(files: JobFiles, rows: Sequence[dict[str, object]]) -> dict[tuple[str, int], Text]:
    found: dict[tuple[str, int], Text] = {}
    for key in {str(row["dataset"]) for row in rows}:
        mine = [int(str(row["row"])) for row in rows if row["dataset"] == key]
        found |= {(key, number): text for number, text in texts_of(files.auxiliary[key], mine).items()}
    return found


def _row_out(
    member: Member, row: dict[str, object], texts: dict[tuple[str, int], Text], primary: dict[int, Text]
) -> RowOut:
    number = int(str(row["row"]))
    nearest = zip(_numbers(row.get("nearest_rows")), _floats(row.get("similarities")), strict=True)
    return RowOut.model_validate(
        {
            "rank": row.get("rank"),
            "dataset": member.key,
            "dataset_id": member.dataset_id,
            "row": number,
            "score": row["score"],
            "percentile": row.get("percentile"),
            **texts[(member.key, number)]._asdict(),
            "nearest": [
                NearRow(row=each, similarity=similarity, **primary[each]._asdict()) for each, similarity in nearest
            ],
        }
    )


def _numbers(value: object) -> list[int]:
    return [int(each) for each in value] if isinstance(value, list) else []


def _floats(value: object) -> list[float]:
    return [float(each) for each in value] if isinstance(value, list) else []
