"""Training: rows a second of TD-MTDNN, TO-MTDNN and fine-tuning, against the published loop in the same run.

    python benchmarks/speed/training.py --data GLUE                             # CPU, the packaged encoder
    python benchmarks/speed/training.py --data GLUE --device cuda --width 768   # a GPU, BERT-base's size

Each loop trains the same network on the same rows with the same losses, in turn and seed by seed: TD-MTDNN on `--rows`
rows of every task, TO-MTDNN on as many of RTE and its nearest tasks, fine-tuning on RTE alone. The last epoch's mean
loss, seed by seed, says whether both learn the same.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Sequence

import kit
import networks
import published

from fastmtl.config import TrainingConfig
from fastmtl.device import describe, make_deterministic
from fastmtl.model import Checkpoint, MtDnn
from fastmtl.plan import silent
from fastmtl.training import LossOf, batch_task_loss, train

TRAININGS: dict[str, tuple[tuple[str, ...], LossOf]] = {
    "td_mtdnn": (kit.TASKS, networks.loss_of),
    "to_mtdnn": (("rte", "mnli", "mrpc", "stsb"), batch_task_loss),
    "finetuning": (("rte",), batch_task_loss),
}


RATES = {384: 1e-4, 768: 2e-5}
"""Learning rates by width; random weights of BERT-base's size diverge at the larger one in either loop."""


def measure(
    made: Checkpoint, tasks: Sequence[kit.Texts], loss_of: LossOf, device: str, epochs: int, seeds: int
) -> dict[str, object]:
    """Train `seeds` times with each loop."""
    model, sources = networks.td_mtdnn(made, tasks)
    labels = [source.labels for source in sources]
    start = copy.deepcopy(model.state_dict())
    machine = describe(device, "auto")
    rate = RATES[made.encoder.config.hidden_size]
    config = TrainingConfig(epochs=epochs, learning_rate=rate, batch_size=32)
    curves: dict[str, list[list[float]]] = {"published": [], "ours": []}

    def theirs(model: MtDnn, seed: int) -> Sequence[float]:
        return published.train(model, made.tokenizer, tasks, labels, loss_of, device, epochs, seed, learning_rate=rate)

    def ours(model: MtDnn, seed: int) -> Sequence[float]:
        return train(model, sources, config, loss_of, machine, seed, silent).losses

    took: dict[str, list[float]] = {"published": [], "ours": []}
    for seed in range(seeds):
        for name, loop in (("published", theirs), ("ours", ours)):
            model.load_state_dict(start)
            began = time.perf_counter()
            curves[name].append(list(loop(model, seed)))
            took[name].append(time.perf_counter() - began)
    rows = epochs * sum(len(texts) for texts in tasks)
    last = {name: [curve[-1] for curve in each] for name, each in curves.items()}
    return {
        "rows": rows,
        "rows_per_second": {name: kit.spread([rows / each for each in found], 1) for name, found in took.items()},
        "ratio": kit.spread([theirs / mine for theirs, mine in zip(took["published"], took["ours"], strict=True)]),
        "last_loss_by_seed": {name: [round(each, 4) for each in found] for name, found in last.items()},
        "mean_difference": round(statistics.mean(last["ours"]) - statistics.mean(last["published"]), 4),
        "deviation_over_seeds": {name: round(statistics.stdev(found), 4) for name, found in last.items()},
    }


def main() -> None:
    """Measure all three and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--data", type=kit.Path, required=True)
    parser.add_argument("--rows", type=int, default=64, help="rows of every task")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--width", type=int, choices=(384, 768), default=384)
    given = parser.parse_args()
    make_deterministic()
    about = kit.machine(given.device)
    found = {}
    for name, (tasks, loss_of) in TRAININGS.items():
        texts = [kit.read(given.data, task, given.rows * len(kit.TASKS) // len(tasks)) for task in tasks]
        made = networks.checkpoint(given.width)
        found[name] = measure(made, texts, loss_of, given.device, given.epochs, max(2, given.turns))
    kit.write(f"training_{given.device}_{given.width}", {"trainings": found, "machine": about}, given.results)


if __name__ == "__main__":
    main()
