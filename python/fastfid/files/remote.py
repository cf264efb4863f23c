"""Files behind addresses, such as ``s3://bucket/images``, by the file systems of fsspec.

Usage::

    fs, path = filesystem("s3://bucket/images", {"anon": True})
    remote = Remote(fs, "s3://bucket/images", path)    # can be pickled; messages name files by their whole address
    remote.read("a/b.png", most=MOST_FILE_BYTES)        # all bytes of a file below it
    with RangeFile(remote, "a/b.zip") as file:          # a seekable file, which only fetches what is read
        ...

Every call is made again after a failure that may pass; see `retried`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ..errors import InputError
from .ranges import RangeFile
from .reading import cause
from .retries import ShortRead, retried
from .turns import protocols, turn

__all__ = [
    "RangeFile",
    "Remote",
    "State",
    "below",
    "filesystem",
    "is_address",
    "refused",
    "retried",
    "state_of_info",
    "without_secrets",
]

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+(://|::)", re.IGNORECASE | re.ASCII)  # one letter is a drive of Windows
_WAY_OUT = "pip install 'fastfid[remote]' has fsspec, s3fs and what http needs"

#: What tells that a file has changed, in the order in which it is looked for in a listing.
_STAMPS = (
    *("md5Hash", "lfs", "ETag", "etag", "generation", "blob_id", "sha", "checksum", "CRC", "Content-MD5", "Digest"),
    *("mtime", "LastModified", "last_modified", "updated", "modified", "Last-Modified", "created"),
)


_SCHEME = re.compile(r"(?:^|(?<=::))[A-Za-z][A-Za-z0-9+.-]*(?=://)")
_USER = re.compile(r"(://)[^/@:]*:[^/@]*@")
_QUERY = re.compile(r"(https?://[^?:]*(?::\d+)?[^?:]*)\?.*?(?=::|$)")
_CHUNK = 1 << 20


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
    shown = without_secrets(address)
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise InputError(f"{shown} is an address, which needs the package fsspec: {_WAY_OUT}") from None
    address = _SCHEME.sub(lambda scheme: scheme[0].lower(), address)
    options = {key: dict(value) if isinstance(value, dict) else value for key, value in (storage_options or {}).items()}
    try:
        fs, path = url_to_fs(address, **options)
    except ImportError as problem:
        raise InputError(f"cannot open {shown}: {cause(problem)}; {_WAY_OUT}") from problem
    except ValueError as problem:
        raise InputError(f"cannot open {shown}: {cause(problem)}") from problem
    except Exception as problem:
        raise refused(f"cannot open {shown}", problem) from problem
    return fs, str(path)


def refused(what: str, problem: Exception) -> InputError:
    """Return the error for an address that cannot be opened or listed; `what` is its beginning."""
    if isinstance(problem, InputError):
        return problem
    denied = isinstance(problem, PermissionError) or "redential" in type(problem).__name__ + str(problem)
    advice = "; say who you are by storage_options, or give {'anon': True} if it is public" if denied else ""
    return InputError(f"{what}: {cause(problem)}{advice}")


def without_secrets(address: str) -> str:
    """Return an address without a password and, of the web, without a signature or token, for messages and results.

    Examples
    --------
    >>> without_secrets("https://me:word@host/a.zip?X-Amz-Signature=0123")
    'https://host/a.zip'
    >>> without_secrets("simplecache::s3://bucket/what?.png")
    'simplecache::s3://bucket/what?.png'
    """
    address = _USER.sub(r"\1", address)
    return _QUERY.sub(r"\1", address)


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
    key = next((key for key in _STAMPS if info.get(key)), None)
    value: Any = info[key] if key else None
    if key == "lfs":
        value = getattr(value, "sha256", None) or dict(value)["sha256"]
    if isinstance(value, datetime):
        value = value.timestamp()  # some listings have it as a number
    return State(int(size) if size is not None else None, f"{key} {value}" if key else "")


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
        return without_secrets(below(self.address, name))

    def path(self, name: str = "") -> str:
        """Return the path of a file in the file system."""
        if not name:
            return self.root
        return f"{self.root.rstrip('/')}/{name}" if self.root else name

    def info(self, name: str = "") -> dict[str, Any]:
        """Ask the server about a file; a listing that is kept from before is not believed."""

        def ask() -> dict[str, Any]:
            with turn(self.fs):
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
            with turn(self.fs):
                data = self._cat(name, start=start, end=end)
            if len(data) > end - start:
                raise self._whole(name)
            if len(data) < end - start:
                raise ShortRead(f"{len(data):,} of {end - start:,} bytes came")
            return data

        return retried(get, f"cannot read {self.name(name)}") if end > start else b""

    def _stream(self, name: str, most: int) -> bytes:
        """Return all bytes of a file of which the server does not say how long it is."""
        data = bytearray()
        with self.fs.open(self.path(name), "rb") as file:
            while chunk := file.read(_CHUNK):
                data += chunk
                if len(data) > most:
                    raise ValueError(f"it has more than {most:,} bytes")
        return bytes(data)

    def _cat(self, name: str, **options: Any) -> bytes:
        if "hf" in protocols(self.fs):
            options["cache_type"] = "none"  # else it reads 5 MB ahead and throws them away
        data: bytes = self.fs.cat_file(self.path(name), **options)
        return data

    def check_ranges(self, name: str, size: int) -> None:
        """Raise `InputError` if a server of HTTP sends the whole of a large file where a part is asked for."""
        if size <= 1 or not protocols(self.fs) & {"http", "https"}:
            return

        def probe() -> None:
            with self.fs.open(self.path(name), "rb", block_size=1, cache_type="none", size=size) as file:
                file.seek(1)
                file.read(1)

        try:
            retried(probe, f"cannot read {self.name(name)}")
        except ValueError as problem:
            if isinstance(problem, InputError):
                raise
            raise self._whole(name) from problem

    def _whole(self, name: str) -> InputError:
        return InputError(
            f"{self.name(name)}: the server sends the whole file where a part is asked for: "
            f"give simplecache::{self.name(name)}, or download it"
        )

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
            with turn(self.fs):
                if size is None:
                    return self._stream(name, most)
                # As a range, because s3fs first asks for the size of a file of which all is wanted.
                data = self._cat(name, start=0, end=size) if size else self._cat(name)
            if len(data) < size:
                if self.state(name).size != size:
                    return data  # the caller sees that it has changed
                raise ShortRead(f"{len(data):,} of {size:,} bytes came")
            return data

        return retried(get, f"cannot read {self.name(name)}")
