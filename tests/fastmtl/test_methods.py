"""Methods: which there are, how a score step's shards cut the rows, how stored probabilities become scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastmtl import methods
from fastmtl.config import JobConfig
from fastmtl.embeddings import SHARD_ROWS, Embeddings
from fastmtl.methods import ScoreRequest, classifier, discriminator, draw_rows, embedding, random
from fastmtl.methods.discriminator import Piece, shard_rows, shards
from fastmtl.plan import TaskRef

RTE, MNLI, QNLI = TaskRef("rte", "r", 2), TaskRef("mnli", "m", 3), TaskRef("qnli", "q", 4)
SIZES = st.lists(st.integers(0, 200), min_size=1, max_size=8)


def tasks(*sizes: int) -> list[TaskRef]:
    return [TaskRef(f"task {index}", f"digest {index}", rows) for index, rows in enumerate(sizes)]


def test_the_methods_that_there_are():
    found = "bm25 classifier discriminator dsir embedding gradient lm_loss ngram_classifier random random_balanced"
    assert methods.names() == found.split()


@pytest.mark.parametrize("name", methods.names())
def test_every_method_offers_what_a_method_must(name: str):
    method = methods.get(name)
    assert method.summary.endswith(".") and isinstance(method.seeded, bool)
    assert all(field.description for field in method.Options.model_fields.values())


@given(SIZES, st.integers(1, 100))
@example([32, 0, 32], 32)
@example([33, 31], 32)
@example([1], 1)
def test_shards_hold_every_row_exactly_once_in_order(sizes: list[int], size: int):
    rows = [(piece.digest, row) for shard in shards(tasks(*sizes), size) for piece in shard for row in rows_of(piece)]
    assert rows == [(task.digest, row) for task in tasks(*sizes) for row in range(task.rows)]


@given(SIZES, st.integers(1, 100))
def test_every_shard_but_the_last_is_full_and_none_is_empty(sizes: list[int], size: int):
    lengths = [sum(piece.stop - piece.start for piece in shard) for shard in shards(tasks(*sizes), size)]
    whole, rest = divmod(sum(sizes), size)
    assert lengths == [size] * whole + [rest] * (rest > 0)


def test_a_shard_may_begin_in_one_task_and_end_in_another():
    assert list(shards(tasks(5, 2, 4), size=4)) == [
        [Piece("digest 0", 0, 4)],
        [Piece("digest 0", 4, 5), Piece("digest 1", 0, 2), Piece("digest 2", 0, 1)],
        [Piece("digest 2", 1, 4)],
    ]


def rows_of(piece: Piece) -> range:
    return range(piece.start, piece.stop)


def test_the_discriminators_plan_does_not_depend_on_which_task_is_the_primary():
    config, encoder = JobConfig(), {"name": "tiny"}
    plans = [discriminator.plan(config, encoder, order) for order in ([RTE, MNLI, QNLI], [QNLI, RTE, MNLI])]
    assert plans[0] == plans[1]


def test_the_cost_of_the_discriminators_plan_is_its_rows():
    config = JobConfig(discriminator={"rows_per_task": 3, "epochs": 5})
    training, scoring = discriminator.plan(config, {}, [RTE, MNLI, QNLI])
    # 2 + 3 + 3 rows train, 5 times, each worth 3 passes; then all 9 are scored once
    assert (training.cost, scoring.cost) == (3 * 5 * (2 + 3 + 3), 9)


def test_many_rows_are_scored_in_shards_that_each_need_the_training():
    training, *scoring = discriminator.plan(JobConfig(), {}, [TaskRef("a", "a", 120_000), TaskRef("b", "b", 1)])
    assert [(step.name, step.cost, step.datasets, step.needs) for step in scoring] == [
        ("score 1/3", 50_000, ("a",), (training.fingerprint,)),
        ("score 2/3", 50_000, ("a",), (training.fingerprint,)),
        ("score 3/3", 20_001, ("a", "b"), (training.fingerprint,)),
    ]


@pytest.fixture
def scored(tmp_path: Path) -> list[Path]:
    """What training and two score steps left of 9 rows: the probability of column c of row i is i + c / 10."""
    for name in ("training", "shard-1", "shard-2"):
        (tmp_path / name).mkdir()
    (tmp_path / "training" / "tasks.json").write_text(json.dumps(["m", "q", "r"]))
    for index, rows in enumerate([[0, 2], [], [1]]):
        np.save(tmp_path / "training" / f"seen-{index}.npy", np.array(rows, dtype=np.int64))
    probabilities = np.arange(9, dtype=np.float32)[:, None] + np.array([0.0, 0.1, 0.2], dtype=np.float32)
    for name, pieces, rows in [
        ("shard-1", [["m", 0, 3], ["q", 0, 2]], probabilities[:5]),
        ("shard-2", [["q", 2, 4], ["r", 0, 2]], probabilities[5:]),
    ]:
        (tmp_path / name / "pieces.json").write_text(json.dumps(pieces))
        np.save(tmp_path / name / "probabilities.npy", rows)
    return [tmp_path / name for name in ("training", "shard-1", "shard-2")]


@pytest.mark.parametrize(
    ("primary", "auxiliary", "expected"),
    [
        (RTE, [QNLI, MNLI], [[3.2, 4.2, 5.2, 6.2], [0.2, 1.2, 2.2]]),  # column 2, in the order that was asked
        (MNLI, [RTE], [[7.0, 8.0]]),  # column 0, of the second shard
    ],
)
def test_scores_are_the_primarys_column_of_every_row(scored: list[Path], primary, auxiliary, expected):
    result = discriminator.score(ScoreRequest(primary, auxiliary, scored, None))
    assert [each.scores.tolist() for each in result] == [pytest.approx(rows) for rows in expected]


def test_rows_that_trained_the_discriminator_are_marked(scored: list[Path]):
    result = discriminator.score(ScoreRequest(QNLI, [MNLI, RTE], scored, None))
    assert [each.seen.tolist() for each in result] == [[True, False, True], [False, True]]


def test_the_random_method_needs_nothing_and_has_seen_nothing():
    method = methods.get("random")
    assert (method.plan(JobConfig(), {}, [RTE, MNLI]), method.rows_seen(JobConfig())) == ([], 0)
    (scored,) = random.score(ScoreRequest(RTE, [MNLI], seed=7))
    assert not scored.seen.any()


def test_random_scores_are_a_seeds_own():
    first, again, other = (random.score(ScoreRequest(RTE, [MNLI, QNLI], seed=seed)) for seed in (7, 7, 8))
    flat = [np.concatenate([each.scores for each in result]).tolist() for result in (first, again, other)]
    assert flat[0] == flat[1] != flat[2]


def test_a_random_draw_is_in_proportion_to_size():
    small, large = random.score(ScoreRequest(RTE, [TaskRef("a", "a", 10_000), TaskRef("b", "b", 30_000)], seed=0))
    best = np.sort(np.concatenate([small.scores, large.scores]))[-4_000]
    # of 4,000 chosen rows 1,000 are expected from the small one, with a standard deviation of about 27
    assert abs(int((small.scores >= best).sum()) - 1_000) < 5 * 27


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def embedded(tmp_path: Path) -> tuple[dict[str, np.ndarray], list[Path]]:
    """Vectors of three tasks around three centres, those of one task in two parts, the later part first."""
    generator = np.random.default_rng(0)
    vectors = {
        digest: unit(generator.normal(size=(rows, 16)) + 3 * np.eye(16)[centre])
        for centre, (digest, rows) in enumerate({"1a": 30, "2b": 40, "3c": 50}.items())
    }
    folders = []
    for digest, start, stop in [("3c", 20, 50), ("1a", 0, 30), ("2b", 0, 40), ("3c", 0, 20)]:
        folder = tmp_path / f"{digest}-{start}"
        folder.mkdir()
        np.save(folder / "embeddings.npy", vectors[digest][start:stop])
        (folder / "piece.json").write_text(json.dumps({"dataset": digest, "start": start}))
        folders.append(folder)
    return vectors, folders


EMBEDDED = [TaskRef("rte", "1a", 30), TaskRef("mnli", "2b", 40), TaskRef("qnli", "3c", 50)]


def test_embeddings_are_read_in_the_order_of_the_rows(embedded):
    vectors, folders = embedded
    rows = np.array([0, 19, 20, 49])
    assert np.array_equal(Embeddings(folders).rows("3c", rows), vectors["3c"][rows])
    assert np.array_equal(np.concatenate([part for _, part in Embeddings(folders).parts("3c")]), vectors["3c"])


def test_a_dataset_is_embedded_once_whatever_it_is_used_with():
    config, encoder = JobConfig(), {"name": "tiny"}
    alone, together = (embedding.plan(config, encoder, tasks) for tasks in ([MNLI], [RTE, MNLI]))
    assert alone[0].fingerprint == together[1].fingerprint == classifier.plan(config, encoder, [MNLI])[0].fingerprint
    large = embedding.plan(config, encoder, [TaskRef("a", "a", 2 * SHARD_ROWS + 1)])
    assert [(step.params["start"], step.params["stop"]) for step in large] == [
        (0, SHARD_ROWS),
        (SHARD_ROWS, 2 * SHARD_ROWS),
        (2 * SHARD_ROWS, 2 * SHARD_ROWS + 1),
    ]
    assert len({step.name for step in large}) == 3


def test_the_embedding_score_is_the_mean_cosine_to_the_nearest_primary_rows(embedded):
    vectors, folders = embedded
    found = embedding.score(ScoreRequest(EMBEDDED[0], EMBEDDED[:0:-1], folders, options=embedding.Options()))
    for task, each in zip(EMBEDDED[:0:-1], found, strict=True):
        cosines = [sorted((row @ vectors["1a"].T).tolist())[-8:] for row in vectors[task.digest]]
        assert np.allclose(each.scores, [sum(best) / len(best) for best in cosines], atol=1e-6)
        assert not each.seen.any()


def test_a_primary_of_one_row_has_one_nearest_row():
    rows, primary = unit(np.ones((3, 2))), unit(np.array([[1.0, 0.0]]))
    assert np.allclose(embedding.closeness(rows, primary, 8), [2**-0.5] * 3)


def test_the_classifier_scores_by_a_logistic_regression_over_the_tasks(embedded):
    """Golden: the same regression by its definition, minimised by scipy."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    vectors, folders = embedded
    found = classifier.score(ScoreRequest(EMBEDDED[0], EMBEDDED[1:], folders, 5, rows_seen=12))
    drawn = {task.digest: draw_rows(task.digest, task.rows, 12, 5) for task in EMBEDDED}
    known = np.concatenate([vectors[digest][rows] for digest, rows in drawn.items()]).astype(np.float64)
    labels = np.repeat(np.arange(3), 12)

    def loss(flat: np.ndarray) -> float:
        weights, bias = flat[:48].reshape(3, 16), flat[48:]
        likelihood = log_softmax(known @ weights.T + bias, axis=1)[np.arange(36), labels].sum()
        return (weights**2).sum() / 2 - classifier.INVERSE_REGULARISATION * likelihood

    best = minimize(loss, np.zeros(51)).x
    for task, each in zip(EMBEDDED[1:], found, strict=True):
        logits = vectors[task.digest] @ best[:48].reshape(3, 16).T + best[48:]
        assert np.allclose(each.scores, np.exp(log_softmax(logits, axis=1))[:, 0], atol=2e-3)
        assert np.flatnonzero(each.seen).tolist() == drawn[task.digest].tolist()


@pytest.mark.parametrize(
    ("rows", "size"),
    [(1, 50_000), (200_000_000, 50_000), (200_000_001, 50_001), (10**9, 250_000), (10**11, 2_000_000)],
)
def test_shards_grow_with_the_rows_and_not_beyond_what_memory_holds(rows: int, size: int):
    assert shard_rows(rows) == size
