"""A user's file becomes the canonical form, or a list of what is wrong with it."""

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastmtl import canonical, datasets
from fastmtl.canonical import Limits, convert
from fastmtl.datasets import Columns, Dataset, Example, FileFormat, LabelCount, Lengths, TaskKind
from fastmtl.errors import InvalidDataset, Problem

SHORT = Limits(max_text_chars=3, max_label_chars=3)
TOO_LONG = "characters, and 3 are the most"
NOT_FLOAT32 = "do not fit into 32-bit floating point"
NOT_FINITE = "and a finite number or a class is needed"
NO_LABEL = "and a text or a number is needed"
SURROGATE = "half of a surrogate pair, which is no character"


def written(folder: Path, content: str | bytes) -> Path:
    source = folder / "source"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    return source


def problems_of(folder: Path, content: str | bytes, **options) -> tuple[Problem, ...]:
    with pytest.raises(InvalidDataset) as caught:
        convert(written(folder, content), folder / "target", **options)
    assert sorted(path.name for path in folder.iterdir()) == ["source"], "something was left behind"
    return caught.value.problems


def opened(folder: Path, content: str, **options) -> Dataset:
    convert(written(folder, content), folder / "target", **options)
    return Dataset.open(folder / "target")


def test_a_summary_says_what_the_file_holds(tmp_path):
    content = "id,Sentence1,sentence2,label\n7,a cat,one dog,yes\n8,a fish,birds,no\n9,a cat,one dog,no\n"
    summary = convert(written(tmp_path, content), tmp_path / "target")
    assert replace(summary, digest="") == datasets.Summary(
        rows=3,
        kind=TaskKind.CLASSIFICATION,
        file_format=FileFormat.CSV,
        columns=Columns("Sentence1", "sentence2", "label"),
        labels=(LabelCount("no", 2), LabelCount("yes", 1)),
        label_range=None,
        lengths=Lengths(mean=11.7, median=12.0, p95=12.0, longest=12),  # 5 + 7, 6 + 5, 5 + 7
        duplicates=1,
        examples=(
            Example(0, "a cat", "one dog", "yes"),
            Example(1, "a fish", "birds", "no"),
            Example(2, "a cat", "one dog", "no"),
        ),
        warnings=(),
        digest="",
    )


def test_a_summary_is_json_and_its_digest_is_the_files(tmp_path):
    summary = convert(written(tmp_path, "text,label\na,0.5\nb,1\n"), tmp_path / "target")
    told = json.loads(json.dumps(asdict(summary)))
    assert (told["label_range"], told["digest"]) == ([0.5, 1.0], canonical.sha256(tmp_path / "target"))


def test_examples_are_the_first_five_and_cut(tmp_path):
    lines = "".join(f"{'x' * 300},{row % 2}\n" for row in range(7))
    summary = convert(written(tmp_path, "text,label\n" + lines), tmp_path / "target")
    assert [(each.row, len(each.text_a)) for each in summary.examples] == [(row, 200) for row in range(5)]


def test_the_canonical_file_holds_every_row_at_its_number(tmp_path):
    opened(tmp_path, "text,label\na,yes\nb,no\n")
    table = pq.read_table(tmp_path / "target")
    assert json.loads(table.schema.metadata[b"fastmtl"]) == {
        "kind": "classification",
        "classes": ["no", "yes"],
        "pair": False,
    }
    assert table.to_pylist() == [
        {"row": 0, "text_a": "a", "text_b": None, "label": 1},
        {"row": 1, "text_a": "b", "text_b": None, "label": 0},
    ]


def test_opening_tells_what_a_dataset_is(tmp_path):
    dataset = opened(tmp_path, "question,sentence,label\nwho,you,1\nwhat,that,0\n")
    assert dataset == Dataset(tmp_path / "target", 2, TaskKind.CLASSIFICATION, ("0", "1"), pair=True)


@pytest.fixture
def many(tmp_path, monkeypatch) -> Dataset:
    """Ten pairs in row groups of 3, 3, 3 and 1."""
    monkeypatch.setattr(canonical, "GROUP_ROWS", 3)
    lines = "".join(f"a{row},b{row},{row / 2}\n" for row in range(10))
    return opened(tmp_path, "text_a,text_b,score\n" + lines)


def test_texts_and_labels_come_in_the_order_asked_for(many):
    rows = np.array([9, 0, 4, 4, 1])
    assert many.texts(rows) == (["a9", "a0", "a4", "a4", "a1"], ["b9", "b0", "b4", "b4", "b1"])
    assert (many.labels(rows).tolist(), many.labels(rows).dtype) == ([4.5, 0.0, 2.0, 2.0, 0.5], np.float32)


def test_all_rows_come_when_none_are_named_and_none_when_none_are_asked_for(many):
    assert many.texts()[0] == [f"a{row}" for row in range(10)]
    assert (many.texts(np.array([], np.int64)), many.labels(np.array([], np.int64)).tolist()) == (([], []), [])


@pytest.mark.parametrize("rows", [[-1], [0, 10]])
def test_a_row_that_is_not_there_is_refused(many, rows):
    with pytest.raises(IndexError, match="of 10"):
        many.texts(np.array(rows))


def test_only_the_row_groups_that_are_needed_are_read(many, monkeypatch):
    read = []
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda self, group, columns: read.append(group) or self.read_row_groups([group], columns=columns),
    )
    many.texts(np.array([9, 3, 5]))
    assert read == [1, 3]


@pytest.mark.parametrize(
    ("start", "stop", "size", "expected"),
    [
        (0, 10, 8, [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]),  # a table ends with its row group
        (2, 7, 2, [[2], [3, 4], [5], [6]]),
        (4, 4, 8, []),
        (8, 99, 8, [[8], [9]]),
    ],
)
def test_batches_are_the_rows_of_a_range(many, start, stop, size, expected):
    assert [table["row"].to_pylist() for table in many.batches(start, stop, size)] == expected


def test_a_row_group_of_long_texts_ends_early(tmp_path, monkeypatch):
    monkeypatch.setattr(canonical, "GROUP_CHARS", 10)
    dataset = opened(tmp_path, "text,label\naaaaaaaa,1\nbbbb,0\nc,1\n")
    assert pq.ParquetFile(dataset.path).metadata.row_group(0).num_rows == 2  # 8 + 4 >= 10
    assert dataset.texts(np.array([2, 0])) == (["c", "aaaaaaaa"], None)


# Any character but NUL and surrogates; blank texts are not texts.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda text: not text.isspace()
)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from(["yes", "no", "ü"])), min_size=2, max_size=12).filter(
    lambda rows: len({label for _, _, label in rows}) > 1
)
HEADER = ("text_a", "text_b", "label")


def write_each_format(folder: Path, rows: list[tuple[str, str, str]]) -> dict[FileFormat, Path]:
    paths = {each: folder / each for each in FileFormat}
    for each, delimiter in ((FileFormat.CSV, ","), (FileFormat.TSV, "\t")):
        with paths[each].open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([HEADER, *rows])
    objects = [dict(zip(HEADER, row, strict=True)) for row in rows]
    paths[FileFormat.JSONL].write_text("".join(json.dumps(each) + "\n" for each in objects))
    pq.write_table(pa.Table.from_pylist(objects), paths[FileFormat.PARQUET])
    return paths


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=PAIRS)
def test_the_same_rows_in_any_format_become_the_same_file(tmp_path, rows):
    digests = set()
    for file_format, path in write_each_format(tmp_path, rows).items():
        summary = convert(path, tmp_path / "target")
        dataset = Dataset.open(tmp_path / "target")
        labels = [dataset.classes[index] for index in dataset.labels()]
        assert list(zip(*dataset.texts(), labels, strict=True)) == rows
        assert summary.file_format is file_format
        digests.add(summary.digest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("labels", "kind", "expected"),
    [
        (["b", "a"], None, (TaskKind.CLASSIFICATION, ("a", "b"))),
        (["10", "9"], None, (TaskKind.CLASSIFICATION, ("9", "10"))),  # numbers rise, texts would not
        (["1", "x", "10"], None, (TaskKind.CLASSIFICATION, ("1", "10", "x"))),
        (["1.0", "0.0"], None, (TaskKind.CLASSIFICATION, ("0", "1"))),
        (["0.5", "1"], None, (TaskKind.REGRESSION, ())),
        (["0.5", "1"], TaskKind.CLASSIFICATION, (TaskKind.CLASSIFICATION, ("0.5", "1"))),
        (["1", "0"], TaskKind.REGRESSION, (TaskKind.REGRESSION, ())),
        ([str(each) for each in range(50)], None, (TaskKind.CLASSIFICATION, tuple(map(str, range(50))))),
        ([str(each) for each in range(51)], None, (TaskKind.REGRESSION, ())),
    ],
)
def test_labels_tell_the_kind_and_the_order_of_classes(tmp_path, labels, kind, expected):
    dataset = opened(tmp_path, "text,label\n" + "".join(f"t,{label}\n" for label in labels), kind=kind)
    assert (dataset.kind, dataset.classes) == expected


def test_json_labels_may_be_booleans(tmp_path):
    dataset = opened(tmp_path, '{"text": "a", "label": true}\n{"text": "b", "label": false}\n')
    assert (dataset.classes, dataset.labels().tolist()) == (("false", "true"), [1, 0])


GUESS = "numbers to be predicted; kind=classification says otherwise"


@pytest.mark.parametrize(
    ("labels", "warnings"),
    [
        (["1.5", "1.5"], ("every label is 1.5: there is nothing to learn from them",)),
        (
            [str(each) for each in range(51)],
            (f"the labels are 51 different integers, taken for {GUESS}",),
        ),
    ],
)
def test_a_guess_that_may_be_wrong_is_told(tmp_path, labels, warnings):
    content = "text,label\n" + "".join(f"t,{label}\n" for label in labels)
    assert convert(written(tmp_path, content), tmp_path / "target").warnings == warnings


def test_an_inferred_second_text_that_is_empty_is_not_one(tmp_path):
    assert opened(tmp_path, "text_a,text_b,label\na,,1\nb,,0\n").pair is False


LISTED = "the columns are 'text', 'label'"


@pytest.mark.parametrize(
    ("header", "columns", "expected"),
    [
        (
            "text,label",
            Columns(text_a="txt"),
            [Problem(f"there is no column 'txt' (did you mean 'text'?); {LISTED}", "text_a")],
        ),
        ("text,label", Columns(label="zzz"), [Problem(f"there is no column 'zzz'; {LISTED}", "label")]),
        (
            "text,label",
            Columns(text_a="text", label="text"),
            [Problem("column 'text' cannot be two of text_a, text_b and label", "text")],
        ),
        (
            "alpha,y",
            Columns(),
            [
                Problem(
                    "no column is known as the text: name it with text_a; the columns are 'alpha', 'y'. If that first "
                    "line is a row, write a header above it, such as text,label",
                    "text_a",
                )
            ],
        ),
        (
            "text,beta",
            Columns(),
            [Problem("no column is known as the label: name it with label; the columns are 'text', 'beta'", "label")],
        ),
    ],
)
def test_columns_that_are_not_there_are_named_with_those_that_are(tmp_path, header, columns, expected):
    assert problems_of(tmp_path, f"{header}\na,1\n", columns=columns) == tuple(expected)


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("text,label\n", {}, Problem("the file has no rows: only a header, or not even that")),
        ("text,label\n ,1\n", {}, Problem("the text is empty", "text", 0, 2)),
        ("text_a,text_b,label\na,b,1\nc,,0\n", {}, Problem("the text is empty", "text_b", 1, 3)),
        ("text,label\n\na,1\n\nb,\n", {}, Problem("the label is missing", "label", 1, 5)),
        ("text,label\na,inf\n", {}, Problem(f"the label is inf, {NOT_FINITE}", "label", 0, 2)),
        (
            "text,label\na,1.5\nb,good\n",
            {"kind": TaskKind.REGRESSION},
            Problem("the label 'good' is not a number, and this is a regression", "label", 1, 3),
        ),
        (
            "text,label\na,1\nb,1\n",
            {},
            Problem(
                "one class only, '1': a classification needs at least 2; add rows of another class, or say with label "
                "which column holds the classes",
                "label",
            ),
        ),
        ("text,label\na,1e300\nb,0.5\n", {}, Problem(f"labels from 0.5 to 1e+300 {NOT_FLOAT32}", "label")),
        ("text,label\nabcd,1\n", {"limits": SHORT}, Problem(f"the text has 4 {TOO_LONG}", "text", 0, 2)),
        ("text,label\na,abcd\n", {"limits": SHORT}, Problem(f"the label has 4 {TOO_LONG}", "label", 0, 2)),
        ("text,label\na,1\nb,0\nc,1\n", {"limits": Limits(max_rows=2)}, Problem("more than 2 rows", None, 2, 4)),
        ('{"text": "a", "label": "x"}\n{"text": "b"}\n', {}, Problem("the label is missing", "label", 1, 2)),
        ('{"text": "a", "label": "x"}\n{"label": "x"}\n', {}, Problem("the row has no key 'text'", "text", 1, 2)),
        ('{"text": ["a"], "label": "x"}\n', {}, Problem("a text is needed, found list", "text", 0, 1)),
        ('{"text": "a", "label": {}}\n', {}, Problem(f"the label is a dict, {NO_LABEL}", "label", 0, 1)),
        ('{"text": "a\\ud800", "label": 1}\n', {}, Problem(f"the text holds {SURROGATE}", "text", 0, 1)),
        ('{"text": "a", "label": "\\ud800"}\n', {}, Problem(f"the label holds {SURROGATE}", "label", 0, 1)),
        ('{"text": "a\\u0000", "label": 1}\n', {}, Problem("the text holds a NUL character", "text", 0, 1)),
    ],
)  # fmt: skip
def test_a_bad_row_is_told_with_its_place(tmp_path, content, options, expected):
    assert problems_of(tmp_path, content, **options) == (expected,)


def test_a_second_text_may_not_begin_in_a_later_row(tmp_path):
    told = "column 'text_b' is filled here, but empty in row 0: all rows are pairs, or none is"
    assert problems_of(tmp_path, "text_a,text_b,label\na,,1\nb,c,0\n") == (Problem(told, None, 1, 3),)


def test_too_many_classes_are_refused(tmp_path):
    (problem,) = problems_of(tmp_path, "text,label\na,x\nb,y\nc,z\n", limits=Limits(max_labels=2))
    assert (problem.field, problem.message[:44]) == ("label", "more than 2 different labels: too many class")


def test_twenty_problems_are_enough(tmp_path):
    problems = problems_of(tmp_path, "text,label\n" + ",1\n" * 1000)
    assert [problem.row for problem in problems] == list(range(20))


def test_what_was_found_before_the_reader_gave_up_is_told_too(tmp_path):
    problems = problems_of(tmp_path, b"text,label\n,1\n\xff,0\n")
    assert [(problem.row, problem.line) for problem in problems] == [(0, 2), (None, 3)]


def test_a_failure_leaves_an_earlier_file_as_it_was(tmp_path):
    (tmp_path / "target").write_text("earlier")
    with pytest.raises(InvalidDataset):
        convert(written(tmp_path, "text,label\na,1\n,0\n"), tmp_path / "target")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]
    assert (tmp_path / "target").read_text() == "earlier"
