"""Batches side by side on a CPU."""

from __future__ import annotations

import threading

import pytest
import torch

from fastmtl.lanes import MOST, count, lanes


def test_lanes_share_torchs_threads_out_and_leave_those_of_others_alone(torch_threads):
    torch_threads(4)
    with lanes(2) as pool:
        assert pool.count == 2
        meet = threading.Barrier(2)

        def seen() -> tuple[int, int]:
            meet.wait(10)  # both are at work at the same time
            return threading.get_ident(), torch.get_num_threads()

        (first, one), (second, other) = (each.result() for each in [pool.submit(seen), pool.submit(seen)])
        assert first != second
        assert (one, other) == (2, 2)
        assert torch.get_num_threads() == 4
        others: list[int] = []
        thread = threading.Thread(target=lambda: others.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert others == [4]


@pytest.mark.parametrize(("batches", "expected"), [(0, None), (1, None), (2, 2), (4, 4), (1000, 4)])
def test_there_are_as_many_lanes_as_cores_or_batches(torch_threads, batches, expected):
    torch_threads(4)
    with lanes(batches) as pool:
        assert (pool and pool.count) == expected


@pytest.mark.parametrize(
    ("threads", "batches", "expected"),
    [(1, 99, 1), (2, 99, 2), (8, 99, 8), (15, 99, 5), (12, 99, 6), (8, 3, 2), (7, 99, 7)],
)
def test_as_few_cores_as_can_be_have_nothing_to_do(threads, batches, expected):
    assert count(threads, batches) == expected


def test_a_lane_that_cannot_begin_ends_what_has_begun(torch_threads, monkeypatch):
    torch_threads(3)
    begin, begun = threading.Thread.start, []

    def refuse(thread: threading.Thread) -> None:
        begun.append(thread)
        if len(begun) == 3:
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start"), lanes(3):
        pass
    assert not any(each.is_alive() for each in begun)


def test_lanes_that_are_left_at_once_end(torch_threads):
    """Their threads may still be about to begin."""
    torch_threads(8)
    for _ in range(100):
        with lanes(8):
            pass


def test_many_cores_have_lanes_of_several(torch_threads):
    torch_threads(2 * MOST)
    with lanes(1000) as pool:
        assert pool.count == MOST
        assert pool.submit(torch.get_num_threads).result() == 2


def test_what_has_not_begun_is_given_up_where_an_error_ends_it(torch_threads):
    torch_threads(2)
    go, begun = threading.Event(), []
    with pytest.raises(KeyError), lanes(2) as pool:
        waiting = [pool.submit(go.wait, 10) for _ in range(2)]
        late = pool.submit(begun.append, 1)
        threading.Timer(0.1, go.set).start()
        raise KeyError
    assert all(each.done() for each in waiting)
    assert late.cancelled()
    assert begun == []
