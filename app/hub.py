"""Splits of the Hugging Face hub, fetched for a tenant where the operator allows it (FASTMTL_HUB).

Each is fetched in a process of its own (fastmtl/hub_fetch.py), which is limited in memory, bytes and time, sends no
token and reaches the hub's hosts alone: what a tenant gets so is public.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

import structlog

from app.confined import run_confined, was_killed
from app.errors import HubOff
from app.models import Json
from app.settings import Settings
from fastmtl.errors import HubUnavailable, InvalidDataset, NotOnHub, Problem
from fastmtl.hub_names import parse

log = structlog.get_logger()

ELSEWHERE = "fetch it where you are, and upload it: fastmtl datasets upload 'hub:...', or upload of the Python client"


class Fetched(NamedTuple):
    """A split, on disk."""

    path: Path
    source: str
    """Its name, with the commit."""
    title: str


class Hub:
    """Fetches some splits at a time; more wait."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(settings.parsers)

    def check(self, source: str) -> None:
        """Refuse what will not be fetched before anything is asked. Raises HubOff, InvalidDataset."""
        if self._settings.hub == "off":
            raise HubOff(f"this deployment fetches nothing from the hub (FASTMTL_HUB); {ELSEWHERE}")
        parse(source)

    async def fetch(self, source: str, folder: Path, columns: Json, max_bytes: int) -> Fetched:
        """Fetch a split into a folder. Raises InvalidDataset, NotOnHub, HubUnavailable, OSError."""
        seconds = self._settings.hub_timeout_seconds
        arguments = (source, str(folder), "--columns-json", json.dumps(columns), "--max-bytes", str(max_bytes))
        async with self._places:
            began = time.monotonic()
            try:
                code, output = await run_confined(
                    "fastmtl.hub_fetch", *arguments, memory_bytes=self._settings.parser_memory_bytes, seconds=seconds
                )
            except TimeoutError:
                raise HubUnavailable(f"fetching {source} took more than {seconds:g} s; {ELSEWHERE}") from None
            log.info("hub.fetched", source=source, returncode=code, seconds=round(time.monotonic() - began, 2))
        return _read(code, output)


def _read(code: int, output: bytes) -> Fetched:
    """Return what the process fetched, or raise what it ran into."""
    if code != 0 or not output:
        more = "reading the split needed more memory than it may have" if was_killed(code) else "the split is damaged"
        raise InvalidDataset([Problem(f"{more}; {ELSEWHERE}")])
    answer: Json = json.loads(output)
    if "problems" in answer:
        raise InvalidDataset([Problem(**each) for each in answer["problems"]], answer["total"])
    if "not_on_hub" in answer:
        raise NotOnHub(answer["not_on_hub"])
    if "hub_unavailable" in answer:
        raise HubUnavailable(answer["hub_unavailable"])
    if "errno" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]))
    return Fetched(Path(answer["path"]), answer["source"], answer["title"])
