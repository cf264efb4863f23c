"""Statistics files: an .npz with mu and sigma, or the file of another tool.

All sizes are checked before reading; writing is atomic.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import numbers, type_of
from ..errors import InputError
from ..files.layouts import Layout, split_entry
from ..files.npz import Npz
from ..files.pickled_arrays import PickledArrays
from ..files.places import Local, Place, place_of
from ..files.reading import failures
from ..files.writing import atomic_write
from ..images.observed import Tally
from ..provenance import Provenance
from . import foreign_files, image_facts
from .feature_rows import count_of_rows, require_same, snapshots
from .frechet import Gaussian, gaussian_from_moments

MOST_DIMS = 16384  # sigma then has 2 GiB
_MOST_TEXT = 1 << 20  # bytes of the provenance or of a single number
_NUMBER = 16  # bytes of the longest real type
MOST_ROWS_BYTES = _NUMBER * MOST_DIMS**2  # of all rows, as many as of the largest sigma
_NPY = b"\x93NUMPY"
_PICKLE = b"\x80"  # begins protocols 2 and later

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Stored:
    """The checked contents of a file.

    `rows` are its feature rows, float32 or float64, if it holds them, and `moments` are theirs. `notes` say what was
    chosen or converted. `seen` is what was observed of the images, if it is known.
    """

    known: Gaussian
    n: int | None
    provenance: Provenance | None
    moments: _core.Moments | None = None
    rows: NDArray[Any] | None = None
    notes: tuple[str, ...] = ()
    seen: Tally | None = None


def statistics_path(path: str | os.PathLike[str], form: str = "fastfid") -> Path:
    """Return the file that `Statistics.save` writes for `path`; the ending of the format is appended if missing."""
    foreign_files.check_format(form)
    name, ending = path_name(path), foreign_files.FORMATS[form]
    target = Path(name if name.endswith(ending) else f"{name}{ending}")
    if not name or name.endswith(("/", os.sep)) or os.path.isdir(target):  # noqa: PTH112 - never raises, unlike Path's
        raise InputError(f"{name!r} is not the name of a file to write statistics to")
    return target


def path_name(path: object) -> str:
    """Return a path as text; raise `InputError` if it is not a path."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"a path is a str or a Path, not {type_of(path)}")
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
    form: str = "fastfid",
    more: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write a statistics file, in our own format or in that of another tool; `more` are further arrays.

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
    arrays |= more or {}
    try:
        with failures(f"cannot write {target}"), atomic_write(target, replace=overwrite) as file:
            foreign_files.write(file, arrays, form)
    except InputError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise exists_already(target) from error
        raise


def exists_already(target: Path) -> InputError:
    """Return the error for a file that exists and must not be overwritten."""
    return InputError(f"{target} exists already; --force, or overwrite=True in Python, overwrites it")


def load(
    path: str | os.PathLike[str],
    tell: Callable[[str], object],
    *,
    force: bool,
    entry: str | None = None,
    rows: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Stored:
    """Read a file and check its values.

    Parameters
    ----------
    path : path
        ``FILE#ENTRY`` is the same as ``FILE`` with an `entry`.
    tell : callable
        Called with the text of each warning.
    force : bool
        Whether to accept a sigma that is not symmetric.
    entry : str, optional
        Which set of statistics to take, if the file has several.
    rows : bool
        Whether to read the rows even if there are more than dims, so that mean and covariance do not need them.
    storage_options : mapping, optional
        What the file system of an address needs.

    Raises
    ------
    InputError
        If the file is missing, damaged or something else, or its values are not statistics; the message names it.
    """
    name, inside = split_entry(path_name(path))
    place = place_of(name, storage_options)
    name = str(place)  # without secrets
    arrays, layout, note = _read(place, name, inside if entry is None else entry, rows)
    with failures(name):
        text = str(arrays["fastfid"]) if "fastfid" in arrays else None
    made_by = None if text is None else Provenance.from_json(text, name)
    foreign = "" if layout.mu in ("mu", None) else f" ({layout.mu} and {layout.sigma})"
    try:
        with failures("its values are not statistics"):
            notes = [note, foreign_files.from_sums(arrays, layout) if layout.sums else None]
            n = count_of_rows(arrays["n"].item()) if "n" in arrays else None
            if "mu" not in arrays:
                notes.append(f"it holds features: mu and sigma are those of its {len(arrays['rows'])} rows")
            stored = _checked(arrays, n, made_by, lambda text: tell(f"{name}: {text}"), force=force)
            seen, newer = image_facts.seen_in(arrays, stored.n)
            notes.append(newer)
    except InputError as error:
        raise InputError(f"{name}{foreign}: {error}") from error
    told = tuple(text if text == note else f"{name}: {text}" for text in notes if text)
    return replace(stored, notes=told, seen=seen)


def _checked(
    arrays: Arrays, n: int | None, made_by: Provenance | None, tell: Callable[[str], object], *, force: bool
) -> Stored:
    if "mu" not in arrays:
        rows = numbers(arrays["rows"], "features")
        n = count_of_rows(len(rows))
        moments = _moments_of(rows, (n, rows.shape[1]))
        known = Gaussian(moments.mean(), moments.covariance())
        known = gaussian_from_moments(known.mu, known.covariance, "", tell=tell, force=force)
        return Stored(known, n, made_by, moments, _plain(rows))
    known = gaussian_from_moments(arrays["mu"], arrays["sigma"], "", tell=tell, force=force)
    require_fits(made_by, known.mu.size)
    if "rows" not in arrays:
        return Stored(known, n, made_by)
    rows = numbers(arrays["rows"], "features")
    moments = _moments_of(rows, (n, known.mu.size))
    require_same(rows, moments, known)
    return Stored(known, n, made_by, moments if len(rows) <= known.mu.size else None, _plain(rows))


def _moments_of(rows: NDArray[Any], shape: tuple[int | None, int]) -> _core.Moments:
    if rows.shape != shape:
        raise InputError(f"rows must have shape {shape}, got {rows.shape}")
    moments = _core.Moments(shape[1])
    for part in snapshots(rows):
        moments.update(part)
    return moments


def _plain(rows: NDArray[Any]) -> NDArray[Any]:
    return rows.astype(np.float32 if rows.dtype == np.float32 else np.float64, copy=False)


def _read(place: Place, name: str, entry: str | None, rows: bool) -> tuple[Arrays, Layout, str | None]:
    """Read mu and sigma, and also n, rows and our own texts if the file has them, under these names.

    The shapes are checked before anything is read, because a small file can claim to be huge. The values are not
    checked. The text is a note about the entry.

    Raises
    ------
    InputError
        If the file is missing, damaged or something else; the message names it.
    """
    if isinstance(place, Local) and not os.path.lexists(name):  # never raises
        raise InputError(f"{name} does not exist")
    with failures(f"{name} cannot be read as a statistics file"):
        file, _ = place.open()
        with file:
            start = file.read(len(_NPY))
        if start == _NPY:
            raise InputError(f"{name} is not a statistics file: it needs mu and sigma, but holds a single array")
        if start.startswith(_PICKLE):
            pickled = PickledArrays(place)
            layout, note = foreign_files.choose(pickled.keys, name, entry)
            return _read_arrays(pickled, layout, rows), layout, note
        with Npz(place.open()[0]) as npz:
            layout, note = foreign_files.choose(npz.keys, name, entry)
            return _read_arrays(npz, layout, rows), layout, note


def _read_arrays(file: Npz | PickledArrays, layout: Layout, rows: bool) -> Arrays:
    most = {"n": _MOST_TEXT, "fastfid": _MOST_TEXT, "rows": MOST_ROWS_BYTES, **image_facts.MOST_BYTES}
    arrays = {}
    if layout.mu is not None and layout.sigma is not None:
        arrays["mu"] = _values(file, layout.mu, _NUMBER * MOST_DIMS)
        dims = arrays["mu"].size
        shape = file.header(layout.sigma).shape
        if math.prod(shape) != dims**2:
            raise ValueError(f"{layout.sigma} must have shape ({dims}, {dims}) to fit {layout.mu}, got {shape}")
        arrays["sigma"] = _values(file, layout.sigma, _NUMBER * dims**2)
        own = layout.rows == "rows" and "rows" in file.keys
        if own and not rows and file.header("rows").shape[:1] > (dims,):
            layout = layout._replace(rows=None)
    elif layout.rows is not None:
        shape = file.header(layout.rows).shape
        if len(shape) != 2 or not 0 < shape[1] <= MOST_DIMS:
            raise ValueError(f"{layout.rows} must have shape (n, dims) with at most {MOST_DIMS} dims, got {shape}")
    keys = {"n": layout.n, "fastfid": "fastfid", "rows": layout.rows, **{key: key for key in image_facts.MOST_BYTES}}
    return arrays | {
        role: _values(file, key, most[role]) for role, key in keys.items() if key is not None and key in file.keys
    }


def _values(file: Npz | PickledArrays, key: str, most: int) -> NDArray[Any]:
    if not file.header(key).plain:
        raise ValueError(f"{key} holds Python objects or fields, not plain values (read with allow_pickle=False)")
    return file.read(key, most)
