"""Where the checkpoints of a step stand, and which of them are whole. Torch-free: `fastmtl.checkpoints` writes them."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"(\d{8})-([0-9a-f]{64})\.safetensors")
"""Of a whole checkpoint: its number in the attempt and the SHA-256 of the file."""


@dataclass(frozen=True)
class Keeping:
    """Where a step keeps what it has done so far, for the attempt that goes on should this one be cut off."""

    folder: Path
    """Of this attempt; it need not be there yet."""
    older: tuple[Path, ...]
    """Of the attempts before, the latest first."""
    seconds: float
    """Between two checkpoints."""
    halvings: int = 0
    """How many attempts before were ended for want of memory: so often what is computed at once is halved."""


def complete(folder: Path) -> list[Path]:
    """Return the whole checkpoints of an attempt, the newest first."""
    with suppress(FileNotFoundError):
        return sorted((path for path in folder.iterdir() if NAME.fullmatch(path.name)), reverse=True)
    return []
