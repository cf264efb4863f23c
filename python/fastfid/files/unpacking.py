"""Streams of gzip, bzip2, xz and Zstandard, unpacked step by step: no step makes more than is read.

A stream that is cut short, or is followed by something else, is an error.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any, Protocol

from ..errors import InputError

_CHUNK = 1 << 16
_MOST_DICTIONARY = 1 << 30  # bytes of memory that an xz may ask for
_ZSTD_CHUNK = 1 << 9  # a block of 4 bytes makes up to 128 KB, and zstandard unpacks all that it is given


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Unpacked(io.RawIOBase):
    """The unpacked bytes of a file, which can be read once, from the beginning to the end.

    Parameters
    ----------
    file : binary file

    Raises
    ------
    ValueError
        If it is of none of the known kinds.
    InputError
        If it is Zstandard and neither Python nor the package zstandard can unpack it.
    EOFError
        When read, if it is cut short.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._packed = file.read(_CHUNK)
        self._at, self._ended = 0, False
        self._ready, self._taken = b"", 0
        self._broken: Exception | None = None
        if (make := _kind_of(self._packed)) is None:
            raise ValueError("it is not packed by gzip, bzip2, xz or Zstandard")
        self._make, self._decompressor = make, make()

    def readable(self) -> bool:
        """Return True, as for files."""
        return True

    def seekable(self) -> bool:
        """Return True; only forward."""
        return True

    def tell(self) -> int:
        """Return the number of bytes that have been read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go forward; raise `ValueError` for anything else."""
        if whence != io.SEEK_SET or offset < self._at:
            raise ValueError("it can only be read forward")
        while self._at < offset and self.read(min(_CHUNK, offset - self._at)):
            pass
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` bytes, or fewer only at the end; the size must be given."""
        if size is None or size < 0:
            raise ValueError("a number of bytes must be given")
        parts = []
        while size and (part := self._part(size)):
            parts.append(part)
            size -= len(part)
            self._at += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _part(self, most: int) -> bytes:
        """Return 1 to `most` bytes, or none at the end."""
        while self._taken == len(self._ready) and not self._ended:
            if self._broken is not None:
                raise self._broken
            try:
                self._step()
            except Exception as error:  # a later step must not go on behind the damage
                self._broken = error
                raise
        part = self._ready[self._taken : self._taken + most]
        self._taken += len(part)
        return part

    def _step(self) -> None:
        if self._decompressor.eof:
            self._next()
            return
        packed = b""
        if self._decompressor.needs_input:
            packed, self._packed = self._packed or self._file.read(_CHUNK), b""
            if not packed:
                raise EOFError("it is cut short")
        self._ready, self._taken = self._decompressor.decompress(packed, _CHUNK), 0

    def _next(self) -> None:
        """Begin the next of several streams that are joined, as bgzip and pixz write them; zeros may be between."""
        rest = self._decompressor.unused_data
        while not (rest := rest.lstrip(b"\0")):
            if not (rest := self._file.read(_CHUNK)):
                self._ended = True
                return
        if len(rest) < _LONGEST_MARK:
            rest += self._file.read(_LONGEST_MARK)
        if _kind_of(rest) is not self._make:
            raise ValueError("other data follows its end")
        self._decompressor, self._packed = self._make(), rest


class _Gzip:
    """zlib with the interface of bz2 and lzma."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail or data, max_length)


class _Zstandard:
    """The package zstandard with the interface of bz2 and lzma."""

    def __init__(self, package: Any) -> None:
        self._zstd = package.ZstdDecompressor().decompressobj()
        self._data, self._at = b"", 0

    @property
    def eof(self) -> bool:
        return bool(self._zstd.eof)

    @property
    def needs_input(self) -> bool:
        return self._at >= len(self._data)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._zstd.unused_data) + self._data[self._at :]

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if data:
            self._data, self._at = data, 0
        begin, self._at = self._at, self._at + _ZSTD_CHUNK
        return bytes(self._zstd.decompress(self._data[begin : self._at]))


def _zstandard() -> _Decompressor:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14 and later
    except ImportError:
        pass
    else:
        made: _Decompressor = zstd.ZstdDecompressor()
        return made
    try:
        import zstandard
    except ImportError:
        raise InputError(
            "Zstandard needs Python 3.14 or the package zstandard: pip install 'fastfid[zstd]', or decompress it with "
            "unzstd"
        ) from None
    return _Zstandard(zstandard)


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_DICTIONARY)


def _kind_of(begin: bytes) -> Callable[[], _Decompressor] | None:
    return next((make for mark, make in _KINDS.items() if begin.startswith(mark)), None)


_KINDS: dict[bytes, Callable[[], _Decompressor]] = {
    b"\x1f\x8b": _Gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": _xz,
    b"\x28\xb5\x2f\xfd": _zstandard,
    **{bytes([kind, 0x2A, 0x4D, 0x18]): _zstandard for kind in range(0x50, 0x60)},  # frames to skip; pzstd begins so
}
_LONGEST_MARK = max(map(len, _KINDS))
