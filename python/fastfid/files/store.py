"""A folder for results, local or at an address; each file in it is written as a whole or not at all."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ..errors import InputError
from .places import is_local
from .reading import failures, open_regular
from .remote import Remote, below, filesystem, is_address
from .retries import retried
from .turns import protocols
from .writing import atomic_write

# Object stores have no folders to make; s3fs would make the bucket instead, which may be a typing error.
_WITHOUT_FOLDERS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "hf", "oss", "memory"})


class Store:
    """A folder, which is made when the first file is written.

    It can be pickled, for use in another process or on another machine.

    Parameters
    ----------
    place : path
        A folder, or an address such as ``s3://bucket/folder``.
    storage_options : mapping
        What the file system of an address needs.
    """

    def __init__(self, place: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> None:
        self.place = os.fsdecode(place)
        self._options = dict(storage_options or {})
        self._remote: Remote | None = None
        self._folder = Path(self.place).absolute()  # for another process, which may work in another folder
        if is_address(self.place):
            fs, path = filesystem(self.place, self._options)
            if is_local(fs):
                self._folder = Path(path)
            else:
                self._remote = Remote(fs, self.place, path)
        if self._remote is None and self._folder.exists() and not self._folder.is_dir():
            raise InputError(f"{self.place} is a file; results are kept in a folder")

    def __str__(self) -> str:
        return self.place

    @property
    def is_local(self) -> bool:
        """True for a folder of this machine, or mounted on it."""
        return self._remote is None

    def below(self, name: str) -> "Store":
        """Return a folder in this one; "" is this one itself."""
        place = below(self.place, name) if self._remote else os.path.join(self.place, name)  # noqa: PTH118
        return Store(place, self._options) if name else self

    def names(self) -> set[str]:
        """Return the names of the files in it; none if it does not exist."""
        with failures(f"cannot list {self.place}"):
            try:
                if self._remote is None:
                    return {entry.name for entry in self._folder.iterdir()}
                fs, path = self._remote.fs, self._remote.root
                fs.invalidate_cache(path)
                found = retried(lambda: fs.ls(path, detail=False), f"cannot list {self.place}")
                return {name.rstrip("/").rpartition("/")[2] for name in found}
            except FileNotFoundError:
                return set()

    def read(self, name: str, most: int) -> IO[bytes]:
        """Open a file of at most `most` bytes; raise `FileNotFoundError` if it is not there."""
        if self._remote is None:
            return open_regular(self._folder / name, most=most)
        return io.BytesIO(self._remote.read(name, None, most))

    def write(self, name: str, content: bytes, *, replace: bool = True) -> bool:
        """Write a file; return False if it exists already and `replace` is False."""
        with failures(f"cannot write {self.place}/{name}"):
            if self._remote is not None:
                return self._write_at_address(self._remote, name, content, replace=replace)
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                with atomic_write(self._folder / name, replace=replace) as file:
                    file.write(content)
            except FileExistsError:
                return False
        return True

    def _write_at_address(self, remote: Remote, name: str, content: bytes, *, replace: bool) -> bool:
        # An object store shows an object once all of it has arrived. Other file systems may show half a file if the
        # writer dies; readers find that out by its checksums.
        fs, path, what = remote.fs, remote.path(name), f"cannot write {remote.name(name)}"
        fs.invalidate_cache(remote.root)
        if not replace and retried(lambda: fs.exists(path), what):
            return False
        if not protocols(fs) & _WITHOUT_FOLDERS:
            retried(lambda: fs.makedirs(remote.root, exist_ok=True), what)
        retried(lambda: fs.pipe_file(path, content), what)
        return True
