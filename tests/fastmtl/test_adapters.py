"""Adapters: what they leave as it is, and every row's gradient against autograd's own, one row at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import ENCODERS
from torch import nn

from fastmtl.adapters import (
    Adapted,
    Adapter,
    Projection,
    adapt,
    load_adapted,
    row_gradients,
    save_adapted,
    unit_gradients,
)
from fastmtl.batches import TaskRows
from fastmtl.datasets import TaskKind
from fastmtl.device import Machine
from fastmtl.errors import InvalidConfig
from fastmtl.losses import task_loss
from fastmtl.model import MtDnn, Task, load_checkpoint
from fastmtl.tokens import tokenize

CPU = Machine("cpu", "fp32", "test", 2**34)
TASKS = (Task("a" * 64, TaskKind.CLASSIFICATION, ("no", "yes", "maybe")), Task("b" * 64, TaskKind.REGRESSION, ()))
TEXTS = ["the cat sleeps", "a dog", "the fast train runs in the big old city by the river", "fish"]
LABELS = (torch.tensor([2, 0, 1, 1]), torch.tensor([0.5, -1.0, 2.0, 0.0]))
every_encoder = pytest.mark.parametrize("name", ENCODERS)


def world(folder: Path, *, trained: bool = True) -> tuple[Adapted, list[TaskRows]]:
    """Four rows that are each of two tasks, and adapters that are no longer zero."""
    checkpoint = load_checkpoint(folder, "auto", 32)
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, TASKS, discriminator=False)
    model.initialise_heads(1)
    adapters = adapt(checkpoint.encoder, seed=2)
    generator = torch.Generator().manual_seed(3)
    for adapter in adapters if trained else []:
        nn.init.normal_(adapter.up, std=0.1, generator=generator)
    tokens = tokenize(checkpoint.tokenizer, TEXTS, None, 32)
    sources = [TaskRows(task, tokens, labels) for task, labels in enumerate(LABELS)]
    return Adapted(model.eval(), adapters, checkpoint.tokenizer, 32), sources


def one_by_one(adapted: Adapted, source: TaskRows) -> list[torch.Tensor]:
    """Return each adapter's gradients [4, W]: autograd's, of one row without padding at a time."""
    weights = [weight for adapter in adapted.adapters for weight in (adapter.down, adapter.up)]
    found = []
    for row in range(len(TEXTS)):
        features = adapted.model.features(source.tokens.padded(np.array([row]), "cpu"))
        logits = adapted.model.task_logits(features, source.task)
        loss = task_loss(TASKS[source.task].kind, logits, source.labels[row : row + 1])
        found.append([each.flatten() for each in torch.autograd.grad(loss, weights)])
    return [
        torch.stack([torch.cat([row[index], row[index + 1]]) for row in found]) for index in range(0, len(weights), 2)
    ]


def unit(rows: torch.Tensor) -> torch.Tensor:
    return rows / (rows * rows).sum(1, keepdim=True).sqrt()


@every_encoder
def test_query_and_value_layers_are_adapted(encoder_folders, name: str):
    checkpoint = load_checkpoint(encoder_folders[name], "auto", 32)
    shapes = [(tuple(each.down.shape), tuple(each.up.shape)) for each in adapt(checkpoint.encoder, seed=0)]
    # ModernBERT has one layer for query, key and value in each of its two blocks, the others have one for each of two
    assert shapes == ([((8, 32), (96, 8))] * 2 if name == "modernbert" else [((8, 32), (32, 8))] * 4)


@every_encoder
def test_only_adapters_and_heads_can_be_trained(encoder_folders, name: str):
    adapted, _ = world(encoder_folders[name])
    trained = {key for key, value in adapted.model.named_parameters() if value.requires_grad}
    assert {key.rpartition(".")[2] for key in trained if key.startswith("encoder.")} == {"down", "up"}
    assert len(trained) == 2 * len(adapted.adapters) + 4


@every_encoder
def test_untrained_adapters_change_no_bit_of_the_output(encoder_folders, name: str):
    checkpoint = load_checkpoint(encoder_folders[name], "auto", 32)
    plain = MtDnn(checkpoint.encoder, checkpoint.pooling, (), discriminator=False).eval()
    adapted, (source, _) = world(encoder_folders[name], trained=False)
    inputs = source.tokens.padded(np.arange(4), "cpu")
    assert torch.equal(adapted.model.features(inputs), plain.features(inputs))


@every_encoder
@pytest.mark.parametrize("task", [0, 1])
def test_a_batchs_row_gradients_are_autograds_of_every_row_alone(encoder_folders, name: str, task: int):
    adapted, sources = world(encoder_folders[name])
    found: dict[int, torch.Tensor] = {}
    with row_gradients(adapted.adapters, 4, found.__setitem__):
        features = adapted.model.features(sources[task].tokens.padded(np.arange(4), "cpu"))
        losses = task_loss(TASKS[task].kind, adapted.model.task_logits(features, task), LABELS[task]) * 4
    losses.backward()
    expected = one_by_one(adapted, sources[task])
    assert sorted(found) == list(range(len(expected)))
    assert all(torch.allclose(found[index], each, rtol=1e-4, atol=1e-7) for index, each in enumerate(expected))
    assert all(each.abs().max() > 1e-5 for each in expected)


@every_encoder
def test_unit_gradients_are_the_projected_gradients_of_every_row_alone(encoder_folders, name: str):
    adapted, sources = world(encoder_folders[name])
    sizes = [adapter.size for adapter in adapted.adapters]
    projection = Projection(sizes, 64, 5, "cpu")
    found = unit_gradients(adapted, sources, projection, CPU)
    matrices = [projection.project(index, torch.eye(size)) for index, size in enumerate(sizes)]
    expected = [
        unit(sum(rows @ matrix for rows, matrix in zip(one_by_one(adapted, source), matrices, strict=True)))
        for source in sources
    ]
    assert np.allclose(found, torch.cat(expected).detach().numpy(), atol=1e-5)


def test_the_same_rows_have_the_same_gradients_to_the_bit(encoder_folders):
    def gradients(seed: int) -> np.ndarray:
        adapted, sources = world(encoder_folders["bert"])
        projection = Projection([adapter.size for adapter in adapted.adapters], 32, seed, "cpu")
        return unit_gradients(adapted, sources, projection, CPU)

    assert np.array_equal(gradients(1), gradients(1))
    assert not np.array_equal(gradients(1), gradients(2))


def test_computing_gradients_leaves_none_behind(encoder_folders):
    adapted, sources = world(encoder_folders["bert"])
    unit_gradients(adapted, sources, Projection([adapter.size for adapter in adapted.adapters], 8, 0, "cpu"), CPU)
    assert [key for key, value in adapted.model.named_parameters() if value.grad is not None] == []
    assert [adapter for adapter in adapted.adapters if adapter._forward_hooks] == []


def test_progress_counts_the_rows_of_all_sources(encoder_folders):
    adapted, sources = world(encoder_folders["bert"])
    told: list[tuple[int, int, str]] = []
    projection = Projection([adapter.size for adapter in adapted.adapters], 8, 0, "cpu")
    unit_gradients(
        adapted, sources, projection, CPU, lambda done, total, unit, message="": told.append((done, total, unit))
    )
    assert told == [(4, 8, "rows"), (8, 8, "rows")]


def test_a_row_without_a_loss_has_no_gradient_and_no_direction(encoder_folders):
    adapted, (_, source) = world(encoder_folders["bert"])
    nn.init.zeros_(adapted.model.heads[1].weight)
    projection = Projection([adapter.size for adapter in adapted.adapters], 8, 0, "cpu")
    assert np.array_equal(unit_gradients(adapted, [source], projection, CPU), np.zeros((4, 8)))


def test_what_is_saved_is_loaded(encoder_folders, tmp_path: Path):
    adapted, (source, _) = world(encoder_folders["modernbert"])
    location = {"location": f"folder:{encoder_folders['modernbert']}", "max_length": 32}
    save_adapted(adapted.model, location, tmp_path)
    loaded = load_adapted(tmp_path)
    inputs = source.tokens.padded(np.arange(4), "cpu")
    before, after = (each.task_logits(each.features(inputs), 0) for each in (adapted.model, loaded.model.eval()))
    assert torch.equal(before, after) and loaded.model.tasks == TASKS and loaded.max_length == 32


def test_the_random_matrix_has_entries_of_one_size_and_both_signs():
    matrix = Projection([20_000], 16, 0, "cpu").project(0, torch.eye(20_000))
    assert torch.equal(matrix.abs(), torch.full((20_000, 16), 0.25))
    # 160,000 of 320,000 are expected to be positive, with a standard deviation of 283
    assert abs(int((matrix > 0).sum()) - 160_000) < 5 * 283


def test_the_projection_is_linear():
    projection = Projection([300, 200], 64, 0, "cpu")
    first, second = torch.randn(2, 5, 200, generator=torch.Generator().manual_seed(0))
    together = projection.project(1, 2 * first - 3 * second)
    assert torch.allclose(together, 2 * projection.project(1, first) - 3 * projection.project(1, second), atol=1e-4)


def test_the_projection_keeps_products():
    rows = torch.nn.functional.normalize(torch.randn(20, 5_000, generator=torch.Generator().manual_seed(0)))
    found = Projection([5_000], 4_096, 1, "cpu").project(0, rows)
    # 1 / sqrt(4096) is the noise of one product of unit vectors; of 400, none should be five times that off
    assert (found @ found.T - rows @ rows.T).abs().max() < 5 / 64


def test_a_seed_and_an_adapter_have_a_matrix_of_their_own():
    def matrix(seed: int, adapter: int) -> tuple[float, ...]:
        return tuple(Projection([50, 50], 8, seed, "cpu").project(adapter, torch.eye(50)).flatten().tolist())

    assert matrix(1, 0) == matrix(1, 0)
    assert len({matrix(1, 0), matrix(1, 1), matrix(2, 0), matrix(2, 1)}) == 4


class Odd(nn.Module):
    """Layers under other names, one of them used twice, and one that reads one vector a row."""

    config = type("Config", (), {"hidden_size": 4})

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first, self.second, self.pooler = nn.Linear(width, 6), nn.Linear(6, 2), nn.Linear(width, 4)


def test_where_no_layer_has_a_known_name_all_that_read_the_hidden_width_are_adapted():
    odd = Odd()
    (adapter,) = adapt(odd, seed=0)
    assert odd.first is adapter and isinstance(odd.second, nn.Linear) and isinstance(odd.pooler, nn.Linear)


def test_an_encoder_without_layers_to_adapt_is_refused():
    with pytest.raises(InvalidConfig, match="no linear layers of its hidden width") as refused:
        adapt(Odd(width=5), seed=0)
    assert refused.value.field == "config.encoder.name"


def test_a_layer_that_does_not_read_rows_is_refused():
    adapter = Adapter(nn.Linear(3, 3), 2, torch.Generator().manual_seed(0))
    with (
        row_gradients([adapter], 2, lambda index, gradients: None),
        pytest.raises(InvalidConfig, match="token and row"),
    ):
        adapter(torch.zeros(1, 5, 3))


def test_a_layer_that_is_used_twice_hands_over_both_parts():
    adapter = Adapter(nn.Linear(3, 3), 2, torch.Generator().manual_seed(0))
    nn.init.ones_(adapter.up)
    inputs = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(1))
    found: list[torch.Tensor] = []
    with row_gradients([adapter], 1, lambda index, gradients: found.append(gradients)):
        adapter(adapter(inputs)).square().sum().backward()
    expected = torch.cat([adapter.down.grad.flatten(), adapter.up.grad.flatten()])
    assert len(found) == 2 and torch.allclose(sum(found)[0], expected, rtol=1e-4, atol=1e-5)
