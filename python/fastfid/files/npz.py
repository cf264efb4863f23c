"""Reads the arrays of an ``.npz`` from outside, and writes one.

Usage, for statistics and images::

    with failures(f"cannot read {path}"), Npz(path) as npz:   # reading.failures; errors of Npz do not name the file
        npz.keys                                # names of the arrays, a list
        npz.header("mu")                        # npy.Header: .shape, .dtype, .nbytes, .fortran; reads nothing else
        npz.read("mu", most=1 << 20)            # an ndarray; raises ValueError if it has more bytes than `most`

Nothing is unpickled, no header is evaluated, and no size is trusted. The size in a header must be that of the member,
and the size of a member must be possible for its stored bytes. A member is unpacked step by step, so memory grows with
the bytes that exist. If a name occurs twice, the last one counts, as in NumPy.
"""

import io
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from . import unzip
from .npy import Header, read_header, read_values
from .reading import open_regular

_BUFFER = 1 << 16
_MOST_MEMBERS = 100_000  # of one file, arrays or not


class Npz:
    """An ``.npz``, open for reading.

    Parameters
    ----------
    source : path or binary file
        An open file is closed together with this object.

    Raises
    ------
    ValueError, OSError
        If it is not a regular file, not a zip, or damaged. The methods raise other errors, too; `failures` handles
        them.
    """

    def __init__(self, source: str | os.PathLike[str] | IO[bytes]) -> None:
        self.file = open_regular(source) if isinstance(source, str | os.PathLike) else source
        try:
            self._entries = dict(_arrays(self.file))
        except BaseException:
            self.file.close()
            raise
        self.keys = list(self._entries)

    def __enter__(self) -> "Npz":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.close()

    @property
    def size(self) -> int:
        """Number of bytes of all arrays, unpacked, with their headers; reads nothing."""
        return sum(entry.size for entry in self._entries.values())

    @property
    def begin(self) -> int:
        """Number of bytes before the first array: more than 0 if something stands before the zip; reads nothing."""
        return min((entry.offset for entry in self._entries.values()), default=0)

    def header(self, key: str) -> Header:
        """Read the header of one array."""
        return self.open(key)[0]

    def read(self, key: str, most: int) -> NDArray[Any]:
        """Read one array of at most `most` bytes."""
        header, values = self.open(key)
        if header.nbytes > most:
            raise ValueError(f"{key} {header.shape} has {header.nbytes:,} bytes; at most {most:,} are read")
        return read_values(values, header)

    def open(self, key: str) -> tuple[Header, IO[bytes]]:
        """Read the header of one array, and return it with the stream of its values; read one stream at a time."""
        entry = self._entries[key]
        stream = io.BufferedReader(unzip.Member(self.file, entry), _BUFFER)
        return read_header(stream, entry.size), stream


def _arrays(file: IO[bytes]) -> Iterator[tuple[str, unzip.Entry]]:
    """Yield the name and the place of each array."""
    for number, (name, _, entry) in enumerate(unzip.listing(file), 1):
        if number > _MOST_MEMBERS:
            raise ValueError(f"it has more than {_MOST_MEMBERS:,} members")
        if name.endswith(".npy"):
            yield name[:-4], entry


@dataclass(frozen=True)
class Stream:
    """An array that is written block by block, along its first axis.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    blocks : iterable of ndarray
        C-contiguous, together of the shape above.
    """

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    blocks: Iterable[NDArray[Any]]


def write_npz(file: IO[bytes], arrays: Iterable[tuple[str, NDArray[Any] | Stream]]) -> None:
    """Write an uncompressed ``.npz``, as `numpy.savez` does, but with arrays that need not fit into memory.

    Each array is written before the next is asked for.

    Raises
    ------
    ValueError
        If the blocks of a stream have another size than its shape says.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for key, array in arrays:
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                if isinstance(array, Stream):
                    _write_stream(member, key, array)
                else:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _write_stream(member: IO[bytes], key: str, array: Stream) -> None:
    descr = np.lib.format.dtype_to_descr(array.dtype)
    facts = {"descr": descr, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(member, facts)
    written = 0
    for block in array.blocks:
        written += member.write(np.ascontiguousarray(block, array.dtype).data.cast("B"))
    expected = int(np.prod(array.shape)) * array.dtype.itemsize
    if written != expected:
        raise ValueError(f"{key} of shape {array.shape} takes {expected:,} bytes, and {written:,} were written")
