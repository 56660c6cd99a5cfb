"""When a plan is done by so many workers: the critical path where there are enough of them. Torch-free."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

from fastmtl.pipeline import urgency
from fastmtl.plan import StepSpec


def elapsed(steps: Sequence[StepSpec], seconds: Mapping[str, float], workers: int) -> float:
    """Return when the last step is done, where a free worker takes the most urgent step whose inputs are there.

    `seconds` are by fingerprint; a step that is missing there takes no time.
    """
    order = {step.fingerprint: (urgency(step.kind), place) for place, step in enumerate(steps)}
    waiting = TopologicalSorter({step.fingerprint: step.needs for step in steps})
    waiting.prepare()
    ready: list[tuple[tuple[int, int], str]] = []
    running: list[tuple[float, str]] = []
    now = 0.0
    while waiting.is_active():
        for fingerprint in waiting.get_ready():
            heapq.heappush(ready, (order[fingerprint], fingerprint))
        while ready and len(running) < workers:
            _, fingerprint = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds.get(fingerprint, 0.0), fingerprint))
        now, done = heapq.heappop(running)
        waiting.done(done)
    return now
