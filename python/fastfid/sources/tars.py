"""Uncompressed tar archives: tarfile lists the headers, and each member is read from its own position."""

import io
import struct
import tarfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from ..files.reading import MOST_FILE_BYTES
from .archive import Archive, Link, compressed

_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 16
_PLACE = struct.Struct("<QQ")  # offset and size of a member's bytes
_MOST_HEADER = 1 << 20  # bytes of one member's headers: long names, pax records, maps of sparse files
_MOST_DEFAULTS = 1000  # pax records that apply to all later members


class Sparse(NamedTuple):
    """The offset of the headers of a sparse member. Their contents may be long, so they are read again when needed."""

    offset: int


class Tar(Archive):
    """A ``.tar``: v7, ustar, pax or GNU."""

    def _members(self, file: IO[bytes]) -> Iterator[tuple[str, bytes | Sparse | Link]]:
        headers = Headers(file)
        for info in self._listing(headers):
            if info.islnk() or info.issym():
                yield info.name, Link(info.linkname, hard=info.islnk())
            elif info.issparse():
                yield info.name, Sparse(info.offset)
            elif not info.isdir():
                yield info.name, _PLACE.pack(info.offset_data, info.size)
        file.seek(headers.last_at + len(headers.last))
        self.ended = has_end_mark(headers, file)

    def _listing(self, headers: "Headers") -> Iterator[tarfile.TarInfo]:
        try:
            yield from members(headers)
        except tarfile.ReadError:
            headers.seek(0)
            if headers.read(8).startswith((_GZIP, _BZIP2, _XZ, _ZSTD)):
                raise compressed(self.path) from None
            raise

    def _span(self, place: Any) -> int:
        return _PLACE.unpack(place)[1] if isinstance(place, bytes) else super()._span(place)

    def _read(self, file: IO[bytes], place: bytes | Sparse) -> bytes:
        if isinstance(place, Sparse):
            return _read_sparse(file, place)
        offset, size = _PLACE.unpack(place)
        _check_size(size)
        file.seek(offset)
        return _exactly(file, size)


class Headers(io.RawIOBase):
    """The file that tarfile reads, with a bound: tarfile reads a header of any declared length into memory."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.taken = 0  # bytes, since a member began
        self.last, self.last_at = b"", 0  # the block that was read last, and its position

    def read(self, size: int = -1, /) -> bytes:
        """Read, up to the bound."""
        self.taken += size
        if self.taken > _MOST_HEADER:
            raise ValueError(f"the headers of one member take more than {_MOST_HEADER:,} bytes")
        self.last_at = self._file.tell()
        self.last = self._file.read(size)
        return self.last

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()


def members(headers: Headers) -> Iterator[tarfile.TarInfo]:
    """Yield each member; after each, the file is at its first byte, and must not be behind it for the next.

    Raises
    ------
    ValueError, tarfile.ReadError
        If it is not a tar, or damaged.
    """
    archive = _open(headers)
    end = 0
    while (info := archive.next()) is not None:
        headers.taken = 0
        archive.members.clear()  # type: ignore[attr-defined]  # else tarfile keeps all of them in memory
        if archive.offset <= end:
            raise ValueError(f"the header at byte {info.offset} points backwards")
        if len(archive.pax_headers) > _MOST_DEFAULTS:
            raise ValueError(f"more than {_MOST_DEFAULTS} pax records apply to all members")
        end = archive.offset
        yield info


def read_member(file: IO[bytes], info: tarfile.TarInfo) -> bytes:
    """Return all bytes of a member, from a file that is at its first byte."""
    _check_size(info.size)
    if not info.issparse():
        return _exactly(file, info.size)
    return _fill_sparse(file, info)


def _open(headers: Headers) -> tarfile.TarFile:
    return tarfile.open(fileobj=headers, mode="r:", encoding="utf-8", errors="surrogateescape")


def _read_sparse(file: IO[bytes], place: Sparse) -> bytes:
    file.seek(place.offset)
    info = _open(Headers(file)).next()
    assert info is not None
    file.seek(info.offset_data)
    return read_member(file, info)


def _fill_sparse(file: IO[bytes], info: tarfile.TarInfo) -> bytes:
    pieces: list[tuple[int, int]] = info.sparse  # type: ignore[assignment]  # typeshed says bytes
    data = bytearray(info.size)
    for start, length in pieces:
        if not 0 <= start <= start + length <= info.size:
            raise ValueError(f"a piece of it, {length} bytes from byte {start}, lies outside its {info.size} bytes")
        data[start : start + length] = _exactly(file, length)
    return bytes(data)


def _check_size(size: int) -> None:
    if size > MOST_FILE_BYTES:
        raise ValueError(f"it has {size:,} bytes; at most {MOST_FILE_BYTES:,} are read")


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"the archive ends after {len(data)} of its {size} bytes")
    return data


def has_end_mark(headers: Headers, file: IO[bytes]) -> bool:
    """Check what follows the last member; tarfile accepts anything that is not a header as the end.

    Parameters
    ----------
    headers : Headers
        Of which `members` has yielded all.
    file : binary file
        The same file, behind the last block of `headers`.

    Returns
    -------
    bool
        True if a block of zeros follows, as it must; False if the file ends there.

    Raises
    ------
    ValueError
        If something else follows, there or later.
    """
    if any(headers.last):
        raise ValueError(f"it is damaged or cut short at byte {headers.last_at}")
    while chunk := file.read(_CHUNK):
        if chunk.count(0) != len(chunk):
            raise ValueError("more data follows its end, as in tars joined by cat; tar -xif unpacks all of it")
    return bool(headers.last)
