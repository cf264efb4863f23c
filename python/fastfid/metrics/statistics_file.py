"""Statistics on disk: an .npz with mu and sigma, read with every size bounded, written whole or not at all."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files.npz import Npz
from ..files.reading import failures, open_regular
from ..files.writing import atomic_write

MOST_DIMS = 16384  # sigma has 2 GiB then
_MOST_TEXT = 1 << 20  # bytes, of the provenance or a number
_NUMBER = 16  # bytes, of the longest real number
_NPY = b"\x93NUMPY"

Arrays = dict[str, NDArray[Any]]


def statistics_path(path: str | os.PathLike[str]) -> Path:
    """Return the file that `Statistics.save` writes for `path`: the ending .npz is appended where it is missing."""
    name = path_name(path)
    target = Path(name if name.endswith(".npz") else f"{name}.npz")
    if not name or name.endswith(("/", os.sep)) or os.path.isdir(target):  # noqa: PTH112 - never raises, unlike Path's
        raise InputError(f"{name!r} is not the name of a file to write statistics to")
    return target


def path_name(path: object) -> str:
    """Return a path as text, or raise `InputError` where it is none."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"a path is a str or a Path, not a {type(path).__name__}")
    return os.fsdecode(path)


def write(target: Path, arrays: Arrays, *, overwrite: bool) -> None:
    """Write the arrays to a new file, or over an old one; `InputError` where that fails."""
    try:
        with failures(f"cannot write {target}"), atomic_write(target, replace=overwrite) as file:
            savez: Any = np.savez  # its keywords are the names of the arrays
            savez(file, **arrays)
    except InputError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise exists_already(target) from error
        raise


def exists_already(target: Path) -> InputError:
    """Return the error for a file that is not to be overwritten."""
    return InputError(f"{target} exists already (--force, or overwrite=True in Python, overwrites it)")


def read(path: str | os.PathLike[str]) -> Arrays:
    """Read what is known of statistics: mu and sigma, and n, fastfid and rows where the file has them.

    The shapes fit each other, and nothing is read before they are known to: a small file can say that it is huge. The
    values are unchecked.

    Raises
    ------
    InputError
        Where the file is missing, damaged or something else; the message names it.
    """
    name = path_name(path)
    if not os.path.lexists(name):  # never raises
        raise InputError(f"{name} does not exist")
    with failures(f"{name} cannot be read as a statistics file"):
        with open_regular(name) as file:
            if file.read(len(_NPY)) == _NPY:
                raise InputError(f"{name} is no statistics file: it needs mu and sigma, it has a single array")
        with Npz(name) as npz:
            return _read_arrays(npz, name)


def _read_arrays(npz: Npz, name: str) -> Arrays:
    if not {"mu", "sigma"} <= set(npz.keys):
        has = ", ".join(npz.keys)
        raise InputError(f"{name} is no statistics file: it needs mu and sigma, it has {has[:300]}")
    arrays = {"mu": _read(npz, "mu", _NUMBER * MOST_DIMS)}
    dims = arrays["mu"].size
    shape = npz.header("sigma").shape
    if math.prod(shape) != dims**2:
        raise ValueError(f"sigma must have shape ({dims}, {dims}) to fit mu, got {shape}")
    most = {"sigma": _NUMBER * dims**2, "n": _MOST_TEXT, "fastfid": _MOST_TEXT, "rows": _NUMBER * dims**2}
    return arrays | {key: _read(npz, key, limit) for key, limit in most.items() if key in npz.keys}


def _read(npz: Npz, key: str, most: int) -> NDArray[Any]:
    if not npz.header(key).plain:
        raise ValueError(f"{key} holds Python objects or fields, not plain values (read with allow_pickle=False)")
    return npz.read(key, most)
