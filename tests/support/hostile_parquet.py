"""Hostile Parquet: bombs, forged numbers, damage, encryption, and columns that hold something else."""

from __future__ import annotations

import base64
import io
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hostile import MIB, Hostile, whole
from pyarrow.parquet import encryption

TABLE = pa.table({"text": ["a cat", "a dog"], "label": [1, 0]})
DAMAGED = "not a Parquet file that can be read"


def parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **{"write_statistics": False, "store_schema": False, **options})
    return sink.getvalue()


def columns(text: object, label: object = None) -> pa.Table:
    return pa.table({"text": text, "label": pa.array([1] * len(text)) if label is None else label})  # type: ignore[arg-type]


def varint(value: int, length: int | None = None) -> bytes:
    """Return a number as Thrift's compact protocol writes it, padded where that is asked for."""
    left, found = 2 * value, bytearray()
    while left >= 0x80 or (length is not None and len(found) < length - 1):
        found.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*found, left])


def forged(content: bytes, old: int, new: int) -> bytes:
    """Return a file in whose footer one number stands for another, everywhere, in as many bytes."""
    length = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - length : -8]
    before, after = varint(old), varint(new, len(varint(old)))
    assert before in footer and len(before) == len(after)
    return content[: -8 - length] + footer.replace(before, after) + content[-8:]


def said_to_be_small(content: bytes) -> bytes:
    """Return a file whose footer says that its first column expands to a kilobyte."""
    column = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0)
    return forged(content, column.total_uncompressed_size, 1024)


def a_hundred_million_claimed() -> bytes:
    """Return a file of a good million rows, in one group, whose footer says that it has a hundred million."""
    rows = 1_100_000
    return forged(parquet(in_every_row("a", rows), row_group_size=rows), rows, 100_000_000)


def in_every_row(entry: str, rows: int) -> pa.Table:
    """One text that stands once in the file and in every row."""
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([entry]))
    return columns(text, pa.array(np.arange(rows) % 2))


def one_page(mebibytes: int) -> bytes:
    """A page of so many MiB that takes some kilobytes."""
    text = pa.array([" " * (MIB - 1) + "x"] * mebibytes)
    options = {"use_dictionary": False, "data_page_size": 2**31 - 1, "compression": "zstd"}
    return parquet(columns(text), **options)


def page_that_lies() -> bytes:
    """A page whose own header says that it expands to nearly 2 GiB."""
    content = parquet(columns(pa.array(["a cat"] * 40)), use_dictionary=False, compression="snappy")
    start = 4 + 2  # the magic, and the first field: it is a data page
    assert content[4:7] == b"\x15\x00\x15", "the header does not begin as it did"
    _, end = read_varint(content, start + 1)
    return content[: start + 1] + varint(2**31 - 1) + content[end:]


def read_varint(content: bytes, place: int) -> tuple[int, int]:
    """Return the number at a place, not yet unfolded, and where the next one begins."""
    value = shift = 0
    while True:
        value |= (content[place] & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if content[place - 1] < 0x80:
            return value, place


class Kms(encryption.KmsClient):
    """Wraps keys in nothing."""

    def __init__(self, _: object) -> None:
        encryption.KmsClient.__init__(self)

    def wrap_key(self, key: bytes, _: str) -> bytes:
        return base64.b64encode(key)

    def unwrap_key(self, wrapped: bytes, _: str) -> bytes:
        return base64.b64decode(wrapped)


def encrypted(plaintext_footer: bool) -> bytes:
    factory = encryption.CryptoFactory(Kms)
    config = encryption.EncryptionConfiguration(
        footer_key="footer", column_keys={"text": ["text"]}, plaintext_footer=plaintext_footer
    )
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), config)
    return parquet(TABLE, encryption_properties=properties)


def not_utf8() -> pa.Array:
    offsets, data = pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"\xff\xfe")
    return pa.StringArray.from_buffers(2, offsets, data)


def named_twice() -> bytes:
    return parquet(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"]), pa.array([1])], ["text", "text", "label"]))


def flipped(places: slice, options: dict[str, object]) -> bytes:
    """A file some of whose pages' bytes are others."""
    content = bytearray(parquet(columns(pa.array([f"a cat {row}" for row in range(1000)])), **options))
    content[places] = b"\xff" * len(content[places])
    return bytes(content)


BOMBS = {
    "a dictionary that expands to 20 GiB": Hostile(
        "characters", lambda: [parquet(in_every_row(" x" * (MIB // 2), 20_000), compression="zstd")], short=True
    ),
    "a dictionary that expands to 20 GiB of short texts": Hostile(
        "as nothing does that was written",
        lambda: [parquet(in_every_row("x " * 49_000, 200_000), compression="zstd")],
        short=True,
    ),
    "a page of 256 MiB in some kilobytes": Hostile("a page expands to 256 MiB", lambda: [one_page(256)], short=True),
    "a page of a gibibyte in some kilobytes": Hostile(
        "a page expands to 1,024 MiB", lambda: [one_page(1024)], slow=True
    ),
    "the same, and the footer says a kilobyte": Hostile(
        "a page expands to 256 MiB", lambda: [said_to_be_small(one_page(256))], slow=True
    ),
    "a page whose header says two gibibytes": Hostile(
        "a page expands to 2,048 MiB", lambda: [page_that_lies()], short=True
    ),
    "a hundred million rows in a few kilobytes": Hostile(
        "no rows that differ take so little",
        lambda: [parquet(in_every_row("a", 10_000_000), row_group_size=10_000_000)],
        short=True,
    ),
    "two thousand columns": Hostile(
        "2,000 columns", lambda: [parquet(pa.table({f"c{each}": [1] for each in range(2000)}))]
    ),
    "a footer that says it is a gibibyte": Hostile(
        "longer than the file", whole(b"PAR1" + bytes(100) + b"\0\0\0\x40PAR1")
    ),
    "a footer of many megabytes": Hostile(
        "its footer has 20 MiB", lambda: [b"PAR1", bytes(20 * MIB), (20 * MIB).to_bytes(4, "little"), b"PAR1"]
    ),
    "a footer that nests without end": Hostile(
        "nested too deeply", whole(b"PAR1" + b"\x1c" * 100_000 + (100_000).to_bytes(4, "little") + b"PAR1")
    ),
    "a list of two billion": Hostile(
        "ends too early", whole(b"PAR1" + b"\x19\xf5\xff\xff\xff\xff\x07" + (7).to_bytes(4, "little") + b"PAR1")
    ),
}

FORGED = {
    "rows that are not there": Hostile(
        "rows are claimed", lambda: [forged(parquet(columns(pa.array(["a"] * 700))), 700, 8000)[:]], short=True
    ),
    "a hundred million rows claimed": Hostile("no rows that differ", lambda: [a_hundred_million_claimed()]),
    "PAR1 twice and nothing else": Hostile(DAMAGED, whole(b"PAR1PAR1"), short=True),
    "cut in the middle": Hostile("was it cut short?", lambda: [parquet(TABLE)[:200]], short=True),
    "cut by a byte": Hostile("was it cut short?", lambda: [parquet(TABLE)[:-1]]),
    "without its footer": Hostile(DAMAGED, lambda: [parquet(TABLE)[:40] + b"\0\0\0\0PAR1"]),
    "pages of other bytes": Hostile("has no header", lambda: [flipped(slice(200, 900), {"compression": "zstd"})]),
    "pages whose headers are gone": Hostile("has no header", lambda: [flipped(slice(4, 40), {})]),
    "an encrypted footer": Hostile("encrypted", lambda: [encrypted(plaintext_footer=False)], short=True),
    "encrypted columns": Hostile("encrypted", lambda: [encrypted(plaintext_footer=True)]),
    "what says it is CSV": Hostile("looks like a Parquet file", lambda: [parquet(TABLE)], {"format": "csv"}),
    "CSV that says it is Parquet": Hostile("looks like CSV", whole("text,label\na,1\n"), {"format": "parquet"}),
}

CONTENT = {
    "texts that are no UTF-8": Hostile("is not UTF-8", lambda: [parquet(columns(not_utf8()))], short=True),
    "a column that stands there twice": Hostile("names 'text' twice", lambda: [named_twice()]),
    "lists for texts": Hostile("texts, numbers or booleans", lambda: [parquet(columns(pa.array([["a"], ["b"]])))]),
    "bytes for texts": Hostile("texts, numbers or booleans", lambda: [parquet(columns(pa.array([b"a", b"b"])))]),
    "times for labels": Hostile(
        "texts, numbers or booleans",
        lambda: [parquet(columns(pa.array(["a", "b"]), pa.array([datetime(2026, 1, 1)] * 2)))],
    ),
    "texts that are missing": Hostile(
        "the text is missing", lambda: [parquet(columns(pa.array([None, None], pa.string())))]
    ),
    "labels that are no numbers": Hostile(
        "a finite number", lambda: [parquet(columns(pa.array(["a", "b"]), pa.array([float("nan"), float("inf")])))]
    ),
    "NUL in a text": Hostile("a NUL character", lambda: [parquet(columns(pa.array(["a\0", "b"])))]),
    "no rows": Hostile("the file has no rows", lambda: [parquet(TABLE.slice(0, 0))]),
    "a text of a megabyte": Hostile("100,000 are the most", lambda: [parquet(columns(pa.array(["x" * MIB, "b"])))]),
}

PARQUET = {**BOMBS, **FORGED, **CONTENT}
