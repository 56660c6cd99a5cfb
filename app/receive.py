"""Receives the bytes of an upload: streamed to disk, counted and digested on the way, never held in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import BodyTooLarge, BrokenUpload, Stalled
from app.sink import Sink

MAX_FIELD_BYTES = 10_000
MAX_HEADER_BYTES = 10_000

CheckRoom = Callable[[int], None]
"""Raises where the disk has no room for so many more bytes."""


@dataclass
class Received:
    """A body that is on disk."""

    path: Path
    bytes: int = 0
    sha256: str = ""
    filename: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    """The other fields of a form."""


async def receive_raw(stream: AsyncIterator[bytes], path: Path, max_bytes: int, check_room: CheckRoom) -> Received:
    """Stream a body that is the file itself."""
    async with Sink.new(path, check_room) as sink:
        async for chunk in stream:
            _bound(sink, chunk, max_bytes)
            await sink.write(chunk)
    return Received(path, sink.bytes, sink.digest)


async def receive_form(
    stream: AsyncIterator[bytes], path: Path, max_bytes: int, check_room: CheckRoom, boundary: bytes
) -> Received:
    """Stream a multipart form; its part named `file` goes straight to disk (RFC 7578)."""
    form = _Form(boundary)
    async with Sink.new(path, check_room) as sink:
        async for chunk in stream:
            form.feed(chunk)
            for part in form.take():
                _bound(sink, part, max_bytes)
                await sink.write(part)
        form.check()
    return Received(path, sink.bytes, sink.digest, form.filename, form.fields)


async def patiently(stream: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """Pass a body on; raises Stalled where nothing more of it comes: a client may go without a goodbye."""
    while True:
        try:
            async with asyncio.timeout(seconds):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Stalled(f"nothing more of the body came for {seconds:g} s") from error
        yield chunk


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a multipart form. Raises BrokenUpload where there is none."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise BrokenUpload("the Content-Type says multipart/form-data but names no boundary")
    return boundary


def too_large(max_bytes: int) -> BodyTooLarge:
    """Return the error that names the limit."""
    return BodyTooLarge(f"an upload may have {max_bytes:,} bytes at most (FASTMTL_MAX_UPLOAD_BYTES); split the file")


def _bound(sink: Sink, chunk: bytes, max_bytes: int) -> None:
    """Raise BodyTooLarge where a chunk goes beyond the limit."""
    if sink.bytes + len(chunk) > max_bytes:
        raise too_large(max_bytes)


class _Form:
    """Takes a form apart as it comes in."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._found = False
        self._ended = False
        self._name = ""
        self._header = b""
        self._headers: dict[bytes, bytes] = {}
        self._value = b""
        self._data: list[bytes] = []
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_done,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }
        self._parser = MultipartParser(boundary, callbacks)

    def feed(self, chunk: bytes) -> None:
        """Take a chunk of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise BrokenUpload(f"the body is not the form that its Content-Type says: {error}") from error

    def take(self) -> list[bytes]:
        """Return what came of the file since the last call."""
        data, self._data = self._data, []
        return data

    def check(self) -> None:
        """Raise BrokenUpload where the form ended early or held no file."""
        if not self._ended:
            raise BrokenUpload("the form ended before its last boundary")
        if not self._found:
            raise BrokenUpload("the form has no part named 'file'")

    def _begin(self) -> None:
        self._headers, self._header, self._value, self._name = {}, b"", b"", ""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._bound(len(self._header), MAX_HEADER_BYTES, "a header of a part")

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound(len(self._value), MAX_HEADER_BYTES, "a header of a part")

    def _header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def _headers_done(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == "file":
            if self._found:
                raise BrokenUpload("the form has two parts named 'file'; upload one file a request")
            self._found = True
            self.filename = options[b"filename"].decode("utf-8", "replace") if b"filename" in options else None

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == "file":
            self._data.append(data[start:end])
            return
        self._value += data[start:end]
        self._bound(len(self._value), MAX_FIELD_BYTES, f"field {self._name!r}")

    def _part_end(self) -> None:
        if self._name != "file":
            self.fields[self._name] = self._value.decode("utf-8", "replace")
            self._bound(len(self.fields), 100, "the number of fields")

    def _end(self) -> None:
        self._ended = True

    def _bound(self, size: int, limit: int, what: str) -> None:
        if size > limit:
            raise BrokenUpload(f"{what} is larger than {limit:,}")
