"""The estimate of memory: high enough to be trusted, and said before anything starts."""

import pytest
from transformers import AutoModel

from fastmtl import memory
from fastmtl.config import TrainingConfig
from fastmtl.encoders import KNOWN, resolve
from fastmtl.errors import NotEnoughMemory


@pytest.fixture(scope="module")
def encoder():
    return AutoModel.from_pretrained(resolve(KNOWN["all-MiniLM-L6-v2"]))


def test_a_longer_or_larger_batch_needs_more(encoder):
    needs = [memory.training_bytes(encoder, *shape) for shape in ((8, 64), (16, 64), (16, 128))]
    assert needs == sorted(set(needs))


def test_weights_gradients_and_both_moments_are_counted(encoder):
    weights = 4 * sum(parameter.numel() for parameter in encoder.parameters())
    assert memory.training_bytes(encoder, 1, 8) > 4 * weights
    assert memory.inference_bytes(encoder, 8) < memory.training_bytes(encoder, 1, 8)


def test_what_does_not_fit_is_refused_with_the_settings_to_change(encoder):
    told = r"Make config.target.batch_size \(64\) or config.encoder.max_length \(128\) smaller"
    with pytest.raises(NotEnoughMemory, match=told) as caught:
        memory.check_training(encoder, TrainingConfig(batch_size=64), 128, 2**29, "target")
    assert "0.5 GiB" in str(caught.value)


def test_what_fits_passes(encoder):
    memory.check_training(encoder, TrainingConfig(batch_size=8), 32, 2**33, "target")
