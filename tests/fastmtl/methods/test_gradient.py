"""Gradient similarity: its plan, what a score is, and whether rows with wrong labels fall behind in a small world."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmtl import methods
from fastmtl.canonical import convert
from fastmtl.config import JobConfig
from fastmtl.errors import UnknownName
from fastmtl.methods import Scored, ScoreRequest, draw_rows, gradient
from fastmtl.plan import StepSpec, TaskRef, Workspace, silent
from fastmtl.steps import rank
from fastmtl.steps import slice as sliced

RTE, MNLI, QNLI = TaskRef("rte", "r", 200), TaskRef("mnli", "m", 90_000), TaskRef("qnli", "q", 30_000)
ANIMALS = ("cat", "dog", "fish", "bird")
PLACES = ("river", "city", "train", "shop")


def config(*, budget: int = 4, discriminator: dict[str, object] | None = None, **options: object) -> JobConfig:
    return JobConfig(budget=budget, options={"gradient": options}, discriminator=discriminator or {})


def planned(*tasks: TaskRef, **options: object) -> list[StepSpec]:
    return gradient.plan(config(**options), {"name": "tiny"}, tasks)


def test_the_plan_is_the_same_whatever_the_primary():
    assert planned(RTE, MNLI, QNLI) == planned(QNLI, RTE, MNLI)


def test_all_rows_are_warmed_up_once_and_then_computed_in_shards():
    warm_up, *shards = planned(RTE, MNLI, QNLI, discriminator={"rows_per_task": 300})
    # 200 + 300 + 300 rows train, twice, each worth 3 passes
    assert (warm_up.kind, warm_up.datasets, warm_up.cost) == ("warm_up", ("m", "q", "r"), 3 * 2 * (200 + 300 + 300))
    assert [(each.name, each.params["pieces"], each.needs, each.cost) for each in shards] == [
        ("gradients 1/3", [["m", 0, 50_000]], (warm_up.fingerprint,), 150_000),
        ("gradients 2/3", [["m", 50_000, 90_000], ["q", 0, 10_000]], (warm_up.fingerprint,), 150_000),
        ("gradients 3/3", [["q", 10_000, 30_000], ["r", 0, 200]], (warm_up.fingerprint,), 3 * 20_200),
    ]


def test_only_the_primary_and_a_slice_are_computed_where_a_cheap_method_chooses():
    warm_up, *cheap, chosen, primary, first, second = planned(
        RTE, MNLI, QNLI, budget=6_000, slice_of="discriminator", slice_times=10
    )
    expected = methods.plan("discriminator", config(), {"name": "tiny"}, [RTE, MNLI, QNLI], label="any")
    assert [step.fingerprint for step in cheap] == [step.fingerprint for step in expected]
    assert (chosen.params, chosen.needs) == ({"auxiliary": ["m", "q"], "rows": 60_000}, (cheap[-1].fingerprint,))
    assert (primary.params["pieces"], primary.needs) == ([["r", 0, 200]], (warm_up.fingerprint,))
    assert [(each.params["slice"], each.datasets, each.needs, each.cost) for each in (first, second)] == [
        ([0, 50_000], ("m", "q"), (warm_up.fingerprint, chosen.fingerprint), 150_000),
        ([50_000, 60_000], ("m", "q"), (warm_up.fingerprint, chosen.fingerprint), 30_000),
    ]


def test_a_slice_is_never_larger_than_what_there_is():
    small = TaskRef("small", "s", 30)
    *_, last = planned(RTE, small, slice_of="random", slice_times=1_000)
    assert last.params["slice"] == [0, 30]


def test_inputs_stand_before_outputs_and_every_step_has_its_own_name():
    steps = methods.plan("gradient", config(slice_of="embedding"), {}, [RTE, MNLI, QNLI], label="rank")
    done: set[str] = set()
    for step in steps:
        assert done.issuperset(step.needs)
        done.add(step.fingerprint)
    assert len({step.name for step in steps}) == len(steps)


@pytest.mark.parametrize("name", ["gradient", "gradients", ""])
def test_a_slice_of_no_other_method_is_refused(name: str):
    with pytest.raises(UnknownName) as refused:
        gradient.relies_on(config(slice_of=name))
    assert refused.value.field == "config.options.gradient.slice_of"
    assert "discriminator" in refused.value.known and "gradient" not in refused.value.known


def left_by_warm_up(folder: Path) -> Path:
    """What the warm-up left: row 0 of a and rows 1 and 2 of b were seen."""
    folder.mkdir()
    (folder / "tasks.json").write_text(json.dumps(["a", "b", "p"]))
    for index, rows in enumerate([[0], [1, 2], []]):
        np.save(folder / f"seen-{index}.npy", np.array(rows, dtype=np.int64))
    return folder


def left_by_gradients(folder: Path, *pieces: tuple[str, list[int], list[list[float]]]) -> Path:
    folder.mkdir()
    np.save(folder / "gradients.npy", np.array([row for _, _, rows in pieces for row in rows], dtype=np.float32))
    np.save(folder / "rows.npy", np.array([row for _, rows, _ in pieces for row in rows]))
    (folder / "pieces.json").write_text(json.dumps([[digest, len(rows)] for digest, rows, _ in pieces]))
    return folder


A, B, P = TaskRef("first", "a", 2), TaskRef("second", "b", 3), TaskRef("primary", "p", 2)


def test_a_score_is_the_cosine_with_the_primarys_mean_gradient(tmp_path: Path):
    inputs = [
        left_by_warm_up(tmp_path / "warm-up"),
        left_by_gradients(
            tmp_path / "1", ("a", [0, 1], [[0, 1], [0.6, 0.8]]), ("b", [0, 1], [[1, 0], [0, -1]]), ("p", [0], [[1, 0]])
        ),
        left_by_gradients(tmp_path / "2", ("b", [2], [[0, 0]]), ("p", [1], [[0, 1]])),
    ]
    second, first = gradient.score(ScoreRequest(P, [B, A], inputs))
    # the mean of (1, 0) and (0, 1) points to (1, 1) / sqrt(2)
    assert first.scores.tolist() == pytest.approx([0.5**0.5, 1.4 * 0.5**0.5])
    assert second.scores.tolist() == pytest.approx([0.5**0.5, -(0.5**0.5), 0])
    assert (first.seen.tolist(), second.seen.tolist()) == ([True, False], [False, True, True])


def test_a_primary_whose_gradients_cancel_out_says_nothing_of_any_row(tmp_path: Path):
    computed = left_by_gradients(tmp_path / "1", ("a", [0, 1], [[0, 1], [1, 0]]), ("p", [0, 1], [[1, 0], [-1, 0]]))
    (found,) = gradient.score(ScoreRequest(P, [A], [left_by_warm_up(tmp_path / "warm-up"), computed]))
    assert found.scores.tolist() == [0, 0]


def test_a_row_outside_the_slice_is_worth_less_than_the_worst_cosine(tmp_path: Path):
    folder = tmp_path / "slice"
    folder.mkdir()
    (folder / "slice.json").write_text(json.dumps(["a", "b"]))
    for index, below in enumerate([[0.2, 0.999999999], [0.0, 0.6, 0.4]]):
        np.save(folder / f"percentiles-{index}.npy", np.array(below, dtype=np.float32))
    computed = left_by_gradients(tmp_path / "1", ("b", [1], [[-1, 0]]), ("p", [0, 1], [[1, 0], [1, 0]]))
    first, second = gradient.score(ScoreRequest(P, [A, B], [left_by_warm_up(tmp_path / "w"), folder, computed]))
    assert first.scores.tolist() == pytest.approx([-1.8, -1]) and first.scores[1] < -1
    assert second.scores.tolist() == pytest.approx([-2, -1, -1.6])


WEIGHED = st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=9), min_size=1, max_size=4)


@given(scores=WEIGHED, wanted=st.integers(1, 40), size=st.integers(1, 10))
def test_a_slice_holds_the_best_rows_and_its_shards_hold_each_of_them_once(scores, wanted, size, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slice")
    digests = [f"digest {index}" for index in range(len(scores))]
    pool = [(-score, index, row) for index, each in enumerate(scores) for row, score in enumerate(each)]
    wanted = min(wanted, len(pool))
    ranked = StepSpec("rank", "rank", 1, {})
    (folder / "rank").mkdir()
    (folder / "rank" / "tasks.json").write_text(json.dumps(digests))
    for index, each in enumerate(scores):
        np.save(folder / "rank" / f"scores-{index}.npy", np.array(each, dtype=np.float32))
        np.save(folder / "rank" / f"seen-{index}.npy", np.zeros(len(each), dtype=np.bool_))
    spec = StepSpec("slice", "slice", 1, {"auxiliary": digests, "rows": wanted}, needs=(ranked.fingerprint,))
    sliced.run(spec, Workspace({}, {ranked.fingerprint: folder / "rank"}, folder, "cpu", silent))

    shards = [sliced.part(folder, start, min(start + size, wanted)) for start in range(0, wanted, size)]
    found = [(digests.index(digest), row) for shard in shards for digest, rows in shard for row in rows.tolist()]
    assert found == sorted((index, row) for _, index, row in sorted(pool)[:wanted])
    for place, (_, index, row) in enumerate(sorted(pool, reverse=True)):
        assert np.load(folder / f"percentiles-{index}.npy")[row] == np.float32(place / len(pool))


def sentences(seed: int, count: int) -> Iterable[tuple[str, str]]:
    """Draw sentences on cats and dogs or on fish and birds, with which of the two it is."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        animal, place = generator.choice(ANIMALS), generator.choice(PLACES)
        verb = generator.choice(["runs", "sleeps", "eats", "sings"])
        yield f"the {animal} {verb} in the {place}", "land" if animal in ("cat", "dog") else "other"


def dataset(folder: Path, key: str, rows: Iterable[tuple[str, str]]) -> tuple[TaskRef, Path]:
    source = folder / f"{key}.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    summary = convert(source, folder / f"{key}.parquet")
    return TaskRef(key, summary.digest, summary.rows), folder / f"{key}.parquet"


FLIPPED = np.arange(80) % 5 == 0
OTHERWISE = {"land": "other", "other": "land"}


@pytest.fixture
def datasets(tmp_path: Path) -> dict[TaskRef, Path]:
    """A primary; the same task with every fifth label wrong; and one whose labels tell places apart."""
    noisy = [
        (text, OTHERWISE[label] if flipped else label)
        for (text, label), flipped in zip(sentences(1, 80), FLIPPED, strict=True)
    ]
    places = [(text, "wet" if text.endswith("river") else "dry") for text, _ in sentences(2, 40)]
    return dict(
        [
            dataset(tmp_path, "primary", sentences(0, 60)),
            dataset(tmp_path, "noisy", noisy),
            dataset(tmp_path, "places", places),
        ]
    )


def computed(folder: Path, config: JobConfig, encoder: Path, datasets: dict[TaskRef, Path]) -> list[Scored]:
    """Run the whole plan and return the scores of the auxiliary rows."""
    tasks = list(datasets)
    about = {"name": "tiny", "location": f"folder:{encoder}", "pooling": "mean", "max_length": 16}
    steps = methods.plan("gradient", config, about, tasks, label="rank")
    paths = {task.digest: path for task, path in datasets.items()}
    outputs = {step.fingerprint: folder / step.fingerprint for step in steps}
    for step in steps:
        outputs[step.fingerprint].mkdir(parents=True)
        inputs = {need: outputs[need] for need in step.needs}
        given = {digest: paths[digest] for digest in step.datasets}
        workspace = Workspace(given, inputs, outputs[step.fingerprint], "cpu", silent)
        importlib.import_module(f"fastmtl.steps.{step.kind}").run(step, workspace)
    return rank.read(outputs[steps[-1].fingerprint], [task.digest for task in tasks[1:]])


WARM = {
    "warm_up_epochs": 10,
    "learning_rate": 1e-2,
    "dimensions": 128,
    "discriminator": {"rows_per_task": 60, "batch_size": 8},
}


@pytest.mark.parametrize("name", ["bert", "distilbert", "modernbert"])
def test_rows_with_right_labels_are_worth_more_than_rows_with_wrong_ones(tmp_path, encoder_folders, datasets, name):
    noisy, places = computed(tmp_path, config(**WARM), encoder_folders[name], datasets)
    right, wrong = noisy.scores[~FLIPPED], noisy.scores[FLIPPED]
    assert np.median(right) > 0.1 > -0.1 > np.median(wrong)
    assert np.median(right) > np.median(places.scores)


def test_the_rows_that_warmed_up_are_seen(tmp_path, encoder_folders, datasets):
    found = computed(tmp_path, config(**WARM), encoder_folders["bert"], datasets)
    assert [np.flatnonzero(each.seen).tolist() for each in found] == [
        draw_rows(task.digest, task.rows, 60, 0).tolist() for task in list(datasets)[1:]
    ]


def test_the_same_seed_gives_the_same_bits(tmp_path, encoder_folders, datasets):
    first, again = (computed(tmp_path / name, config(**WARM), encoder_folders["bert"], datasets) for name in "ab")
    assert [each.scores.tobytes() for each in first] == [each.scores.tobytes() for each in again]


def test_a_slice_keeps_the_cosines_of_its_rows_and_orders_the_others_below(tmp_path, encoder_folders, datasets):
    options = {**WARM, "slice_of": "embedding", "slice_times": 10}
    whole = computed(tmp_path / "whole", config(**WARM), encoder_folders["bert"], datasets)
    part = computed(tmp_path / "part", config(**options), encoder_folders["bert"], datasets)
    cosines, found = (np.concatenate([each.scores for each in scored]) for scored in (whole, part))
    inside = found >= -1
    assert inside.sum() == 10 * 4
    assert np.allclose(found[inside], cosines[inside], atol=1e-5)
    # 120 auxiliary rows: the 80 outside are the worst by the cheap method, at -2 + 0 / 120, 1 / 120, ... 79 / 120
    assert np.sort(found[~inside]).tolist() == pytest.approx([-2 + place / 120 for place in range(80)])
