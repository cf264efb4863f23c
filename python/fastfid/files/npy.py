"""Reads the ``.npy`` format without evaluating its header, which is Python source, and without trusting its sizes.

Follows the description in numpy.lib.format. Only plain arrays are read: no objects, which are pickles, and no fields.
"""

import math
import re
import struct
import sys
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY"
_MOST_HEADER = 10_000  # bytes; NumPy's limit
_CHUNK = 1 << 20

# 'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), in any order. Python 2 wrote an L after numbers.
_PAIR = re.compile(
    r"""
    \s* (?: ['"]descr['"]         \s* : \s* (?: ['"] (?P<descr> [^'"\\]* ) ['"] | (?P<fields> \[ [^{}]* \] ) )
         | ['"]fortran_order['"] \s* : \s* (?P<fortran> True | False )
         | ['"]shape['"]         \s* : \s* \( (?P<shape> [\dL\s,]* ) \)
    ) \s* (?: , | $ )
    """,
    re.ASCII | re.VERBOSE,
)
_DTYPE = re.compile(r"[<>|=]?[biufcSUVOmM]\d{0,9}(\[\w*\])?", re.ASCII)
_SIDE = re.compile(r"\s*(\d{1,20})L?\s*", re.ASCII)
_DAMAGED = "its header is damaged, or not that of an array"


class Header(NamedTuple):
    """The header of an ``.npy``; the first value is at byte `start`. A structured array has dtype V0."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int

    @property
    def nbytes(self) -> int:
        """Number of bytes of all values; not limited."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def plain(self) -> bool:
        """True for an array of plain values, False for objects or fields."""
        return self.dtype.kind not in "OV"


def read_header(file: IO[bytes], size: int) -> Header:
    """Read the header of an ``.npy`` without evaluating it; `file` is then at the first value.

    Parameters
    ----------
    file : binary file
    size : int
        Bytes of the whole ``.npy``. The number of bytes after the header must be exactly what the header says.

    Raises
    ------
    ValueError, TypeError
        If it is damaged, too long, of an unknown version, or does not match `size`.
    """
    start = bytes(exactly(file, 8))
    if not start.startswith(_MAGIC):
        raise ValueError("it is not an .npy file: its first bytes are wrong")
    if start[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError(f"format version {start[6]}.{start[7]} is unknown")
    layout = "<H" if start[6] == 1 else "<I"
    (length,) = struct.unpack(layout, exactly(file, struct.calcsize(layout)))
    if length > _MOST_HEADER:
        raise ValueError(f"its header has {length:,} bytes; at most {_MOST_HEADER:,} are read")
    text = exactly(file, length).decode("utf-8" if start[6] == 3 else "latin-1")
    header = Header(*_parse(text), 8 + struct.calcsize(layout) + length)
    held = size - header.start
    if header.plain and header.nbytes != held:
        raise ValueError(f"its array of shape {header.shape} takes {header.nbytes:,} bytes, but it has {held:,}")
    return header


def read_values(file: IO[bytes], header: Header) -> NDArray[Any]:
    """Read the values after a header into memory; check that `header.nbytes` is not too large before.

    Raises
    ------
    ValueError
        If they are objects or fields, fewer than the header says, or a text that is none.
    """
    if not header.plain:
        raise ValueError(f"values of dtype {header.dtype} are not read")
    values = exactly(file, header.nbytes)
    if isinstance(values, bytes):
        values = bytearray(values)  # writable, like the arrays that NumPy reads
    if header.dtype.kind == "U":
        _check_text(np.frombuffer(values, np.dtype(np.uint32).newbyteorder(header.dtype.byteorder)))
    return np.ndarray(header.shape, header.dtype, values, order="F" if header.fortran else "C")


def _check_text(codes: NDArray[np.uint32]) -> None:
    """Raise `ValueError` if a text has a character beyond Unicode: Python would make a broken `str` of it."""
    if codes.size and codes.max() > sys.maxunicode:
        raise ValueError("its text is damaged: it has a character that does not exist")


def exactly(file: IO[bytes], size: int) -> bytes | bytearray:
    """Read exactly `size` bytes; memory grows with the bytes that exist, not with `size`."""
    first = file.read(min(size, _CHUNK))
    if len(first) == size:
        return first
    data = bytearray(first)
    while len(data) < size:
        chunk = file.read(min(size - len(data), _CHUNK))
        if not chunk:
            raise ValueError(f"it ends after {len(data):,} of {size:,} bytes")
        data += chunk
    return data


def _parse(header: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    text = header.strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise ValueError(_DAMAGED)
    pairs, at = text[1:-1].strip(), 0
    values: dict[str, str] = {}
    while at < len(pairs):
        match = _PAIR.match(pairs, at)
        if match is None:
            raise ValueError(_DAMAGED)
        values |= {name: value for name, value in match.groupdict().items() if value is not None}
        at = match.end()
    if not {"shape", "fortran"} < values.keys():
        raise ValueError(_DAMAGED)
    return _shape(values["shape"]), values["fortran"] == "True", _dtype(values.get("descr"))


def _shape(text: str) -> tuple[int, ...]:
    sides = text.removesuffix(",").split(",") if text.strip() else []
    matches = [_SIDE.fullmatch(side) for side in sides]
    if None in matches:
        raise ValueError(_DAMAGED)
    return tuple(int(match[1]) for match in matches if match is not None)


def _dtype(descr: str | None) -> np.dtype[Any]:
    if descr is None:
        return np.dtype("V")
    if not _DTYPE.fullmatch(descr):
        raise ValueError(f"its dtype {descr!r} is unknown")
    return np.dtype(descr)
