"""Arrays of images, in memory or read image by image from an ``.npy`` or ``.npz``."""

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files.layouts import PICKLES, layouts, split_entry
from ..files.npy import Header, exactly, read_header, read_values
from ..files.npz import Npz
from ..files.places import Local, Place, place_of
from ..files.reading import MOST_FILE_BYTES, failures
from ..files.remote import without_secrets
from ..images.arrays import channels_last, decoded
from ..images.decode import Decoded
from ..images.quantise import Quantise
from ..images.rgb import check_arrays
from .base import Item, Source
from .hashes import hash_of_array
from .terms import Terms
from .unchanged import Unchanged

_MOST_NAMED = 10


class Stack(Source):
    """An array in memory, or memory-mapped by the caller."""

    def __init__(self, array: NDArray[Any], name: str, floats: Quantise | None = None, *, tensor: bool = False) -> None:
        if array.ndim == 4:
            array = channels_last(array, name, tensor=tensor)
        check_arrays(array.shape, array.dtype, name, stack=True, values=array, floats=floats is not None)
        super().__init__(name, len(array))
        self._array, self._floats = array, floats
        self.dtype = array.dtype

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        for index in indices:
            name = f"image {index} of {self.name}"
            yield Item(name, partial(decoded, np.asarray(self._array[index]), name, self._floats))

    def key_of(self, index: int) -> str:
        """Return the place of an image."""
        return str(index)

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return the hashes of images."""
        return (hash_of_array(np.asarray(self._array[index])) if content else "" for index in indices)


def open_npy(path: Place, terms: Terms) -> Source:
    """Open the images in an ``.npy``."""
    with failures(f"cannot read {path}"):
        file, state = path.open()
        with file:
            header = read_header(file, state[0])
            nbytes = _check(header, path, terms)
            if header.fortran:
                return Stack(read_values(file, header), str(path), terms.floats)
            return _Npy(header, nbytes, Unchanged(path, str(path), state), str(path), terms.floats)


def open_npz(path: Place, terms: Terms) -> Source:
    """Find the images in an ``.npz``: its ``arr_0``, or its only array, of 3 or 4 dimensions."""
    with failures(f"cannot read {path}"):
        file, state = path.open()
        return _find_images(path, Npz(file), state, terms)


def _find_images(path: Place, npz: Npz, state: Any, terms: Terms) -> Source:
    with npz:
        headers = {key: npz.header(key) for key in npz.keys}
        images = [key for key, header in headers.items() if len(header.shape) in (3, 4)]
        if "arr_0" not in images and len(images) != 1:
            raise InputError(f"{path}: which array holds the images? Name it arr_0; {_held(headers)}")
        key = "arr_0" if "arr_0" in images else images[0]
        nbytes = _check(headers[key], path, terms)
        if headers[key].fortran:
            return Stack(npz.read(key, MOST_FILE_BYTES), str(path), terms.floats)
        return _Npz(key, headers[key], nbytes, Unchanged(path, str(path), state), str(path), terms.floats)


def is_statistics_file(path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> bool:
    """Return True for a pickle, and for an ``.npz`` with the keys of statistics; other arrays do not matter.

    ``FILE#ENTRY`` is one of several sets of statistics in a file. The file may be at an address.

    Raises
    ------
    InputError
        If it ends in ``.npz`` and is not a readable zip file.
    """
    name = split_entry(path)[0]
    with failures(f"cannot read {without_secrets(name)}"):
        place = place_of(name, storage_options)
        kind = place.tail.lower()
        if not kind.endswith((".npz", *PICKLES)):
            return False
        if isinstance(place, Local) and not Path(place.path).is_file():
            return False
        try:
            return holds_statistics(place)
        except FileNotFoundError:  # a pattern, or the name is wrong, which is reported later
            return False


def holds_statistics(place: Place) -> bool:
    """Return True for a file that `is_statistics_file`; it must exist."""
    if place.tail.lower().endswith(PICKLES):
        return True
    if not place.tail.lower().endswith(".npz"):
        return False
    with Npz(place.open()[0]) as npz:
        return bool(layouts(npz.keys))


def images_beside_statistics(given: object, storage_options: Mapping[str, Any] | None = None) -> Source | None:
    """Return the images that a statistics file also has, in ``arr_0``; None if there are none."""
    if not isinstance(given, str | os.PathLike):
        return None
    place = place_of(os.fspath(given), storage_options)
    if not place.tail.lower().endswith(".npz"):
        return None
    with failures(f"cannot read {place}"), Npz(place.open()[0]) as npz:
        found = "arr_0" in npz.keys and len(npz.header("arr_0").shape) in (3, 4)
    return open_npz(place, Terms()) if found else None


class ArrayFile(Source):
    """A C-ordered array in a file."""

    def __init__(
        self, header: Header, nbytes: int, file: Unchanged, path: str, floats: Quantise | None, *, ordered: bool = False
    ) -> None:
        super().__init__(path, header.shape[0], ordered=ordered)
        self._header, self._nbytes, self._file, self._floats = header, nbytes, file, floats

    def key_of(self, index: int) -> str:
        """Return the place of an image."""
        return str(index)

    def proofs(self, indices: Iterable[int], *, content: bool = False) -> Iterable[str]:
        """Return what is surely different once the file has changed, which programs do through memory maps."""
        proof = self._file.proof(content=True) if content else ""
        return (proof for _ in indices)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its values."""
        return self._header.dtype

    def _decoded(self, data: bytes | bytearray, name: str) -> Decoded:
        array = np.frombuffer(data, self._header.dtype).reshape(self._header.shape[1:])
        return decoded(channels_last(array, name), name, self._floats)


class _Npy(ArrayFile):
    """An ``.npy``. Each image is read when it is loaded."""

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        for index in indices:
            name = self.name_of(index)
            yield Item(name, partial(self._load, self._header.start + index * self._nbytes, name))

    def _load(self, offset: int, name: str) -> Decoded:
        with self._file.open_at_once(self._nbytes) as opened, failures(f"cannot read {name}"):
            opened.seek(offset)
            return self._decoded(opened.read(self._nbytes), name)


class _Npz(ArrayFile):
    """An array inside a zip. Its images are read one after the other."""

    def __init__(
        self, key: str, header: Header, nbytes: int, file: Unchanged, path: str, floats: Quantise | None
    ) -> None:
        super().__init__(header, nbytes, file, path, floats, ordered=True)
        self._key = key

    def read(self, indices: Iterable[int]) -> Iterator[Item]:
        """Yield the images at these indices."""
        reading, place = f"cannot read {self.name}", 0
        with self._file.open() as file:
            with failures(reading):
                _, values = Npz(file).open(self._key)
            for index in indices:
                with failures(reading):
                    for _ in range(place, index):
                        exactly(values, self._nbytes)
                    raw = exactly(values, self._nbytes)
                place, name = index + 1, self.name_of(index)
                yield Item(name, partial(self._decoded, raw, name))


def _check(header: Header, path: Place, terms: Terms) -> int:
    """Return the number of bytes of an image; raise `InputError` if there are no images or they are too large."""
    shape = header.shape
    if len(shape) == 4:  # channels first or last
        shape = channels_last(np.broadcast_to(np.uint8(0), shape), str(path)).shape
    check_arrays(shape, header.dtype, str(path), stack=True, floats=terms.floats is not None)
    nbytes = header.nbytes // header.shape[0]
    if nbytes > MOST_FILE_BYTES:
        raise InputError(f"{path}: an image has {nbytes:,} bytes; at most {MOST_FILE_BYTES:,} are read")
    if header.fortran and header.nbytes > MOST_FILE_BYTES:
        raise InputError(
            f"{path}: its images are interleaved (Fortran order), so all {header.nbytes:,} bytes would have to be read "
            f"at once, and at most {MOST_FILE_BYTES:,} are read: save np.ascontiguousarray(array) instead"
        )
    return nbytes


def _held(headers: dict[str, Header]) -> str:
    arrays = [f"{key} {header.shape}" for key, header in headers.items()]
    more = f" and {len(arrays) - _MOST_NAMED} more" if len(arrays) > _MOST_NAMED else ""
    half = "; statistics need both mu and sigma" if {"mu", "sigma"} & headers.keys() else ""
    return f"it holds {', '.join(arrays[:_MOST_NAMED]) or 'no arrays'}{more}{half}"
