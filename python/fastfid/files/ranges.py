"""A seekable file behind an address, of which only the ranges that are read are fetched."""

import io
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from .remote import Remote

FIRST_RANGE, LONGEST_RANGE = 1 << 16, 1 << 23  # bytes of a read-ahead, at a new place and after reading on for long
_GAP = 1 << 20  # bytes that are sooner read than another request is answered
_WINDOWS = 4


class RangeFile(io.RawIOBase):
    """A file behind an address, open for reading; only what is read is fetched, and a little more.

    The more is read one after the other, the more is read ahead, up to `LONGEST_RANGE`. A short way forward counts as
    reading on. A few of the last ranges are kept, for readers that jump between a directory and the members.

    Parameters
    ----------
    remote : Remote
    name : str
        The file; "" is the one at the address itself.
    size : int, optional
        Its size; it is asked for if it is not given.
    first : int
        Bytes to fetch at a new place, if fewer are asked for.

    Raises
    ------
    InputError
        If it does not exist, or the server does not say how large it is.
    """

    def __init__(self, remote: "Remote", name: str = "", size: int | None = None, first: int = FIRST_RANGE) -> None:
        super().__init__()
        if size is None and (size := remote.state(name).size) is None:
            raise InputError(f"{remote.name(name)}: the server does not say how large it is: download it")
        self._remote, self._file, self.size, self._first = remote, name, size, first
        self._at = 0
        self._windows: OrderedDict[int, bytes] = OrderedDict()  # by the position of their first byte

    def readable(self) -> bool:
        """Return True, as for files."""
        return True

    def seekable(self) -> bool:
        """Return True, as for files."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer, as for files."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` bytes, or fewer only at the end of the file."""
        left = max(0, self.size - self._at)
        size = left if size is None or size < 0 else min(size, left)
        parts = []
        while size:
            part = self._part(size)
            parts.append(part)
            self._at += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _part(self, size: int) -> bytes:
        """Return 1 to `size` bytes from the position on."""
        longest = 0
        for start, data in reversed(self._windows.items()):
            offset = self._at - start
            if 0 <= offset < len(data):
                self._windows.move_to_end(start)
                return data[offset : offset + size]
            if 0 <= offset - len(data) <= _GAP:
                longest = max(longest, len(data))
        ahead = min(2 * longest, LONGEST_RANGE) if longest else self._first
        end = min(self.size, self._at + max(size, ahead))
        data = self._remote.fetch(self._file, self._at, end)
        if size < len(data):
            self._windows[self._at] = data
            if len(self._windows) > _WINDOWS:
                self._windows.popitem(last=False)
        return data[:size]
