"""The loop: its loss curve against a plain loop, its seeds, and what each epoch sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attempts import CutOff, Teller
from orderless import Orderless
from torch.nn import functional

from fastmtl.batches import Batch, TaskRows, training_batches
from fastmtl.checkpoints import Checkpoints
from fastmtl.config import TrainingConfig
from fastmtl.datasets import TaskKind
from fastmtl.device import Machine
from fastmtl.keeping import Keeping
from fastmtl.model import MtDnn, Task, load_checkpoint
from fastmtl.plan import silent
from fastmtl.scoring import predict, score_rows
from fastmtl.tokens import tokenize
from fastmtl.training import History, batch_task_loss, train

CPU = Machine("cpu", "fp32", "test", 2**34)
TEXTS = [
    f"{who} {what} in the {where}"
    for who in ("cat", "dog")
    for what in ("runs", "eats")
    for where in ("river", "city", "train")
]
LABELS = torch.tensor([0] * 6 + [1] * 6)
TASK = Task("a" * 64, TaskKind.CLASSIFICATION, ("cat", "dog"))


def world(folder, dropout: float = 0.0) -> tuple[MtDnn, list[TaskRows]]:
    checkpoint = load_checkpoint(folder, "mean", 16)
    model = MtDnn(checkpoint.encoder, "mean", (TASK,), discriminator=False)
    model.initialise_heads(0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    checkpoint.encoder.config.attention_probs_dropout_prob = dropout
    return model, [TaskRows(0, tokenize(checkpoint.tokenizer, TEXTS, None, 16), LABELS)]


def plain_losses(folder, config: TrainingConfig, seed: int) -> list[float]:
    """The published loop, in the fewest lines: AdamW, linear decay, clipping, a batch at a time."""
    model, sources = world(folder)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=0.0)
    plan = [training_batches(sources, config.batch_size, seed, epoch) for epoch in range(config.epochs)]
    steps, taken, curve = sum(map(len, plan)), 0, []
    for epoch in plan:
        losses = []
        for batch in epoch:
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * (1 - taken / steps)
            whole = batch.source.tokens.padded(batch.rows, "cpu")
            loss = functional.cross_entropy(model.heads[0](model.features(whole)), LABELS[batch.rows])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            taken += 1
            losses.append(loss.item())
        curve.append(sum(losses) / len(losses))
    return curve


@pytest.mark.filterwarnings("ignore:put_ does not have")
def test_a_network_with_an_operation_that_has_no_order_is_trained_all_the_same(encoder_folders):
    def loss_of(model, features, batch):
        return batch_task_loss(model, Orderless.apply(features), batch)

    config = TrainingConfig(epochs=2, learning_rate=1e-3, batch_size=5)
    model, sources = world(encoder_folders["bert"])
    found = train(model, sources, config, loss_of, CPU, 3, silent).losses
    assert found == pytest.approx(plain_losses(encoder_folders["bert"], config, 3), rel=1e-4)


def test_the_loss_curve_equals_that_of_a_plain_loop(encoder_folders):
    config = TrainingConfig(epochs=3, learning_rate=1e-3, batch_size=5)
    model, sources = world(encoder_folders["bert"])
    found = train(model, sources, config, batch_task_loss, CPU, 3, silent).losses
    assert found == pytest.approx(plain_losses(encoder_folders["bert"], config, 3), rel=1e-4)


def test_the_same_seed_trains_to_the_same_bits_with_dropout_on(encoder_folders):
    def weights(seed: int) -> torch.Tensor:
        model, sources = world(encoder_folders["bert"], dropout=0.1)
        train(model, sources, TrainingConfig(epochs=2, batch_size=4), batch_task_loss, CPU, seed, silent)
        return model.heads[0].weight.detach()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_every_epoch_ends_in_a_call_and_the_progress_ends_at_its_total(encoder_folders):
    model, sources = world(encoder_folders["distilbert"])
    epochs, told = [], []
    config = TrainingConfig(epochs=2, batch_size=5)

    def note(done: int, total: int, unit: str, message: str = "") -> None:
        told.append((done, total))

    history = train(model, sources, config, batch_task_loss, CPU, 0, note, epochs.append)
    assert (epochs, told[-1], history.steps, history.rows) == ([0, 1], (24, 24), 6, 24)


@pytest.mark.parametrize(
    ("steps", "epochs"),
    [
        (1, 1),
        (3, 1),  # an epoch of 12 rows in batches of 5 takes 3 steps
        (4, 2),
        (7, 3),  # more epochs than the config has
    ],
)
def test_exactly_so_many_steps_are_taken_the_last_epoch_cut_short(encoder_folders, steps, epochs):
    model, sources = world(encoder_folders["bert"])
    sizes, ended = [], []

    def counted(model: MtDnn, features: torch.Tensor, batch: Batch) -> torch.Tensor:
        sizes.append(len(batch.rows))
        return batch_task_loss(model, features, batch)

    config = TrainingConfig(epochs=2, batch_size=5)
    history = train(model, sources, config, counted, CPU, 0, silent, ended.append, steps)
    whole = [len(batch.rows) for epoch in range(epochs) for batch in training_batches(sources, 5, 0, epoch)]
    assert sizes == whole[:steps]
    assert (history.steps, history.rows, len(history.losses), ended) == (steps, sum(sizes), epochs, [*range(epochs)])


def test_the_learning_rate_falls_to_zero_over_the_steps_that_are_taken(encoder_folders):
    config = TrainingConfig(epochs=2, learning_rate=1e-3, batch_size=5)
    found = []
    for steps in (None, 6, 3):
        model, sources = world(encoder_folders["bert"])
        found.append(train(model, sources, config, batch_task_loss, CPU, 3, silent, steps=steps))
    assert found[0] == found[1]  # as many as the epochs hold
    shorter = config.model_copy(update={"epochs": 1})
    assert found[2].losses == pytest.approx(plain_losses(encoder_folders["bert"], shorter, 3), rel=1e-4)


def test_the_progress_of_counted_steps_never_passes_its_total(encoder_folders):
    model, sources = world(encoder_folders["bert"])
    told = []

    def note(done: int, total: int, unit: str, message: str = "") -> None:
        told.append((done, total, message))

    train(model, sources, TrainingConfig(epochs=1, batch_size=5), batch_task_loss, CPU, 0, note, steps=4)
    assert all(done <= total == 16 for done, total, _ in told)  # 4 of 3 steps an epoch, of 12 rows
    assert [message for _, _, message in told] == ["epoch 1 of 2"] * 3 + ["epoch 2 of 2"]


@pytest.mark.parametrize("encoder", ["bert", "distilbert", "modernbert"])
def test_a_training_cut_off_goes_on_to_the_same_weights_and_history(encoder_folders, tmp_path, encoder):
    def run(attempt: int, words: int | None = None) -> tuple[History, dict[str, torch.Tensor]]:
        model, sources = world(encoder_folders[encoder], dropout=0.1)
        keeping = Keeping(tmp_path / str(attempt), tuple(tmp_path / str(each) for each in range(1, attempt)), 0)
        checkpoints = Checkpoints(keeping, {}, {}, pytest.fail)
        config = TrainingConfig(epochs=3, learning_rate=1e-3, batch_size=5)
        history = train(model, sources, config, batch_task_loss, CPU, 1, Teller(words), checkpoints=checkpoints)
        return history, model.state_dict()

    with pytest.raises(CutOff):
        run(1, words=4)  # in the middle of the second of three epochs of three batches
    history, weights = run(2)
    whole, expected = run(0)
    assert history == whole
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_training_learns_what_can_be_learnt(encoder_folders):
    model, sources = world(encoder_folders["modernbert"])
    train(model, sources, TrainingConfig(epochs=20, learning_rate=3e-3, batch_size=4), batch_task_loss, CPU, 0, silent)
    assert predict(model, sources[0].tokens, 0, CPU).argmax(-1).tolist() == LABELS.tolist()


def test_scores_come_back_in_the_order_of_the_rows_whatever_their_lengths(encoder_folders):
    model, _ = world(encoder_folders["bert"])
    tokenizer = load_checkpoint(encoder_folders["bert"], "mean", 16).tokenizer
    texts = ["cat", "the big dog runs in the old city", "a bird", "fish"] * 5
    together = score_rows(model, tokenize(tokenizer, texts, None, 16), lambda features: features, CPU)
    alone = [score_rows(model, tokenize(tokenizer, [text], None, 16), lambda f: f, CPU)[0] for text in texts]
    assert np.allclose(together, np.stack(alone), atol=1e-5)


def test_scores_are_the_same_every_time_on_several_cores(encoder_folders, torch_threads):
    model, _ = world(encoder_folders["bert"])
    tokenizer = load_checkpoint(encoder_folders["bert"], "mean", 16).tokenizer
    texts = [f"{text} {'old ' * (number % 9)}" for number, text in enumerate(TEXTS * 40)]
    tokens = tokenize(tokenizer, texts, None, 16)
    assert len(tokens.ids) > 2 * CPU.tokens_at_once  # enough for two lanes

    def scores(threads: int) -> np.ndarray:
        torch_threads(threads)
        return score_rows(model, tokens, lambda features: features, CPU)

    one, two = scores(1), scores(2)
    assert np.array_equal(two, scores(2))
    assert np.allclose(two, one, atol=1e-6)


def test_an_error_while_rows_are_scored_on_several_cores_is_raised(encoder_folders, torch_threads):
    model, _ = world(encoder_folders["bert"])
    tokenizer = load_checkpoint(encoder_folders["bert"], "mean", 16).tokenizer
    tokens = tokenize(tokenizer, TEXTS * 80, None, 16)
    torch_threads(2)

    def read(features: torch.Tensor) -> torch.Tensor:
        raise ValueError("no such head")

    with pytest.raises(ValueError, match="no such head"):
        score_rows(model, tokens, read, CPU)


def test_no_rows_give_no_scores(encoder_folders):
    model, _ = world(encoder_folders["bert"])
    tokenizer = load_checkpoint(encoder_folders["bert"], "mean", 16).tokenizer
    assert len(score_rows(model, tokenize(tokenizer, [], None, 16), lambda features: features, CPU)) == 0
