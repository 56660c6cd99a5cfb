"""Uploads: every way in, everything that is refused, and that nothing stays of what is refused."""

from __future__ import annotations

import errno
import io
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from service import CSV, Api, api
from sqlalchemy.exc import OperationalError

from app.sink import Sink

JSONL = '{"text": "the cat runs", "label": "yes"}\n{"text": "the dog runs", "label": "no"}\n'


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["the cat runs", "the dog runs"], "label": ["yes", "no"]}), sink)
    return sink.getvalue()


def form(fields: dict[str, str], file: bytes, end: bytes = b"--x--\r\n") -> bytes:
    parts = [f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="cats.csv"\r\n\r\n'
    return b"".join(parts) + head + file + b"\r\n" + end


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (CSV.encode(), "csv"),
        (CSV.replace(",", "\t").encode(), "tsv"),
        (JSONL.encode(), "jsonl"),
        (parquet(), "parquet"),
    ],
    ids=["csv", "tsv", "jsonl", "parquet"],
)
def test_each_format_is_told_from_its_content(service: Api, body: bytes, found: str):
    dataset = service.upload(body)
    assert (dataset["file_format"], dataset["examples"][0]["text_a"]) == (found, "the cat runs")


def test_a_dataset_is_described(service: Api):
    made = service.client.post("/v1/datasets?name=cats", content=CSV)
    dataset = service.client.get(made.headers["Location"]).json()
    assert dataset == made.json()
    told = {name: dataset[name] for name in ("name", "rows", "kind", "columns", "labels", "duplicates", "bytes")}
    assert told == {
        "name": "cats",
        "rows": 3,
        "kind": "classification",
        "columns": {"text_a": "text", "text_b": None, "label": "label"},
        "labels": [{"label": "no", "rows": 2}, {"label": "yes", "rows": 1}],
        "duplicates": 0,
        "bytes": len(CSV),
    }


def test_a_form_is_the_same_as_a_raw_body(service: Api):
    raw = service.upload(name="cats")
    answer = service.client.post(
        "/v1/datasets",
        content=form({"label": "label"}, CSV.encode()),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    ).json()
    assert [answer[name] for name in ("name", "digest", "sha256")] == [
        raw[name] for name in ("name", "digest", "sha256")
    ]


def test_columns_and_kind_can_be_said(service: Api):
    body = "b,a,c\n1,x y,0\n2,z,1\n3,w,0\n"
    dataset = service.upload(body, text_a="a", label="b", kind="regression")
    assert (dataset["kind"], dataset["label_range"], dataset["columns"]["text_a"]) == ("regression", [1.0, 3.0], "a")


def test_two_uploads_at_once_are_both_kept(service: Api):
    with ThreadPoolExecutor(2) as pool:
        ids = {each["id"] for each in pool.map(lambda name: service.upload(name=name), ("one", "two"))}
    assert {each["id"] for each in service.client.get("/v1/datasets").json()["items"]} == ids


BAD_FILES = {
    "empty file": (b"", {}, None, None, "the file is empty"),
    "header only": (b"text,label\n", {}, None, None, "the file has no rows: only a header"),
    "no label column": (b"text,x\na,1\n", {}, "label", None, "no column is known as the label"),
    "unknown column": (b"text,label\na,1\n", {"text_a": "txt"}, "text_a", None, "did you mean 'text'?"),
    "too few cells": (b"text,label\na,1\nb\n", {}, None, 1, "too few cells: 1 found, 2 expected"),
    "not UTF-8": (b"text,label\na,1\n\xff,0\n", {}, None, None, "line 3: not UTF-8: byte 0xff at offset 15"),
    "NUL byte": (b"text,label\na,1\nb\x00,0\n", {}, None, None, "NUL"),
    "empty text": (b"text,label\na,1\n  ,0\n", {}, "text", 1, "the text is empty"),
    "label no number": (b"text,label\na,1.5\nb,x\n", {"kind": "regression"}, "label", 1, "not a number"),
    "NaN": (b"text,label\na,1.5\nb,NaN\n", {}, "label", 1, "a finite number"),
    "one class": (b"text,label\na,1\nb,1\n", {}, "label", None, "one class only"),
    "format differs": (CSV.encode(), {"format": "parquet"}, None, None, "the content looks like CSV"),
    "a workbook": (b"PK\x03\x04xxxx", {}, None, None, "save it as CSV"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_told_of_by_field_and_row_and_leaves_nothing(service: Api, case: str):
    body, options, field, row, message = BAD_FILES[case]
    before = service.traces()
    answer = service.client.post("/v1/datasets", params=options, content=body)
    problem = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert problem["type"] == "urn:fastmtl:problem:invalid-dataset"
    assert (problem["errors"][0]["field"], problem["errors"][0]["row"]) == (field, row)
    assert message in problem["errors"][0]["message"]
    assert service.traces() == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (form({}, CSV.encode(), end=b""), "ended before its last boundary"),
        (b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\na\r\n--x--\r\n', "no part named 'file'"),
        (b"no form at all", "not the form that its Content-Type says"),
    ],
    ids=["cut", "no file", "no form"],
)
def test_a_broken_form_is_refused_and_leaves_nothing(service: Api, body: bytes, message: str):
    before = service.traces()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = service.client.post("/v1/datasets", content=body, headers=headers)
    assert (answer.status_code, message in answer.json()["detail"]) == (400, True)
    assert service.traces() == before


def test_an_unknown_option_suggests_the_near_one(service: Api):
    answer = service.client.post("/v1/datasets", params={"lable": "x"}, content=CSV).json()
    assert answer["errors"][0]["message"] == "unknown field 'lable'; did you mean 'label'?"


@pytest.mark.parametrize("as_form", [False, True])
def test_a_body_that_is_too_large_is_refused_and_leaves_nothing(tmp_path, as_form: bool):
    with api(tmp_path, max_upload_bytes=40) as client:
        service = Api(client, tmp_path)
        headers = {"Content-Type": "multipart/form-data; boundary=x"} if as_form else {}
        body = form({}, CSV.encode()) if as_form else CSV
        streamed = client.post(
            "/v1/datasets", content=iter([body.encode() if isinstance(body, str) else body]), headers=headers
        )
        declared = client.post("/v1/datasets", content=body, headers=headers)
        assert [each.status_code for each in (streamed, declared)] == [413, 413]
        assert "40 bytes at most" in declared.json()["detail"]
        assert service.traces() == []


def test_a_full_disk_is_said_and_leaves_nothing(service: Api, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Sink, "_write", full)
    answer = service.client.post("/v1/datasets", content=CSV)
    assert (answer.status_code, answer.json()["type"]) == (507, "urn:fastmtl:problem:disk-full")
    assert service.traces() == []


@pytest.mark.parametrize(
    ("said", "status", "kind"),
    [("database or disk is full", 507, "disk-full"), ("connection refused", 503, "unavailable")],
)
def test_a_database_that_fails_is_said_and_leaves_nothing(
    service: Api, monkeypatch: pytest.MonkeyPatch, said: str, status: int, kind: str
):
    def fail(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception(said))

    monkeypatch.setattr("app.datasets._dataset", fail)
    answer = service.client.post("/v1/datasets", content=CSV)
    monkeypatch.undo()
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:fastmtl:problem:{kind}")
    assert service.traces() == []


def test_a_reader_that_takes_too_long_is_ended(tmp_path):
    with api(tmp_path, parser_timeout_seconds=0.01) as client:
        answer = Api(client, tmp_path).client.post("/v1/datasets", content=CSV)
        assert (answer.status_code, "took more than 0.01 s" in answer.json()["detail"]) == (422, True)


def test_pages_of_datasets_are_newest_first_and_stable_while_more_come(service: Api):
    first = [service.upload(name=str(number))["name"] for number in range(5)]
    page = service.client.get("/v1/datasets?limit=2").json()
    service.upload(name="new")
    seen = [each["name"] for each in page["items"]]
    while page["next_cursor"]:
        page = service.client.get("/v1/datasets", params={"limit": 2, "cursor": page["next_cursor"]}).json()
        seen += [each["name"] for each in page["items"]]
    assert seen == first[::-1]


@pytest.mark.parametrize("cursor", ["x", "bm90IGpzb24", "WzEsMl0"])
def test_a_cursor_that_is_not_ours_is_refused(service: Api, cursor: str):
    answer = service.client.get("/v1/datasets", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


def test_an_unknown_dataset_is_not_found(service: Api):
    answer = service.client.get("/v1/datasets/6f0e2f6c-3b0a-4c58-9a55-0f3d1b2c4d5e")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:fastmtl:problem:not-found")
