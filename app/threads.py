"""What blocks for longer than the event loop may, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

Given = TypeVar("Given")


@asynccontextmanager
async def in_thread(manager: AbstractContextManager[Given]) -> AsyncIterator[Given]:
    """Enter and leave a context in a thread: to remove gigabytes, or to bring them to the disk, takes a while.

    It is left in the same way with and without an error, and also where the request is cancelled meanwhile.
    """
    given = await asyncio.to_thread(manager.__enter__)
    try:
        yield given
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)
