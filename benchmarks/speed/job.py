"""The whole job, to the selection and to the fine-tuned model, against the published procedure and full MT-DNN.

    python benchmarks/speed/job.py --data GLUE                          # RTE, at most 1,000 rows of every auxiliary
    python benchmarks/speed/job.py --data GLUE --max-rows 0 --no-published      # every row; the published takes hours

Both get the same rows, encoder, epochs and budget, and do the same: train TD-MTDNN, score every candidate, choose,
train TO-MTDNN, fine-tune. Ours begins with the files and ends with the report and the files of the job, the leak guard
included; the published procedure has its rows in memory. Full MT-DNN is three epochs over all rows: of both loops some
batches are trained, and their rate is multiplied by the rows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import kit
import networks
import numpy as np
import published
import pyarrow as pa
import pyarrow.parquet as pq

from fastmtl.config import JobConfig
from fastmtl.device import describe, make_deterministic
from fastmtl.local import select_rows
from fastmtl.plan import Progress, StepSpec, silent
from fastmtl.training import batch_task_loss

PRIMARY = "rte"
FULL_EPOCHS = 3
BATCH = 32


def write(folder: Path, texts: kit.Texts, name: str) -> Path:
    """Write rows as a file that a user might have."""
    columns = {"text_a": texts.text_a, "text_b": texts.text_b, "label": [str(label) for label in texts.labels]}
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table({key: values for key, values in columns.items() if values is not None}), path)
    return path


class Clock:
    """When each step of ours began, and how long those of a kind took."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.took: dict[str, float] = {"files read": 0.0}
        self._kind, self._since = "files read", time.perf_counter()

    def __call__(self, step: StepSpec) -> Progress:
        """Note it."""
        self.stop()
        self._kind = step.kind
        self.began[step.kind] = self._since
        return silent

    def stop(self) -> None:
        """End the step before."""
        now = time.perf_counter()
        self.took[self._kind] = self.took.get(self._kind, 0.0) + now - self._since
        self._since = now


def ours(tasks: Sequence[kit.Texts], held: kit.Texts, config: JobConfig, device: str) -> dict[str, float]:
    """Return the seconds to the selection, to the end and of each kind of step."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        primary, *auxiliary = [write(folder, texts, texts.task) for texts in tasks]
        validation = write(folder, held, "held")
        began, clock = time.perf_counter(), Clock()
        select_rows(
            primary, auxiliary, folder / "out", validation=validation, config=config, device=device, progress=clock
        )
        clock.stop()
        ends = {"selection": clock.began["target"] - began, "model": time.perf_counter() - began}
        return ends | clock.took


def theirs(tasks: Sequence[kit.Texts], held: kit.Texts, config: JobConfig, device: str) -> dict[str, float]:
    """Return the same of the published procedure."""
    began = time.perf_counter()
    made = networks.checkpoint(384)
    drawn = [kit.some(texts, config.discriminator.rows_per_task) for texts in tasks]
    model, sources = networks.td_mtdnn(made, drawn)
    labels = [source.labels for source in sources]
    rest = (device, config.discriminator.epochs, 0)
    published.train(model, made.tokenizer, drawn, labels, networks.loss_of, *rest)
    scores = published.score(model, made.tokenizer, tasks, device)[:, 0]
    counts = np.cumsum([0, *(len(texts) for texts in tasks)])
    chosen = counts[1] + np.argsort(-scores[counts[1] :])[: config.budget]
    selected = time.perf_counter()
    kept = [tasks[0]]
    for task, texts in enumerate(tasks[1:], 1):
        rows = chosen[(chosen >= counts[task]) & (chosen < counts[task + 1])] - counts[task]
        kept += [kit.rows(texts, rows)] if len(rows) > 1 else []
    made = networks.checkpoint(384)
    model, sources = networks.td_mtdnn(made, kept)
    labels = [source.labels for source in sources]
    published.train(model, made.tokenizer, kept, labels, batch_task_loss, device, config.target.epochs, 0)
    for _ in range(config.finetuning.epochs):
        published.train(model, made.tokenizer, kept[:1], labels[:1], batch_task_loss, device, 1, 0)
        published.score(model, made.tokenizer, [held], device)
    return {"selection": selected - began, "model": time.perf_counter() - began}


def full(tasks: Sequence[kit.Texts], device: str, batches: int) -> dict[str, float]:
    """Return the seconds of full MT-DNN with each loop, from so many batches of each task."""
    some = [kit.some(texts, BATCH * batches) for texts in tasks]
    rows = sum(len(texts) for texts in some)
    times = FULL_EPOCHS * sum(len(texts) for texts in tasks) / rows
    model, sources = networks.td_mtdnn(networks.checkpoint(384), some)
    labels = [source.labels for source in sources]
    tokenizer = networks.checkpoint(384).tokenizer
    with_theirs = kit.seconds(lambda: published.train(model, tokenizer, some, labels, batch_task_loss, device, 1, 0))
    with_ours = kit.seconds(lambda: networks.trained(model, sources, describe(device, "auto"), loss=batch_task_loss))
    return {"published": times * with_theirs, "ours": times * with_ours}


def main() -> None:
    """Measure and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--max-rows", type=int, default=1_000, help="of every auxiliary; 0 takes all")
    parser.add_argument("--primary-rows", type=int, default=500)
    parser.add_argument("--rows-per-task", type=int, default=100)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--full-batches", type=int, default=2, help="of every task, from which full MT-DNN is reckoned")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--no-published", action="store_true", help="leave the published procedure out")
    given = parser.parse_args()
    make_deterministic()
    about = kit.machine(given.device)
    config = JobConfig.model_validate(
        {
            "preset": "small",
            "budget": given.budget,
            "compare": [],
            "explain": 0,
            "discriminator": {"rows_per_task": given.rows_per_task},
        }
    )
    limit = given.max_rows or None
    tasks = [kit.read(given.data, PRIMARY, given.primary_rows)]
    tasks += [kit.read(given.data, task, limit) for task in kit.TASKS if task != PRIMARY]
    held = kit.read(given.data, PRIMARY, 277, part="validation")
    runs = {"ours": ours} if given.no_published else {"published": theirs, "ours": ours}
    took: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for _ in range(given.turns):
        for name, run in runs.items():
            took[name].append(run(tasks, held, config, given.device))
    ends = ("selection", "model")
    whole = full(tasks, given.device, given.full_batches)
    result: dict[str, object] = {
        "rows": {texts.task: len(texts) for texts in tasks},
        "config": {"budget": given.budget, "rows_per_task": given.rows_per_task, "preset": "small"},
        "seconds": {
            name: {end: kit.spread([each[end] for each in found], 1) for end in ends} for name, found in took.items()
        },
        "seconds_by_step": {
            kind: kit.spread([each[kind] for each in took["ours"]]) for kind in took["ours"][0] if kind not in ends
        },
        "full_mtdnn_seconds": {name: round(each, 1) for name, each in whole.items()},
        "full_mtdnn_over_our_job": {
            name: kit.spread([each / job["model"] for job in took["ours"]], 1) for name, each in whole.items()
        },
        "machine": about,
    }
    if "published" in took:
        pairs = list(zip(took["published"], took["ours"], strict=True))
        result["ratio"] = {end: kit.spread([other[end] / mine[end] for other, mine in pairs]) for end in ends}
    kit.write(f"job_{'part' if limit else 'all'}_{given.device}", result, given.results)


if __name__ == "__main__":
    main()
