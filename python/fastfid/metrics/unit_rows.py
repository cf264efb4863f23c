"""Rows of features scaled to length 1, for the metrics that only use their direction."""

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

_BLOCK = 4096  # rows that are scaled at once


def lengths_of(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the Euclidean length of each row (n, dims), computed in float64; not finite if a value is not."""
    with np.errstate(over="ignore"):
        squares: NDArray[np.float64] = np.square(rows, dtype=np.float64).sum(axis=1)
    return np.sqrt(squares)


def unit_rows(rows: NDArray[np.floating], side: str) -> NDArray[np.float32] | NDArray[np.float64]:
    """Return the rows (n, dims) scaled to length 1, in their dtype.

    They are divided in float64 and then rounded once, so equal rows stay equal.

    Raises
    ------
    InputError
        If a row is all zeros.
    """
    result = np.empty(rows.shape, rows.dtype)
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        lengths = lengths_of(part)
        if not lengths.all():
            raise without_direction(start + int(np.argmin(lengths)), side)
        result[start : start + _BLOCK] = part / lengths[:, None]
    return result


def without_direction(index: int, side: str) -> InputError:
    """Return the error for an image whose features are all zero."""
    return InputError(
        f"the features of image {index} of {side} (counted from 0) are all zero, so they have no direction; "
        "leave this image out, or take another model"
    )
