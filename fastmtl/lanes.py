"""Batches side by side on a CPU, each on cores of its own.

All cores on one batch wait for each other at every operation, and a batch of 2,048 tokens is many short ones: where a
step's threads sleep while they wait, as a worker's do, that is a seventh of the time of scoring (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import torch

MOST = 8
"""Python tells each lane its operations, one lane at a time: many more would wait for it."""


def count(threads: int, batches: int) -> int:
    """Return how many lanes share so many threads out with the fewest left over, the most of those; 1 is all in one."""
    most = min(threads, batches, MOST)
    return max(range(2, most + 1), key=lambda lanes: (threads // lanes * lanes, lanes), default=1)


@contextmanager
def lanes(batches: int, most: int = MOST) -> Iterator[Lanes | None]:
    """Yield threads that compute a batch each, `most` at the most; None where one would be all.

    torch's threads are shared out among them. What was submitted and not begun is given up on leaving.
    """
    threads = torch.get_num_threads()
    number = count(threads, min(batches, most))
    if number < 2:
        yield None
        return
    ready = Barrier(number + 1)

    def begin() -> None:
        torch.get_num_threads()  # a thread's first question to torch gives it the number that was set last
        torch.set_num_threads(threads // number)
        ready.wait()

    pool = Lanes(number, begin)
    try:
        try:
            for _ in range(number):
                pool.submit(int)  # one more thread each, since none is idle before all are ready
            ready.wait()
        except BaseException:
            ready.abort()  # not all could be started
            raise
        torch.set_num_threads(threads)  # of this thread, and of any that begins later
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class Lanes(ThreadPoolExecutor):
    """Threads that compute a batch each."""

    def __init__(self, count: int, begin: Callable[[], None]) -> None:
        super().__init__(count, "lane", begin)
        self.count = count
