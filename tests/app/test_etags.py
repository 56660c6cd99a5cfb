"""What tells a client that it has seen this already."""

from __future__ import annotations

import json

import pytest

from app.etags import allows_range, is_known, strong, weak

RUNNING = {
    "status": "running",
    "seconds_left": 5,
    "steps": [{"seconds": 1.5, "progress": {"done": 3, "seconds_left": 9}}],
}


def etag(**changes: object) -> str:
    return weak(json.dumps({**RUNNING, **changes}).encode())


def test_what_time_alone_moves_changes_no_etag():
    later = [{"seconds": 2.5, "progress": {"done": 3, "seconds_left": 8}}]
    assert etag() == etag(seconds_left=4, steps=later)
    assert etag().startswith('W/"')


def test_everything_else_changes_it():
    further = [{"seconds": 1.5, "progress": {"done": 4, "seconds_left": 9}}]
    assert len({etag(), etag(status="failed"), etag(steps=further), etag(steps=[])}) == 4


@pytest.mark.parametrize(
    ("header", "etag", "known"),
    [
        (None, '"a"', False),
        ("*", '"a"', True),
        ('"a"', '"a"', True),
        ('W/"a"', '"a"', True),  # compared weakly
        ('"a"', 'W/"a"', True),
        ('"b", W/"a","c"', '"a"', True),
        ('"b"', '"a"', False),
        ("a", '"a"', False),
        ("", '"a"', False),
    ],
)
def test_if_none_match_is_a_list_compared_weakly(header: str | None, etag: str, known: bool):
    assert is_known(header, etag) is known


@pytest.mark.parametrize(
    ("header", "allowed"),
    [(None, True), ('"a"', True), ('W/"a"', False), ('"b"', False), ("Wed, 21 Oct 2015 07:28:00 GMT", False)],
)
def test_a_part_is_sent_only_of_the_very_same_file(header: str | None, allowed: bool):
    assert allows_range(header, strong("a")) is allowed
