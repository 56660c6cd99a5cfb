"""Digests that a client declares of what it sends, and whether they are those of what came (RFC 9530).

    Repr-Digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:

The two algorithms that the RFC calls active are checked; of the others, which it deprecates, none proves anything.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Mapping

from app.errors import BrokenUpload, DigestMismatch

ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}
HEADERS = ("Repr-Digest", "Content-Digest")
"""The same for a request: what is sent is whole and not encoded otherwise."""
ONE = re.compile(r"\s*([a-z0-9*_.-]+)\s*=\s*:([A-Za-z0-9+/=]*):\s*")


class Declared:
    """What the headers say of a body, and the digests that it turns out to have."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Read the headers. Raises BrokenUpload for one that says nothing that could be checked."""
        self._said = {(name, *each) for name in HEADERS if name in headers for each in _parse(name, headers[name])}
        self._digests = {algorithm: hashlib.new(ALGORITHMS[algorithm]) for _, algorithm, _ in self._said}

    async def watch(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Digest a body as it passes; at its end raises DigestMismatch where it is not what was declared."""
        async for chunk in stream:
            for digest in self._digests.values():
                digest.update(chunk)
            yield chunk
        for name, algorithm, value in sorted(self._said):
            found = self._digests[algorithm].digest()
            if found != value:
                raise mismatch(name, algorithm, _encoded(value), _encoded(found))


def check_sha256(declared: str | None, found: str) -> None:
    """Raise DigestMismatch where a file's SHA-256, in hex, is not the one that was declared, if one was."""
    if declared is not None and declared.lower() != found:
        raise mismatch("sha256", "sha-256", declared.lower(), found)


def mismatch(field: str, algorithm: str, declared: str, found: str) -> DigestMismatch:
    """Return the error that tells both digests."""
    told = f"{field} declares the {algorithm} {declared}, and what came has {found}: send it again"
    return DigestMismatch(told, [{"message": told, "field": field, "declared": declared, "found": found}])


def _parse(name: str, header: str) -> list[tuple[str, bytes]]:
    """Return (algorithm, digest) of those that are checked. Raises BrokenUpload."""
    found = []
    for part in header.split(","):
        matched = ONE.fullmatch(part)
        if matched is None:
            raise BrokenUpload(f"{name} is written as sha-256=:BASE64:, found {header[:100]!r}")
        algorithm, text = matched.groups()
        if algorithm in ALGORITHMS:
            found.append((algorithm, _decoded(name, algorithm, text)))
    return found


def _decoded(name: str, algorithm: str, text: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BrokenUpload(f"{name}: {text[:100]!r} is not base64") from error
    if len(value) != hashlib.new(ALGORITHMS[algorithm]).digest_size:
        raise BrokenUpload(f"{name}: {text[:100]!r} has not the length of a {algorithm}")
    return value


def _encoded(value: bytes) -> str:
    return f":{base64.b64encode(value).decode()}:"
