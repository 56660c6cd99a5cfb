"""Cascade: a student of the discriminator guesses every row, and the rows that it puts first are scored in full.

Reads   the TD-MTDNN of the `discriminator` step, what the `tokens` steps left, and the `sample` step's rows
Writes  tasks.json      the digests of the auxiliary datasets, in the order of the files
        scores-{i}.npy  float32 [n]: of a row that was scored in full the probability of the primary, in [0, 1]; of
                        every other less, in [-1, 0), in the student's order
        cascade.json    what the slice is expected to hold of the best rows (see fastmtl/cascade.py)

The slice is cut in rounds: after each the student learns from the rows that were just scored too, and what it has to
tell apart is, more and more, the best rows from those that are nearly as good. Rows of the sample are known already, so
none stands in a slice; whether it would have is asked of students that were not shown its score.

Letters: N rows of all tasks · S rows of the sample · T tasks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fastmtl import cascade, student
from fastmtl.checkpoints import Checkpoints, State
from fastmtl.plan import Json, Progress, StepSpec, Workspace, folders
from fastmtl.steps import sample as sampled
from fastmtl.steps import score
from fastmtl.stored import Span, Stored, spans
from fastmtl.telling import Standing
from fastmtl.tokens import Rows, counted

Single = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

ROUNDS = 3
FOLDS = 4
"""Parts of the sample that students are fitted without in turn."""
MOST_LEARNT = 50_000
"""Rows of the slice that a student learns from: more cost it time and memory, and tell it little that is new."""
PART = "rounds"


@dataclass
class Pool:
    """Rows and what is known of them, rows counted through all tasks."""

    stored: Stored
    auxiliary: Sequence[Span]
    eligible: Mask
    """[N]: auxiliary rows that may be chosen."""
    embeddings: Single
    """[V, H]: the network's of words."""
    sample: int
    """S: so many of the known rows, the first, are the sample's."""
    known: Rows
    """Rows that were scored in full."""
    scores: Single
    """Of the known rows: how sure the discriminator is that they are the primary's."""
    held: Mask
    """[S]: whether a slice would have held the row, had no student been shown its score."""
    guesses: Single
    """[N]: the last student's, of auxiliary rows."""
    rounds: int = 0
    """How many are done."""

    def cut(self, rows: int, progress: Progress) -> Rows:
        """Fit a student to what is known and return the rows of its slice, rising; note what it would have held."""
        learnt = self._learnt()
        runs = np.split(self.known[learnt], np.flatnonzero(np.diff(self.known[learnt]) < 0) + 1)  # each rises
        seen = student.joined([student.features(self.stored.take(part), self.embeddings) for part in runs])
        taught = student.logits(self.scores[learnt])
        fitted = student.fit(seen, taught, self.embeddings)
        folds = np.where(np.arange(len(taught)) < self.sample, np.arange(len(taught)) % FOLDS, -1)
        unseen = student.left_out(seen, taught, fitted.weights, folds, FOLDS)[: self.sample]  # [S]
        for start, tokens in self.stored.runs(self.auxiliary):
            self.guesses[start : start + len(tokens)] = student.guess(fitted.student, tokens)
            progress(start + len(tokens), len(self.stored), "rows")
        candidates = self.eligible.copy()
        candidates[self.known] = False
        chosen = cascade.best(self.guesses, candidates, rows)
        self.held |= unseen >= self.guesses[chosen].min()
        return chosen

    def learn(self, rows: Rows, scores: Single) -> None:
        """Add rows that were scored in full."""
        self.known = np.concatenate([self.known, rows])
        self.scores = np.concatenate([self.scores, scores])
        self.rounds += 1

    def told(self, budget: int) -> cascade.Told:
        """Reckon what the slice holds of the best rows."""
        eligible = self.eligible[self.known]
        mine = eligible[: self.sample]
        found = int(eligible.sum()) - int(mine.sum())
        scores = self.scores[: self.sample][mine]
        return cascade.told(budget, found, int(self.eligible.sum()), scores, self.held[mine], self.scores[eligible])

    def all_scores(self) -> Single:
        """Return [N]: of known rows the probability, of other auxiliary rows less than any."""
        auxiliary = np.concatenate([np.arange(span.start, span.stop) for span in self.auxiliary])
        result = np.full(len(self.stored), np.nan, dtype=np.float32)
        result[auxiliary] = cascade.below(self.guesses[auxiliary])
        result[self.known] = self.scores
        return result

    def _learnt(self) -> Rows:
        """Return which of the known rows a student learns from: the sample's, and some of every round's."""
        rest = len(self.known) - self.sample
        some = np.linspace(0, rest - 1, min(rest, MOST_LEARNT)).astype(np.int64)
        return np.concatenate([np.arange(self.sample), self.sample + some])


class Onward(Standing):
    """A progress that counts the rows of all rounds together."""

    def __init__(self, progress: Progress, total: int) -> None:
        super().__init__(progress)
        self.before = 0
        self._total = total

    def __call__(self, done: int, total: int, unit: str, message: str = "") -> None:
        """Pass on how far all rounds are, where `done` of `total` of this one are finished."""
        super().__call__(self.before + done, self._total, unit, message)


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Guess, score and learn, in rounds; then order all rows."""
    params = spec.params
    training, *shards, sample = folders(workspace, spec)
    found = score.reader(spec, workspace, training)
    tasks = spans(params["tasks"])
    column = [task.digest for task in tasks].index(params["primary"])
    words = found.model.encoder.get_input_embeddings().get_parameter("weight")
    embeddings = words.detach().float().numpy()  # [V, H]
    pool = _pool(params, training, Stored(shards), sample, tasks, embeddings)
    checkpoints = Checkpoints.of(spec, workspace, found.machine, [found.model])
    _resume(pool, checkpoints)
    told = Onward(workspace.progress, params["rows"])
    for rows in _rounds(params["rows"])[pool.rounds :]:
        told.before = len(pool.known) - pool.sample
        chosen = pool.cut(rows, told.beside(f"round {pool.rounds + 1}, guessing"))
        pool.learn(chosen, found.probabilities(pool.stored.take(chosen), told, checkpoints)[:, column])
    _write(workspace.output, pool, params["budget"])
    fresh = np.sort(pool.known[pool.sample :])
    read = counted(found.encoder, sampled.by_task(pool.stored, fresh, tasks))
    machine = found.machine
    return {"rows": len(fresh), "device": machine.name, "precision": machine.precision, "read": read}


def _pool(
    params: Json, training: Path, stored: Stored, sample: Path, tasks: Sequence[Span], embeddings: Single
) -> Pool:
    """Return the pool of which the sample alone is known."""
    trained: list[str] = json.loads((training / "tasks.json").read_text())
    auxiliary = [task for task in tasks if task.digest in params["auxiliary"]]
    eligible = np.zeros(len(stored), dtype=np.bool_)
    for task in auxiliary:
        eligible[task.start : task.stop] = True
        if params["seen_rows"] == "exclude":
            eligible[task.start + np.load(training / f"seen-{trained.index(task.digest)}.npy")] = False
    column = [task.digest for task in tasks].index(params["primary"])
    rows, scores = np.load(sample / "rows.npy"), np.load(sample / "probabilities.npy")[:, column]
    held, guesses = np.zeros(len(rows), dtype=np.bool_), np.zeros(len(stored), dtype=np.float32)
    return Pool(stored, auxiliary, eligible, embeddings, len(rows), rows, scores, held, guesses)


def _rounds(rows: int) -> list[int]:
    """Return how many rows are scored in each round."""
    return [len(part) for part in np.array_split(np.arange(rows), min(ROUNDS, rows))]


def _resume(pool: Pool, checkpoints: Checkpoints) -> None:
    """Take up the rounds that the attempt before had finished, and keep those of this one."""
    if kept := checkpoints.take(PART):
        pool.known, pool.scores, pool.held = (kept.tensors[name].numpy() for name in ("known", "scores", "held"))
        pool.rounds = kept.facts["rounds"]

    def state() -> State:
        tensors = {"known": pool.known, "scores": pool.scores, "held": pool.held}
        return State({name: torch.from_numpy(each) for name, each in tensors.items()}, {"rounds": pool.rounds})

    checkpoints.keep(PART, state)


def _write(folder: Path, pool: Pool, budget: int) -> None:
    """Write the scores of all auxiliary rows, and what is told of them."""
    scores = pool.all_scores()
    for index, task in enumerate(pool.auxiliary):
        np.save(folder / f"scores-{index}.npy", scores[task.start : task.stop])
    (folder / "tasks.json").write_text(json.dumps([task.digest for task in pool.auxiliary]))
    cascade.write(folder, pool.told(budget))
