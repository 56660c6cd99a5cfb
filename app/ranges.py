"""Which parts of a file a Range header asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import NamedTuple

from app.errors import RangeNotSatisfiable

MAX_PARTS = 16
_ONE = re.compile(r"([0-9]{0,100})-([0-9]{0,100})")


class Part(NamedTuple):
    """The bytes from `start` up to `stop`."""

    start: int
    stop: int

    @property
    def bytes(self) -> int:
        """How many they are."""
        return self.stop - self.start


def wanted(header: str | None, length: int) -> list[Part]:
    """Return the parts of a file of `length` bytes, in the order asked for; none means: send it whole.

    A header that is no list of byte ranges is ignored, as one is that asks for more than the whole: for many parts, or
    for bytes twice. Raises RangeNotSatisfiable where the file has none of them.
    """
    unit, _, listed = (header or "").partition("=")
    if unit.strip().lower() != "bytes":
        return []
    found = [_ONE.fullmatch(each.strip()) for each in listed.split(",") if each.strip()]
    parts = [None if each is None else _part(each[1], each[2], length) for each in found]
    if not parts or None in parts:
        return []
    there = [each for each in parts if each is not None and each.bytes > 0]
    if not there:
        raise RangeNotSatisfiable(length)
    whole = len(there) > MAX_PARTS or sum(each.bytes for each in there) > length
    return [] if whole else there


def _part(first: str, last: str, length: int) -> Part | None:
    """Return the part, empty where the file has none of it; None for what is no range."""
    if not first:
        return Part(max(0, length - int(last)), length) if last else None
    if last and int(last) < int(first):
        return None
    start = min(int(first), length)
    return Part(start, min(int(last) + 1, length) if last else length)
