"""Splits of the hub that the service fetches itself: only where it may, only what is public, only from the hub."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import COMMIT, Hub, hub_of, little_hub
from little_glue import table
from service import Api, api, served
from shell import shell_of

from fastmtl.client import Client, Forbidden, Invalid

TRAIN = "hub:nyu-mll/glue/rte#train"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_operator")
    with hub_of(tmp_path, monkeypatch) as hub:
        little_hub(hub)
        yield hub


@pytest.fixture
def hand(hub: Hub, tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path / "home", hub="on") as client:
        yield Api(client, tmp_path / "home")


def fetch(hand: Api, source: str, **said: object) -> tuple[int, dict]:
    answer = hand.client.post("/v1/datasets/from-hub", json={"source": source, **said})
    return answer.status_code, answer.json()


def test_a_split_becomes_a_dataset_with_the_commit_as_its_source(hand: Api):
    status, made = fetch(hand, TRAIN)
    assert (status, made["name"], made["rows"], made["source"]) == (
        201,
        "rte",
        20,
        f"hub:nyu-mll/glue/rte@{COMMIT}#train",
    )
    assert [each["label"] for each in made["labels"]] == ["entailment", "not_entailment"]
    again = fetch(hand, made["source"], name="again", text_a="sentence2")[1]
    assert (again["name"], again["columns"]["text_a"], again["source"]) == ("again", "sentence2", made["source"])
    assert list((hand.home / "storage" / "incoming").iterdir()) == []


def test_under_an_idempotency_key_it_is_fetched_once(hand: Api, hub: Hub):
    head = {"Idempotency-Key": str(uuid.uuid4())}
    made = [hand.client.post("/v1/datasets/from-hub", json={"source": TRAIN}, headers=head).json() for _ in range(2)]
    assert (made[0], len(hub.fetched())) == (made[1], 3)


@pytest.mark.parametrize(
    ("source", "status", "kind", "told"),
    [
        ("hub:nyu-mll/glue/rte#train[:9]", 422, "invalid-dataset", "slices and sums of splits are not taken"),
        ("https://example.com/x#train", 422, "invalid-dataset", "is no name on the hub"),
        ("hub:nyu-mll/glue/rte#test", 422, "invalid-dataset", "column 'label': every label is -1"),
        ("hub:nyu-mll/glue/rte#dev", 422, "not-on-hub", "its splits are train, validation, test"),
        ("hub:me/secret#train", 422, "not-on-hub", "me/secret is gated"),
    ],
)
def test_what_cannot_be_fetched_is_told_and_leaves_nothing(
    hand: Api, hub: Hub, source: str, status: int, kind: str, told: str
):
    hub.add("me/secret", {"train.parquet": table("sst2", 4)})
    hub.gated.add("me/secret")
    hub.tokens.add("hf_of_the_operator")  # which is not lent to tenants
    before = hand.traces()
    answer = fetch(hand, source)
    assert (answer[0], answer[1]["type"].rpartition(":")[2]) == (status, kind)
    assert told in answer[1]["detail"]
    assert hand.traces() == before


def test_it_goes_where_the_hub_is_and_nowhere_else(hand: Api, hub: Hub):
    hub.elsewhere = hub.url.replace("127.0.0.1", "localhost")
    status, problem = fetch(hand, TRAIN)
    assert (status, problem["detail"]) == (502, f"{hub.url} leads to localhost, which is none of the hub's hosts")


def test_it_is_bounded_in_bytes_and_time(hub: Hub, tmp_path: Path):
    for name, value, status, told in (
        ("max_upload_bytes", 1_000, 422, "and 1,000 are the most"),
        ("hub_timeout_seconds", 0.01, 502, "took more than 0.01 s"),
    ):
        with api(tmp_path / name, hub="on", **{name: value}) as client:
            found = fetch(Api(client, tmp_path / name), TRAIN)
        assert (found[0], told in found[1]["detail"]) == (status, True)
    assert hub.fetched() in ([], ["README.md"])


def test_quotas_count_it_as_an_upload(hub: Hub, tmp_path: Path):
    with api(tmp_path / "home", hub="on", quota_rows=19) as client:
        status, problem = fetch(Api(client, tmp_path / "home"), TRAIN)
    assert (status, problem["type"]) == (403, "urn:fastmtl:problem:quota-exceeded")


def test_unless_it_is_turned_on_nothing_is_asked(hub: Hub, tmp_path: Path):
    with api(tmp_path / "home") as client:
        status, problem = fetch(Api(client, tmp_path / "home"), TRAIN)
    assert (status, problem["type"], hub.asked) == (403, "urn:fastmtl:problem:hub-off", [])
    assert "fastmtl datasets upload" in problem["detail"]


def test_client_and_command_ask_the_service_to_fetch(hand: Api, monkeypatch: pytest.MonkeyPatch):
    with shell_of(hand, monkeypatch) as shell:
        made = shell.json("datasets", "fetch", TRAIN, "--name", "mine")
        with Client(shell.url, hand.key) as client:
            same = client.fetch(TRAIN)
            with pytest.raises(Invalid, match="its splits are"):
                client.fetch("hub:nyu-mll/glue/rte#dev")
    assert (made["name"], same.digest, same.source) == ("mine", made["digest"], made["source"])


def test_client_is_told_where_it_is_off(tmp_path: Path):
    with api(tmp_path / "home") as inner, served(inner.app) as url:  # type: ignore[arg-type]
        with Client(url, Api(inner, tmp_path / "home").key) as client, pytest.raises(Forbidden, match="FASTMTL_HUB"):
            client.fetch(TRAIN)
