"""Dropout: how much is dropped, what it is on average, and from which generator it is drawn."""

import pytest
import torch
from torch import nn

from fastmtl.dropout import Dropout, drop, hasten


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_values_are_zero_with_the_chance_and_on_average_what_they_were(chance):
    torch.manual_seed(0)
    found = drop(torch.ones(1_000, 1_001), chance)
    zero = (found == 0).float().mean().item()
    assert zero == pytest.approx(chance, abs=0.002)  # one standard error is at most 0.0005
    assert found.mean().item() == pytest.approx(1, abs=0.02)
    assert found.unique().numel() == 2


def test_every_place_of_a_draw_is_dropped_as_often():
    torch.manual_seed(0)
    zero = (drop(torch.ones(100_000, 4), 0.1) == 0).float().mean(0)
    assert zero.tolist() == pytest.approx([0.1] * 4, abs=0.005)


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    gone = drop(torch.ones(400_000), 0.1) == 0
    assert (gone[1:] & gone[:-1]).float().mean().item() == pytest.approx(0.01, abs=0.001)


def test_what_is_drawn_is_torchs_to_seed():
    def drawn(seed):
        torch.manual_seed(seed)
        return drop(torch.ones(50), 0.5)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_gradients_flow_through_what_stays():
    torch.manual_seed(0)
    values = torch.ones(200, requires_grad=True)
    found = drop(values, 0.25)
    found.sum().backward()
    assert torch.equal(values.grad, found.detach())


def test_the_type_of_numbers_stays():
    assert drop(torch.ones(8, dtype=torch.bfloat16), 0.5).dtype == torch.bfloat16


def test_nothing_is_dropped_in_eval_mode_or_without_a_chance():
    values = torch.rand(10)
    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.equal(drop(values, 0.0), values)


def test_every_dropout_of_a_model_is_replaced_with_its_own_chance():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3), nn.Sequential(nn.Dropout(0.2)))
    hasten(model)
    assert [(type(each), each.p) for each in (model[1], model[2][0])] == [(Dropout, 0.3), (Dropout, 0.2)]
