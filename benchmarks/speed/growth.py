"""How cost grows: with rows, tasks, length and budget, each with a fitted exponent (1 is linear).

    python benchmarks/speed/growth.py --data GLUE                                        # CPU
    python benchmarks/speed/growth.py --data GLUE --device cuda --rows 1000 10000 100000 1000000

Rows: scoring, tokenising included, of so many rows of GLUE, drawn again and again where it has no more. Length: scoring
of rows that all have so many tokens. Tasks: an epoch of TD-MTDNN over as many tasks of `--task-rows` rows each. Budget:
choosing so many rows of a million scores, and an epoch of TO-MTDNN over them. The exponent is that of a straight line
through the logarithms of the last three points: what is the same for any size bends the curve below them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import kit
import networks
import numpy as np
import scoring

from fastmtl.device import describe, make_deterministic
from fastmtl.model import MtDnn
from fastmtl.selectors.top import top
from fastmtl.tokens import Tokens
from fastmtl.training import batch_task_loss

SCORES = 1_000_000


def of_rows(model: MtDnn, tokenizer: object, tasks: Sequence[kit.Texts], count: int, device: str) -> float:
    """Score `count` rows."""
    sizes = np.array([len(texts) for texts in tasks])
    shares = np.maximum(1, np.round(count * sizes / sizes.sum())).astype(int)
    drawn = [kit.rows(texts, np.arange(share) % len(texts)) for texts, share in zip(tasks, shares, strict=True)]
    return kit.seconds(lambda: scoring.ours(model, scoring.tokenized(tokenizer, drawn), device))


def of_length(model: MtDnn, length: int, count: int, device: str) -> float:
    """Score rows of one length."""
    ids = np.random.default_rng(0).integers(1_000, 20_000, count * length).astype(np.int32)
    tokens = Tokens(ids, np.zeros(len(ids), np.uint8), np.arange(count + 1) * length, 0)
    return kit.seconds(lambda: scoring.ours(model, tokens, device))


def of_tasks(width: int, tasks: Sequence[kit.Texts], count: int, rows: int, device: str) -> float:
    """Train TD-MTDNN for an epoch on `count` tasks of as many rows."""
    parts = [kit.rows(tasks[task % len(tasks)], np.arange(rows) + rows * (task // len(tasks))) for task in range(count)]
    model, sources = networks.td_mtdnn(networks.checkpoint(width), parts)
    return kit.seconds(lambda: networks.trained(model, sources, describe(device, "auto")))


def of_budget_chosen(scores: np.ndarray, budget: int) -> float:
    """Choose so many rows."""
    return kit.seconds(lambda: top([scores], budget))


def of_budget_trained(width: int, texts: kit.Texts, budget: int, device: str) -> float:
    """Train TO-MTDNN for an epoch on so many rows."""
    model, sources = networks.td_mtdnn(networks.checkpoint(width), [kit.some(texts, budget)])
    return kit.seconds(lambda: networks.trained(model, sources, describe(device, "auto"), loss=batch_task_loss))


def curve(sizes: Sequence[int], act: Callable[[int], float]) -> dict[str, object]:
    """Return the seconds at each size and the exponent; the first is done once more before, to warm up."""
    act(sizes[0])
    took = [act(size) for size in sizes]
    slope, _ = np.polyfit(np.log(sizes[-3:]), np.log(took[-3:]), 1)
    return {"sizes": list(sizes), "seconds": [round(each, 4) for each in took], "exponent": round(float(slope), 2)}


def main() -> None:
    """Measure and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--data", type=kit.Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 1_000, 3_000, 10_000])
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 32, 64, 128, 256, 512])
    parser.add_argument("--length-rows", type=int, default=100)
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64])
    parser.add_argument("--task-rows", type=int, default=8)
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--trained-budgets", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--width", type=int, choices=(384, 768), default=384)
    given = parser.parse_args()
    make_deterministic()
    about = kit.machine(given.device)
    tasks = [kit.read(given.data, task, None) for task in kit.TASKS]
    made = networks.checkpoint(given.width)
    model, _ = networks.td_mtdnn(made, [kit.some(texts, 2) for texts in tasks])
    scores = np.random.default_rng(0).random(SCORES).astype(np.float32)
    large, device = tasks[kit.TASKS.index("mnli")], given.device
    curves = {
        "rows, scored": curve(given.rows, lambda n: of_rows(model, made.tokenizer, tasks, n, device)),
        "tokens a row, scored": curve(given.lengths, lambda n: of_length(model, n, given.length_rows, device)),
        "tasks, TD-MTDNN": curve(given.tasks, lambda n: of_tasks(given.width, tasks, n, given.task_rows, device)),
        "budget, chosen of 1,000,000": curve(given.budgets, lambda n: of_budget_chosen(scores, n)),
        "budget, TO-MTDNN": curve(given.trained_budgets, lambda n: of_budget_trained(given.width, large, n, device)),
    }
    kit.write(f"growth_{device}_{given.width}", {"curves": curves, "machine": about}, given.results)


if __name__ == "__main__":
    main()
