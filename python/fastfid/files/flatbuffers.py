"""Reads single fields of a flatbuffer, with every offset checked; https://flatbuffers.dev/internals/ has the format."""

import struct
from collections.abc import Iterator
from typing import NamedTuple


class Table(NamedTuple):
    """A table in a flatbuffer. Fields that are left out have the value 0.

    All methods raise `ValueError` if an offset points outside the buffer.
    """

    data: bytes
    start: int

    @classmethod
    def root(cls, data: bytes) -> "Table":
        """Return the table that a buffer holds."""
        return cls(data, _unpack("<I", data, 0))

    def has(self, field: int) -> bool:
        """Return True if a field is there."""
        return bool(self._place(field))

    def uint8(self, field: int) -> int:
        """Return a field of one byte."""
        return self._value("<B", field)

    def int64(self, field: int) -> int:
        """Return a field of eight bytes."""
        return self._value("<q", field)

    def table(self, field: int) -> "Table":
        """Return the table that a field refers to."""
        place = self._place(field)
        if not place:
            raise ValueError("its header lacks a part")
        return Table(self.data, place + _unpack("<I", self.data, place))

    def pairs(self, field: int) -> Iterator[tuple[int, int]]:
        """Yield the pairs of 8-byte integers in the vector that a field refers to."""
        place = self._place(field)
        if not place:
            return
        place += _unpack("<I", self.data, place)
        for index in range(_unpack("<I", self.data, place)):
            at = place + 4 + 16 * index
            yield _unpack("<q", self.data, at), _unpack("<q", self.data, at + 8)

    def _value(self, layout: str, field: int) -> int:
        place = self._place(field)
        return _unpack(layout, self.data, place) if place else 0

    def _place(self, field: int) -> int:
        """Return where a field is; 0 if it is left out."""
        fields = self.start - _unpack("<i", self.data, self.start)
        entry = 4 + 2 * field
        if entry >= _unpack("<H", self.data, fields):
            return 0
        offset = _unpack("<H", self.data, fields + entry)
        return self.start + offset if offset else 0


def _unpack(layout: str, data: bytes, place: int) -> int:
    if not 0 <= place <= len(data) - struct.calcsize(layout):
        raise ValueError("its header is damaged: an offset points outside it")
    value: int = struct.unpack_from(layout, data, place)[0]
    return value
