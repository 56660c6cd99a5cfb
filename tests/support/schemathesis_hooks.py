"""What Schemathesis is told besides the OpenAPI document; its command loads this file as SCHEMATHESIS_HOOKS.

FASTMTL_TEST_KNOWN is JSON: for names of path parameters, ids of what is there; and `own_key`, the id of the key that it
sends, which it must not revoke.
"""

from __future__ import annotations

import json
import os

import schemathesis

KNOWN: dict[str, list[str]] = json.loads(os.environ["FASTMTL_TEST_KNOWN"])
FRAMING = {"content-length", "transfer-encoding", "connection", "expect"}
"""Headers that say where a request ends: with made-up ones it is no HTTP, and the server answers, not the API."""

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


@schemathesis.hook
def map_path_parameters(context: schemathesis.HookContext, path_parameters: dict | None) -> dict | None:
    """Put the id of something that is there in the place of every second made-up one."""
    for name, value in (path_parameters or {}).items():
        if name in KNOWN and len(str(value)) % 2:
            path_parameters[name] = KNOWN[name][len(str(value)) // 2 % len(KNOWN[name])]
    return path_parameters


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Leave out what is no HTTP, and what would revoke the key that everything is sent with."""
    framed = FRAMING & {name.lower() for name in case.headers or {}}
    return not framed and KNOWN["own_key"][0] not in (case.path_parameters or {}).values()
