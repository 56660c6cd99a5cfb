"""The compact protocol, byte by byte as its specification has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmtl.thrift import Incomplete, Malformed, Reader


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x00", {}),
        (b"\x15\x02\x00", {1: 1}),  # field 1, i32, zigzag of 1
        (b"\x15\x01\x16\x80\x01\x00", {1: -1, 2: 64}),  # zigzag of -1; field 2, i64
        (b"\x05\x64\x02\x00", {50: 1}),  # a field number of its own, zigzag of 50
        (b"\x11\x12\x00", {1: True, 2: False}),
        (b"\x18\x02ab\x00", {1: b"ab"}),
        (b"\x19\x25\x02\x04\x00", {1: [1, 2]}),  # a list of two i32
        (b"\x19\xf5\x02\x02\x04\x00", {1: [1, 2]}),  # the same, its size written out
        (b"\x1c\x15\x02\x00\x00", {1: {1: 1}}),
        (b"\x1b\x01\x58\x02\x01a\x00", {1: [1, b"a"]}),  # a map of one i32 and one text
        (b"\x17" + bytes(8) + b"\x00", {1: bytes(8)}),
    ],
)
def test_every_kind_of_value_is_read(data, expected):
    reader = Reader(data)
    assert (reader.struct(), reader.position) == (expected, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x15",
        b"\x18\xff\xff\xff\xff\x07",  # a text of 2 GiB
        b"\x19\xf5\xff\xff\xff\xff\x07",  # a list of as many
        b"\x1b\xff\xff\xff\xff\x07\x55",
    ],
)
def test_what_claims_more_than_is_there_is_incomplete(data):
    with pytest.raises(Incomplete):
        Reader(data).struct()


@pytest.mark.parametrize("data", [b"\x1c" * 100, b"\x19\x19" * 100, b"\x1d", b"\x15" + b"\xff" * 20])
def test_what_nests_without_end_or_is_no_value_is_malformed(data):
    with pytest.raises(Malformed):
        Reader(data).struct()


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_malformed(data):
    try:
        Reader(data).struct()
    except Malformed:
        pass
