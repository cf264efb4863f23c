"""A seekable file behind an address, of which only the ranges that are read are fetched."""

import io
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .windows import FIRST_RANGE, Windows

if TYPE_CHECKING:
    from .remote import Remote


class RangeFile(io.RawIOBase):
    """A file behind an address, open for reading; only what is read is fetched, and a little more.

    Parameters
    ----------
    remote : Remote
    name : str
        The file; "" is the one at the address itself.
    size : int, optional
        Its size; it is asked for if it is not given.
    first : int
        Bytes to fetch at a new place, if fewer are asked for.
    windows : Windows, optional
        What has been fetched of the file by others.

    Raises
    ------
    InputError
        If it does not exist, or the server does not say how large it is.
    """

    def __init__(
        self,
        remote: "Remote",
        name: str = "",
        size: int | None = None,
        first: int = FIRST_RANGE,
        windows: Windows | None = None,
    ) -> None:
        super().__init__()
        if size is None and (size := remote.state(name).size) is None:
            raise InputError(f"{remote.name(name)}: the server does not say how large it is: download it")
        self.size, self._first, self._at = size, first, 0
        self._windows = windows or Windows(remote, name, size)

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
            part = self._windows.read(self._at, size, self._first)
            parts.append(part)
            self._at += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
