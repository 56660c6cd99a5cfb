"""Thrift's compact protocol, as far as Parquet's metadata is written in it: bytes in, dicts by field number out.

Every loop is bounded by the bytes there are, and depth by MAX_DEPTH: a forged length ends in `Malformed`, not in
memory. Torch-free. (github.com/apache/thrift, doc/specs/thrift-compact-protocol.md)
"""

from __future__ import annotations

from typing import TypeAlias

Value: TypeAlias = "bool | int | bytes | list[Value] | dict[int, Value]"
Struct: TypeAlias = dict[int, Value]

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
INTEGERS = (I16, I32, I64)
MAX_DEPTH = 32
MAX_VARINT_BYTES = 10


class Malformed(Exception):
    """These bytes are not what they should be."""


class Incomplete(Malformed):
    """They end too early."""


class Reader:
    """Reads one value after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def struct(self, depth: int = 0) -> Struct:
        """Read a struct."""
        if depth > MAX_DEPTH:
            raise Malformed("nested too deeply")
        found: Struct = {}
        number = 0
        while header := self._byte():
            step, kind = header >> 4, header & 0x0F
            number = number + step if step else self._zigzag()
            found[number] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Value:
        if kind in INTEGERS:
            return self._zigzag()
        if kind == BINARY:
            return self._take(self._varint())
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, SET):
            return self._list(depth + 1)
        if kind == MAP:
            return self._map(depth + 1)
        if kind in (TRUE, FALSE, BYTE):  # in a list a boolean takes a byte
            return self._byte()
        if kind == DOUBLE:
            return self._take(8)
        raise Malformed(f"no kind of value is {kind}")

    def _list(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise Malformed("nested too deeply")
        header = self._byte()
        size, kind = header >> 4, header & 0x0F
        if size == 15:
            size = self._varint()
        self._check(size)  # no value takes less than a byte
        return [self._value(kind, depth) for _ in range(size)]

    def _map(self, depth: int) -> Value:
        """Read a map as a list of its keys and values in turn."""
        size = self._varint()
        if size == 0:
            return []
        self._check(2 * size)
        kinds = self._byte()
        return [self._value(kind, depth) for _ in range(size) for kind in (kinds >> 4, kinds & 0x0F)]

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = 0
        for place in range(MAX_VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value
        raise Malformed("a number that does not end")

    def _byte(self) -> int:
        if self.position >= len(self._data):
            raise Incomplete("the metadata ends too early")
        self.position += 1
        return self._data[self.position - 1]

    def _take(self, size: int) -> bytes:
        self._check(size)
        self.position += size
        return self._data[self.position - size : self.position]

    def _check(self, size: int) -> None:
        """Raise Incomplete where fewer bytes are left."""
        if size > len(self._data) - self.position:
            raise Incomplete("the metadata ends too early")
