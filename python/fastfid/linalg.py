"""The matrix square root, computed by the core."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .checks import numbers
from .errors import FastFIDWarning, InputError

_FAR = 1e-6  # of the norm; a root of a matrix that has a good one is off by 1e-13


def sqrtm(a: ArrayLike) -> NDArray[np.float64] | NDArray[np.complex128]:
    """Principal square root of a square matrix.

    Uses the blocked Schur method: LAPACK computes the Schur form, and the square root of the triangle is computed
    recursively with matrix products [1]_, [2]_. Real input uses real arithmetic unless it has a negative eigenvalue.

    Parameters
    ----------
    a : array_like, shape (d, d)
        Real or complex; computed in float64 or complex128.

    Returns
    -------
    ndarray, shape (d, d)
        ``r`` with ``r @ r = a``; float64, or complex128 if `a` is complex or has a negative eigenvalue.

    Raises
    ------
    InputError
        If `a` is not a square matrix of numbers.
    LinAlgError
        If `a` has no square root (a defective zero eigenvalue) or entries that are not finite.

    Warns
    -----
    FastFIDWarning
        If ``r @ r`` differs from `a` by more than 1e-6 of its norm, as it may if `a` has no root.

    References
    ----------
    .. [1] Å. Björck and S. Hammarling (1983), "A Schur method for the square root of a matrix".
    .. [2] E. Deadman, N. Higham and R. Ralha (2012), "Blocked Schur algorithms for computing the matrix square root".

    Examples
    --------
    >>> import fastfid
    >>> fastfid.sqrtm([[4.0, 0.0], [0.0, 9.0]])
    array([[2., 0.],
           [0., 3.]])
    """
    array = numbers(a, "a", "fiuc")
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise InputError(f"a must be a square matrix, got shape {array.shape}")
    given: NDArray[np.float64] | NDArray[np.complex128]
    if array.dtype.kind == "c":
        given = np.ascontiguousarray(array, dtype=np.complex128)
    else:
        given = np.ascontiguousarray(array, dtype=np.float64)
    root = _core.sqrtm(given)
    if (off := _difference(root, given)) > _FAR:
        warnings.warn(
            f"sqrtm: the square of the root differs from the matrix by {off:.1g} of its norm; it may have no root",
            FastFIDWarning,
            stacklevel=2,
        )
    return root


def _difference(root: NDArray[Any], a: NDArray[Any]) -> float:
    """Return the norm of root @ root - a, relative to that of a; scaled, so that nothing runs over."""
    if not (scale := float(np.abs(a).max())):
        return 0.0
    scaled = root / np.sqrt(scale)
    return float(np.linalg.norm(scaled @ scaled - a / scale) / np.linalg.norm(a / scale))
