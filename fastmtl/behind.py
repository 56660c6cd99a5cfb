"""Work that is done in a thread behind the one that makes it ready. Torch-free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType


class Behind:
    """Makes calls one after another while their caller goes on; at the end of its context all are made.

    That is worth a thread where a call lets go of Python's lock, as Arrow's do. What a call raises a later `do` raises,
    or the end of the context; of the calls that wait then, or when the context ends with an error, some are not made.
    """

    def __init__(self, most: int) -> None:
        """`most` calls, and what they hold, wait or are being made; one more waits in `do`."""
        self._most = most
        self._thread = ThreadPoolExecutor(1)
        self._calls: deque[Future[None]] = deque()

    def do(self, call: Callable[[], None]) -> None:
        """Have a call made."""
        while len(self._calls) >= self._most:
            self._calls.popleft().result()
        self._calls.append(self._thread.submit(call))

    def __enter__(self) -> Behind:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the calls."""
        try:
            while self._calls and error is None:
                self._calls.popleft().result()
        finally:
            self._thread.shutdown(cancel_futures=True)
