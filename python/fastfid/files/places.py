"""Where a file lies: on a disk, or behind an address. Both are read in the same ways."""

import os
from abc import ABC, abstractmethod
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b, md5, sha1, sha256
from typing import IO, Any, cast

from ..errors import InputError
from .ranges import RangeFile
from .reading import is_other, open_regular, proof_of_file, read_regular, state_of, without_waiting
from .remote import Remote, State, filesystem, is_address, refused
from .turns import protocols
from .windows import FIRST_RANGE, Windows, keep

STAMP = 16  # bytes of a `packed` state
#: File systems of which each object says itself what tells that it has changed. Others show the inside of a file, or
#: what was kept of one, and say nothing of that file.
_STORES = frozenset(
    {"http", "https", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "ocilake", "oss", "hf", "github"}
)
_SURE = frozenset({"md5Hash", "lfs", "ETag", "etag", "generation", "blob_id", "sha", "Content-MD5", "Digest"})
_BUFFER = 1 << 13  # stated, because finding out the best size costs as much as opening the file


class Place(ABC):
    """A file to read from. `str` of it names it in messages."""

    @property
    @abstractmethod
    def tail(self) -> str:
        """The name of the file, without its folder."""

    @abstractmethod
    def open(self, first: int = FIRST_RANGE) -> tuple[IO[bytes], Any]:
        """Open the file for the first time; return it with its state, which tells whether it has changed.

        Parameters
        ----------
        first : int
            Bytes to fetch at once, or to buffer.

        Raises
        ------
        ValueError, OSError
            If it is not a regular file or cannot be opened; the message need not name it.
        """

    @abstractmethod
    def again(self, state: Any, first: int = FIRST_RANGE) -> IO[bytes]:
        """Open it again, without any check."""

    @abstractmethod
    def changed(self, file: IO[bytes] | None, state: Any) -> bool:
        """Return True if it has changed since it had this state; `file` is what `again` returned, if at hand."""

    @abstractmethod
    def proof(self, state: Any, *, content: bool = False) -> str:
        """Return a text that is surely different once the file has changed; "" if nothing tells that.

        Parameters
        ----------
        state : State, or tuple of int
            What the server says of a file behind an address; of a file on a disk, what `open` returned.
        content : bool
            As in `proof_of_file`, of a file on a disk.
        """

    @abstractmethod
    def read(self, most: int) -> bytes:
        """Return all its bytes.

        Raises
        ------
        ValueError, OSError
            If it has more than `most` bytes, or cannot be read; the message need not name it.
        InputError
            If it has changed since it was listed, or the server does not answer.
        """


@dataclass(frozen=True)
class Local(Place):
    """A file on a disk."""

    path: str

    far = False

    def __str__(self) -> str:
        return self.path

    @property
    def tail(self) -> str:
        """The name of the file, without its folder."""
        return os.path.basename(self.path)  # noqa: PTH119 - called for each of many

    def open(self, first: int = FIRST_RANGE) -> tuple[IO[bytes], Any]:
        """Open the file for the first time."""
        file = open_regular(self.path, buffering=first)
        return file, state_of(file)

    def again(self, state: Any, first: int = FIRST_RANGE) -> IO[bytes]:
        """Open it again. If it is no longer a regular file, its state differs, too."""
        return open(self.path, "rb", _BUFFER, opener=without_waiting)

    def changed(self, file: IO[bytes] | None, state: Any) -> bool:
        """Return True if it has changed since it had this state."""
        assert file is not None
        return is_other(state_of(file), state)

    def proof(self, state: Any = None, *, content: bool = False) -> str:
        """Return a text that is surely different once the file has changed; "" if nothing tells that.

        It is "" too if the file may have changed since it had this state, as what is known of its inside may be old.
        """
        proof = proof_of_file(self.path, content=content)
        return proof if state is None or f"{proof} ".startswith(f"{' '.join(map(str, state))} ") else ""

    def read(self, most: int) -> bytes:
        """Return all its bytes."""
        return read_regular(self.path, most)


@dataclass(frozen=True)
class Far(Place):
    """A file behind an address: `file` below `remote`.

    Attributes
    ----------
    size : int or None
        As listed; None if it is not known.
    stamp : bytes
        The `packed` state, as listed; empty if it is not known.
    """

    remote: Remote
    file: str = ""
    size: int | None = None
    stamp: bytes = b""

    far = True

    def __str__(self) -> str:
        return self.remote.name(self.file)

    @property
    def tail(self) -> str:
        """The name of the file, without its folder."""
        path: str = self.remote.path(self.file)
        if "://" in path:  # of the web; a signature may follow
            path = path.partition("?")[0]
        return path.rstrip("/").rpartition("/")[2]

    def open(self, first: int = FIRST_RANGE) -> tuple[IO[bytes], Any]:
        """Ask the server how large the file is, and whether it can be read by ranges."""
        state = self.remote.state(self.file)
        if state.size is None:
            raise InputError(f"{self}: the server does not say how large it is: download it")
        self.remote.check_ranges(self.file, state.size)
        return self.again(state, first), state

    def again(self, state: Any, first: int = FIRST_RANGE) -> IO[bytes]:
        """Open it again; nothing is fetched yet."""
        return cast(IO[bytes], RangeFile(self.remote, self.file, state.size, first))

    def shared(self, first: int, windows: Windows) -> IO[bytes]:
        """Open it again for one of several threads, which share what they fetch."""
        keep(windows)
        return cast(IO[bytes], RangeFile(self.remote, self.file, windows.size, first, windows))

    def changed(self, file: IO[bytes] | None, state: Any) -> bool:
        """Return True if it has changed since it had this state."""
        try:
            return bool(self.remote.state(self.file) != state)
        except FileNotFoundError:
            return True

    def proof(self, state: Any, *, content: bool = False) -> str:
        """Return a text that is surely different once the file has changed; "" if nothing tells that."""
        return proof_of_object(self.remote, self.file, f"{state.size} {state.stamp}") if is_sure(state) else ""

    def read(self, most: int) -> bytes:
        """Return all its bytes, and compare them with the listing.

        The hash that many stores list is compared with the bytes themselves. Others are asked for the state again.
        """
        try:
            data = self.remote.read(self.file, self.size, most)
        except PermissionError as problem:  # of all, and not of this file alone
            raise refused(f"cannot read {self}", problem) from problem
        same = self.size is None or len(data) == self.size
        if same and self.stamp and self.stamp not in self._hashes(data):
            same = packed(self.remote.state(self.file)) == self.stamp
        if not same:
            raise InputError(f"{self} has changed since it was listed: start again")
        return data

    def _hashes(self, data: bytes) -> Iterator[bytes]:
        yield md5(data, usedforsecurity=False).digest()
        if "hf" in protocols(self.remote.fs):  # of large files SHA-256, of others what git calls them
            yield sha256(data).digest()[:STAMP]
            yield sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).digest()[:STAMP]


def packed(state: State) -> bytes:
    """Return the stamp of a state in `STAMP` bytes: the beginning of a hash if it is one, else a hash of the stamp.

    Examples
    --------
    >>> packed(State(1, 'ETag "0123456789abcdef0123456789abcdef"')).hex()
    '0123456789abcdef0123456789abcdef'
    >>> packed(State(1, ""))
    b''
    """
    if not state.stamp:
        return b""
    value = state.stamp.partition(" ")[2].strip('"')
    try:
        digest = bytes.fromhex(value) if len(value) in (32, 40, 64) else b64decode(value, validate=True)
    except (ValueError, NotBase64):
        digest = b""
    return digest[:STAMP] if len(digest) in (16, 20, 32) else blake2b(state.stamp.encode(), digest_size=STAMP).digest()


def is_sure(state: State) -> bool:
    """Return True if a state is different after each change, and not only after one in another second, as a time is.

    Examples
    --------
    >>> [is_sure(State(1, stamp)) for stamp in ('ETag "01"', 'ETag W/"01"', "mtime 1.5", "")]
    [True, False, False, False]
    """
    key, _, value = state.stamp.partition(" ")
    return key in _SURE and not value.startswith("W/")


def proof_of_object(remote: Remote, file: str, said: str) -> str:
    """Return what says which object was read, and what the server said of it; "" if that may be of another object.

    It has secrets: hash it before it is written anywhere.
    """
    fs = remote.fs
    how = f"{type(fs).__qualname__} {fs.storage_args!r} {sorted(fs.storage_options.items(), key=str)!r}"
    if not protocols(fs) & _STORES or " at 0x" in how:  # the place of an object in memory, of unknown content
        return ""
    return f"{how} {remote.path(file)} {said}"


def place_of(name: str, storage_options: Any = None) -> Place:
    """Return the place of a file that is named by a path or an address."""
    if not is_address(name) or os.path.exists(name):  # noqa: PTH110 - False for one that is too long for a name
        return Local(name)
    fs, path = filesystem(name, storage_options)
    return Local(path) if is_local(fs) else Far(Remote(fs, name, path))


def is_local(fs: Any) -> bool:
    """Return True for the file system of ``file://``, whose paths are those of this machine."""
    return bool(protocols(fs) & {"file", "local"})
