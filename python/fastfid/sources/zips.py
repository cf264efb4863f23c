"""Zip archives: the directory at the end lists the members, and each is read from its own position."""

import stat
import struct
from collections.abc import Iterator
from typing import IO, Any

from ..files.reading import MOST_FILE_BYTES
from ..files.unzip import Entry, begins_with_member, listing, own_name, read_member
from .archive import Archive, Link
from .names import is_image

_PLACE = struct.Struct("<QQQIHH")  # an Entry
_MOST_TARGET = 1 << 16  # bytes of a link's target
_MOST_OTHERS = 1000
_HEADER = 512  # bytes that suffice for most members' own headers


class Zip(Archive):
    """A ``.zip``."""

    proven = True

    def _members(self, file: IO[bytes]) -> Iterator[tuple[str, bytes | Link]]:
        first, others = None, 0
        for name, mode, entry in listing(file):
            first = entry.offset if first is None else min(first, entry.offset)
            if not is_image(name) and (others := others + 1) <= _MOST_OTHERS and is_image(own_name(file, entry)):
                raise ValueError(f"its directory is damaged: it calls {own_name(file, entry)} {name}")
            if stat.S_ISLNK(mode):
                target = read_member(file, entry, _MOST_TARGET).decode("utf-8", "surrogateescape")
                yield name, Link(target, hard=False)
            elif not name.endswith("/"):
                yield name, _PLACE.pack(*entry)
        if first and begins_with_member(file):
            raise ValueError("its directory leaves out what precedes it, as in zips joined by cat")

    def _span(self, place: Any) -> int:
        return Entry(*_PLACE.unpack(place)).stored + _HEADER if isinstance(place, bytes) else super()._span(place)

    def _read(self, file: IO[bytes], place: bytes) -> bytes:
        return read_member(file, Entry(*_PLACE.unpack(place)), MOST_FILE_BYTES)
