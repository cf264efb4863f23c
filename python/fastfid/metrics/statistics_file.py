"""Statistics files: an .npz with mu and sigma. All sizes are checked before reading; writing is atomic."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import numbers
from ..errors import InputError
from ..files.npz import Npz
from ..files.reading import failures, open_regular
from ..files.writing import atomic_write
from ..provenance import Provenance
from .feature_rows import count_of_rows, require_same, snapshots
from .frechet import Gaussian, gaussian_from_moments

MOST_DIMS = 16384  # sigma then has 2 GiB
_MOST_TEXT = 1 << 20  # bytes of the provenance or of a single number
_NUMBER = 16  # bytes of the longest real type
_NPY = b"\x93NUMPY"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Stored:
    """The checked contents of a file; `moments` are those of its rows, if it holds them."""

    known: Gaussian
    n: int | None
    provenance: Provenance | None
    moments: _core.Moments | None


def statistics_path(path: str | os.PathLike[str]) -> Path:
    """Return the file that `Statistics.save` writes for `path`; the ending .npz is appended if it is missing."""
    name = path_name(path)
    target = Path(name if name.endswith(".npz") else f"{name}.npz")
    if not name or name.endswith(("/", os.sep)) or os.path.isdir(target):  # noqa: PTH112 - never raises, unlike Path's
        raise InputError(f"{name!r} is not the name of a file to write statistics to")
    return target


def path_name(path: object) -> str:
    """Return a path as text; raise `InputError` if it is not a path."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"a path is a str or a Path, not a {type(path).__name__}")
    return os.fsdecode(path)


def require_fits(provenance: Provenance | None, dims: int) -> None:
    """Raise `InputError` if a provenance has other dims."""
    if provenance is not None and provenance.dims != dims:
        raise InputError(f"a provenance of {provenance.dims} dims does not fit statistics of {dims}")


def write(
    target: Path,
    mu: NDArray[np.float64],
    sigma: NDArray[np.float64],
    n: int | None,
    provenance: Provenance | None,
    rows: NDArray[Any] | None,
    *,
    overwrite: bool,
) -> None:
    """Write a statistics file.

    Raises
    ------
    InputError
        If it cannot be written, or exists and `overwrite` is False.
    """
    arrays: Arrays = {"mu": mu, "sigma": sigma}
    if n is not None:
        arrays["n"] = np.array(n, dtype=np.int64)
    if provenance is not None:
        arrays["fastfid"] = np.array(provenance.to_json())
    if rows is not None:
        arrays["rows"] = rows
    try:
        with failures(f"cannot write {target}"), atomic_write(target, replace=overwrite) as file:
            savez: Any = np.savez  # its keywords are the names of the arrays
            savez(file, **arrays)
    except InputError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise exists_already(target) from error
        raise


def exists_already(target: Path) -> InputError:
    """Return the error for a file that exists and must not be overwritten."""
    return InputError(f"{target} exists already; --force, or overwrite=True in Python, overwrites it")


def load(path: str | os.PathLike[str], tell: Callable[[str], object], *, force: bool) -> Stored:
    """Read a file and check its values.

    Parameters
    ----------
    path : path
    tell : callable
        Called with the text of each warning.
    force : bool
        Whether to accept a sigma that is not symmetric.

    Raises
    ------
    InputError
        If the file is missing, damaged or something else, or its values are not statistics; the message names it.
    """
    name = path_name(path)
    arrays = read(path)
    with failures(name):
        text = str(arrays["fastfid"]) if "fastfid" in arrays else None
    made_by = None if text is None else Provenance.from_json(text, name)
    try:
        with failures("its values are not statistics"):
            known = gaussian_from_moments(
                arrays["mu"], arrays["sigma"], "", tell=lambda text: tell(f"{name}: {text}"), force=force
            )
            require_fits(made_by, known.mu.size)
            n = count_of_rows(arrays["n"].item()) if "n" in arrays else None
            return Stored(known, n, made_by, _moments_of(arrays["rows"], n, known) if "rows" in arrays else None)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _moments_of(rows: NDArray[Any], n: int | None, known: Gaussian) -> _core.Moments:
    dims = known.mu.size
    if rows.shape != (n, dims):
        raise InputError(f"rows must have shape ({n}, {dims}), got {rows.shape}")
    moments = _core.Moments(dims)
    for part in snapshots(numbers(rows, "features")):
        moments.update(part)
    require_same(rows.astype(np.float64), moments, known)
    return moments


def read(path: str | os.PathLike[str]) -> Arrays:
    """Read mu and sigma, and also n, fastfid and rows if the file has them.

    The shapes are checked before anything is read, because a small file can claim to be huge. The values are not
    checked.

    Raises
    ------
    InputError
        If the file is missing, damaged or something else; the message names it.
    """
    name = path_name(path)
    if not os.path.lexists(name):  # never raises
        raise InputError(f"{name} does not exist")
    with failures(f"{name} cannot be read as a statistics file"):
        with open_regular(name) as file:
            if file.read(len(_NPY)) == _NPY:
                raise InputError(f"{name} is not a statistics file: it needs mu and sigma, but holds a single array")
        with Npz(name) as npz:
            return _read_arrays(npz, name)


def _read_arrays(npz: Npz, name: str) -> Arrays:
    if not {"mu", "sigma"} <= set(npz.keys):
        has = ", ".join(npz.keys)
        raise InputError(f"{name} is not a statistics file: it needs mu and sigma, but holds {has[:300]}")
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
