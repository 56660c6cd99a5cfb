"""TO-MTDNN: a fresh encoder trained on the primary and the chosen rows (paper, section 3.4).

Reads   the primary, the auxiliaries and the selection, or the primary alone
Writes  model/          the network; its first task is the primary
        history.json    the loss of every epoch

Arms differ in rows and in nothing else. Each takes epochs · (ceil(n / B) + ceil(visits / B)) optimiser steps of B rows,
n being the primary's training rows: with fewer auxiliary rows than `visits` an epoch draws more of the primary's, with
more it takes a part of them. Rows of many small tasks make more batches than that; the last epoch is then cut short.
`visits` null trains on every row in every epoch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from fastmtl import device, memory
from fastmtl.batches import TaskRows
from fastmtl.checkpoints import Checkpoints
from fastmtl.config import TrainingConfig
from fastmtl.datasets import dataset_of
from fastmtl.encoders import resolve
from fastmtl.evaluation import split
from fastmtl.examples import describe_task, read_task
from fastmtl.model import MtDnn, load_checkpoint, save_model
from fastmtl.plan import Json, StepSpec, Workspace, folders
from fastmtl.telling import Standing
from fastmtl.tokens import Rows, counted
from fastmtl.training import batch_task_loss, train


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Train MT-DNN on the primary's training rows and the chosen ones."""
    params = spec.params
    config = TrainingConfig(**params["training"])
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    encoder = params["encoder"]
    told = Standing(workspace.progress)
    location = resolve(encoder["location"], told.beside("fetching the encoder"))
    checkpoint = load_checkpoint(location, encoder["pooling"], encoder["max_length"])
    memory.check_training(checkpoint.encoder, config, encoder["max_length"], machine.free_bytes, "target")

    parts = _training_rows(spec, workspace)
    datasets = [dataset_of(workspace, digest) for digest, _ in parts]
    tasks = [describe_task(digest, dataset, rows) for (digest, rows), dataset in zip(parts, datasets, strict=True)]
    sources = [
        read_task(
            index,
            tasks[index],
            datasets[index],
            rows,
            checkpoint.tokenizer,
            checkpoint.max_length,
            told.beside("reading"),
        )
        for index, (_, rows) in enumerate(parts)
    ]
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, tasks, discriminator=False)
    model.initialise_heads(params["seed"])
    history = train(
        model,
        _visiting(sources, params["visits"]),
        config,
        batch_task_loss,
        machine,
        params["seed"],
        told,
        steps=_steps(len(parts[0][1]), params["visits"], config),
        checkpoints=Checkpoints.of(spec, workspace, machine, [model]),
    )

    save_model(
        model, checkpoint.tokenizer, workspace.output / "model", {"encoder": encoder, "machine": asdict(machine)}
    )
    (workspace.output / "history.json").write_text(json.dumps(asdict(history)))
    read = counted(encoder, ((task.digest, source.tokens) for task, source in zip(tasks, sources, strict=True)))
    return {"losses": history.losses, "rows": history.rows, "steps": history.steps, "read": read}


def _steps(primary_rows: int, visits: int | None, config: TrainingConfig) -> int | None:
    """Return the optimiser steps of every arm with so many visits; None where it is as many as its rows make."""
    if visits is None:
        return None
    return config.epochs * (-(-primary_rows // config.batch_size) - (-visits // config.batch_size))


def _visiting(sources: Sequence[TaskRows], visits: int | None) -> list[TaskRows]:
    """Set how many rows an epoch visits: the primary's and, of auxiliary rows or in their place, `visits`."""
    primary, *auxiliary = sources
    sizes = np.array([len(source.tokens) for source in auxiliary], dtype=np.int64)
    if visits is None:
        return list(sources)
    if sizes.sum() <= visits:
        return [replace(primary, extra=visits - int(sizes.sum())), *auxiliary]
    return [
        primary,
        *(
            replace(source, limit=int(limit))
            for source, limit in zip(auxiliary, apportioned(sizes, visits), strict=True)
            if limit
        ),
    ]


def apportioned(sizes: npt.NDArray[np.int64], total: int) -> npt.NDArray[np.int64]:
    """Share `total` out in proportion to sizes, by largest remainders, the first of equal ones first."""
    exact = sizes * (total / sizes.sum())
    shares: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - shares), kind="stable")
    shares[order[: total - int(shares.sum())]] += 1
    return shares


def _training_rows(spec: StepSpec, workspace: Workspace) -> Sequence[tuple[str, Rows]]:
    """Return (digest, rows) of the primary, then of every auxiliary with a row to train on."""
    params = spec.params
    digest = params["primary"]["digest"]
    rows = dataset_of(workspace, digest).rows
    own = split(rows, params["holdout_share"], params["choice_share"], params["split_seed"], params["seed"]).train
    parts = [(digest, own)]
    if not params["auxiliary"]:
        return parts
    (chosen,) = folders(workspace, spec)
    table = pq.read_table(chosen / "selection.parquet", columns=["dataset", "row"])  # in order of rank
    if params["best"] is not None:
        table = table.slice(0, params["best"])
    names = np.array(table["dataset"].to_pylist(), dtype=object)
    numbers = table["row"].to_numpy()
    for auxiliary in params["auxiliary"]:
        mine = np.sort(numbers[names == auxiliary["key"]])
        if len(mine) and auxiliary["key"] != params["without"]:
            parts.append((auxiliary["digest"], mine))
    return parts
