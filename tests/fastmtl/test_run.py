"""A training under way: how its gradients are clipped."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from fastmtl.run import MAX_GRADIENT_NORM, _clip


@pytest.mark.parametrize("scale", [0.001, 1.0, 1_000.0])
def test_gradients_are_clipped_as_torch_does_to_the_bit(scale):
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(30, 20), nn.LayerNorm(20), nn.Linear(20, 3))
    (scale * ours(torch.randn(8, 30)).square().sum()).backward()
    theirs = copy.deepcopy(ours)
    for one, other in zip(theirs.parameters(), ours.parameters(), strict=True):
        one.grad = other.grad.clone()
    nn.utils.clip_grad_norm_(theirs.parameters(), MAX_GRADIENT_NORM)
    _clip([each.grad for each in ours.parameters()])
    assert all(
        torch.equal(one.grad, other.grad) for one, other in zip(theirs.parameters(), ours.parameters(), strict=True)
    )
