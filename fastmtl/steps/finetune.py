"""Fine-tune TO-MTDNN on the primary alone, and measure it once on rows that no training has seen (paper, section 3.4).

Reads   the arm's `target` model, the primary and, where the user gave one, the validation dataset
Writes  model/               the fine-tuned network, as it was after the chosen epoch
        predictions.parquet  row, label, predicted: of every row it was measured on
        evaluation.json      metrics, sizes of the splits, the chosen epoch and why
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from fastmtl import device, memory
from fastmtl.checkpoints import Checkpoints, State
from fastmtl.config import FinetuningConfig
from fastmtl.datasets import Dataset, TaskKind, dataset_of
from fastmtl.evaluation import Split, headline, measure, predictions, split
from fastmtl.examples import in_head_units, read_task
from fastmtl.losses import task_loss
from fastmtl.model import MtDnn, Task, load_model, save_model
from fastmtl.plan import Json, StepSpec, Workspace, folders
from fastmtl.portion import Portion
from fastmtl.reading import read_tokens
from fastmtl.scoring import predict
from fastmtl.telling import Standing
from fastmtl.tokens import Rows, Tokens, counted
from fastmtl.training import batch_task_loss, train

Logits = npt.NDArray[np.float32]

PRIMARY = 0
"""The primary's place among the model's tasks."""


class BestEpoch:
    """Keeps the weights of the epoch that does best on the rows kept aside for that choice."""

    def __init__(self, model: MtDnn, task: Task, labels: torch.Tensor, logits: Callable[[], Logits]) -> None:
        """`labels` [n] are those rows' in the head's units, `logits` computes [n, C] as the model is now."""
        self._model, self._task, self._labels, self._logits = model, task, labels, logits
        self.scores: list[Json] = []
        self._best: tuple[float, float] | None = None
        self._weights: dict[str, torch.Tensor] = {}
        self.epoch: int | None = None

    def __call__(self, epoch: int) -> None:
        """Measure this epoch; keep its weights if it is the best so far, by metric and, where equal, by loss."""
        if not len(self._labels):
            self.epoch = epoch
            return
        logits = self._logits()  # [n, C]
        loss = float(task_loss(self._task.kind, torch.from_numpy(logits), self._labels))
        name = headline(self._task.kind)
        value = measure(self._task.kind, self._labels.numpy(), predictions(self._task.kind, logits))[name]
        self.scores.append({"epoch": epoch + 1, name: value, "loss": loss})
        rank = (-np.inf if value is None else value, -loss)
        if self._best is None or rank > self._best:
            self._best, self.epoch = rank, epoch
            self._weights = {key: tensor.detach().clone() for key, tensor in self._model.state_dict().items()}

    def restore(self) -> None:
        """Put the kept weights back."""
        if self._weights:
            self._model.load_state_dict(self._weights)

    def go_on(self, checkpoints: Checkpoints) -> None:
        """Take up what the attempt before had kept, if there was one, and be kept from now on."""
        if kept := checkpoints.take("best epoch"):
            facts = kept.facts
            self.scores, self.epoch = facts["scores"], facts["epoch"]
            self._best = None if facts["best"] is None else (facts["best"][0], facts["best"][1])
            self._weights = kept.tensors
        checkpoints.keep("best epoch", self.state)

    def state(self) -> State:
        """Return all that `go_on` needs."""
        return State(self._weights, {"scores": self.scores, "epoch": self.epoch, "best": self._best})


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Fine-tune, choose the epoch on the primary's own rows, measure once."""
    params = spec.params
    config = FinetuningConfig(**params["training"])
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    max_length = params["encoder"]["max_length"]
    (target,) = folders(workspace, spec)
    told = Standing(workspace.progress)
    model, tokenizer = load_model(target / "model", max_length)
    memory.check_training(model.encoder, config, max_length, machine.free_bytes, "finetuning")

    task = model.tasks[PRIMARY]
    primary = dataset_of(workspace, params["primary"]["digest"])
    parts = split(primary.rows, params["holdout_share"], params["choice_share"], params["split_seed"], params["seed"])
    source = read_task(PRIMARY, task, primary, parts.train, tokenizer, max_length, told.beside("reading"))
    measured, rows = _measured_on(spec, workspace, primary, parts)
    asked = (measured, rows) if config.choose_on == "measured" else (primary, parts.choice)
    checkpoints = Checkpoints.of(spec, workspace, machine, [model])
    portion = Portion(checkpoints.at_once(machine.tokens_at_once), "tokens", told)

    def logits_of(tokens: Tokens) -> Logits:
        return predict(model, tokens, PRIMARY, machine, told.beside("measuring"), checkpoints, portion)

    tokens = read_tokens(*asked, tokenizer, max_length, told.beside("reading"))
    best = BestEpoch(model, task, in_head_units(task, *asked), lambda: logits_of(tokens))
    best.go_on(checkpoints)
    history = train(
        model, [source], config, batch_task_loss, machine, params["seed"], told, best, checkpoints=checkpoints
    )
    best.restore()

    measured_tokens = read_tokens(measured, rows, tokenizer, max_length, told.beside("reading"))
    logits = logits_of(measured_tokens)  # [n, C]
    labels, predicted = _in_users_units(task, in_head_units(task, measured, rows), logits)
    evaluation = {
        "seed": params["seed"],
        "metrics": measure(task.kind, labels, predicted),
        "headline": headline(task.kind),
        "classes": task.classes,
        "measured_on": "validation" if params["validation"] else "holdout",
        "rows": {"train": len(parts.train), "choice": len(parts.choice), "measured": len(rows)},
        "epoch": None if best.epoch is None else best.epoch + 1,
        "epochs": best.scores,
        "losses": history.losses,
        "machine": asdict(machine),
    }
    save_model(model, tokenizer, workspace.output / "model", {"encoder": params["encoder"], "machine": asdict(machine)})
    _write_predictions(workspace, task, rows, labels, predicted)
    (workspace.output / "evaluation.json").write_text(json.dumps(evaluation))
    said = {key: evaluation[key] for key in ("metrics", "headline", "measured_on", "rows", "epoch", "losses")}
    primary_digest: str = params["primary"]["digest"]
    read = [(primary_digest, source.tokens), (params["validation"] or primary_digest, measured_tokens)]
    return {**said, "read": counted(params["encoder"], read)}


def _measured_on(spec: StepSpec, workspace: Workspace, primary: Dataset, parts: Split) -> tuple[Dataset, Rows]:
    """Return the rows that the model is measured on: the user's, else those held out."""
    digest = spec.params["validation"]
    if digest is None:
        return primary, parts.holdout
    validation = dataset_of(workspace, digest)
    return validation, np.arange(validation.rows)


def _in_users_units(
    task: Task, labels: torch.Tensor, logits: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return labels and predictions [n]: class indices, or values as the user gave them."""
    return (
        labels.numpy().astype(np.float64) * task.std + task.mean,
        predictions(task.kind, logits).astype(np.float64) * task.std + task.mean,
    )


def _write_predictions(
    workspace: Workspace, task: Task, rows: Rows, labels: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]
) -> None:
    """Write what was measured, with class names where there are classes."""
    columns: dict[str, Any] = {"row": rows, "label": labels, "predicted": predicted}
    if task.kind == TaskKind.CLASSIFICATION:
        for name in ("label", "predicted"):
            columns[name] = [task.classes[int(index)] for index in columns[name]]
    pq.write_table(pa.table(columns), workspace.output / "predictions.parquet")
