"""Blocks of columns give exactly what reading row by row gives: the same file, the same summary, the same problems."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastmtl import blocks, canonical, readers
from fastmtl.canonical import Limits, convert
from fastmtl.datasets import FileFormat, Summary, TaskKind
from fastmtl.errors import InvalidDataset, Problem
from fastmtl.raw import Block, Table
from fastmtl.readers import open_table

CSV, TSV, JSONL, PARQUET = FileFormat
SMALL = Limits(max_rows=30, max_text_chars=12, max_label_chars=6, max_labels=4, max_blank_lines=2, max_row_bytes=60)
THOROUGH = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def row_by_row(path: Path, file_format: FileFormat, limits: Limits) -> Table:
    """Open a file so that no block has columns."""
    table = open_table(path, file_format, limits)
    return Table(table.columns, table.rows, lambda names: iter([Block(0, None, lambda: table.rows(names))]))


def outcome(source: Path, target: Path, **options: object) -> tuple[Summary, bytes] | tuple[Problem, ...]:
    try:
        return convert(source, target, **options), target.read_bytes()
    except InvalidDataset as error:
        return error.problems


def both(folder: Path, content: bytes, limits: Limits, **options: object) -> list[object]:
    """Return what comes of a file read row by row, and in blocks of several sizes."""
    (folder / "source").write_bytes(content)
    found = []
    for opened, size in ((row_by_row, 2**22), (open_table, 7), (open_table, 40), (open_table, 2**22)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(canonical, "open_table", opened)
            patch.setattr(canonical, "GROUP_ROWS", 5)
            patch.setattr(canonical, "GROUP_CHARS", 25)
            patch.setattr(blocks, "BLOCK_BYTES", size)
            patch.setattr(readers, "BLOCK_BYTES", size)
            found.append(outcome(folder / "source", folder / "target", limits=limits, **options))
    return found


ORDINARY = [b"a", b"b c", b" ", b"1", b"0.5", b"\xc3\xa9", b",", b",", b"\n", b"\n", b"\r\n", b'"', b'"', b'""']
ODD = [b"-0.0", b"nan", b"1_0", b"\xe2\x80\xa8", b"\x1c", b"\xff", b"\0", b"\t", b"\r"]
WHOLE = [b"a,1\n", b'"a",1\n', b'"a\nb",0\n', b'a"b,1\r\n']
PIECES = st.sampled_from([*ORDINARY, *ODD, *WHOLE])


@THOROUGH
@given(pieces=st.lists(PIECES, max_size=30), kind=st.sampled_from([None, *TaskKind]))
@example(pieces=[b"a,1\n", b"\n", b"\n", b"a,0\n"], kind=None)
@example(pieces=[b'"a"b,1\n'], kind=None)
@example(pieces=[b'"a,""b"" c",1\n', b"b,0\n"], kind=None)
def test_anything_like_csv_is_read_the_same(tmp_path, pieces, kind):
    first, *others = both(tmp_path, b"text,label\n" + b"".join(pieces), SMALL, file_format=CSV, kind=kind)
    assert others == [first] * len(others)


TEXTS = st.text(st.sampled_from(list("ab \"',;\t\n\ré\u2028\U0001f600")), max_size=14)
LABELS = st.sampled_from(["0", "1", "1.0", "2", "0.25", "-0", "yes", " no ", "", "1e9", "inf", "1_000", "Ⅷ", "longer!"])
ROWS = st.lists(st.tuples(TEXTS, TEXTS, LABELS), min_size=1, max_size=40)


@THOROUGH
@given(rows=ROWS, quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), end=st.sampled_from(["\n", "\r\n"]),
       delimiter=st.sampled_from([",", ";", "\t"]), cut=st.integers(0, 3))  # fmt: skip
def test_rows_that_were_written_as_csv_are_read_the_same(tmp_path, rows, quoting, end, delimiter, cut):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([("text_a", "text_b", "label"), *rows])
    content = file.getvalue().encode()[: -cut or None]
    first, *others = both(tmp_path, content, SMALL, file_format=TSV if delimiter == "\t" else CSV)
    assert others == [first] * len(others)


VALUES = st.one_of(
    st.text(st.sampled_from(list('ab \n"\\é\ud800\udc00\0\U0001f600')), max_size=14),
    st.sampled_from(
        [
            "a",
            "b",
            1,
            0,
            1.0,
            -0.0,
            0.5,
            2**60,
            2**60 + 1,
            10**16,
            10**400,
            "a" * 17,
            True,
            None,
            float("nan"),
            [1],
            {"a": 1},
        ]
    ),
)
MANY_DIGITS = '{"text": "b", "label": 0, "more": ' + "9" * 5000 + "}"
LINES = st.one_of(
    st.fixed_dictionaries({"text": VALUES, "label": VALUES}, optional={"more": VALUES}).map(json.dumps),
    st.fixed_dictionaries({"text": st.just("a b"), "label": st.sampled_from([0, 1, 2.0, 1.5, -0.0])}).map(json.dumps),
    st.sampled_from(['{"text": "a"}', '{"text": "a", "label": 1, "label": 0}', '{"text": "a", "label": 1} ', " ", ""]),
    st.sampled_from(['{"text": "a", "label": 1}{"text": "b", "label": 0}', '{"text": "a",', '"label": 1}', "[]", "{}"]),
    st.sampled_from(['{"text": "\t", "label": 1}', '{"text": "a", "label": 01}', '{"text": "a", "label": -0}', "{ }"]),
    st.sampled_from(['{"text": "a", "label": 1,}', '{"text": "a", "label": 1e999}', '{"text": "a", "label": 1E2}']),
    st.sampled_from(['{"text": "\\ud83d\\ude00", "label": 1}', '{"text": "a\\/b", "label": "\\u0031"}', "\x1c", "\r"]),
)


@THOROUGH
@given(lines=st.lists(LINES, min_size=1, max_size=12), end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
@example(lines=['{"text": "a", "label": 1, "more": 1}', MANY_DIGITS], end="\n", last=True)
@example(lines=['{"text": "a", "label": 1}{"text": "b", "label": 0}', ""], end="\n", last=True)
def test_anything_like_lines_of_json_is_read_the_same(tmp_path, lines, end, last):
    content = (end.join(lines) + end * last).encode(errors="surrogatepass")
    first, *others = both(tmp_path, content, Limits(max_text_chars=12, max_label_chars=16), file_format=JSONL)
    assert others == [first] * len(others)


COLUMNS = st.sampled_from([pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
NUMBERS = st.sampled_from([pa.int64(), pa.float32(), pa.float64(), pa.bool_(), pa.float16()])


@THOROUGH
@given(
    texts=st.lists(st.one_of(st.none(), st.sampled_from(["a", "b c", " ", "", "a\0", "long " * 3, "é"])), max_size=200),
    kind=COLUMNS,
    number=NUMBERS,
)
def test_any_parquet_is_read_the_same(tmp_path, texts, kind, number):
    labels = pa.array([row % 3 != 0 for row in range(len(texts))]).cast(pa.int8()).cast(number)
    table = pa.table({"text": pa.array(texts, pa.string()).cast(kind), "label": labels})
    pq.write_table(table, tmp_path / "made", row_group_size=70)
    first, *others = both(tmp_path, (tmp_path / "made").read_bytes(), replace(SMALL, max_rows=150))
    assert others == [first] * len(others)


def test_what_is_in_order_is_never_read_row_by_row(tmp_path):
    rows = [{"text": f'a "word", and\nline {row} é', "label": row % 3} for row in range(2_000)]
    table = pa.Table.from_pylist(rows)
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *(tuple(row.values()) for row in rows)])
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(table, tmp_path / "a.parquet")
    for file_format in (CSV, JSONL, PARQUET):
        opened = open_table(tmp_path / f"a.{file_format}", file_format, Limits())
        assert [len(block.columns) for block in opened.blocks(["text", "label"])] == [2_000]


def test_one_odd_row_costs_only_its_block(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 50)
    (tmp_path / "a").write_bytes(b"text,label\n" + b"abcdefg,1\n" * 10 + b"\n" + b"abcdefg,0\n" * 10)
    opened = open_table(tmp_path / "a", CSV, Limits())
    found = [(block.columns is not None, len(list(block.rows()))) for block in opened.blocks(["text", "label"])]
    assert found == [(True, 5), (True, 5), (False, 5), (True, 5)]


def test_arrow_and_python_agree_on_what_is_blank():
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    assert pc.utf8_is_space(pa.array(characters)).to_pylist() == [character.isspace() for character in characters]
