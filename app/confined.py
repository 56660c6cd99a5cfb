"""Processes that handle what strangers send: limited in memory and time, and ended with the request that wants them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys


async def run_confined(module: str, *arguments: str, memory_bytes: int, seconds: float) -> tuple[int, bytes]:
    """Run one of our modules, which confines itself; return its status and what it said.

    It does not outlive the request, nor this process. Raises TimeoutError.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        *("--memory-bytes", str(memory_bytes)),
        *("--parent", str(os.getpid())),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output


def was_killed(code: int) -> bool:
    """Whether the kernel ended it, which it does for want of memory."""
    return code == -signal.SIGKILL
