"""The arrays of an ``.npz`` from outside.

How to use it, for statistics and images alike::

    with failures(f"cannot read {path}"), Npz(path) as npz:   # reading.failures; what comes out names no file
        npz.keys                                # names of the arrays, a list
        npz.header("mu")                        # npy.Header: .shape, .dtype, .nbytes, .fortran; nothing else is read
        npz.read("mu", most=1 << 20)            # an ndarray; a ValueError where it has more bytes than `most`

Nothing is unpickled, no header is evaluated, and no size is believed: a header's must be that of the member, the
member's must be one that its stored bytes can unpack to, and it is unpacked step by step, so that memory grows with
what is there. Of a name that occurs twice the last one counts, as for NumPy.
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
        A file is read where it is, and closed with the rest.

    Raises
    ------
    ValueError, OSError
        It is no regular file, no zip or damaged. Its methods raise more: leave that to `failures`.
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
        """Read one array, of at most so many bytes."""
        header, values = self.open(key)
        if header.nbytes > most:
            raise ValueError(f"{key} {header.shape} has {header.nbytes:,} bytes; at most {most:,} are read")
        return read_values(values, header)

    def open(self, key: str) -> tuple[Header, IO[bytes]]:
        """Read the header of one array, and give the stream of its values; one at a time can be read."""
        entry = self._entries[key]
        stream = io.BufferedReader(unzip.Member(self.file, entry), _BUFFER)
        return read_header(stream, entry.size), stream
