"""A cascade: a cheap guess says which rows the discriminator looks at, and a random sample what that may have missed.

What the steps of a cascade share, and what is told of it. Torch-free.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastmtl.plan import Json

FILE = "cascade.json"
"""What a cascade expects of itself: in the folder of its step and of the ranking that was made of it."""
GUESSED_BELOW = 0.0
"""Scores below it are the student's, in [-1, 0): the row was never scored in full. Probabilities are not negative."""
NORMAL = 1.959964
"""Standard deviations on either side of a normal distribution's mean that hold 95 % of it."""


@dataclass(frozen=True)
class Told:
    """What a cascade expects of itself."""

    budget: int
    sample: int
    """Auxiliary rows of the random sample that may be chosen."""
    slice: int
    """Rows that were scored in full because the student put them first."""
    of: int
    """Auxiliary rows that may be chosen."""
    sought: int
    """Rows of the sample that score no less than the worst of the `budget` best rows that were found."""
    held: int
    """Of these, those that the slice would hold had the student not been shown their scores."""
    recall: float | None
    """Share held: what the slice is expected to hold of the rows that full scoring puts first. None: none sought."""
    interval: tuple[float, float]
    """Of the recall, 95 % (Wilson 1927): it tells of the chance in the sample."""


def told(
    budget: int,
    slice_rows: int,
    pool: int,
    sampled: npt.NDArray[np.float32],
    held: npt.NDArray[np.bool_],
    scored: npt.NDArray[np.float32],
) -> Told:
    """Reckon what a slice holds of the best rows.

    `sampled` are the scores of the eligible rows of the sample, `held` whether the slice would hold each; `scored` are
    those of all eligible rows that were scored in full, the sample's among them, at least `budget`. The worst of the
    best that were found is no better than the worst of the best there are: rows a little worse than those are sought
    too, which are harder to hold, so that the recall is told rather too low than too high.
    """
    worst = np.partition(scored, len(scored) - budget)[len(scored) - budget]
    sought = sampled >= worst
    found, of = int((held & sought).sum()), int(sought.sum())
    return Told(budget, len(sampled), slice_rows, pool, of, found, found / of if of else None, interval(found, of))


def interval(successes: int, trials: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share; (0, 1) where nothing was tried."""
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, NORMAL**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = NORMAL * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2)) / (1 + square / trials)
    return 0.0 if not successes else middle - half, 1.0 if successes == trials else middle + half  # but for rounding


def below(guesses: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return scores below any probability, in [-1, 0): -1 + the share of rows with lower guesses, ties by place."""
    places = np.empty(len(guesses), dtype=np.int64)
    places[np.argsort(-guesses, kind="stable")] = np.arange(len(guesses))  # the best row's is 0
    scores: npt.NDArray[np.float32] = (-(places + 1) / len(guesses)).astype(np.float32)
    return scores


def best(guesses: npt.NDArray[np.float32], candidates: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.int64]:
    """Return the `count` candidates with the highest guesses, rising by place; of equal ones the first."""
    places = np.flatnonzero(candidates)
    return np.sort(places[np.argsort(-guesses[places], kind="stable")[:count]])


def write(folder: Path, found: Told) -> None:
    """Write what `read` reads."""
    (folder / FILE).write_text(json.dumps(asdict(found), indent=1))


def read(folders: Iterable[Path]) -> Told | None:
    """Return what the first of the folders that tells of a cascade says; None where none does."""
    for folder in folders:
        if (folder / FILE).is_file():
            content: Json = json.loads((folder / FILE).read_text())
            return Told(**{**content, "interval": tuple(content["interval"])})
    return None


def counted(found: Told, scores: npt.NDArray[np.float32]) -> Json:
    """Return what is told with a selection of these scores: also how many of its rows were never scored in full."""
    return {**asdict(found), "interval": list(found.interval), "unscored": int((scores < GUESSED_BELOW).sum())}


def sentences(found: Json) -> list[str]:
    """Say what `counted` tells."""
    rows = found["slice"] + found["sample"]
    told = f"A cascade scored {rows:,} of {found['of']:,} rows in full ({_percent(rows / found['of'])} %); "
    if found["recall"] is None:
        told += f"none of the {found['sample']:,} rows of its random sample belongs to the best "
        told += f"{found['budget']:,}, so it cannot be said how many of these it holds. Make sample_rows larger."
    else:
        low, high = (_percent(each) for each in found["interval"])
        told += f"it is expected to hold {_percent(found['recall'])} % ({low} to {high} %) of the "
        told += f"{found['budget']:,} rows that scoring everything would put first, by the {found['sought']:,} such "
        told += f"rows of a random sample of {found['sample']:,}."
    if not found["unscored"]:
        return [told]
    return [
        told,
        f"{found['unscored']:,} of the chosen rows were never scored in full: they stand where the cascade's cheap "
        "guess put them. Make slice_times larger, or score every row.",
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
