"""The client's uploads in parts, over connections that break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from cutting import Cutter, cutting
from service import Api, api, many
from serving import served

from fastmtl import resumable
from fastmtl.client import Client, Invalid, Unauthorized, Unreachable

MIB = 2**20
ROWS = 20_000


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path / "home") as inner:
        yield Api(inner, tmp_path / "home")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three megabytes."""
    path = tmp_path / "parcels.csv"
    path.write_text(many(ROWS, "a parcel that came late and was open " * 4))
    return path


@pytest.fixture
def cutter(hand: Api) -> Iterator[Cutter]:
    with served(hand.client.app) as url, cutting(url, [100, 700_000, MIB, 2 * MIB]) as cutter:  # type: ignore[arg-type]
        yield cutter


def test_an_upload_goes_on_after_every_cut(hand: Api, cutter: Cutter, file: Path):
    with Client(cutter.url, hand.key) as client:
        dataset = client.upload(file, resumable=True)
    whole = hand.upload(file.read_bytes())
    assert (dataset["name"], dataset["sha256"], dataset["digest"]) == ("parcels", whole["sha256"], whole["digest"])
    assert cutter.done == 4


def test_a_refusal_is_told_as_by_one_request(hand: Api, cutter: Cutter, file: Path):
    file.write_text(file.read_text() + ",yes\n")
    with Client(cutter.url, hand.key) as client, pytest.raises(Invalid, match="the text is empty") as caught:
        client.upload(file, resumable=True)
    assert caught.value.problem["errors"][0]["row"] == ROWS


def test_what_another_attempt_would_not_change_is_not_tried_again(hand: Api, cutter: Cutter, file: Path):
    with Client(cutter.url, "fastmtl_no_key") as client, pytest.raises(Unauthorized, match="not a key"):
        client.upload(file, resumable=True)


def test_large_files_are_sent_in_parts_without_being_told(
    hand: Api, cutter: Cutter, file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fastmtl.client.client.LARGE_BYTES", MIB)
    with Client(cutter.url, hand.key) as client:
        assert client.upload(file)["rows"] == ROWS
    assert cutter.done == 4


def test_a_service_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch, file: Path):
    monkeypatch.setattr(resumable, "LONGEST_WAIT_SECONDS", 0.01)
    with Client("http://127.0.0.1:1", "fastmtl_key") as client, pytest.raises(Unreachable):
        client.upload(file, resumable=True)


def test_an_upload_whose_first_answer_was_lost_is_begun_again_under_the_same_key(file: Path):
    keys: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.startswith("/v1/datasets/"):
            return httpx2.Response(200, json={})
        if request.method == "HEAD":
            return httpx2.Response(200, headers={"Upload-Offset": "9", "FastMTL-Dataset": "/v1/datasets/made"})
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx2.ReadError("the connection was reset")
        return httpx2.Response(201, headers={"Location": "/v1/uploads/one"})

    with httpx2.Client(base_url="http://api/v1", transport=httpx2.MockTransport(answer)) as http:
        assert resumable.upload_in_parts(http, file, {}, lambda _: AssertionError()) == "made"
    assert (len(keys), len(set(keys))) == (2, 1)
