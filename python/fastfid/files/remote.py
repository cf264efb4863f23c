"""Files behind addresses, such as ``s3://bucket/images``, by the file systems of fsspec.

Usage::

    fs, path = filesystem("s3://bucket/images", {"anon": True})
    remote = Remote(fs, "s3://bucket/images", path)    # can be pickled; messages name files by their whole address
    remote.read("a/b.png", most=MOST_FILE_BYTES)        # all bytes of a file below it
    with RangeFile(remote, "a/b.zip") as file:          # a seekable file, which only fetches what is read
        ...

Every call is made again after a failure that may pass; see `retried`.
"""

import io
import re
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import InputError
from .reading import cause, failures
from .retries import MOST_TRIES, ShortRead, may_pass, retried

__all__ = [
    "MOST_TRIES",
    "RangeFile",
    "Remote",
    "ShortRead",
    "State",
    "below",
    "filesystem",
    "is_address",
    "may_pass",
    "retried",
    "state_of_info",
]

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+(://|::)", re.IGNORECASE | re.ASCII)  # one letter is a drive of Windows
_WAY_OUT = "pip install 'fastfid[remote]' has fsspec, s3fs and what http needs"

#: What tells that a file has changed, in the order in which it is looked for in a listing.
_STAMPS = (
    *("ETag", "etag", "generation", "md5Hash", "blob_id", "sha", "checksum", "Content-MD5", "Digest"),
    *("mtime", "LastModified", "last_modified", "updated", "modified", "Last-Modified", "created"),
)
_SAFE = frozenset({"file", "local", "memory", "hf", "hdfs", "arrow_hdfs"})  # used by several threads at once

FIRST_RANGE, LONGEST_RANGE = 1 << 16, 1 << 23  # bytes of a read-ahead, at a new place and after reading on for long
_GAP = 1 << 20  # bytes that are sooner read than another request is answered
_WINDOWS = 4


def is_address(text: str) -> bool:
    """Return True for ``scheme://...`` and for a chain of fsspec, ``simplecache::s3://...``.

    Examples
    --------
    >>> [is_address(text) for text in ("s3://bucket/a", "zip::/a.zip", "/a/b", "C://a", "a::b.png", "http:/a")]
    [True, True, False, False, False, False]
    """
    found = _ADDRESS.match(text)
    if found is None:
        return False
    return found[1] == "://" or "://" in text or text[found.end() :].startswith("/")


def filesystem(address: str, storage_options: Mapping[str, Any] | None = None) -> tuple[Any, str]:
    """Return the file system of an address, and the path of the address in it.

    Parameters
    ----------
    address : str
    storage_options : mapping, optional
        What the file system needs, such as ``{"anon": True}``; in a chain, one mapping for each scheme.

    Raises
    ------
    InputError
        If fsspec or the package of this scheme is not installed, or the scheme is unknown.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise InputError(f"{address} is an address, which needs the package fsspec: {_WAY_OUT}") from None
    options = {key: dict(value) if isinstance(value, dict) else value for key, value in (storage_options or {}).items()}
    try:
        fs, path = url_to_fs(address, **options)
    except ImportError as problem:
        raise InputError(f"cannot open {address}: {cause(problem)}; {_WAY_OUT}") from problem
    except ValueError as problem:
        raise InputError(f"cannot open {address}: {cause(problem)}") from problem
    except Exception as problem:
        if not may_pass(problem):
            with failures(f"cannot open {address}"):
                raise
        fs, path = retried(lambda: url_to_fs(address, **options), f"cannot open {address}")
    return fs, str(path)


def below(address: str, name: str) -> str:
    """Return the address of a file in the folder with an address.

    Examples
    --------
    >>> below("s3://bucket/images/", "a.png")
    's3://bucket/images/a.png'
    >>> below("zip://train::s3://bucket/a.zip", "a.png")
    'zip://train/a.png::s3://bucket/a.zip'
    >>> below("simplecache::s3://bucket", "a.png")
    'simplecache::s3://bucket/a.png'
    """
    if not name:
        return address
    first, mark, rest = address.partition("::")
    if mark and "://" not in first:
        return f"{first}::{below(rest, name)}"
    slash = "" if first.endswith("/") else "/"
    return f"{first}{slash}{name}{mark}{rest}"


class State(NamedTuple):
    """The size of a file, and what is different once it has changed; None and "" if the file system does not say."""

    size: int | None
    stamp: str


def state_of_info(info: Mapping[str, Any]) -> State:
    """Return the state of a file from its entry in a listing of fsspec."""
    size = info.get("size")
    stamp = next((f"{key} {info[key]}" for key in _STAMPS if info.get(key)), "")
    return State(int(size) if size is not None else None, stamp)


@dataclass(frozen=True)
class Remote:
    """A folder, or a single file, of a file system of fsspec.

    Attributes
    ----------
    fs : AbstractFileSystem
    address : str
        How messages name it.
    root : str
        Its path in the file system.
    """

    fs: Any
    address: str
    root: str

    def name(self, name: str = "") -> str:
        """Return the whole address of a file; "" is this one itself."""
        return below(self.address, name)

    def path(self, name: str = "") -> str:
        """Return the path of a file in the file system."""
        if not name:
            return self.root
        return f"{self.root.rstrip('/')}/{name}" if self.root else name

    def info(self, name: str = "") -> dict[str, Any]:
        """Ask the server about a file; a listing that is kept from before is not believed."""

        def ask() -> dict[str, Any]:
            with _turn(self.fs):
                self.fs.invalidate_cache(self.fs._parent(self.path(name)))
                found: dict[str, Any] = self.fs.info(self.path(name))
                return found

        return retried(ask, f"cannot read {self.name(name)}")

    def state(self, name: str = "") -> State:
        """Ask the server for the size and the stamp of a file."""
        return state_of_info(self.info(name))

    def fetch(self, name: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, all of them."""

        def get() -> bytes:
            with _turn(self.fs):
                data: bytes = self.fs.cat_file(self.path(name), start=start, end=end)
            if len(data) > end - start:
                raise InputError(
                    f"{self.name(name)}: the server sends the whole file where a part is asked for: "
                    f"give simplecache::{self.name(name)}, or download it"
                )
            if len(data) < end - start:
                raise ShortRead(f"{len(data):,} of {end - start:,} bytes came")
            return data

        return retried(get, f"cannot read {self.name(name)}") if end > start else b""

    def read(self, name: str, size: int | None, most: int) -> bytes:
        """Return all bytes of a file of a known size; if `size` is None, it is asked for.

        Raises
        ------
        ValueError
            If it has more than `most` bytes; the message does not name it.
        """
        if size is None:
            size = self.state(name).size
        if size is not None and size > most:
            raise ValueError(f"it has {size:,} bytes or more; at most {most:,} are read")

        def get() -> bytes:
            with _turn(self.fs):
                data: bytes = self.fs.cat_file(self.path(name))
            if size is not None and len(data) < size:
                raise ShortRead(f"{len(data):,} of {size:,} bytes came")
            return data

        return retried(get, f"cannot read {self.name(name)}")


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

    def __init__(self, remote: Remote, name: str = "", size: int | None = None, first: int = FIRST_RANGE) -> None:
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


_locks: "weakref.WeakKeyDictionary[Any, Any]" = weakref.WeakKeyDictionary()


class _Free:
    """A lock that several can hold."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


_free = _Free()
_lock_of_locks = threading.Lock()


def _turn(fs: Any) -> Any:
    """Return a context for one call of a file system: a lock, unless several threads can use it at once.

    File systems over one open file, such as an archive's, would mix up their positions.
    """
    with _lock_of_locks:
        if fs not in _locks:
            protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
            safe = getattr(fs, "async_impl", False) is True or protocols & _SAFE
            _locks[fs] = _free if safe else threading.Lock()
        return _locks[fs]
