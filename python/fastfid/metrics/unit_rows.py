"""Rows of features scaled to length 1, for the metrics that only use their direction."""

import numpy as np
from numpy.typing import NDArray

from ..checks import not_in_float32
from ..errors import InputError
from .rows import Rows


def lengths_of(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the Euclidean length of each row (n, dims), computed in float64; not finite if a value is not."""
    with np.errstate(over="ignore"):
        squares: NDArray[np.float64] = np.square(rows, dtype=np.float64).sum(axis=1)
    return np.sqrt(squares)


def unit_rows(rows: Rows, side: str) -> Rows:
    """Return the rows scaled to length 1; float32 ones beyond the budget of `Rows` are in a file, as they are there.

    They are divided in float64 and then rounded once to their own dtype, so equal rows stay equal.

    Raises
    ------
    InputError
        If a row is all zeros, or a value is not finite.
    """
    units, wide, start = Rows(rows.dims), [], 0
    for block in rows.blocks():
        lengths = lengths_of(block)
        if not np.isfinite(lengths).all():
            raise not_in_float32(f"the features of {side}")
        if not lengths.all():
            raise without_direction(start + int(np.argmin(lengths)), side)
        scaled = block / lengths[:, None]
        if block.dtype == np.float32:
            units.update(scaled.astype(np.float32))
        else:  # a caller's own matrix, which is in memory in any case
            wide.append(scaled)
        start += len(block)
    return Rows.of(np.concatenate(wide)) if wide else units


def without_direction(index: int, side: str) -> InputError:
    """Return the error for an image whose features are all zero."""
    return InputError(
        f"the features of image {index} of {side} (counted from 0) are all zero, so they have no direction; "
        "leave this image out, or take another model"
    )
