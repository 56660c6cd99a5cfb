"""Files of four formats as rows with their places; what cannot be read is said."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastmtl import readers
from fastmtl.errors import InvalidDataset, Problem
from fastmtl.formats import FileFormat, sniff
from fastmtl.raw import Limits, RawRow
from fastmtl.readers import open_table

CSV, TSV, JSONL, PARQUET = FileFormat


def read(folder, content, limits=None, file_format=None):
    """Return the columns and all rows of a file."""
    path = folder / "source"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = open_table(path, sniff(path, file_format), limits or Limits())
    return table.columns, list(table.rows(table.columns))


def refused(folder, content, limits=None, file_format=None) -> Problem:
    with pytest.raises(InvalidDataset) as caught:
        read(folder, content, limits, file_format)
    (problem,) = caught.value.problems
    return problem


def parquet(folder, table, **options) -> bytes:
    pq.write_table(table, folder / "made", **options)
    return (folder / "made").read_bytes()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"text,label\na,1\n", CSV),
        (b"text;label\na;1\n", CSV),
        (b"text\tlabel\na\t1\n", TSV),
        (b"text,long\tlabel\tid\n", TSV),  # more tabs than commas
        (b"\n\ntext\tlabel\n", TSV),
        (b"\xef\xbb\xbf\n {}\n", JSONL),
        (b'[{"text": 1}]', JSONL),
        (b"[text],[label]\n", CSV),
        (b"PAR1", PARQUET),
    ],
)
def test_the_content_tells_the_format(tmp_path, content, expected):
    (tmp_path / "source").write_bytes(content)
    assert sniff(tmp_path / "source", None) is expected


@pytest.mark.parametrize(
    ("content", "given", "message"),
    [
        (b"", None, "the file is empty: a header and rows, or lines of JSON, are needed"),
        (b"\xef\xbb\xbf\n", None, "the file is empty: a header and rows, or lines of JSON, are needed"),
        (b"\x1f\x8b\x08", None, "the content looks like a gzip archive: decompress it first"),
        (b"PK\x03\x04", None, "the content looks like a ZIP archive (an Excel workbook, perhaps): save it as CSV"),
        (b"\xff\xfet\0", None, "the content looks like UTF-16 or UTF-32 text: save it as UTF-8"),
        (b"PAR1", CSV, "the format was given as csv, but the content looks like a Parquet file"),
        (b"{}", CSV, "the format was given as csv, but the content looks like lines of JSON"),
        (b"text\tlabel\n", CSV, "the format was given as csv, but the content looks like TSV"),
        (b"text,label\n", TSV, "the format was given as tsv, but the content looks like CSV"),
        (b"text,label\n", JSONL, "the format was given as jsonl, but the content looks like CSV"),
        (b"text\tlabel\n", PARQUET, "the format was given as parquet, but the content looks like TSV"),
    ],
)
def test_another_format_is_named(tmp_path, content, given, message):
    assert refused(tmp_path, content, file_format=given) == Problem(message)


@pytest.mark.parametrize(
    ("content", "given"),
    [
        ("text,label\na,1\n", CSV),
        ("text;label\na;1\n", CSV),
        ("text\tlabel\na\t1\n", TSV),
        ("\ufefftext,label\r\na,1", None),
    ],
)
def test_every_delimiter_gives_the_same_rows(tmp_path, content, given):
    expected = (("text", "label"), [RawRow(0, 2, {"text": "a", "label": "1"})])
    assert read(tmp_path, content, file_format=given) == expected


def test_a_quoted_cell_may_hold_lines_and_the_numbers_stay_right(tmp_path):
    _, rows = read(tmp_path, '"te\nxt",label\n"a\r\n""b"",",1\n\n\nc,2\n')
    assert [(row.row, row.line, list(row.cells.values())) for row in rows] == [
        (0, 3, ['a\r\n"b",', "1"]),
        (1, 7, ["c", "2"]),
    ]


def test_rows_of_another_width_are_problems_and_the_others_are_read(tmp_path):
    _, rows = read(tmp_path, "text,label\na,1,2\nb\nc,1\n")
    assert rows == [
        RawRow(0, 2, {}, "too many cells: 3 found, 2 expected (text, label)"),
        RawRow(1, 3, {}, "too few cells: 1 found, 2 expected (text, label)"),
        RawRow(2, 4, {"text": "c", "label": "1"}),
    ]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"text,label\na\xff,1\n", 2, "line 2: not UTF-8: byte 0xff at offset 12; save the file as UTF-8"),
        (b"\xef\xbb\xbftext,\xff\n", 1, "line 1: not UTF-8: byte 0xff at offset 8; save the file as UTF-8"),
        (b"text,label\na,1\nb\0,1\n", 3, "line 3: a NUL byte at offset 16: is this a text file?"),
        (b'text,label\na,1\n"b,1\nc,1\n', 3, "line 3: a quote that opens in this row is never closed; a quote inside"),
        (b'text,label\n"a"b,1\n', 2, "line 2: text follows a closing quote; a quote inside a quoted cell"),
        (b"text,label\ra,1\r", 1, "line 1: a carriage return stands alone: lines end with"),
        (b"text,label,text\n", 1, "the header names 'text' twice"),
    ],
)
def test_text_that_cannot_be_read_is_told_by_line(tmp_path, content, line, message):
    problem = refused(tmp_path, content)
    assert (problem.line, problem.message[: len(message)]) == (line, message)


def test_a_stray_quote_takes_in_no_more_than_a_row_may_have(tmp_path):
    content = 'text,label\n"a,1\n' + '"",\n' * 1000  # a row of ever more cells
    told = "line 2: the row is longer than 100 bytes: is there a quote that is never closed?"
    assert refused(tmp_path, content, Limits(max_row_bytes=100)) == Problem(told, line=2)


def test_the_limit_of_the_csv_module_is_given_back(tmp_path):
    before = csv.field_size_limit()
    read(tmp_path, "text,label\na,1\n", Limits(max_row_bytes=100))
    assert csv.field_size_limit() == before


def test_too_many_columns_are_refused(tmp_path):
    assert refused(tmp_path, "a,b,c\n", Limits(max_columns=2)).message == "3 columns, and 2 are the most"


def test_lines_of_json_are_rows(tmp_path):
    columns, rows = read(tmp_path, '{"text": "a", "label": 1}\n\n{"text": "b"}\n')
    assert (columns, rows) == (
        ("text", "label"),
        [RawRow(0, 1, {"text": "a", "label": 1}), RawRow(1, 3, {"text": "b"})],
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "{",
            "not JSON: Expecting property name enclosed in double quotes at character 2; one object a line is needed",
        ),
        ("[1]", "a JSON array; one object a line is needed, with no brackets and commas between them"),
        ("1", "a JSON int; one object a line is needed"),
        ("9" * 5000, "a number of thousands of digits; shorter ones are needed"),
        ('{"text": ' + "[" * 100_000, "JSON nested too deeply; one flat object a line is needed"),
    ],
)
def test_a_line_that_is_no_object_is_a_problem(tmp_path, line, message):
    _, rows = read(tmp_path, '{"text": "a"}\n' + line + "\n")
    assert rows[1] == RawRow(1, 2, {}, message)


def test_parquet_rows_have_no_lines(tmp_path):
    table = pa.table({"text": pa.array(["a", "a"]).dictionary_encode(), "label": [1, None]})
    columns, rows = read(tmp_path, parquet(tmp_path, table))
    assert (columns, rows) == (
        ("text", "label"),
        [RawRow(0, None, {"text": "a", "label": 1}), RawRow(1, None, {"text": "a", "label": None})],
    )


def not_utf8() -> pa.Array:
    return pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff"))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([["a"]]), "the column holds list<element: string>; texts, numbers or booleans are needed"),
        (pa.array([b"a"]), "the column holds binary; texts, numbers or booleans are needed"),
        (not_utf8(), "a text of rows 0 to 0 is not UTF-8"),
    ],
)
def test_parquet_columns_that_hold_no_text_are_refused(tmp_path, column, message):
    assert refused(tmp_path, parquet(tmp_path, pa.table({"text": column}))) == Problem(message, "text")


@pytest.mark.parametrize("kept", [4, 20, 200, -1])
def test_a_parquet_file_cut_short_is_refused(tmp_path, kept):
    content = parquet(tmp_path, pa.table({"text": ["a", "b"]}))[:kept]
    assert refused(tmp_path, content).message.startswith("not a Parquet file that can be read: ")


def test_a_parquet_file_with_damaged_pages_is_refused(tmp_path):
    content = bytearray(parquet(tmp_path, pa.table({"text": [str(row) for row in range(1000)]}), compression="zstd"))
    content[100:400] = b"\xff" * 300
    assert refused(tmp_path, bytes(content)).message.startswith("the Parquet file is damaged: ")


def test_a_parquet_file_of_too_many_rows_is_refused_unread(tmp_path):
    content = parquet(tmp_path, pa.table({"text": ["a"] * 3}))
    assert refused(tmp_path, content, Limits(max_rows=2)) == Problem("3 rows, and 2 are the most")


def in_every_row(entry: str, rows: int) -> pa.Table:
    column = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [entry])
    return pa.table({"text": column})


def test_a_batch_that_is_larger_than_its_pages_let_expect_is_refused():
    (batch,) = in_every_row("x" * 2**20, 64).to_batches()
    with pytest.raises(InvalidDataset) as caught:
        readers.plain(batch, 128, Limits(max_batch_bytes=2**25))
    assert caught.value.problems == (Problem("rows 128 to 191 expand to 64 MiB", row=128),)


def test_a_dictionary_entry_that_stands_in_every_row_is_stopped_where_no_text_expands_so(tmp_path):
    noise = np.random.default_rng(0).bytes(2**19).hex()  # 1 MiB, and the file is little larger
    content = parquet(tmp_path, in_every_row(noise, 1000))
    told = "the first 124 rows expand to 124 MiB, as nothing does that was written"  # by batches of 31: 32 MiB each
    found = refused(tmp_path, content, Limits(max_batch_bytes=2**25, free_bytes=20 * 2**20))
    assert found == Problem(told, row=124)


def test_a_file_that_compresses_as_no_text_does_is_read_in_smaller_batches(tmp_path):
    content = parquet(tmp_path, in_every_row("x" * 2**20, 1000), compression="zstd", write_statistics=False)
    (tmp_path / "source").write_bytes(content)
    table = open_table(tmp_path / "source", PARQUET, Limits(max_batch_bytes=2**21))  # a batch of 64 would be refused
    assert (len(content) < 2_000, len(next(table.rows(["text"])).cells["text"])) == (True, 2**20)


def test_a_page_that_expands_to_more_than_a_batch_is_refused_unread(tmp_path):
    table = pa.table({"text": ["x" * 1000 + str(row) for row in range(3000)]})
    content = parquet(tmp_path, table, use_dictionary=False, compression="zstd", write_statistics=False)
    told = "a page expands to 2 MiB at once: write smaller pages or row groups"
    assert refused(tmp_path, content, Limits(max_batch_bytes=2**20)) == Problem(told, "text")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\na,1\n" + "\n" * 31, "31 blank lines, and only 2 others"),  # 10, and 10 for each line
        ('{"text": 1}\n' + " \n" * 31, "21 blank lines, and only 1 others"),
    ],
)
def test_more_blank_lines_than_a_file_may_have_are_refused(tmp_path, content, message):
    assert refused(tmp_path, content, Limits(max_blank_lines=10)).message.endswith(message)


def test_a_key_that_stands_twice_in_a_line_is_a_problem(tmp_path):
    _, rows = read(tmp_path, '{"text": "a"}\n{"text": "b", "text": "c"}\n')
    assert rows[1] == RawRow(1, 2, {}, "the key 'text' stands there twice")


def test_a_name_of_a_column_is_told_only_as_far_as_it_can_be_read(tmp_path):
    told = f"the column name {'x' * 59 + '…'!r} has 501 characters, and 500 are the most"
    assert refused(tmp_path, "x" * 501 + ",label\na,1\n") == Problem(told, line=1)
