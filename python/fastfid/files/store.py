"""A folder for results, local or at an address; each file in it is written as a whole or not at all."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ..errors import InputError
from .reading import failures, open_regular
from .remote import filesystem, is_address, retried
from .writing import atomic_write


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
        self._fs, self._path = None, self.place
        if is_address(self.place):
            self._fs, self._path = filesystem(self.place, self._options)
        elif Path(self.place).exists() and not Path(self.place).is_dir():
            raise InputError(f"{self.place} is a file; results are kept in a folder")
        else:
            self._path = str(Path(self.place).absolute())

    def __str__(self) -> str:
        return self.place

    @property
    def is_local(self) -> bool:
        """True for a folder of this machine, or mounted on it."""
        return self._fs is None

    def below(self, name: str) -> "Store":
        """Return a folder in this one."""
        return Store(f"{self.place.rstrip('/')}/{name}", self._options) if name else self

    def names(self) -> set[str]:
        """Return the names of the files in it; none if it does not exist."""
        with failures(f"cannot list {self.place}"):
            if self._fs is None:
                return set(os.listdir(self._path)) if Path(self._path).is_dir() else set()
            self._fs.invalidate_cache(self._path)
            try:
                found = retried(lambda: self._fs.ls(self._path, detail=False), self.place)
            except FileNotFoundError:
                return set()
            return {name.rstrip("/").rpartition("/")[2] for name in found}

    def read(self, name: str, most: int) -> IO[bytes]:
        """Open a file of at most `most` bytes; raise `FileNotFoundError` if it is not there."""
        if self._fs is None:
            return open_regular(Path(self._path) / name, most=most)
        path = f"{self._path}/{name}"
        size = retried(lambda: self._fs.info(path), f"{self.place}/{name}")["size"]
        if size > most:
            raise ValueError(f"it has {size:,} bytes; at most {most:,} are read")
        return io.BytesIO(retried(lambda: self._fs.cat_file(path), f"{self.place}/{name}"))

    def write(self, name: str, content: bytes, *, replace: bool = True) -> bool:
        """Write a file; return False if it exists already and `replace` is False."""
        with failures(f"cannot write {self.place}/{name}"):
            if self._fs is not None:
                return self._write_at_address(f"{self._path}/{name}", content, replace)
            Path(self._path).mkdir(parents=True, exist_ok=True)
            try:
                with atomic_write(Path(self._path) / name, replace=replace) as file:
                    file.write(content)
            except FileExistsError:
                return False
        return True

    def _write_at_address(self, path: str, content: bytes, replace: bool) -> bool:
        # An object store shows an object once all of it has arrived. Other file systems may show half a file if the
        # writer dies; readers find that out by the checksums.
        if not replace and retried(lambda: self._fs.exists(path), path):
            return False
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        retried(lambda: self._fs.pipe_file(path, content), path)
        return True
