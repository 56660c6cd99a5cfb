"""Batches side by side on a CPU, each on a core of its own.

All cores on one batch wait for each other at every operation, and a batch of 2,048 tokens is many short ones: where a
step's threads sleep while they wait, as a worker's do, that is a tenth of the time of scoring (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import torch

MOST = 8
"""Python tells each lane its operations, one lane at a time: many more would wait for it. They share the cores then."""


@contextmanager
def lanes(batches: int) -> Iterator[Lanes | None]:
    """Yield threads that compute a batch each, as many as there are cores or batches; None where one would be all.

    torch's threads are shared out among them. What was submitted and not begun is given up on leaving.
    """
    threads = torch.get_num_threads()
    count = min(threads, batches, MOST)
    if count < 2:
        yield None
        return
    ready = Barrier(count + 1)

    def begin() -> None:
        torch.get_num_threads()  # a thread's first question to torch gives it the number that was set last
        torch.set_num_threads(threads // count)
        ready.wait()

    pool = Lanes(count, begin)
    try:
        for _ in range(count):
            pool.submit(int)  # one more thread each, since none is idle before all are ready
        ready.wait()
        torch.set_num_threads(threads)  # of this thread, and of any that begins later
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class Lanes(ThreadPoolExecutor):
    """Threads that compute a batch each."""

    def __init__(self, count: int, begin: Callable[[], None]) -> None:
        super().__init__(count, "lane", begin)
        self.count = count
