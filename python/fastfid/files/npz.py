"""Reads the arrays of an ``.npz`` from outside.

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
from types import TracebackType
from typing import IO, Any

from numpy.typing import NDArray

from . import unzip
from .npy import Header, read_header, read_values
from .reading import open_regular

_BUFFER = 1 << 16


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
            members = unzip.listing(self.file)
            self._entries = {name[:-4]: entry for name, _, entry in members if name.endswith(".npy")}
        except BaseException:
            self.file.close()
            raise
        self.keys = list(self._entries)

    def __enter__(self) -> "Npz":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.close()

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
