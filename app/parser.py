"""Reads an upload in a process of its own (`fastmtl.convert`), with limits on its memory and its time."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import structlog

from app.confined import run_confined, was_killed
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
        settings = self._settings
        arguments = (str(source), str(target), "--options-json", json.dumps(options))
        memory_bytes, seconds = settings.parser_memory_bytes, settings.parser_timeout_seconds
        try:
            return await run_confined("fastmtl.convert", *arguments, memory_bytes=memory_bytes, seconds=seconds)
        except TimeoutError:
            told = f"reading the file took more than {seconds:g} s: split it"
            raise InvalidDataset([Problem(told)]) from None


def _told(code: int) -> str:
    """Say what became of a process that gave no answer."""
    if was_killed(code):
        return "reading the file needed more memory than it may have: split it"
    return "the file is damaged, or made in a way that its reader cannot take: write it anew"
