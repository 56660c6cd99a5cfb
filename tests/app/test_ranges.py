"""Which parts a Range header asks for, of a file of ten bytes."""

from __future__ import annotations

import pytest

from app.errors import RangeNotSatisfiable
from app.ranges import wanted


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=2-4", [(2, 5)]),
        ("bytes=2-", [(2, 10)]),
        ("bytes=-3", [(7, 10)]),
        ("bytes=-30", [(0, 10)]),  # longer than the file: all of it
        ("bytes=8-99999999999999999999999", [(8, 10)]),
        ("BYTES = 2-4", [(2, 5)]),
        ("bytes=2-4,", [(2, 5)]),
        ("bytes= 2-4 , 0-0 ", [(2, 5), (0, 1)]),  # in the order asked for
        ("bytes=2-4,20-", [(2, 5)]),  # what is not there is left out
    ],
)
def test_parts_are_found(header: str, parts: list[tuple[int, int]]):
    assert [tuple(each) for each in wanted(header, 10)] == parts


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=,",
        "bytes=a-b",
        "bytes=4-2",
        "bytes=1-2,x",
        "bytes=+1-2",
        "bytes=١-٢",
        "bytes=1-" + "9" * 5000,
        "rows=0-1",
        "bytes=0-9,5-9",  # more than the whole
        "bytes=" + ",".join(["0-0"] * 10_000),
        "bytes=0-0,2-2,4-4,6-6,8-8,1-1,3-3,5-5,7-7,9-9,0-",
    ],
)
def test_what_is_no_range_or_no_good_one_is_ignored(header: str | None):
    assert wanted(header, 10) == []


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=11-12,30-"])
def test_what_the_file_has_not_is_refused_with_its_length(header: str):
    with pytest.raises(RangeNotSatisfiable) as refused:
        wanted(header, 10)
    assert refused.value.headers == {"Content-Range": "bytes */10"}


def test_of_an_empty_file_there_is_no_part():
    with pytest.raises(RangeNotSatisfiable):
        wanted("bytes=0-", 0)
