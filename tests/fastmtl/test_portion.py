"""Out of memory: the batch is halved and the step goes on; what is learnt and what is scored stay what they were."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from attempts import Teller
from tiny import write_encoder

from fastmtl.batches import Batch, InferenceOrder, TaskRows
from fastmtl.checkpoints import Checkpoints
from fastmtl.config import TrainingConfig
from fastmtl.datasets import TaskKind
from fastmtl.device import Machine
from fastmtl.errors import NotEnoughMemory, is_out_of_memory
from fastmtl.keeping import Keeping
from fastmtl.losses import discriminator_loss, positive_weights
from fastmtl.masked_lm import MaskableRows, adapt, keys, load_masked_lm
from fastmtl.model import MtDnn, Task, load_checkpoint
from fastmtl.portion import Portion
from fastmtl.scoring import compute_rows
from fastmtl.tokens import tokenize
from fastmtl.training import History, LossOf, batch_task_loss, train

CPU = Machine("cpu", "fp32", "test", 2**34)
TEXTS = [f"{who} {what} in the old city" for who in ("cat", "dog", "bird") for what in ("runs", "eats", "sings")]
TASKS = (
    Task("a", TaskKind.CLASSIFICATION, ("no", "yes")),
    Task("b", TaskKind.REGRESSION, ()),
)
CONFIG = TrainingConfig(epochs=2, learning_rate=1e-3, batch_size=8)
POSITIVE = positive_weights([9, 9])
ALLOCATION = "[enforce fail at alloc_cpu.cpp:1] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to ..."


def told_apart(kind: str) -> LossOf:
    """The loss of TD-MTDNN."""

    def loss_of(model: MtDnn, features: torch.Tensor, batch: Batch) -> torch.Tensor:
        told = discriminator_loss(kind, model.discriminate(features), batch.source.task, POSITIVE)
        return batch_task_loss(model, features, batch) + told

    return loss_of


def at_most(rows: int, loss_of: LossOf, error: Callable[[], Exception]) -> LossOf:
    """A device that holds only so many rows: the loss of more of them raises."""

    def limited(model: MtDnn, features: torch.Tensor, batch: Batch) -> torch.Tensor:
        if len(batch.rows) > rows:
            raise error()
        return loss_of(model, features, batch)

    return limited


def learn(folder: Path, loss_of: LossOf, teller: Teller, **more: object) -> tuple[History, dict[str, torch.Tensor]]:
    """Train on a classification and a regression of 9 rows each, without dropout."""
    checkpoint = load_checkpoint(folder, "mean", 16)
    model = MtDnn(checkpoint.encoder, "mean", TASKS, discriminator=True)
    model.initialise_heads(0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    tokens = tokenize(checkpoint.tokenizer, TEXTS, None, 16)
    sources = [TaskRows(0, tokens, torch.arange(9) % 2), TaskRows(1, tokens, torch.linspace(-1, 1, 9))]
    history = train(model, sources, CONFIG, loss_of, CPU, 0, teller, **more)
    return history, model.state_dict()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder("bert", tmp_path_factory.mktemp("bert"))


@pytest.mark.parametrize("loss", ["ce", "bce"])
@pytest.mark.parametrize(
    "error",
    [lambda: torch.OutOfMemoryError("CUDA out of memory."), MemoryError, lambda: RuntimeError(ALLOCATION)],
    ids=["cuda", "python", "cpu"],
)
def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_teaches_the_same(folder, loss, error):
    teller = Teller()
    whole, weights = learn(folder, told_apart(loss), Teller())
    halved, same = learn(folder, at_most(3, told_apart(loss), error), teller)
    assert halved.losses == pytest.approx(whole.losses, rel=1e-5)
    assert (halved.steps, halved.rows) == (whole.steps, whole.rows)
    assert max(float((weights[name] - same[name]).abs().max()) for name in weights) < 1e-4
    size = "a batch of {} rows did not fit in memory: the step goes on with at most {} rows at a time"
    assert teller.warnings == [size.format(8, 4), size.format(4, 2)]  # once for the whole training


def test_one_row_that_does_not_fit_ends_the_step_with_the_setting_to_change(folder):
    with pytest.raises(NotEnoughMemory, match=r"not even one row of \d+ tokens .* config\.encoder\.max_length") as told:
        learn(folder, at_most(0, batch_task_loss, MemoryError), Teller())
    assert isinstance(told.value.__cause__, MemoryError)


def test_another_error_is_not_taken_for_want_of_memory(folder):
    with pytest.raises(RuntimeError, match="shapes do not match"):
        learn(folder, at_most(0, batch_task_loss, lambda: RuntimeError("shapes do not match")), Teller())


def test_the_smaller_size_is_kept_by_the_next_attempt(folder, tmp_path):
    def checkpoints(attempt: int) -> Checkpoints:
        keeping = Keeping(tmp_path / str(attempt), tuple(tmp_path / str(each) for each in range(1, attempt)), 0)
        return Checkpoints(keeping, {}, {}, pytest.fail)

    learn(folder, at_most(3, batch_task_loss, MemoryError), Teller(), checkpoints=checkpoints(1), steps=4)
    sizes: list[int] = []
    learn(folder, noting(sizes), Teller(), checkpoints=checkpoints(2))
    assert max(sizes) == 2


def noting(sizes: list[int]) -> LossOf:
    """The plain loss, which notes how many rows it was asked for at once."""

    def loss_of(model: MtDnn, features: torch.Tensor, batch: Batch) -> torch.Tensor:
        sizes.append(len(batch.rows))
        return batch_task_loss(model, features, batch)

    return loss_of


def cut_after(batches: int) -> LossOf:
    """The plain loss, whose process ends after so many batches."""
    left = iter(range(batches))

    def loss_of(model: MtDnn, features: torch.Tensor, batch: Batch) -> torch.Tensor:
        if next(left, None) is None:
            raise InterruptedError
        return batch_task_loss(model, features, batch)

    return loss_of


@pytest.mark.parametrize("resumed", [False, True])
def test_an_attempt_after_one_that_memory_ended_computes_half_a_batch_at_once_and_learns_the_same(
    folder, tmp_path, resumed
):
    if resumed:
        killed = Checkpoints(Keeping(tmp_path / "1", (), 0), {}, {}, pytest.fail)
        with pytest.raises(InterruptedError):
            learn(folder, cut_after(5), Teller(), checkpoints=killed)
    sizes: list[int] = []
    after = Checkpoints(Keeping(tmp_path / "2", (tmp_path / "1",), 0, halvings=1), {}, {}, pytest.fail)
    history, _ = learn(folder, noting(sizes), Teller(), checkpoints=after)
    assert history.losses == pytest.approx(learn(folder, batch_task_loss, Teller())[0].losses, rel=1e-5)
    assert max(sizes) == CONFIG.batch_size // 2


def test_scoring_after_an_attempt_that_memory_ended_takes_half_the_tokens_at_once(tmp_path):
    def checkpoints(*older: Path, halvings: int) -> Checkpoints:
        return Checkpoints(Keeping(tmp_path / "new", older, 0, halvings), {}, {}, pytest.fail)

    assert [checkpoints(halvings=halvings).at_once(32) for halvings in (0, 1, 2, 9)] == [32, 16, 8, 1]
    assert Checkpoints.none().at_once(32) == 32


def test_a_language_model_adapts_to_the_same_in_halves(tmp_path):
    def adapted(largest: int | None) -> tuple[History, list[str]]:
        model, tokenizer = load_masked_lm(write_encoder("bert-mlm", tmp_path), 16)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0

        def refuse(_: object, inputs: tuple, given: dict) -> None:
            if largest is not None and len(given["input_ids"]) > largest:
                raise torch.OutOfMemoryError("CUDA out of memory.")

        model.register_forward_pre_hook(refuse, with_kwargs=True)
        tokens = tokenize(tokenizer, TEXTS, None, 16)
        rows = MaskableRows(tokens, keys("a" * 64, 0, 9), tokenizer, 0.3, 0)
        teller = Teller()
        history = adapt(model, rows, CONFIG, CPU, teller)
        return history, teller.warnings

    whole, halved = adapted(None), adapted(1)  # the CPU encodes 8 rows in four groups of 2
    assert halved[0].losses == pytest.approx(whole[0].losses, rel=1e-5)
    assert ["at most 4 rows" in told for told in halved[1]] == [True]


def test_rows_are_scored_in_smaller_batches_from_where_one_did_not_fit():
    asked: list[int] = []

    def compute(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return np.stack([rows, rows**2], axis=1)

    teller = Teller()
    order = InferenceOrder.of([np.full(10, 4)])
    found = compute_rows(order, compute, Portion(32, "tokens", teller), teller)
    assert found.tolist() == [[row, row**2] for row in range(10)]
    assert asked == [8, 4, 2, 2, 2, 2, 2]  # 32, 16 and then 8 tokens of rows of 4
    assert len(teller.warnings) == 2


def test_what_is_computed_ahead_begins_anew_in_smaller_batches_where_one_did_not_fit():
    asked: list[int] = []

    def compute(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        if len(rows) > 3 and 7 in rows:
            raise MemoryError
        return np.stack([rows, rows**2], axis=1)

    teller = Teller()
    order = InferenceOrder.of([np.full(20, 4)])
    with ThreadPoolExecutor(1) as pool:
        found = compute_rows(
            order, lambda rows: pool.submit(compute, rows), Portion(16, "tokens", teller), teller, ahead=2
        )
    assert found.tolist() == [[row, row**2] for row in range(20)]
    assert asked == [4, 4, 4, 4, *[2] * 8]  # the fourth was begun when the first was there, the second had failed
    assert len(teller.warnings) == 1


def test_a_row_that_did_not_fit_beside_others_is_computed_alone():
    at_work = []

    def compute(rows: np.ndarray) -> np.ndarray:
        at_work.append(1)
        time.sleep(0.02)
        together = len(at_work)
        at_work.pop()
        if together > 1:
            raise MemoryError
        return np.stack([rows, rows**2], axis=1)

    teller = Teller()
    order = InferenceOrder.of([np.full(6, 4)])
    with ThreadPoolExecutor(2) as pool:
        found = compute_rows(
            order, lambda rows: pool.submit(compute, rows), Portion(4, "tokens", teller), teller, ahead=2
        )
    assert found.tolist() == [[row, row**2] for row in range(6)]


def test_a_row_that_does_not_fit_alone_cannot_be_scored():
    def compute(rows: np.ndarray) -> np.ndarray:
        raise MemoryError

    order = InferenceOrder.of([np.array([50, 3])])
    with pytest.raises(NotEnoughMemory, match="not even one row of 50 tokens"):
        compute_rows(order, compute, Portion(64, "tokens", Teller()))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError(ALLOCATION), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError(ALLOCATION), False),
    ],
)
def test_what_want_of_memory_looks_like(error, expected):
    assert is_out_of_memory(error) is expected


def test_what_torch_says_when_a_cpu_has_no_more_is_known():
    with pytest.raises(RuntimeError) as told:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(told.value)
