"""What a planned step has to do: rows, tokens, optimiser steps, and for what size of encoder. Torch-free.

    work = planned(spec, outlook)           # Work: what goes through the encoder, and how often
    features(work, size)                    # [starts, optimiser steps, arithmetic]: what its time is made of

Of a step that is done the same is said by the same function, with the lengths that were counted in it: what a measured
step had to do and what a planned one will have to are told in the same words.

Letters: B rows in a batch · L tokens · H hidden width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from fastmtl.lengths import RowLengths, mixed
from fastmtl.plan import TRAINING_COST, Json, StepSpec
from fastmtl.size import Size

CHOSEN = "chosen"
"""Among the datasets of an outlook: the rows that a job chooses, or chose."""
ATTENTION_COST = 3.0
"""Of an operation of attention, in those of a matrix product: on two cores a token of 128 took 1.14 times one of 32."""
GIGA = 1e9


@dataclass(frozen=True)
class Work:
    """What a step has to do; a row that is trained on twice counts twice."""

    trained_rows: float = 0
    trained_tokens: float = 0
    padded_tokens: float = 0
    """Of the trained, as they are computed: groups of a batch are padded to their longest row."""
    padded_squares: float = 0
    """Sum of L² over padded rows."""
    scored_rows: float = 0
    scored_tokens: float = 0
    scored_squares: float = 0
    steps: float = 0
    """Optimiser steps."""
    batch_tokens: float = 0
    """Of the largest training batch, padded."""
    doubted_tokens: float = 0
    """Tokens, each with the standard deviation of its dataset's mean, as a share."""
    read: float = 0
    """Of a step without an encoder: the characters that it reads, or the rows where it reads no texts."""

    def __add__(self, other: Work) -> Work:
        """Return both, one after the other."""
        added = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        return Work(**{**added, "batch_tokens": max(self.batch_tokens, other.batch_tokens)})

    @property
    def rows(self) -> float:
        """Rows through the encoder."""
        return self.trained_rows + self.scored_rows

    @property
    def tokens(self) -> float:
        """Tokens through the encoder, without padding."""
        return self.trained_tokens + self.scored_tokens

    @property
    def doubt(self) -> float:
        """Standard deviation of the logarithm of the tokens."""
        return self.doubted_tokens / self.tokens if self.tokens else 0.0


@dataclass(frozen=True)
class Outlook:
    """What is known of the texts when steps are planned."""

    datasets: Mapping[str, RowLengths]
    """By digest; CHOSEN is those of the chosen rows."""
    groups: int = 4
    """Groups of like length that the device encodes a training batch in."""

    def total(self, digests: Sequence[str]) -> int:
        """Return the rows of some datasets together."""
        return sum(self.datasets[digest].rows for digest in digests)


def compared_as(spec: StepSpec) -> str:
    """Return what a step's measurements are kept under: its kind, with the method or selector that decides its time."""
    part = {"rank": "method", "select": "selector"}.get(spec.kind)
    return f"{spec.kind} {spec.params[part]}" if part and part in spec.params else spec.kind


def texts_of(spec: StepSpec) -> set[str]:
    """Return the digests of the datasets whose rows decide how much a step has to do."""
    named = {each for each in spec.params.get("auxiliary", ()) if isinstance(each, str)}
    return {*spec.datasets, *named, *(digest for digest, _ in spec.params.get("tasks", ()))}


def planned(spec: StepSpec, outlook: Outlook) -> Work:
    """Return what a step has to do; of a kind that is not known here, what its cost says."""
    return _KINDS.get(spec.kind, _by_cost)(spec, outlook)


def features(kind: str, work: Work, size: Size | None, starts: int = 1) -> list[float]:
    """Return what a step's time is made of: [starts of a process, optimiser steps, arithmetic], the last two in 1e9.

    An optimiser step counts the parameters; arithmetic the multiplications of a forward pass, and a backward pass
    twice as many, or, of a step without an encoder, what it reads.
    """
    if size is None:
        return [starts, 0.0, work.read / GIGA]
    backward = TRAINING_COST if kind == "gradients" else 1
    tokens = TRAINING_COST * work.padded_tokens + backward * work.scored_tokens
    squares = TRAINING_COST * work.padded_squares + backward * work.scored_squares
    arithmetic = size.body * tokens + ATTENTION_COST * 2 * size.attention * squares
    return [starts, work.steps * size.parameters / GIGA, arithmetic / GIGA]


def memory_features(work: Work, size: Size | None) -> list[float]:
    """Return what a step's memory at its peak is made of: [the process, parameters, values kept for the backward pass].

    The last two in 1e9; of a step without an encoder the last is what it reads.
    """
    if size is None:
        return [1, 0.0, work.read / GIGA]
    return [1, size.parameters / GIGA, work.batch_tokens * size.attention / GIGA]


def trained(lengths: RowLengths, rows: float, batch_size: int, groups: int) -> Work:
    """Return what training on `rows` rows drawn from some has to do, without its optimiser steps.

    A batch of B is sorted and cut into groups. The longest row of a group is, on average, the quantile of its place
    among B draws.
    """
    if not lengths.tokens:
        return Work(trained_rows=rows)
    size = max(1, min(batch_size, round(rows)))
    cut = np.array_split(np.arange(1, size + 1), min(groups, size))
    share = np.array([len(group) for group in cut]) / size
    longest = np.quantile(lengths.tokens, [group[-1] / (size + 1) for group in cut])
    padded = float(share @ longest)
    return Work(
        trained_rows=rows,
        trained_tokens=rows * lengths.mean,
        padded_tokens=rows * padded,
        padded_squares=rows * float(share @ longest**2),
        batch_tokens=size * padded,
        doubted_tokens=rows * lengths.mean * lengths.doubt,
    )


def scored(lengths: RowLengths, rows: float) -> Work:
    """Return what a forward pass over `rows` rows has to do: they are sorted, so that next to nothing is padded."""
    return Work(
        scored_rows=rows,
        scored_tokens=rows * lengths.mean,
        scored_squares=rows * lengths.square,
        doubted_tokens=rows * lengths.mean * lengths.doubt,
    )


def _drawn_training(spec: StepSpec, outlook: Outlook) -> Work:
    """Train on a few rows of every task: TD-MTDNN, and the warm-up of adapters."""
    params = spec.params
    config: Json = params["discriminator"] if spec.kind == "discriminator" else params["training"]
    limit = config.get("rows_per_task") or params["rows_per_task"]
    total = Work()
    for lengths in (outlook.datasets[digest] for digest in spec.datasets):
        rows = min(limit, lengths.rows)
        total += trained(lengths, config["epochs"] * rows, config["batch_size"], outlook.groups)
        total += Work(steps=config["epochs"] * _batches(rows, config["batch_size"]))
    return total


def _target(spec: StepSpec, outlook: Outlook) -> Work:
    """Train on the primary and the chosen rows; without `visits` on every row of all.

    All arms take the same optimiser steps. One whose epoch has more batches, of rows of many small tasks, or fewer,
    goes over its rows as much less or more often.
    """
    params = spec.params
    config = params["training"]
    primary = outlook.datasets[params["primary"]["digest"]]
    own, _, _ = _split(primary.rows, params)
    pools = {each["key"]: outlook.datasets[each["digest"]].rows for each in params["auxiliary"]}
    added = sum(pools.values()) if params["visits"] is None else params["visits"]
    chosen = min(added, params["best"] or added)
    # Rows are taken to be chosen by chance; what an arm lacks of its visits it draws once more of the primary.
    kept = [chosen * rows / sum(pools.values()) for key, rows in pools.items() if key != params["without"]]
    again = own + added - sum(kept)
    epoch = sum(_batches(round(rows), config["batch_size"]) for rows in (again, *kept))
    steps = config["epochs"] * (_batches(own, config["batch_size"]) + _batches(added, config["batch_size"]))
    if params["visits"] is None:
        steps = config["epochs"] * epoch
    times = steps / epoch
    return (
        trained(primary, times * again, config["batch_size"], outlook.groups)
        + trained(outlook.datasets.get(CHOSEN, primary), times * sum(kept), config["batch_size"], outlook.groups)
        + Work(steps=steps)
    )


def _finetune(spec: StepSpec, outlook: Outlook) -> Work:
    """Train on the primary, look at the rows that choose the epoch after each, and measure at the end."""
    params = spec.params
    config = params["training"]
    primary = outlook.datasets[params["primary"]["digest"]]
    own, choice, held = _split(primary.rows, params)
    measured = outlook.datasets[params["validation"]] if params["validation"] else primary
    measured_rows = measured.rows if params["validation"] else held
    asked = (measured, measured_rows) if config["choose_on"] == "measured" else (primary, choice)
    return (
        trained(primary, config["epochs"] * own, config["batch_size"], outlook.groups)
        + scored(asked[0], config["epochs"] * asked[1])
        + scored(measured, measured_rows)
        + Work(steps=config["epochs"] * _batches(own, config["batch_size"]))
    )


def _adapt_lm(spec: StepSpec, outlook: Outlook) -> Work:
    config = spec.params["training"]
    (digest,) = spec.datasets
    lengths = outlook.datasets[digest]
    passes = trained(lengths, config["epochs"] * lengths.rows, config["batch_size"], outlook.groups)
    return passes + Work(steps=config["epochs"] * _batches(lengths.rows, config["batch_size"]))


def _pieces(spec: StepSpec, outlook: Outlook) -> Work:
    """Pass the rows of a shard: discriminator's, language model's (two models, so many masks) or gradients'."""
    times = 2 * spec.params["passes"] if spec.kind == "lm_loss" else 1
    if "slice" in spec.params:
        start, stop = spec.params["slice"]
        return _pass_some(spec.datasets, stop - start, outlook)
    total = Work()
    for digest, start, stop in spec.params["pieces"]:
        total += scored(outlook.datasets[digest], times * (stop - start))
    return total


def _tokens(spec: StepSpec, outlook: Outlook) -> Work:
    """Read the texts of a shard, without the encoder."""
    pieces = spec.params["pieces"]
    return Work(read=sum((stop - start) * outlook.datasets[digest].characters for digest, start, stop in pieces))


def _sample(spec: StepSpec, outlook: Outlook) -> Work:
    """Pass rows drawn from all datasets alike."""
    return _pass_some([digest for digest, _ in spec.params["tasks"]], spec.params["rows"], outlook)


def _cascade(spec: StepSpec, outlook: Outlook) -> Work:
    """Pass a slice; which rows stand in it is not known, so they are taken to be like all."""
    return _pass_some(spec.params["auxiliary"], spec.params["rows"], outlook)


def _pass_some(digests: Sequence[str], rows: int, outlook: Outlook) -> Work:
    return scored(mixed([(outlook.datasets[digest], outlook.datasets[digest].rows) for digest in digests]), rows)


def _embed(spec: StepSpec, outlook: Outlook) -> Work:
    (digest,) = spec.datasets
    return scored(outlook.datasets[digest], spec.params["stop"] - spec.params["start"])


def _explain(spec: StepSpec, outlook: Outlook) -> Work:
    primary = outlook.datasets[spec.params["primary"]]
    chosen = max(0, spec.cost - primary.rows)
    return scored(primary, primary.rows) + scored(outlook.datasets.get(CHOSEN, primary), chosen)


def _rank(spec: StepSpec, outlook: Outlook) -> Work:
    """Score by what other steps left, or by the texts themselves."""
    rows = sum(each["rows"] for each in spec.params["auxiliary"])
    if not spec.datasets:
        return Work(read=rows)
    return Work(scored_rows=rows, read=_characters(spec.datasets, outlook))


def _leakage(spec: StepSpec, outlook: Outlook) -> Work:
    return Work(read=_characters(spec.datasets, outlook))


def _select(spec: StepSpec, outlook: Outlook) -> Work:
    return Work(read=sum(each["rows"] for each in spec.params["auxiliary"]))


def _slice(spec: StepSpec, outlook: Outlook) -> Work:
    return Work(read=outlook.total(spec.params["auxiliary"]))


def _report(spec: StepSpec, outlook: Outlook) -> Work:
    """Compare arms; the rows that they are measured on are few, and not named in the plan."""
    return Work(read=len(spec.params["arms"]))


def _by_cost(spec: StepSpec, outlook: Outlook) -> Work:
    known = [outlook.datasets[digest] for digest in spec.datasets if digest in outlook.datasets]
    return scored(mixed([(each, each.rows) for each in known]), spec.cost)


def _characters(digests: Sequence[str], outlook: Outlook) -> float:
    return sum(outlook.datasets[digest].rows * outlook.datasets[digest].characters for digest in digests)


def _batches(rows: int, batch_size: int) -> int:
    return -(-rows // batch_size)


def _split(rows: int, params: Json) -> tuple[int, int, int]:
    """Return how many rows of the primary train, choose the epoch and are held out (fastmtl/evaluation.py)."""
    share = params["holdout_share"]
    held = min(rows - 1, max(1, round(rows * share))) if share else 0
    chosen = round((rows - held) * params["choice_share"]) if rows - held > 1 else 0
    return rows - held - chosen, chosen, held


_KINDS: Mapping[str, Callable[[StepSpec, Outlook], Work]] = {
    "discriminator": _drawn_training,
    "warm_up": _drawn_training,
    "score": _pieces,
    "lm_loss": _pieces,
    "gradients": _pieces,
    "tokens": _tokens,
    "sample": _sample,
    "cascade": _cascade,
    "embed": _embed,
    "explain": _explain,
    "target": _target,
    "finetune": _finetune,
    "adapt_lm": _adapt_lm,
    "rank": _rank,
    "leakage": _leakage,
    "select": _select,
    "slice": _slice,
    "report": _report,
}
