"""A selection in the format that the client wants, streamed from its Parquet file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from app.errors import NotAcceptable
from app.storage import Storage
from app.views import Chosen

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ROWS_AT_ONCE = 8_192
FORMULA = tuple("=+-@\t\r\n\0＝＋－＠")
"""A text that begins so is run by spreadsheets, the full-width forms too; it is given an apostrophe (CSV injection)."""


class SelectionFormat(StrEnum):
    """What a selection can be downloaded as."""

    JSON = "json"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


MEDIA_TYPES: Mapping[SelectionFormat, str] = {
    SelectionFormat.JSON: "application/json",
    SelectionFormat.CSV: "text/csv; charset=utf-8",
    SelectionFormat.JSONL: "application/x-ndjson",
    SelectionFormat.PARQUET: "application/vnd.apache.parquet",
}


class Download(NamedTuple):
    """A body and what it is."""

    body: Iterator[bytes]
    media_type: str
    filename: str


def negotiate(given: SelectionFormat | None, accept: str) -> SelectionFormat:
    """Return the format that was asked for, else the first that the Accept header prefers (RFC 9110, 12.5.1)."""
    if given is not None:
        return given
    offered = {kind.partition(";")[0]: name for name, kind in MEDIA_TYPES.items()}
    offered |= {"application/jsonl": SelectionFormat.JSONL, "*/*": SelectionFormat.JSON}
    offered |= {"application/*": SelectionFormat.JSON, "text/*": SelectionFormat.CSV}
    for kind in _by_preference(accept or "*/*"):
        if kind in offered:
            return offered[kind]
    known = ", ".join(kind.partition(";")[0] for kind in MEDIA_TYPES.values())
    raise NotAcceptable(f"a selection comes as {known}; ask for one in Accept, or with ?format=json|csv|jsonl|parquet")


def download(chosen: Chosen, storage: Storage, wanted: SelectionFormat) -> Download:
    """Return the chosen rows in a format."""
    import pyarrow.parquet as pq  # here and below: Arrow is 38 MiB, which a service without work does without

    write = {
        SelectionFormat.JSON: _json,
        SelectionFormat.CSV: _csv,
        SelectionFormat.JSONL: _jsonl,
        SelectionFormat.PARQUET: _parquet,
    }[wanted]
    with storage.local(chosen.storage_key, chosen.sha256) as path:
        file = pq.ParquetFile(path)  # it stays open, and so can be read to its end
    return Download(write(chosen, file), MEDIA_TYPES[wanted], f"selection-{chosen.job_id}.{wanted}")


def cell(value: object) -> object:
    """Return what a cell of a CSV file holds: a text that begins a formula is escaped, a number stays one."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _by_preference(accept: str) -> list[str]:
    """Return the media types of an Accept header, the most wanted first; q=0 means: not this one."""
    ranked = []
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            ranked.append((float(quality), kind))
        except ValueError:
            ranked.append((0.0, kind))
    return [kind for quality, kind in sorted(ranked, key=lambda each: -each[0]) if quality > 0]


def _rows(chosen: Chosen, file: pq.ParquetFile) -> Iterator[dict[str, object]]:
    with file:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            for row in batch.to_pylist():
                yield {
                    "rank": row["rank"],
                    "dataset": row["dataset"],
                    "dataset_id": str(chosen.ids[row["dataset"]]),
                    "row": row["row"],
                    "score": row["score"],
                    **(_why(row) if chosen.explained else {}),
                }


def _why(row: Mapping[str, Any]) -> dict[str, object]:
    nearest = zip(row["nearest_rows"], row["similarities"], strict=True)
    return {
        "percentile": row["percentile"],
        "nearest": [{"row": number, "similarity": similarity} for number, similarity in nearest],
    }


def _jsonl(chosen: Chosen, file: pq.ParquetFile) -> Iterator[bytes]:
    for row in _rows(chosen, file):
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _json(chosen: Chosen, file: pq.ParquetFile) -> Iterator[bytes]:
    """One object whose `rows` are written as they are read."""
    head = {"job": str(chosen.job_id), "budget": chosen.budget, "digest": chosen.digest}
    yield json.dumps(head)[:-1].encode() + b', "rows": ['
    for index, row in enumerate(_rows(chosen, file)):
        yield (b",\n" if index else b"\n") + json.dumps(row, ensure_ascii=False).encode()
    yield b"\n]}\n"


def _csv(chosen: Chosen, file: pq.ParquetFile) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    why = ["percentile", "nearest"] if chosen.explained else []
    writer.writerow(["rank", "dataset", "dataset_id", "row", "score", *why])
    for row in _rows(chosen, file):
        if chosen.explained:
            nearest = cast(list[dict[str, float]], row["nearest"])
            row["nearest"] = ";".join(f"{each['row']}:{each['similarity']:.4f}" for each in nearest)
        writer.writerow(map(cell, row.values()))
        if buffer.tell() > ROWS_AT_ONCE:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _parquet(chosen: Chosen, file: pq.ParquetFile) -> Iterator[bytes]:
    """Add the ids of the datasets to the stored file, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = _Pipe()
    with file:
        stored = file.schema_arrow
        schema = stored.insert(2, pa.field("dataset_id", pa.string()))
        with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
            for batch in file.iter_batches(ROWS_AT_ONCE * 8):
                keys = batch.column("dataset").to_pylist()
                ids = pa.array([str(chosen.ids[key]) for key in keys], pa.string())
                columns = [*batch.columns[:2], ids, *batch.columns[2:]]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
                yield sink.take()
    yield sink.take()


class _Pipe(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: object) -> int:
        """Keep a part."""
        part = bytes(memoryview(data))  # type: ignore[arg-type]
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        """Return how much was written so far."""
        return self._written

    def take(self) -> bytes:
        """Return what came since the last call."""
        taken, self._parts = b"".join(self._parts), []
        return taken
