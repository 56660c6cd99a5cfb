"""Asks what may never answer: in a thread of its own, with a bound on the wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Probe(Generic[T]):
    """A question that takes an unknown time.

    Those who ask while it is being answered wait for the same answer, so however often a thing that hangs is asked
    for, it holds one thread.
    """

    def __init__(self, ask: Callable[[], T], name: str) -> None:
        self._ask = ask
        self._name = name
        self._lock = threading.Lock()
        self._asked: Future[T] | None = None

    def begin(self) -> Future[T]:
        """Ask, or join those who wait; the answer, or the error, comes with the future."""
        with self._lock:
            if self._asked is None:
                self._asked = Future()
                self._asked.set_running_or_notify_cancel()  # whoever gives up cannot cancel it for the others
                # A daemon: what hangs must not keep the process from ending.
                threading.Thread(target=self._answer, args=(self._asked,), name=self._name, daemon=True).start()
            return self._asked

    def ask(self, seconds: float) -> T:
        """Return the answer. Raises TimeoutError where there is none in time, and what the question raised."""
        return self.begin().result(seconds)

    def _answer(self, future: Future[T]) -> None:
        try:
            answer = self._ask()
        except BaseException as error:
            self._forget()
            future.set_exception(error)
        else:
            self._forget()
            future.set_result(answer)

    def _forget(self) -> None:
        """Let the next one ask anew; before the answer is told, so that nobody gets one older than their question."""
        with self._lock:
            self._asked = None
