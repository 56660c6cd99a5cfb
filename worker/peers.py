"""The other processes of a training on several devices: the step's process starts them, and all end with it.

Each computes the whole step on its own device with its own scratch folder; what it leaves there nobody reads. They meet
in the training (fastmtl.ranks), and when one of them ends with an error so does the attempt.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from fastmtl.keeping import Keeping
from worker.protocol import Message, Request

MEETING = "meeting"
ERROR = "error.json"
NEVER_SECONDS = 1e9


def start(folder: Path, count: int, lost: Callable[[Message], None]) -> Sequence[subprocess.Popen[bytes]]:
    """Start all but the first of `count` processes; `lost` is told, from a thread, of one that ends with an error."""
    started = []
    for rank in range(1, count):
        of_rank(folder, rank).mkdir(parents=True)
        command = [sys.executable, "-m", "worker.child", str(folder), str(os.getpid()), str(rank)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        threading.Thread(target=_watch, args=(process, folder, rank, lost), name="peer", daemon=True).start()
        started.append(process)
    return started


def of_rank(folder: Path, rank: int) -> Path:
    """Return the scratch folder of a process."""
    return folder / "peers" / str(rank)


def keeping_of(request: Request, folder: Path, rank: int) -> Keeping | None:
    """Return where a process finds what the attempt before kept; it keeps nothing itself."""
    kept = request.keeping
    return kept and Keeping(of_rank(folder, rank) / "kept", kept.older, NEVER_SECONDS, kept.halvings)


def leave_word(folder: Path, rank: int, message: Message) -> None:
    """Write down why a process ends."""
    (of_rank(folder, rank) / ERROR).write_text(message.model_dump_json())


def _watch(process: subprocess.Popen[bytes], folder: Path, rank: int, lost: Callable[[Message], None]) -> None:
    if (status := process.wait()) == 0:
        return
    word = of_rank(folder, rank) / ERROR
    if word.exists():
        lost(Message.model_validate_json(word.read_text()))
        return
    told = f"process {rank + 1} of this training ended with status {status}; the worker's log may say more"
    lost(Message(error={"type": "worker-lost", "message": told}, again=True))
