"""Checks of rows of features from a caller or a file, which are copied first."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import require_finite, whole_number
from ..errors import InputError
from ..files.reading import failures
from .frechet import Gaussian

MOST_ROWS = 2**53 - 1  # the largest count that float64 holds exactly
SNAPSHOT = 64 << 20  # bytes; larger arrays are copied in blocks
_BLOCK = 4 << 20  # bytes
_ROUNDING = 4 * float(np.finfo(np.float32).eps)  # how far a value may have moved, relative to the largest of its dim


def count_of_rows(n: Any, least: int = 2) -> int:
    """Return a number of rows as an int, or raise `InputError`."""
    if whole_number("n", n, least) > MOST_ROWS:
        raise InputError(f"n must be below 2^53, got {n}")
    return int(n)


def snapshots(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield copies of the rows: all at once, or in blocks if they have more bytes than `SNAPSHOT`.

    A copy does not change when another thread writes into the original. `tobytes` holds Python's lock, so no other
    Python thread can shrink the array while it copies.
    """
    dims, dtype = rows.shape[1], rows.dtype
    step = max(1, (SNAPSHOT if rows.nbytes <= SNAPSHOT else _BLOCK) // (dtype.itemsize * dims))
    for first in range(0, len(rows), step):
        with failures("features changed while they were read"):
            part = np.frombuffer(rows[first : first + step].tobytes(), dtype).reshape(-1, dims)
        with np.errstate(over="ignore"):  # a long double may become infinite, which the next check refuses
            part = part.astype(np.float32 if dtype == np.float32 else np.float64, copy=False)
        require_finite(part, f"features from row {first} on" if first else "features")
        yield part


def require_same(rows: NDArray[Any], moments: _core.Moments, known: Gaussian) -> None:
    """Raise `InputError` if the rows do not have the given mean and covariance, apart from rounding.

    If each value of dim i changes by at most r_i, so does its mean. By the Cauchy-Schwarz inequality a covariance then
    changes by at most (s_i + r_i) (s_j + r_j) - s_i s_j, with the standard deviations s.
    """
    moved = _ROUNDING * np.maximum(rows.max(axis=0).astype(np.float64), -rows.min(axis=0).astype(np.float64))
    with np.errstate(over="ignore", invalid="ignore"):
        covariance = moments.covariance()
        deviations = np.sqrt(np.maximum(covariance.diagonal(), 0))
        bound = np.outer(deviations + moved, deviations + moved) - np.outer(deviations, deviations)
        fits = (np.abs(moments.mean() - known.mu) <= moved).all() and np.isfinite(covariance).all()
        if not (fits and (np.abs(covariance - known.covariance) <= bound).all()):
            raise InputError("rows do not have the mean mu and the covariance sigma")
