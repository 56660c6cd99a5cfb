"""Fetching a split from the hub for somebody else, in a process of its own that may do nothing but that.

    python -m fastmtl.hub_fetch hub:nyu-mll/glue/rte#train FOLDER --max-bytes 4294967296 --memory-bytes 2147483648

prints one JSON object: {"path", "source", "title"}, or {"problems": [{message, field, row, line}], "total": n}, or
{"not_on_hub": told}, {"hub_unavailable": told}, {"errno": n}. No token is sent and no cache of this machine is read, so
what comes is public; every request goes to the hub's own hosts. Torch-free.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from fastmtl.columns import Columns
from fastmtl.confined import NO_ROOM, confine
from fastmtl.errors import HubUnavailable, InvalidDataset, NotOnHub
from fastmtl.hub import Access, endpoint, fetch

HOSTS = ("huggingface.co", "hf.co")
"""These, and what is below them, hold the hub's files."""
WITHOUT_XET = "HF_HUB_DISABLE_XET"
"""The hub's other way to fetch files asks hosts from code that nothing here looks into."""


def main() -> int:
    """Fetch; return 0 also where that is refused: the output tells."""
    parser = argparse.ArgumentParser(prog="python -m fastmtl.hub_fetch")
    parser.add_argument("source")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--columns-json", type=json.loads, default={})
    parser.add_argument("--max-bytes", type=int)
    parser.add_argument("--memory-bytes", type=int)
    parser.add_argument("--parent", type=int, help="end with this process, however it ends")
    given = parser.parse_args()
    confine(given.memory_bytes, given.max_bytes, given.parent)
    os.environ[WITHOUT_XET] = "1"
    sys.stdout.write(json.dumps(_answer(given)) + "\n")
    return 0


def _answer(given: argparse.Namespace) -> dict[str, Any]:
    access = Access(token=False, cache=given.folder / "cache", max_bytes=given.max_bytes)
    try:
        _stay_on_the_hub()
        fetched = fetch(given.source, given.folder, Columns(**given.columns_json), access)
    except InvalidDataset as error:
        return {"problems": [asdict(problem) for problem in error.problems], "total": error.total}
    except NotOnHub as error:
        return {"not_on_hub": str(error)}
    except HubUnavailable as error:
        return {"hub_unavailable": str(error)}
    except MemoryError:
        told = f"reading this split needs more than {given.memory_bytes / 2**20:,.0f} MiB of memory"
        return {"problems": [{"message": told, "field": None, "row": None, "line": None}], "total": 1}
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        return {"errno": error.errno}
    return {"path": str(fetched.path), "source": fetched.source, "title": fetched.title}


def _stay_on_the_hub() -> None:
    """Let no request of this process leave the hub's hosts, redirects included."""
    from huggingface_hub import get_session

    own = urlsplit(endpoint()).hostname or ""

    def check(request: httpx2.Request) -> None:
        host = request.url.host
        if host != own and not any(host == each or host.endswith(f".{each}") for each in HOSTS):
            raise HubUnavailable(f"{endpoint()} leads to {host}, which is none of the hub's hosts")

    session = get_session()
    session.event_hooks = {**session.event_hooks, "request": [check, *session.event_hooks["request"]]}


if __name__ == "__main__":
    sys.exit(main())
