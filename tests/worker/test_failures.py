"""What is told of an attempt that came to nothing, and what the kernel says of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.failures import died, memory_kills


@pytest.mark.parametrize(
    ("returncode", "of_memory", "told"),
    [
        (-9, True, "the machine ran out of memory and ended the step's process. Each attempt after"),
        (-9, False, "the step's process was killed, most likely because the machine ran out of memory"),
        (-11, False, "the step's process ended with SIGSEGV; the worker's log has the details"),
        (3, False, "the step's process ended with status 3; the worker's log has the details"),
    ],
)
def test_how_a_process_died_is_told_in_words(returncode: int, of_memory: bool, told: str):
    reason = died(returncode, of_memory=of_memory)
    assert (reason["type"], reason["message"].startswith(told)) == ("process-died", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("nr_free_pages 7\noom_kill 3\noom_kill_x 9\n", 3), ("nr_free_pages 7\n", None), (None, None)],
)
def test_the_kernels_count_of_processes_that_it_ended_for_want_of_memory_is_read(
    tmp_path: Path, text: str | None, expected: int | None
):
    if text is not None:
        (tmp_path / "vmstat").write_text(text)
    assert memory_kills(tmp_path / "vmstat") == expected
