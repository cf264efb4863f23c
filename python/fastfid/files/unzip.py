"""Reads zip archives from outside: all of the directory or an error, and members in steps of limited size.

zipfile has three faults. It silently lists only a part of a damaged directory. It needs 800 bytes for each entry. And
one step of bzip2 or LZMA can unpack to any size, not only to the one in the directory.
"""

import bz2
import io
import lzma
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple, Protocol

# From PKWARE's APPNOTE, sections 4.3.16, 4.3.14, 4.3.15, 4.3.12 and 4.3.7.
_END = struct.Struct("<4s6xHLLH")  # number of entries; bytes and offset of the directory; bytes of the comment
_END_64 = struct.Struct("<4s28xQQQ")  # number of entries; bytes and offset of the directory
_LOCATOR_64 = struct.Struct("<4s16x")
_ENTRY = struct.Struct("<4sxB2xHH4xLLLHHH4x2xHL")
_LOCAL = struct.Struct("<4s2xHH16xHH")  # flags; method; lengths of the name and of the extra field
_LOCAL_MARK = b"PK\3\4"

_MOST_COMMENT = 0xFFFF
_ZIP64 = 1  # kind of the extra field with the 64-bit numbers
_FOLLOWS = 0xFFFFFFFF  # marks a number that is in that field
_ON_WINDOWS = 0
_ENCRYPTED = 0x41
_UTF8 = 0x800
_STORED, _DEFLATED, _BZIP2, _LZMA = 0, 8, 12, 14
# Largest ratio of unpacked to stored size: deflate makes 258 bytes from 2 bits, LZMA 273 bytes from 0.3 bits, and a
# block of bzip2 46 MB from 37 bytes.
_MOST_RATIO = {_STORED: 1, _DEFLATED: 1032, _LZMA: 1 << 13, _BZIP2: 1 << 21}

_CHUNK = 1 << 16
_MOST_DICTIONARY = 1 << 30


class Entry(NamedTuple):
    """The position, sizes and format of a member; `offset` is that of its own header."""

    offset: int
    stored: int
    size: int
    checksum: int
    method: int
    flags: int


class Listed(NamedTuple):
    """An entry of the directory; `mode` is that of `os.stat`, or 0 if the archive was not written on Unix."""

    name: str
    mode: int
    entry: Entry


def listing(file: IO[bytes]) -> Iterator[Listed]:
    """Read the directory of a zip.

    Raises
    ------
    ValueError
        If it is damaged: it is not in its place, or the number of entries is not the one at the end of the archive.
    """
    directory = _find(file)
    at, listed = directory.start, 0
    while at < directory.end:
        file.seek(at)  # the caller may read in between
        size, line = _read_entry(file, directory.shift)
        at += size
        listed += 1
        yield line
    if at != directory.end or (listed - directory.entries) % directory.modulus:
        raise ValueError(f"its directory is damaged: {listed} entries of {directory.entries} can be read")


def own_name(file: IO[bytes], entry: Entry) -> str:
    """Return the name in a member's own header, which should be that of the directory; empty if there is none."""
    header = _read_at(file, entry.offset, _LOCAL.size)
    if header[:4] != _LOCAL_MARK or len(header) != _LOCAL.size:
        return ""
    _, flags, _, length, _ = _LOCAL.unpack(header)
    return _decode(file.read(length), flags)


class Member(io.RawIOBase):
    """The bytes of a member, which can be read once; it unpacks no more at a time than is read.

    Raises
    ------
    ValueError
        If it is encrypted, packed with an unknown method, or does not have the size or checksum of the directory.
    """

    def __init__(self, file: IO[bytes], entry: Entry) -> None:
        super().__init__()
        file.seek(entry.offset)
        header = file.read(_LOCAL.size)
        if header[:4] != _LOCAL_MARK or len(header) != _LOCAL.size:
            raise ValueError("it does not begin where the archive's directory says")
        _, flags, method, name, extra = _LOCAL.unpack(header)
        if (flags | entry.flags) & _ENCRYPTED:
            raise ValueError("it is encrypted; unpack the archive with its password and give the folder")
        if entry.method not in _MOST_RATIO:
            raise ValueError(f"compression method {entry.method} is not supported: unpack the archive")
        if method != entry.method:
            raise ValueError("it is not packed as the archive's directory says")
        _check_size(entry)
        start = entry.offset + _LOCAL.size + name + extra
        if start + entry.stored > file.seek(0, io.SEEK_END):
            raise ValueError(f"the archive ends before the end of its {entry.stored:,} bytes")
        file.seek(start)
        self._file, self._entry = file, entry
        self._packed, self._left, self._checksum = entry.stored, entry.size, 0
        self._decompressor = None if entry.method == _STORED else self._decompressor_of(entry)

    def readable(self) -> bool:
        """Return True, as for files."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read into a buffer, as for files."""
        data = self.next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def next(self, most: int) -> bytes:
        """Return 1 to `most` bytes, or none at the end; raise `ValueError` at the end if the checksum is wrong."""
        most = min(most, self._left)
        data = self._unpack(most) if most else b""
        if most and not data:
            raise ValueError(f"it ends after {self._entry.size - self._left} of its {self._entry.size} bytes")
        self._checksum = zlib.crc32(data, self._checksum)
        self._left -= len(data)
        if not self._left:
            self._check_end()
        return data

    def _check_end(self) -> None:
        if self._checksum != self._entry.checksum:
            raise ValueError("its checksum (CRC-32) is wrong")
        if self._decompressor is not None and self._unpack(1):
            raise ValueError(f"it holds more bytes, not {self._entry.size} as the archive's directory says")

    def _unpack(self, most: int) -> bytes:
        if self._decompressor is None:
            return self._stored(most)
        while not self._decompressor.eof:
            packed = self._stored(_CHUNK) if self._decompressor.needs_input else b""
            data = self._decompressor.decompress(packed, most)
            if data or not packed:
                return data
        return b""

    def _stored(self, most: int) -> bytes:
        data = self._file.read(min(most, self._packed, _CHUNK))
        self._packed -= len(data)
        return data

    def _decompressor_of(self, entry: Entry) -> "_Decompressor":
        if entry.method == _DEFLATED:
            return _Inflate()
        if entry.method == _BZIP2:
            return bz2.BZ2Decompressor()
        # A version and a length are followed by LZMA's parameters: one byte, and the size of the dictionary. liblzma
        # allocates all of the dictionary at once, but a member never needs a larger one than its own size.
        header = self._stored(9)
        if header[2:4] != b"\5\0" or len(header) != 9:
            raise ValueError("its LZMA header is damaged")
        dictionary = min(int.from_bytes(header[5:], "little"), max(entry.size, 1 << 12))
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MOST_DICTIONARY)
        decompressor.decompress(header[4:5] + dictionary.to_bytes(4, "little") + b"\xff" * 8)
        return decompressor


def _check_size(entry: Entry) -> None:
    """Raise `ValueError` if a member cannot unpack to as many bytes as the directory says."""
    if entry.method == _STORED and entry.size != entry.stored:
        raise ValueError(f"{entry.stored:,} bytes are stored, not {entry.size:,}")
    if entry.size > entry.stored * _MOST_RATIO.get(entry.method, 0):
        raise ValueError(f"it cannot hold {entry.size:,} bytes: {entry.stored:,} are stored")


def begins_with_member(file: IO[bytes]) -> bool:
    """Return True if a zip begins with a member."""
    return _read_at(file, 0, 4) == _LOCAL_MARK


def read_member(file: IO[bytes], entry: Entry, most: int) -> bytes:
    """Return all bytes of a member; raise `ValueError` if there are more than `most`, and other errors as `Member`."""
    if entry.size > most:
        raise ValueError(f"it has {entry.size:,} bytes; at most {most:,} are read")
    member = Member(file, entry)
    return b"".join(iter(lambda: member.next(most), b""))


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflate:
    """zlib with the interface of bz2 and lzma."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail or data, max_length)


class _Directory(NamedTuple):
    """The position of the directory and its number of entries; `shift` is the number of bytes before the archive."""

    start: int
    end: int
    shift: int
    entries: int
    modulus: int


def _find(file: IO[bytes]) -> _Directory:
    size = file.seek(0, io.SEEK_END)
    tail_at = max(0, size - _END.size - _MOST_COMMENT)
    file.seek(tail_at)
    tail = file.read(size - tail_at)
    at = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - _END.size + 4))
    if at < 0:
        raise ValueError("it is not a zip file, or its end is missing")
    end = tail_at + at
    _, entries, length, offset, _ = _END.unpack_from(tail, at)
    modulus = 1 << 16  # macOS writes large archives without the 64-bit record, with only the low bits of the count
    if _read_at(file, end - _LOCATOR_64.size, 4) == b"PK\6\7":
        modulus = 1 << 64
        end -= _LOCATOR_64.size + _END_64.size
        record = _read_at(file, end, _END_64.size)
        if record[:4] != b"PK\6\6":
            raise ValueError("its 64-bit end record is damaged")
        _, entries, length, offset = _END_64.unpack(record)
    start = end - length
    if not 0 <= offset <= start:
        raise ValueError("its directory is larger than the file, or lies outside of it")
    return _Directory(start, end, start - offset, entries, modulus)


def _read_at(file: IO[bytes], at: int, size: int) -> bytes:
    if at < 0:
        return b""
    file.seek(at)
    return file.read(size)


def _read_entry(file: IO[bytes], shift: int) -> tuple[int, Listed]:
    """Return the number of bytes of the next entry, and the entry."""
    header = file.read(_ENTRY.size)
    if len(header) != _ENTRY.size or header[:4] != b"PK\1\2":
        raise ValueError("its directory is damaged")
    _, system, flags, method, checksum, stored, size, name, extra, comment, mode, offset = _ENTRY.unpack(header)
    rest = file.read(name + extra + comment)
    if _FOLLOWS in (size, stored, offset):
        size, stored, offset = _wide(rest[name : name + extra], size, stored, offset)
    text = _decode(rest[:name], flags)
    if system == _ON_WINDOWS:
        text = text.replace("\\", "/")  # against the standard, but old .NET writes it; names cannot have backslashes
    entry = Entry(offset + shift, stored, size, checksum, method, flags)
    return _ENTRY.size + name + extra + comment, Listed(text, mode, entry)


def _decode(name: bytes, flags: int) -> str:
    return name.decode("utf-8" if flags & _UTF8 else "cp437").partition("\0")[0]


def _wide(extra: bytes, *numbers: int) -> Iterator[int]:
    """Yield the numbers, with those that are marked replaced from the 64-bit field."""
    kind, length, at = 0, 0, 0
    while kind != _ZIP64:
        at += length
        if at + 4 > len(extra):
            raise ValueError("its directory is damaged: a 64-bit size is missing")
        kind, length = struct.unpack_from("<HH", extra, at)
        at += 4
    for number in numbers:
        if number == _FOLLOWS:
            (number,) = struct.unpack_from("<Q", extra, at)
            at += 8
        yield number
