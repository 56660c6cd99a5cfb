"""What a process may that handles what strangers send: so much memory, so large files, no longer than who waits for it.

Torch-free.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk is full, its owner's share of it is, or a file grew larger than it may."""


def confine(memory_bytes: int | None, file_bytes: int | None = None, parent: int | None = None) -> None:
    """Limit this process from here on; None is no limit. With `parent` it ends with that process."""
    if parent:
        _end_with(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it holds what the user sent
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    if file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))  # Python ignores SIGXFSZ: an OSError


def _end_with(parent: int) -> None:
    """Ask the kernel to kill this process when the one that waits for it ends: nobody would read its answer."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(1)
