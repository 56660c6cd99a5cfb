"""Losses and probabilities against the same sums written out."""

from __future__ import annotations

import math

import pytest
import torch

from fastmtl.datasets import TaskKind
from fastmtl.losses import discriminator_loss, positive_weights, probabilities, task_loss

LOGITS = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.3, -0.2]])  # [B=2, T=3]


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(x) for x in row)
    return [math.exp(x) / total for x in row]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_ce_discriminator_loss_is_the_mean_negative_log_of_the_tasks_softmax():
    expected = -sum(math.log(softmax(row)[1]) for row in LOGITS.tolist()) / 2
    assert discriminator_loss("ce", LOGITS, 1, torch.ones(3)).item() == pytest.approx(expected, rel=1e-6)


def test_bce_discriminator_loss_weighs_the_positive_of_each_sigmoid():
    weight = [2.0, 3.0, 4.0]
    terms = [
        -weight[t] * math.log(sigmoid(x)) if t == 2 else -math.log(1 - sigmoid(x))
        for row in LOGITS.tolist()
        for t, x in enumerate(row)
    ]
    found = discriminator_loss("bce", LOGITS, 2, torch.tensor(weight)).item()
    assert found == pytest.approx(sum(terms) / 6, rel=1e-6)


def test_positive_weight_is_rows_of_the_others_a_row_of_the_task():
    # 500 + 500 + 20 rows: 520/500, 520/500, 1000/20
    assert positive_weights([500, 500, 20]).tolist() == pytest.approx([1.04, 1.04, 50.0])


def test_ce_probabilities_are_a_softmax_over_tasks():
    expected = [softmax(row) for row in LOGITS.tolist()]
    assert probabilities("ce", LOGITS).flatten().tolist() == pytest.approx([x for row in expected for x in row])


def test_bce_probabilities_are_a_sigmoid_a_task():
    expected = [sigmoid(x) for row in LOGITS.tolist() for x in row]
    assert probabilities("bce", LOGITS).flatten().tolist() == pytest.approx(expected)


def test_softmax_and_sigmoid_order_rows_differently_which_is_the_published_codes_first_fault():
    logits = torch.tensor([[2.0, 3.0], [1.0, -4.0]])
    by_softmax = probabilities("ce", logits)[:, 0]
    by_sigmoid = probabilities("bce", logits)[:, 0]
    assert (by_softmax.argmax().item(), by_sigmoid.argmax().item()) == (1, 0)


def test_classification_loss_is_cross_entropy():
    labels = torch.tensor([2, 0])
    expected = -(math.log(softmax(LOGITS[0].tolist())[2]) + math.log(softmax(LOGITS[1].tolist())[0])) / 2
    assert task_loss(TaskKind.CLASSIFICATION, LOGITS, labels).item() == pytest.approx(expected, rel=1e-6)


def test_regression_loss_is_the_mean_squared_error():
    found = task_loss(TaskKind.REGRESSION, torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 1.0]))
    assert found.item() == pytest.approx((1 + 4) / 2)
