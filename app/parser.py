"""Reads an upload in a process of its own (`fastmtl.convert`), with limits on its memory and its time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import structlog

from app.models import Json
from app.settings import Settings
from fastmtl.errors import InvalidDataset, Problem

log = structlog.get_logger()


class Parser:
    """Reads some uploads at a time; more wait."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(settings.parsers)

    async def read(self, source: Path, target: Path, options: Json) -> Json:
        """Write the canonical form of a file to `target` and return its summary.

        Raises InvalidDataset, or OSError where the disk is full.
        """
        async with self._places:
            began = time.monotonic()
            code, output = await self._run(source, target, options)
            log.info("parser.ended", returncode=code, seconds=round(time.monotonic() - began, 2))
        if code != 0 or not output:
            raise InvalidDataset([Problem(_told(code))])
        answer: Json = json.loads(output)
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        if "problems" in answer:
            raise InvalidDataset([Problem(**each) for each in answer["problems"]], answer["total"])
        summary: Json = answer["summary"]
        return summary

    async def _run(self, source: Path, target: Path, options: Json) -> tuple[int, bytes]:
        """Return the process's status and what it said; it does not outlive the request, nor this process."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fastmtl.convert", str(source), str(target)),
            *("--options-json", json.dumps(options)),
            *("--memory-bytes", str(self._settings.parser_memory_bytes)),
            *("--parent", str(os.getpid())),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), self._settings.parser_timeout_seconds)
        except TimeoutError:
            told = f"reading the file took more than {self._settings.parser_timeout_seconds:g} s: split it"
            raise InvalidDataset([Problem(told)]) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, output


def _told(code: int) -> str:
    """Say what became of a process that gave no answer."""
    if code == -signal.SIGKILL:
        return "reading the file needed more memory than it may have: split it"
    return "the file is damaged, or made in a way that its reader cannot take: write it anew"
