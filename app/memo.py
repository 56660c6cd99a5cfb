"""Remembers what was made of files that never change, the last few of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

Value = TypeVar("Value")

KEPT = 256


class Memo:
    """What was made, by the digest of what it was made of."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._values: OrderedDict[tuple[str, ...], object] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...], make: Callable[[], Value]) -> Value:
        """Return what the key stands for; it is made where it is not remembered, by two at once perhaps."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return cast(Value, self._values[key])
        made = make()
        with self._lock:
            self._values[key] = made
            while len(self._values) > self._kept:
                self._values.popitem(last=False)
        return made
