"""Validators: what tells a client that it has seen this already (RFC 9110, sections 8.8 and 13)."""

from __future__ import annotations

import hashlib
import json
import re

MOVED_BY_TIME = frozenset(("seconds", "seconds_left"))
"""Fields that differ from one second to the next although nothing happened."""
_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def strong(sha256: str) -> str:
    """Return the ETag of a file: the same bytes."""
    return f'"{sha256}"'


def weak(body: bytes) -> str:
    """Return the ETag of a JSON answer: the same in everything but what time alone moves."""
    shown = json.dumps(_still(json.loads(body)), sort_keys=True, separators=(",", ":"))
    return f'W/"{hashlib.sha256(shown.encode()).hexdigest()[:32]}"'


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether If-None-Match names the ETag; weak and strong ones of the same text are the same here (13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return _opaque(etag) in _TAG.findall(if_none_match)


def allows_range(if_range: str | None, etag: str) -> bool:
    """Whether a part may be sent: If-Range is absent, or is the strong ETag (13.1.5). Files have no dates here."""
    return if_range is None or if_range.strip() == etag


def _opaque(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _still(value: object) -> object:
    """Return a JSON value without what time alone moves."""
    if isinstance(value, dict):
        return {name: _still(each) for name, each in value.items() if name not in MOVED_BY_TIME}
    if isinstance(value, list):
        return [_still(each) for each in value]
    return value
