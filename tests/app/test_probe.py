"""Questions that may hang: bounded, shared, asked anew when they were answered."""

from __future__ import annotations

import threading
import time

import pytest

from app.probe import Probe


def test_an_answer_comes_back():
    assert Probe(lambda: 7, "seven").ask(5) == 7


def test_what_the_question_raises_comes_back():
    with pytest.raises(ZeroDivisionError):
        Probe(lambda: 1 / 0, "nothing").ask(5)


def test_after_an_answer_it_is_asked_anew():
    answers = iter([1, 2])
    probe = Probe(lambda: next(answers), "next")
    assert [probe.ask(5), probe.ask(5)] == [1, 2]


def test_what_hangs_is_given_up_and_holds_one_thread_however_often_it_is_asked():
    go_on = threading.Event()
    probe = Probe(lambda: go_on.wait(30), "hangs")
    for _ in range(5):
        with pytest.raises(TimeoutError):
            probe.ask(0.01)
    assert [thread.name for thread in threading.enumerate()].count("hangs") == 1
    go_on.set()
    assert probe.ask(5)


def test_those_who_ask_at_the_same_time_get_the_same_answer():
    asked = []
    probe = Probe(lambda: (asked.append(1), time.sleep(0.05))[0], "slow")
    futures = [probe.begin() for _ in range(10)]
    for future in futures:
        future.result(5)
    assert asked == [1]


def test_who_gives_up_does_not_cancel_it_for_the_others():
    go_on = threading.Event()
    probe = Probe(lambda: go_on.wait(30), "shared")
    first, second = probe.begin(), probe.begin()
    assert not first.cancel()
    go_on.set()
    assert second.result(5)
