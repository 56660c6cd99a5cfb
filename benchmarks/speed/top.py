"""The best N of many scores that lie in shards, against one sort of all of them.

    python benchmarks/speed/top.py --scores 100000000 --shards 100 --budget 1000

The baseline reads every shard, puts them together and sorts by `numpy.argsort`. Each side runs in a process of its own,
which tells its seconds and its memory's peak over what it began with; both choose the same rows. Reading the files from
the page cache is part of both; `of_arrays` is the same without the files.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import kit
import numpy as np
import psutil

from fastmtl.selectors.top import top

Chosen = list[tuple[int, int]]


def write_shards(folder: Path, scores: int, shards: int) -> list[Path]:
    """Write random float32 scores, some of them equal."""
    generator = np.random.default_rng(0)
    paths = []
    for shard in range(shards):
        values = generator.integers(0, 2**22, scores // shards).astype(np.float32)
        paths.append(folder / f"scores-{shard}.npy")
        np.save(paths[-1], values)
    return paths


def ours(paths: list[Path], budget: int) -> Chosen:
    """Read a shard at a time."""
    found = top((np.load(path) for path in paths), budget)
    return list(zip(found.datasets.tolist(), found.rows.tolist(), strict=True))


def argsort(paths: list[Path], budget: int, kind: str | None = None) -> Chosen:
    """Sort everything."""
    pool = np.concatenate([np.load(path) for path in paths])
    order = np.argsort(-pool, kind=kind)[:budget]
    size = len(pool) // len(paths)
    return [(int(place) // size, int(place) % size) for place in order]


def stable_argsort(paths: list[Path], budget: int) -> Chosen:
    """Sort so that ties come out in order, as ours do."""
    return argsort(paths, budget, "stable")


def measured(act: Callable[[list[Path], int], Chosen], paths: list[Path], budget: int) -> dict[str, object]:
    """Return what was chosen, seconds and MiB at the peak over the beginning, of a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours_end, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, act, paths, budget))
    process.start()
    found: dict[str, object] = ours_end.recv()
    process.join()
    return found


def _child(pipe: object, act: Callable[[list[Path], int], Chosen], paths: list[Path], budget: int) -> None:
    began_with = psutil.Process().memory_info().rss
    began = time.perf_counter()
    chosen = act(paths, budget)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pipe.send({"chosen": chosen, "seconds": seconds, "mib": (peak - began_with) / 2**20})


def of_arrays(scores: int, shards: int, budget: int, turns: int) -> dict[str, object]:
    """Compare both on one array in memory, a view a shard."""
    pool = np.random.default_rng(0).integers(0, 2**22, scores).astype(np.float32)

    def views() -> Iterator[np.ndarray]:
        yield from np.array_split(pool, shards)

    took = kit.in_turn({"argsort": lambda: np.argsort(-pool)[:budget], "ours": lambda: top(views(), budget)}, turns)
    return _told(took)


def _told(took: dict[str, list[float]]) -> dict[str, object]:
    ratios = [theirs / mine for theirs, mine in zip(took["argsort"], took["ours"], strict=True)]
    return {"seconds": {name: kit.spread(each, 3) for name, each in took.items()}, "ratio": kit.spread(ratios, 1)}


def main() -> None:
    """Measure and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--scores", type=int, default=100_000_000)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--budget", type=int, default=1_000)
    given = parser.parse_args()
    about = kit.machine()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_shards(Path(folder), given.scores, given.shards)
        runs: dict[str, list[dict[str, object]]] = {"argsort": [], "ours": []}
        for _ in range(given.turns):
            for name, act in (("argsort", argsort), ("ours", ours)):
                runs[name].append(measured(act, paths, given.budget))
        same = measured(stable_argsort, paths, given.budget)["chosen"] == runs["ours"][0]["chosen"]
    kit.write(
        "top",
        {
            "scores": given.scores,
            "shards": given.shards,
            "budget": given.budget,
            "chooses_what_a_stable_sort_does": same,
            "of_files": {
                **_told({name: [each["seconds"] for each in found] for name, found in runs.items()}),
                "peak_mib": {name: kit.spread([each["mib"] for each in found], 1) for name, found in runs.items()},
                "shard_mib": round(4 * given.scores / given.shards / 2**20, 1),
            },
            "of_arrays": of_arrays(given.scores, given.shards, given.budget, given.turns),
            "machine": about,
        },
        given.results,
    )


if __name__ == "__main__":
    main()
