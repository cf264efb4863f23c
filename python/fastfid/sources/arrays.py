"""Arrays of images: in memory, mapped from an ``.npy``, or read image by image from an ``.npz``."""

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..images import Decoded, as_rgb, check_arrays
from .base import Item, Source


class Stack(Source):
    """An array in memory, or mapped into it."""

    def __init__(self, array: NDArray[Any], name: str) -> None:
        check_arrays(array.shape, array.dtype, name, stack=True)
        super().__init__(name, len(array))
        self._array = array

    def _stream(self, chosen: list[int] | None) -> Iterator[Item]:
        for index in range(len(self._array)) if chosen is None else chosen:
            name = f"image {index} of {self.name}"
            yield Item(name, partial(_load_array, np.asarray(self._array[index]), name))


def to_array(array: object, name: str, *, copy: bool) -> NDArray[Any]:
    """Return what has ``__array__`` as an ndarray, or raise `InputError`."""
    try:
        return np.array(array) if copy else np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor on a GPU, or one with gradients
        raise InputError(f"{name}: a {type(array).__name__} that NumPy cannot read: {error}") from error


def open_npy(path: Path) -> Source:
    """Map an ``.npy`` into memory."""
    with _reading(path):  # what np.load does for a memory map, without its fallback to other formats
        return Stack(np.lib.format.open_memmap(path, mode="r"), str(path))


def open_npz(path: Path) -> Source:
    """Find the images in an ``.npz``: its ``arr_0``, or its only array of 3 or 4 dimensions."""
    with _reading(path), zipfile.ZipFile(path) as archive:
        headers = {}
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as file:
                    headers[member] = _read_header(file)
        images = [member for member, (shape, _, _) in headers.items() if len(shape) in (3, 4)]
        member = "arr_0.npy" if "arr_0.npy" in headers else images[0] if len(images) == 1 else ""
        if not member:
            held = ", ".join(f"{key.removesuffix('.npy')} {header[0]}" for key, header in headers.items())
            half = "; statistics need both mu and sigma" if {"mu.npy", "sigma.npy"} & headers.keys() else ""
            question = "which array holds the images? Name it arr_0"
            raise InputError(f"{path}: {question}; it holds {held or 'no arrays'}{half}")
        shape, fortran, dtype = headers[member]
        check_arrays(shape, dtype, str(path), stack=True)
        if not fortran:
            return _Npz(path, member, shape, dtype)
        with archive.open(member) as file:  # its images are interleaved: there is no reading one after the other
            return Stack(np.lib.format.read_array(file, allow_pickle=False), str(path))


def is_statistics_file(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is an ``.npz`` that has ``mu`` and ``sigma``, whatever else it holds.

    Raises
    ------
    InputError
        It ends in ``.npz`` and is not a readable zip file.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    with _reading(path), zipfile.ZipFile(path) as archive:
        return {"mu", "sigma"} <= {name.removesuffix(".npy") for name in archive.namelist()}


class _Npz(Source):
    """A C-ordered array inside a zip, of which one image at a time is read."""

    def __init__(self, path: Path, member: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__(str(path), shape[0])
        self._path, self._member, self._shape, self._dtype = path, member, shape[1:], dtype

    def _stream(self, chosen: list[int] | None) -> Iterator[Item]:
        assert self.size is not None
        wanted = range(self.size) if chosen is None else frozenset(chosen)
        nbytes = self._dtype.itemsize * int(np.prod(self._shape, dtype=np.int64))
        with zipfile.ZipFile(self._path) as archive, archive.open(self._member) as file:
            _read_header(file)
            for index in range(max(wanted) + 1):
                name = f"image {index} of {self.name}"
                with _reading(self._path):
                    raw = file.read(nbytes)
                    if len(raw) != nbytes:
                        raise InputError(f"{self.name} ends in the middle of image {index} of {self.size}")
                    if index + 1 == self.size:
                        file.read(1)  # zipfile compares the checksum when it finds the end
                if index in wanted:
                    array = np.frombuffer(raw, self._dtype).reshape(self._shape)
                    yield Item(name, partial(_load_array, array, name))


def _load_array(array: NDArray[Any], name: str) -> Decoded:
    return Decoded(as_rgb(array, name))


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return an ``.npy``'s shape, whether it is Fortran-ordered and dtype; `file` then stands at the first value."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"format version {version} is for structured arrays")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what a damaged or unreadable ``.npy`` or ``.npz`` raises into an `InputError` that names it."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"cannot read {path}: {error}") from error
