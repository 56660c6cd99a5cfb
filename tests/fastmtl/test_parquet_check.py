"""What a Parquet file would ask of its reader is known before it is read, and forged numbers end in a sentence."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastmtl.errors import InvalidDataset
from fastmtl.parquet_check import largest_pages, read_layout

PLACES = {"text": 0, "label": 1}


def written(folder: Path, content: bytes) -> Path:
    path = folder / "source"
    path.write_bytes(content)
    return path


def parquet(table: pa.Table, **options) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def told(path: Path) -> str:
    with pytest.raises(InvalidDataset) as caught:
        largest_pages(path, read_layout(path, 10**8), PLACES, 2**30)
    return str(caught.value)


SMALL = pa.table({"text": ["a", "b", "c"], "label": [1, 0, 1]})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False},
        {"compression": "none"},
        {"compression": "zstd"},
        {"data_page_version": "2.0"},
        {"write_page_index": True},
        {"version": "1.0"},
        {"row_group_size": 1},
        {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
    ],
)
def test_whatever_arrow_writes_is_understood(tmp_path, options):
    content = parquet(SMALL, **options)
    path = written(tmp_path, content)
    layout = read_layout(path, 10**8)
    metadata = pq.read_metadata(path)
    assert (layout.rows, len(layout.groups)) == (3, metadata.num_row_groups)
    assert 0 < largest_pages(path, layout, PLACES, 1000) < 200


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}])
def test_a_file_without_rows_is_understood_too(tmp_path, options):
    path = written(tmp_path, parquet(SMALL.slice(0, 0), **options))
    layout = read_layout(path, 10**8)
    assert (layout.rows, largest_pages(path, layout, PLACES, 2**30) < 100) == (0, True)


def test_the_largest_page_of_each_column_counts(tmp_path):
    rows = 1000
    table = pa.table({"text": ["x" * 100 + str(row) for row in range(rows)], "label": np.arange(rows)})
    path = written(tmp_path, parquet(table, use_dictionary=False, data_page_size=2**30))
    largest = largest_pages(path, read_layout(path, 10**8), PLACES, 2**30)
    # text: 4 bytes of length and 103 to 100 + 3 letters each; label: 8 bytes; a few of levels
    assert largest == pytest.approx(rows * (4 + 102.9 + 8), rel=0.01)


def test_a_footer_that_claims_other_rows_than_its_groups_is_refused(tmp_path):
    content = parquet(pa.table({"text": ["a"] * 100, "label": [1] * 100}))
    forged = content.replace(b"\x16\xc8\x01", b"\x16\xca\x01", 1)  # the first 100 after the pages, as a varint: 101
    path = written(tmp_path, forged)
    assert "rows" in told(path) or "row" in told(path)


def test_rows_that_take_no_bytes_are_refused_unread(tmp_path):
    path = written(tmp_path, parquet(pa.table({"text": pa.array(["a"] * 300_000).dictionary_encode()})))
    size = path.stat().st_size
    assert told(path) == f"{size:,} bytes claim to hold 300,000 rows: no rows that differ take so little"


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (b"\x00\x00\x00\x00PARE", "the Parquet file is encrypted: decrypt it first"),
        (b"\xff\xff\xff\x7fPAR1", "its footer is longer than the file"),
        (b"\x00\x00\x00\x00PAR1", "its footer cannot be read: the metadata ends too early"),
        (b"\x01\x00\x00\x00PAR1", "its footer is incomplete"),
        (b"\x04\x00\x00\x00PARX", "its end is missing, was it cut short?"),
    ],
)
def test_an_end_that_is_none_is_refused(tmp_path, end, message):
    assert message in told(written(tmp_path, b"PAR1" + bytes(16) + end))


def test_a_footer_of_many_megabytes_is_refused_unread(tmp_path):
    path = written(tmp_path, b"PAR1")
    with path.open("r+b") as file:
        file.seek(2**25)
        file.write((2**25 - 100).to_bytes(4, "little") + b"PAR1")
    assert "its footer has 32 MiB, and 16 are the most" in told(path)


def test_no_flipped_byte_does_more_than_refuse(tmp_path):
    content, draw = parquet(SMALL), np.random.default_rng(0)
    for place in draw.choice(len(content), 300):
        forged = bytearray(content)
        forged[place] ^= 1 << int(draw.integers(8))
        path = written(tmp_path, bytes(forged))
        try:
            largest_pages(path, read_layout(path, 10**8), PLACES, 2**30)
        except InvalidDataset:
            pass
    os.unlink(path)
