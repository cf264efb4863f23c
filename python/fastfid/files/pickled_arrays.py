"""Reads a pickled dict of arrays without unpickling it, as if it were an ``.npz``.

Protocols 2 to 5 are read. Besides plain containers, texts and numbers, a pickle may hold the arrays of NumPy, as NumPy
writes them: by `_reconstruct` (with `_codecs.encode` in protocol 2) or, in protocol 5, by `_frombuffer`; and as fastfid
writes them: `ndarray` called with a shape, a dtype and bytes. All of these are only recognised by their names. Here an
array is made from its shape, dtype and bytes after these have been checked against each other. Arrays of objects are
refused.

A dict inside the dict gives keys with a dot: ``{"fid": {"mu": ...}}`` has the key ``fid.mu``. A list of matrices of one
width is one matrix. Keys of anything else are left out.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .npy import Header
from .pickles import Machine
from .places import Place

MOST_BYTES = 1 << 31  # of a file; StyleGAN's with all features of 200,000 images has 1.6 GB
_NDARRAY, _DTYPE, _ENCODE = "numpy ndarray", "numpy dtype", "_codecs encode"
_RECONSTRUCT = frozenset({"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"})
_FROM_BUFFER = frozenset({"numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer"})
#: The only names that a pickle may contain; even these are never looked up.
NAMES = frozenset({_NDARRAY, _DTYPE, _ENCODE}) | _RECONSTRUCT | _FROM_BUFFER
_PLAIN_DTYPE = re.compile(r"[fiu](2|4|8|16)|[iub]1")
_TYPED = re.compile(r"[<>]?[fiu][248]")
_MOST_AXES = 8
_MOST_STEPS = 250_000
_LONGEST_KEY = 200


class _Name(str):
    """The name of a global."""


class _Dtype:
    """A dtype, and the byte order that is set afterwards."""

    def __init__(self, text: str) -> None:
        self.value = np.dtype(text)


class _Array:
    """An array; its value is set afterwards."""

    value: NDArray[Any] | None = None


class _Arrays(Machine):
    subject: ClassVar[str] = "statistics"

    def __init__(self, size: int) -> None:
        super().__init__()
        self._left = size  # bytes that texts may still turn into; one that is turned again and again would fill memory

    def named(self, name: str) -> _Name:
        if name not in NAMES:
            raise ValueError(f"it asks for {name.replace(' ', '.'):.80}, which statistics do not need: refused")
        return _Name(name)

    def called(self, function: object, arguments: object) -> object:
        if not isinstance(function, _Name):
            raise ValueError("it calls something that is not a function")
        match arguments:
            case (str(text), "latin1" | "latin-1") if function == _ENCODE:
                self._left -= len(text)
                if self._left < 0:
                    raise ValueError("it makes more bytes of its texts than it has")
                return text.encode("latin-1")
            case (str(text), bool() | int(), bool() | int()) if function == _DTYPE and _PLAIN_DTYPE.fullmatch(text):
                return _Dtype(text)
            case (_Name() as kind, (0,), bytes() | bytearray()) if function in _RECONSTRUCT and kind == _NDARRAY:
                return _Array()
            case (data, _Dtype() as dtype, shape, "C" | "F" as order) if function in _FROM_BUFFER:
                made = _Array()
                made.value = _array(shape, dtype, data, fortran=order == "F")
                return made
            case (shape, str(text), bytes() | bytearray() as data) if function == _NDARRAY and _TYPED.fullmatch(text):
                made = _Array()
                made.value = _array(shape, _Dtype(text), data, fortran=False)
                return made
        raise ValueError(f"it calls {function.replace(' ', '.')} in an unknown way; only arrays of numbers are read")

    def built(self, target: object, state: object) -> None:
        match target, state:
            case _Dtype(), (3, ("<" | ">" | "|" | "=") as order, None, None, None, -1, -1, 0):
                target.value = target.value.newbyteorder(order)
            case _Array(value=None), (1, shape, _Dtype() as dtype, bool() | int() as fortran, data):
                target.value = _array(shape, dtype, data, fortran=bool(fortran))
            case _:
                raise ValueError("it describes an array in an unknown way; only arrays of numbers are read")


def _array(shape: object, dtype: _Dtype, data: object, *, fortran: bool) -> NDArray[Any]:
    """Return a view of bytes as an array, after a check that the shape fits."""
    if not isinstance(data, bytes | bytearray):
        raise ValueError("it has an array whose values are not bytes")
    if type(shape) is not tuple or len(shape) > _MOST_AXES or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("it has an array without a shape")
    if math.prod(shape) * dtype.value.itemsize != len(data):
        raise ValueError(f"it has an array whose shape does not fit its {len(data):,} bytes")
    return np.ndarray(shape, dtype.value, data, order="F" if fortran else "C")


class PickledArrays:
    """The arrays of a pickled dict; the methods are those of `npz.Npz`.

    Parameters
    ----------
    place : Place

    Raises
    ------
    ValueError, OSError
        If it is not a regular file, too large, damaged, or holds what statistics do not need. The methods raise other
        errors, too; `failures` handles them.
    """

    def __init__(self, place: Place) -> None:
        file, state = place.open()
        self._size = state[0]
        with file:
            if self._size > MOST_BYTES:
                raise ValueError(f"it has {self._size:,} bytes or more; at most {MOST_BYTES:,} are read")
            whole = _Arrays(self._size).evaluate(file)
        if type(whole) is not dict:
            raise ValueError("it is not a pickled dict of arrays")
        self._values: dict[str, Any] = {}
        steps = 0
        for key, value in _items(whole):
            steps += 1 + (len(value) if isinstance(value, list) else 0)
            if steps > _MOST_STEPS:  # parts that are repeated again and again take no space in the file
                raise ValueError(f"it has more than {_MOST_STEPS:,} keys and parts of arrays")
            if (known := _known(value)) is not None:
                self._values[key] = known
        self.keys = list(self._values)

    def header(self, key: str) -> Header:
        """Return the shape and dtype of one array."""
        shape, dtype = _form(self._values[key])
        return Header(shape, False, dtype, 0)

    def read(self, key: str, most: int) -> NDArray[Any]:
        """Return a copy of one array of at most `most` bytes."""
        header, parts = self.header(key), self._values[key]
        if header.nbytes > most:
            raise ValueError(f"{key} {header.shape} has {header.nbytes:,} bytes; at most {most:,} are read")
        if isinstance(parts, list) and header.nbytes > self._size:  # parts that are repeated take no space in the file
            raise ValueError(f"{key} {header.shape} is larger than the file")
        return np.concatenate(parts) if isinstance(parts, list) else np.array(parts)


def _items(whole: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the items of a dict and of the dicts inside it, with the keys of the file."""
    for key, value in whole.items():
        inside = value.items() if isinstance(value, dict) else [("", value)]
        for last, each in inside:
            if len(name := f"{key}.{last}" if isinstance(value, dict) else f"{key}") > _LONGEST_KEY:
                raise ValueError(f"it has a key of more than {_LONGEST_KEY} characters")
            yield name, each


def _known(value: Any) -> Any:
    """Return an array, a list of matrices, a number or a text as it is kept, and None for anything else."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, list):
        parts = [part.value for part in value if isinstance(part, _Array)]
        return parts if len(parts) == len(value) and _are_matrices(parts) else None
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _are_matrices(parts: list[NDArray[Any] | None]) -> bool:
    first = parts[0] if parts else None
    return first is not None and all(
        part is not None and part.ndim == 2 and part.shape[1] == first.shape[1] and part.dtype == first.dtype
        for part in parts
    )


def _form(value: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if isinstance(value, list):
        return (sum(len(part) for part in value), value[0].shape[1]), value[0].dtype
    if isinstance(value, str):
        return (), np.dtype((np.str_, len(value)))
    return np.shape(value), value.dtype if isinstance(value, np.ndarray) else np.array(value).dtype
