"""A body of JSON is read ahead as far as it may go, and no further."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import repeat

import pytest
from starlette.requests import Request
from starlette.types import Message

from app.errors import BodyTooLarge
from app.routes.bounded import read_ahead

GONE: Message = {"type": "http.disconnect"}


def piece(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def read(pieces: Iterator[Message], times: int, declared: str | None = None) -> tuple[list[Message], int]:
    """Read a body of ten bytes at most; return what is given again, and how often was asked for more."""
    asked = 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return next(pieces)

    async def ahead() -> list[Message]:
        headers = [(b"content-length", declared.encode())] if declared else []
        again = await read_ahead(Request({"type": "http", "headers": headers}, receive), 10)
        return [await again() for _ in range(times)]

    try:
        return asyncio.run(ahead()), asked
    except BodyTooLarge as error:
        assert error.detail == "a body of JSON may have 10 bytes at most (FASTMTL_MAX_JSON_BYTES)"
        return [], asked


@pytest.mark.parametrize(("declared", "asked"), [("11", 0), ("10", 3), (None, 3)])
def test_a_body_without_end_is_asked_for_until_it_is_too_large_and_one_declared_too_large_not_at_all(
    declared: str | None, asked: int
):
    assert read(repeat(piece(b"four")), 1, declared) == ([], asked)


def test_a_body_within_the_limit_is_given_again_in_one_piece_and_then_what_comes_after_it():
    pieces = [piece(b"1234"), piece(b""), piece(b"567890", more=False), GONE]
    assert read(iter(pieces), 2) == ([piece(b"1234567890", more=False), GONE], 4)


def test_of_a_client_that_goes_in_the_middle_it_is_told_that_it_went():
    assert read(iter([piece(b"1234"), GONE]), 2) == ([piece(b""), GONE], 2)
