"""Calls made behind the one who asks for them: in order, few at a time, and what they raise is not lost."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from fastmtl.behind import Behind


def fail() -> None:
    raise OSError("the disk is full")


def test_calls_are_made_in_order_and_all_by_the_end():
    made: list[int] = []
    with Behind(2) as behind:
        for number in range(100):
            behind.do(partial(made.append, number))
    assert made == list(range(100))


def test_the_caller_goes_on_while_a_call_is_made():
    may_end = threading.Event()
    with Behind(1) as behind:
        behind.do(lambda: assert_true(may_end.wait(10)))
        may_end.set()


def assert_true(found: bool) -> None:
    assert found


def test_no_more_calls_wait_than_may():
    made: list[int] = []
    may_end = threading.Event()
    with Behind(2) as behind:
        behind.do(lambda: assert_true(may_end.wait(10)))
        behind.do(partial(made.append, 1))
        asked = threading.Thread(target=behind.do, args=[partial(made.append, 2)])
        asked.start()
        asked.join(0.05)
        assert asked.is_alive()
        may_end.set()
        asked.join(10)
    assert made == [1, 2]


def test_what_a_call_raises_is_raised_by_a_later_one():
    with pytest.raises(OSError, match="the disk is full"), Behind(1) as behind:
        behind.do(fail)
        behind.do(lambda: None)
        pytest.fail("the second call waits for the first")


def test_what_the_last_call_raises_is_raised_at_the_end():
    with pytest.raises(OSError, match="the disk is full"), Behind(2) as behind:
        behind.do(fail)


def test_an_error_of_the_caller_comes_first_and_ends_the_thread():
    before = threading.active_count()
    with pytest.raises(ValueError, match="mine"), Behind(2) as behind:
        behind.do(fail)
        raise ValueError("mine")
    assert threading.active_count() == before
