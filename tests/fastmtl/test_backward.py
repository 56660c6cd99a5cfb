"""Gradients in one order of their sums: asked for strictly, until something has none."""

from __future__ import annotations

import pytest
import torch
from orderless import Orderless

from fastmtl.backward import Backward, strictly
from fastmtl.device import make_deterministic


@pytest.fixture(autouse=True)
def asked():
    make_deterministic()
    yield
    torch.use_deterministic_algorithms(False)


def test_all_that_has_an_order_is_asked_for_it_while_gradients_are_computed():
    seen = []
    values = torch.ones(2, requires_grad=True)
    values.register_hook(lambda _: seen.append(torch.is_deterministic_algorithms_warn_only_enabled()))
    Backward()(values.sum())
    assert seen == [False]
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.are_deterministic_algorithms_enabled()


def test_an_error_leaves_what_was_asked_for_as_it_was():
    with pytest.raises(ZeroDivisionError), strictly():
        raise ZeroDivisionError
    assert torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.filterwarnings("ignore:put_ does not have")
def test_what_has_no_order_is_refused_once_and_then_let_be():
    backward, values = Backward(), torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError) as refusal:
        backward(Orderless.apply(values).sum())
    assert backward.forgives(refusal.value)
    backward(Orderless.apply(values).sum())
    assert values.grad.tolist() == [1, 1]
    assert not backward.forgives(refusal.value)


def test_another_error_is_not_forgiven():
    assert not Backward().forgives(RuntimeError("CUDA out of memory"))
