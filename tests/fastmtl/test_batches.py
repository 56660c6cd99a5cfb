"""Batches: every row where it belongs, once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastmtl.batches import Batch, InferenceOrder, TaskRows, batches_per_epoch, training_batches
from fastmtl.tokens import Tokens


def rows_of(task: int, lengths: list[int], extra: int = 0, limit: int | None = None) -> TaskRows:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.arange(offsets[-1], dtype=np.int32)
    return TaskRows(task, Tokens(ids, None, offsets, pad_id=0), torch.arange(len(lengths)), extra, limit)


@given(st.lists(st.integers(1, 70), min_size=1, max_size=3), st.integers(1, 40), st.integers(0, 5))
def test_every_row_of_every_task_stands_in_exactly_one_batch_of_one_task(sizes, batch_size, epoch):
    sources = [rows_of(task, [1 + row % 9 for row in range(size)]) for task, size in enumerate(sizes)]
    batches = training_batches(sources, batch_size, seed=3, epoch=epoch)
    seen = sorted((batch.source.task, row) for batch in batches for row in batch.rows.tolist())
    assert seen == [(task, row) for task, size in enumerate(sizes) for row in range(size)]
    assert len(batches) == batches_per_epoch(sources, batch_size)
    assert max(len(batch.rows) for batch in batches) <= batch_size


def test_the_same_seed_and_epoch_give_the_same_batches_and_another_epoch_others():
    def order(seed: int, epoch: int) -> list[list[int]]:
        return [batch.rows.tolist() for batch in training_batches([rows_of(0, [5] * 40)], 8, seed, epoch)]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_a_batch_is_a_random_draw_whatever_the_lengths():
    source = rows_of(0, [1 + row for row in range(64)])
    together = [set(batch.rows.tolist()) for epoch in range(5) for batch in training_batches([source], 8, 0, epoch)]
    longest = [max(rows) for rows in together]
    assert len({frozenset(rows) for rows in together}) == len(together)
    assert np.mean(longest) > 50  # of rows of like length it would be 36, of a random draw 57


@pytest.mark.parametrize("count", [1, 3, 4, 50])
def test_the_groups_of_a_batch_are_its_rows_end_to_end_without_much_padding(count):
    source = rows_of(0, [9, 1, 8, 2, 7, 3, 6])
    (batch,) = training_batches([source], 7, seed=0, epoch=0)
    groups = batch.groups(count)
    told = source.tokens.lengths[np.concatenate(groups)].tolist()
    assert told == sorted([9, 1, 8, 2, 7, 3, 6]) == source.tokens.lengths[batch.rows].tolist()
    assert len(groups) == min(count, 7)


@pytest.mark.parametrize(("rows", "extra"), [(5, 3), (5, 5), (5, 12), (1, 4)])
def test_extra_rows_are_drawn_as_evenly_as_can_be(rows, extra):
    batches = training_batches([rows_of(0, [4] * rows, extra)], 4, seed=0, epoch=0)
    counts = np.bincount(np.concatenate([batch.rows for batch in batches]), minlength=rows)
    assert counts.sum() == rows + extra
    assert counts.max() - counts.min() <= 1


def tour(rows: int, limit: int, epochs: int, seed: int = 0) -> list[list[int]]:
    """The rows of each epoch of a task that visits a part of them."""
    source = rows_of(0, [3] * rows, limit=limit)
    return [
        [row for batch in training_batches([source], 4, seed, epoch) for row in batch.rows.tolist()]
        for epoch in range(epochs)
    ]


@given(st.integers(1, 40), st.data(), st.integers(1, 9), st.integers(0, 3))
def test_a_tour_visits_every_row_once_before_any_twice(rows, data, epochs, seed):
    limit = data.draw(st.integers(1, rows))
    visited = tour(rows, limit, epochs, seed)
    assert [len(set(epoch)) for epoch in visited] == [limit] * epochs
    counts = np.bincount([row for epoch in visited for row in epoch], minlength=rows)
    assert set(counts.tolist()) <= {epochs * limit // rows, -(-epochs * limit // rows)}


def test_an_epoch_of_a_tour_goes_on_where_the_last_one_ended_and_begins_anew_after_the_last_row():
    first, second, third = map(set, tour(rows=10, limit=4, epochs=3))
    assert not first & second
    assert (len(third - first - second), len(third & first)) == (2, 2)  # those that are left, and two of the first four


def test_tours_of_two_seeds_differ_and_those_of_one_do_not():
    first, again, other = (tour(40, 10, 2, seed) for seed in (1, 1, 2))
    assert (first == again, first == other) == (True, False)


@pytest.mark.parametrize(
    ("extra", "limit", "visits", "batches"),
    [(0, None, 10, 3), (3, None, 13, 4), (0, 4, 4, 1), (0, 5, 5, 2), (0, 0, 0, 0)],
)
def test_the_visits_of_a_task_are_the_rows_of_its_epoch(extra, limit, visits, batches):
    source = rows_of(0, [3] * 10, extra, limit)
    made = training_batches([source], 4, seed=0, epoch=2)
    assert source.visits == sum(len(batch.rows) for batch in made) == visits
    assert len(made) == batches_per_epoch([source], 4) == batches


def test_a_limited_task_stands_among_the_others():
    sources = [rows_of(0, [5] * 6), rows_of(1, [5] * 50, limit=5)]
    batches = training_batches(sources, 4, seed=0, epoch=2)
    assert sorted((batch.source.task, len(batch.rows)) for batch in batches) == [(0, 2), (0, 4), (1, 1), (1, 4)]


def test_a_task_without_rows_takes_no_step():
    assert training_batches([rows_of(0, []), rows_of(1, [3])], 4, seed=0, epoch=0)[0].source.task == 1
    assert batches_per_epoch([rows_of(0, []), rows_of(1, [3])], 4) == 1


def in_batches(order: InferenceOrder, max_tokens: int) -> list[np.ndarray]:
    batches, done = [], 0
    while done < len(order.rows):
        batches.append(order.batch(done, max_tokens))
        done += len(batches[-1])
    return batches


@given(st.lists(st.integers(1, 200), max_size=200), st.integers(1, 500))
def test_inference_takes_every_row_once_within_the_tokens_of_a_batch(lengths, max_tokens):
    batches = in_batches(InferenceOrder.of([np.array(lengths, dtype=np.int64)]), max_tokens)
    assert sorted(row for batch in batches for row in batch.tolist()) == list(range(len(lengths)))
    padded = [len(batch) * max(lengths[row] for row in batch) for batch in batches]
    assert all(tokens <= max_tokens or len(batch) == 1 for tokens, batch in zip(padded, batches, strict=True))


def test_rows_of_two_groups_are_never_in_one_batch_and_are_counted_through():
    groups = [np.array([2, 3]), np.array([], dtype=np.int64), np.array([1, 4, 2])]
    # a batch of 9 tokens holds three rows of 3, or two of 4
    assert [batch.tolist() for batch in in_batches(InferenceOrder.of(groups), 9)] == [[1, 0], [3, 4], [2]]


def test_a_batch_in_parts_keeps_the_order_of_its_rows_and_the_largest_part_is_the_first():
    batch = Batch(rows_of(0, [1] * 5), np.arange(5))
    assert [part.rows.tolist() for part in batch.parts(2)] == [[0, 1], [2, 3], [4]]
    assert batch.parts(5) == [batch]


def test_padding_is_on_the_right_and_masked():
    source = rows_of(0, [2, 4])
    inputs = source.tokens.padded(np.array([1, 0]), "cpu")
    assert inputs["input_ids"].tolist() == [[2, 3, 4, 5], [0, 1, 0, 0]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
