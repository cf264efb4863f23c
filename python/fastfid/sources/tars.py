"""Tar archives, uncompressed: listed by tarfile from the headers, each member read at its own place."""

import tarfile
from collections.abc import Iterator
from typing import IO, NamedTuple

from .archive import Archive, Link, compressed

_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 16


class Extent(NamedTuple):
    """Where a member's bytes are; of a sparse one, `pieces` (start, length) are stored and the rest is zero."""

    offset: int
    size: int
    pieces: list[tuple[int, int]] | None


class Tar(Archive):
    """A ``.tar``: v7, ustar, pax or GNU."""

    def _members(self, file: IO[bytes]) -> Iterator[tuple[str, Extent | Link]]:
        with self._listing(file) as archive:
            end = 0
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
                if archive.offset <= end:
                    raise tarfile.ReadError(f"the header at byte {info.offset} points backwards")
                end = archive.offset
                if info.islnk() or info.issym():
                    yield info.name, Link(info.linkname, hard=info.islnk())
                elif not info.isdir():
                    yield info.name, Extent(info.offset_data, info.size, info.sparse)  # type: ignore[arg-type]
        self.ended = _has_end_mark(file, end)

    def _listing(self, file: IO[bytes]) -> tarfile.TarFile:
        try:
            return tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape")
        except tarfile.ReadError:
            file.seek(0)
            if file.read(8).startswith((_GZIP, _BZIP2, _XZ, _ZSTD)):
                raise compressed(self.path) from None
            raise

    def _read(self, file: IO[bytes], where: Extent) -> bytes:
        file.seek(where.offset)
        if where.pieces is None:
            return _exactly(file, where.size)
        data = bytearray(where.size)
        for start, length in where.pieces:
            data[start : start + length] = _exactly(file, length)
        return bytes(data)


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"the archive ends after {len(data)} of its {size} bytes")
    return data


def _has_end_mark(file: IO[bytes], end: int) -> bool:
    """Check what follows the last member, at byte `end`: tarfile takes anything that is no header for the end.

    Returns
    -------
    bool
        Whether a block of zeros follows, as it must; False where the file just ends.

    Raises
    ------
    ReadError
        Something else follows, there or later.
    """
    file.seek(end)
    mark = file.read(tarfile.BLOCKSIZE)
    if any(mark):
        raise tarfile.ReadError(f"it is damaged or cut short at byte {end}")
    while chunk := file.read(_CHUNK):
        if chunk.count(0) != len(chunk):
            raise tarfile.ReadError("more data follows its end, as in tars joined by cat; tar -xif unpacks all of it")
    return bool(mark)
