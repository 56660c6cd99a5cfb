"""Histograms of a dataset."""

from __future__ import annotations

from service import Api

LONG = "x" * 5_000


def shape(service: Api, body: str) -> dict:
    made = service.upload(body)
    answer = service.client.get(f"/v1/datasets/{made['id']}/shape")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_few_long_rows_do_not_squeeze_the_others(service: Api):
    lines = [f"{'a' * (row % 40 + 1)} {row},{row % 2}" for row in range(200)]
    found = shape(service, "\n".join(["text,label", *lines, f"{LONG},1"]))["lengths"]
    assert (sum(found["rows"]), len(found["edges"]), found["rows"][-1]) == (201, 25, 1)
    assert found["edges"][-1] < 120  # twice what nineteen of twenty rows have, not 5,000


def test_both_texts_of_a_pair_count(service: Api):
    found = shape(service, "sentence1,sentence2,label\nab,cde,x\nab,c,y\n")["lengths"]
    filled = {low: rows for low, rows in zip(found["edges"], found["rows"], strict=False) if rows}
    assert filled == {3.0: 1, 5.0: 1}


def test_the_labels_of_a_regression_have_bars_and_classes_have_not(service: Api):
    lines = [f"number {row},{row / 10 + 0.05}" for row in range(50)]
    numbers = shape(service, "\n".join(["text,label", *lines]))["labels"]
    assert (sum(numbers["rows"]), numbers["edges"][0], numbers["edges"][-1]) == (50, 0.05, 4.95)
    assert shape(service, "text,label\na,x\nb,y\n")["labels"] is None
