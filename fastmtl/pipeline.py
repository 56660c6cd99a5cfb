"""The steps of a job in their order: `plan` writes them down, `run` computes one. Nothing here knows about queues.

    discriminator ── score … score ── rank ─┬─ select ─┬─ target ── finetune ─┬─ report      (arm: selection)
                                            │          ├─ explain ────────────┤
                                            │          └─ map ────────────────┤
                              leakage ──────┤                                 │
                                            │             target ── finetune ─┤              (arm: primary_only)
                                     rank ──┴─ select ─── target ── finetune ─┘              (arm: random)

What a step's fingerprint leaves out is what it does not depend on: the first two know neither the primary nor the
budget, so another primary among the same datasets, or another budget, finds them done.

Torch-free; `run` imports the step it runs.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol, cast

from pydantic import ValidationError

from fastmtl import arms, cost, encoders, methods, selectors
from fastmtl.arms import SELECTION, Arm, Tasks, step_name
from fastmtl.config import Frozen, JobConfig
from fastmtl.errors import BudgetTooLarge, InvalidConfig, UnknownName
from fastmtl.plan import Json, StepSpec, TaskRef, Workspace, in_order

# Versions: raise one when the step's code changes what it computes; results of the older one are then not reused.
LEAKAGE_VERSION = 3
SELECT_VERSION = 3
EXPLAIN_VERSION = 2
MAP_VERSION = 1
REPORT_VERSION = 5

SELECTION_STEP = "select"
"""Name and kind of the step that chooses the rows which the job is about."""

__all__ = ["SELECTION", "SELECTION_STEP", "Tasks", "eligible_rows", "needs_torch", "plan", "run", "trains", "urgency"]


class _Step(Protocol):
    def run(self, spec: StepSpec, workspace: Workspace) -> Json: ...


def plan(config: JobConfig, tasks: Tasks, known_encoders: encoders.Known) -> list[StepSpec]:
    """Write down the steps of a job, inputs before outputs.

    Raises UnknownName, BudgetTooLarge or InvalidConfig where the job could not be run.
    """
    wanted = arms.arms(config, tasks, methods.names())
    _check(config, tasks, known_encoders)
    encoder = encoders.describe(config.encoder, known_encoders)
    guard = [] if config.leak_guard == "off" else [_leakage(config, tasks)]
    steps: list[StepSpec] = []
    finals: list[tuple[Arm, int, StepSpec | None, StepSpec]] = []
    for repeat in range(config.repeats):
        for arm in wanted:
            chosen = _chosen_by(arm, repeat, config, tasks, encoder, guard)
            trained = arms.train(arm, repeat, chosen[-1] if chosen else None, config, tasks, encoder)
            steps += [*chosen, *trained]
            finals.append((arm, repeat, chosen[-1] if chosen else None, trained[-1]))
    select = cast(StepSpec, finals[0][2])
    plane = _map(select, config, tasks, encoder) if config.map_points else None
    if plane:
        steps.insert(steps.index(select) + 1, plane)
    explain = _explain(select, config, tasks, encoder) if config.explain else None
    if explain:
        steps.insert(steps.index(select) + 1, explain)
    steps.append(_report(config, tasks, encoder, finals, explain, plane))
    return _once(steps)


def eligible_rows(config: JobConfig, auxiliary: Sequence[TaskRef], method: str | None = None) -> tuple[int, int]:
    """Count the auxiliary rows that may be chosen, and those that may not because the method trains on them."""
    seen = 0
    if config.seen_rows == "exclude":
        rows_seen = methods.get(method or config.method).rows_seen
        seen = sum(min(task.rows, rows_seen(config)) for task in auxiliary)
    return sum(task.rows for task in auxiliary) - seen, seen


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Compute one step: its files are in `workspace.output` when this returns what the step says of itself."""
    step = cast(_Step, importlib.import_module(f"fastmtl.steps.{spec.kind}"))
    with cost.measured(spec, workspace.inputs.values(), workspace.output, workspace.device) as told:
        result = step.run(spec, workspace)
        told.update(result)
    return result


def urgency(kind: str) -> int:
    """Return a rank by which ready steps are begun, the lowest first: the way to the chosen rows before trainings."""
    order = (
        "select",
        "leakage",
        "rank",
        "discriminator",
        "score",
        "tokens",
        "sample",
        "cascade",
        "embed",
        "explain",
        "report",
        "finetune",
        "target",
        "map",
    )
    return order.index(kind) if kind in order else order.index("embed")


def trains(spec: StepSpec) -> bool:
    """Whether the step is one training, which several devices may share."""
    return spec.kind in ("discriminator", "target", "finetune")


def needs_torch(spec: StepSpec) -> bool:
    """Whether the step computes with torch, and so wants a device."""
    return spec.kind not in ("leakage", "tokens", "rank", "select", "slice", "report", "calibrate_plain")


def _once(steps: Sequence[StepSpec]) -> list[StepSpec]:
    """Return every step once, where it stands first, and give each a name of its own."""
    first: dict[str, StepSpec] = {}
    names: Counter[str] = Counter()
    for step in steps:
        if step.fingerprint not in first:
            names[step.name] += 1
            again = names[step.name]
            first[step.fingerprint] = step if again == 1 else replace(step, name=f"{step.name} #{again}")
    return list(first.values())


def _check(config: JobConfig, tasks: Tasks, known_encoders: encoders.Known) -> None:
    """Refuse what no step could compute."""
    if config.encoder.name not in known_encoders:
        raise UnknownName("config.encoder.name", config.encoder.name, known_encoders)
    if config.method not in methods.names():
        raise UnknownName("config.method", config.method, methods.names())
    if config.selector not in selectors.names():
        raise UnknownName("config.selector", config.selector, selectors.names())
    if not tasks.auxiliary:
        raise InvalidConfig("auxiliary", "at least one auxiliary dataset is needed")
    _check_datasets(tasks)
    _check_options(config)
    able = encoders.abilities(config.encoder.name, known_encoders)
    used = {"config.method": config.method}
    used |= {f"config.compare.{i}": name for i, name in enumerate(config.compare) if name in methods.names()}
    for name in tuple(used.values()):
        used |= methods.get(name).relies_on(config)
    for field, name in used.items():
        if reason := methods.get(name).refusal(able):
            raise InvalidConfig(field, f"the method {name!r} cannot work with this encoder: {reason}.")
        eligible, trained = eligible_rows(config, tasks.auxiliary, name)
        if config.budget > eligible:
            raise BudgetTooLarge(config.budget, eligible, trained)


def _check_datasets(tasks: Tasks) -> None:
    """Refuse a dataset in two roles."""
    seen: dict[str, TaskRef] = {}
    for task in tasks.all:
        if (other := seen.setdefault(task.digest, task)) is not task:
            role = "the primary" if other is tasks.primary else "an auxiliary"
            raise InvalidConfig("auxiliary", f"{task.key!r} holds the same rows as {other.key!r}, {role} of this job")
    if tasks.validation and (trained_on := seen.get(tasks.validation.digest)):
        told = f"{tasks.validation.key!r} holds the same rows as {trained_on.key!r}: what is measured on must be unseen"
        raise InvalidConfig("validation", told)
    if len({task.key for task in tasks.all}) != len(tasks.all):
        raise InvalidConfig("auxiliary", "two datasets of the job have the same key")


def _check_options(config: JobConfig) -> None:
    """Refuse settings of nobody, and settings that their method or selector does not take."""
    known = {name: methods.get(name).Options for name in methods.names()}
    known |= {name: selectors.get(name).Options for name in selectors.names()}
    for name, given in config.options.items():
        if name not in known:
            raise UnknownName(f"config.options.{name}", name, known)
        _options(known[name], name, given)


def _options(kind: type[Frozen], name: str, given: Any) -> Frozen:  # noqa: ANN401 - whatever the caller sent
    """Return the settings of a method or selector. Raises InvalidConfig naming the one that is wrong."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(["config.options", name, *(str(part) for part in first["loc"])])
        known = ", ".join(sorted(kind.model_fields)) or "none"
        told = f"{first['msg']}, found {first['input']!r}; {name} has the options: {known}"
        raise InvalidConfig(field, told) from error


def _leakage(config: JobConfig, tasks: Tasks) -> StepSpec:
    """Find the rows that stand among those measured on (fastmtl/steps/leakage.py); the budget is not asked."""
    held = tasks.validation or tasks.primary
    return StepSpec(
        kind="leakage",
        name="leakage",
        version=LEAKAGE_VERSION,
        params={"held": held.digest, "near": config.leak_guard == "near"},
        datasets=tuple(dict.fromkeys(task.digest for task in [*in_order(tasks.all), held])),
    )


def _chosen_by(
    arm: Arm, repeat: int, config: JobConfig, tasks: Tasks, encoder: Json, guard: list[StepSpec]
) -> list[StepSpec]:
    """Plan the choice of an arm's rows, ending with its `select` step; nothing where it takes no auxiliary row."""
    if arm.rows_of is None:
        return []
    every_row = arm.rows_of == arms.ALL_DATA
    method = config.method if arm.rows_of == SELECTION else "random" if every_row else arm.rows_of
    shifted = (config.seed + repeat) % 2**32
    drawn = config.model_copy(update={"seed": shifted}) if config.repeat == "selection" else config
    if every_row:
        drawn = drawn.model_copy(update={"selector": "top"})
    rank_seed = drawn.seed if arm.rows_of in (SELECTION, arms.ALL_DATA) else shifted
    ordered = (tasks.primary, *in_order(tasks.auxiliary))
    scoring = methods.plan(method, drawn, encoder, ordered, _named("rank", arm, repeat), rank_seed)
    selecting = selectors.get(drawn.selector).plan(drawn, encoder, tasks.all)
    select = _select(
        [scoring[-1], *selecting, *guard],
        drawn,
        tasks,
        name=_named("select", arm, repeat),
        budget=None if every_row else drawn.budget,
    )
    return [*scoring, *guard, *selecting, select]


def _named(what: str, arm: Arm, repeat: int) -> str:
    """Return the name of a step that chooses rows: of the selection itself `rank` and `select`."""
    assert arm.rows_of is not None
    return what if arm.rows_of == SELECTION and not repeat else step_name(what, arm.rows_of, repeat)


def _select(inputs: list[StepSpec], config: JobConfig, tasks: Tasks, name: str, budget: int | None) -> StepSpec:
    """Turn scores into exactly `budget` rows (fastmtl/steps/select.py)."""
    selector = selectors.get(config.selector)
    params: Json = {
        "selector": config.selector,
        "options": _options(selector.Options, config.selector, config.options.get(config.selector, {})).model_dump(),
        "budget": budget,
        "seen_rows": config.seen_rows,
        "guarded": config.leak_guard != "off",
        "primary": asdict(tasks.primary),
        "auxiliary": [asdict(task) for task in tasks.auxiliary],
        "seed": config.seed if selector.seeded else None,
    }
    return StepSpec(
        kind="select",
        name=name,
        version=SELECT_VERSION,
        params=params,
        datasets=tuple(task.digest for task in tasks.auxiliary),
        needs=tuple(step.fingerprint for step in inputs),
    )


def _explain(select: StepSpec, config: JobConfig, tasks: Tasks, encoder: Json) -> StepSpec:
    """Say why each row was chosen (fastmtl/steps/explain.py)."""
    return StepSpec(
        kind="explain",
        name="explain",
        version=EXPLAIN_VERSION,
        params={
            "encoder": encoder,
            "precision": config.precision,
            "primary": tasks.primary.digest,
            "nearest": config.explain,
        },
        datasets=(tasks.primary.digest,),
        needs=(select.fingerprint,),
        cost=tasks.primary.rows + config.budget,
    )


def _map(select: StepSpec, config: JobConfig, tasks: Tasks, encoder: Json) -> StepSpec:
    """Arrange rows in the plane (fastmtl/steps/map.py)."""
    members = (tasks.primary, *tasks.auxiliary)
    return StepSpec(
        kind="map",
        name="map",
        version=MAP_VERSION,
        params={
            "encoder": encoder,
            "precision": config.precision,
            "primary": asdict(tasks.primary),
            "auxiliary": [asdict(task) for task in tasks.auxiliary],
            "points": config.map_points,
            "seed": config.seed,
        },
        datasets=tuple(task.digest for task in members),
        needs=(select.fingerprint,),
        cost=min(config.map_points, sum(task.rows for task in members)),
    )


def _report(
    config: JobConfig,
    tasks: Tasks,
    encoder: Json,
    finals: Sequence[tuple[Arm, int, StepSpec | None, StepSpec]],
    explain: StepSpec | None,
    plane: StepSpec | None,
) -> StepSpec:
    """Gather what every arm reached (fastmtl/steps/report.py).

    `needs` holds, arm by arm and repetition by repetition, the fine-tuning and, where rows were chosen, the selection;
    last the explanations and the map. The primary is the first dataset.
    """
    needed = [step for _, _, chosen, final in finals for step in (chosen, final)]
    members = [*tasks.all, *([tasks.validation] if tasks.validation else [])]
    return StepSpec(
        kind="report",
        name="report",
        version=REPORT_VERSION,
        params={
            "config": config.model_dump(mode="json"),
            "encoder": encoder,
            "primary": tasks.primary.key,
            "validation": tasks.validation.key if tasks.validation else None,
            "arms": [
                {
                    "arm": arm.name,
                    "repeat": repeat,
                    "best": arm.best,
                    "without": arm.without,
                    "final": final.fingerprint,
                    "select": chosen.fingerprint if chosen else None,
                }
                for arm, repeat, chosen, final in finals
            ],
            "explain": explain.fingerprint if explain else None,
            "map": plane.fingerprint if plane else None,
            "members": [{"key": task.key, "digest": task.digest} for task in members],
        },
        datasets=tuple(task.digest for task in members),
        needs=tuple(dict.fromkeys(step.fingerprint for step in [*needed, explain, plane] if step is not None)),
    )
