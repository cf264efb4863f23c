"""The FID for an infinite number of images, extrapolated from subsets of increasing size."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import finite_array, seed_number, truth, whole_number
from ..errors import InputError
from .frechet import Gaussian, checked_features, distance, gaussian_from_rows
from .moments import Statistics

Matrix = NDArray[np.float64]
Sizes = NDArray[np.intp]


@dataclass(frozen=True)
class Extrapolation:
    """A FID extrapolated to an infinite number of images.

    Attributes
    ----------
    fid : float
        Intercept of the line FID(n) = fid + slope / n.
    slope : float
    residual : float
        Root mean square distance of the points from the line, in units of the FID.
    sizes : tuple of int
        Number of images of each subset.
    fids : tuple of float
        FID of each subset.
    sides : {"x", "both"}
        What the subsets were taken of, and so which side is extrapolated.
    sizes_y : tuple of int
        Number of images of each subset of y; empty if all of it was used.
    """

    fid: float
    slope: float
    residual: float
    sizes: tuple[int, ...]
    fids: tuple[float, ...]
    sides: str = "x"
    sizes_y: tuple[int, ...] = ()


def fid_infinity(
    x: ArrayLike, y: ArrayLike | Statistics, *, points: int = 15, seed: int = 0, two_sided: bool = False
) -> Extrapolation:
    """FID for an infinite number of images, extrapolated from random subsets of increasing size.

    The bias of the FID is proportional to 1 / n. A least-squares line in 1 / n is fitted to the FIDs of `points` random
    subsets of `x`, with evenly spaced sizes, and evaluated at 1 / n = 0 [1]_. `y` is the reference; all of it is used,
    and the bias that comes from its own number of images stays. With `two_sided`, each FID is that of a subset of `x`
    and of the same share of `y`, and the bias of both goes.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Features of the generated images, all in memory.
    y : array_like, shape (m, d), or Statistics
        Features of the reference, or its statistics.
    points : int
        Number of subsets, at least 3. The smallest has n / 10 rows but at least 2, or 5000 rows if n is above 10,000.
        With `two_sided`, that is so for the side with fewer rows.
    seed : int
        Seed of the random subsets.
    two_sided : bool
        Whether `y` is extrapolated, too. The published FID-infinity is not. It is needed where `y` is a sample like
        `x`, and not if it stands for itself, as a fixed reference does.

    Returns
    -------
    Extrapolation

    Raises
    ------
    InputError
        If `points` is below 3, a side has too few rows for that many different sizes, or `two_sided` is asked for of
        statistics.

    See Also
    --------
    certainty : the same without subsets, with a standard error.

    References
    ----------
    .. [1] M. Chong and D. Forsyth (2020), "Effectively unbiased FID and Inception Score and where to find them".

    Examples
    --------
    >>> import numpy as np
    >>> import fastfid
    >>> rng = np.random.RandomState(0)
    >>> x, y = rng.standard_normal((2, 4000, 8))
    >>> raw = fastfid.frechet_distance_from_features(x, y)  # the true distance is 0
    >>> one, both = (fastfid.fid_infinity(x, y, two_sided=sides) for sides in (False, True))
    >>> both.sides, abs(both.fid) < one.fid < raw
    ('both', True)
    """
    rows = finite_array(x, "x", 2)
    whole_number("points", points, 3)
    if truth("two_sided", two_sided) and isinstance(y, Statistics):
        raise InputError("two_sided takes subsets of y, and statistics have no rows: give the features of y")
    rows_y = None if isinstance(y, Statistics) else checked_features(y, "y")
    reference = y.gaussian() if isinstance(y, Statistics) else gaussian_from_rows(cast(Matrix, rows_y))
    if reference.mu.size != rows.shape[1]:
        raise InputError(f"x and y must have the same dims, got {rows.shape[1]} and {reference.mu.size}")
    rng = np.random.RandomState(seed_number(seed))
    if two_sided and rows_y is not None:
        sizes, sizes_y = _sizes_of_both(len(rows), len(rows_y), points)
        others: Iterable[Gaussian] = _subsets(rows_y, sizes_y, rng)
    else:
        sizes, sizes_y = _sizes(len(rows), points, "x"), np.array([], int)
        others = [reference] * points
    fids = np.array([distance(*pair).value for pair in zip(_subsets(rows, sizes, rng), others, strict=True)])
    with np.errstate(over="ignore", invalid="ignore"):
        slope, intercept = np.polyfit(1 / sizes, fids, 1)
        residual = float(np.sqrt(np.mean(np.square(fids - (intercept + slope / sizes)))))
    if not np.isfinite([slope, intercept, residual]).all():
        raise InputError("the extrapolation overflows: the distances are too large for float64")
    return Extrapolation(
        float(intercept),
        float(slope),
        residual,
        tuple(sizes.tolist()),
        tuple(fids.tolist()),
        "both" if two_sided else "x",
        tuple(sizes_y.tolist()),
    )


def _sizes(n: int, points: int, name: str) -> Sizes:
    smallest = 5000 if n > 10_000 else max(2, n // 10)
    if points > n or len(sizes := np.unique(np.linspace(smallest, n, points).astype(int))) < points:
        raise InputError(f"{name} has {n} rows: too few for {points} subsets of different sizes")
    return sizes


def _sizes_of_both(n: int, m: int, points: int) -> tuple[Sizes, Sizes]:
    """Return the sizes of the smaller side, and as large shares of the other."""
    if n > m:
        return _sizes_of_both(m, n, points)[::-1]
    sizes = _sizes(n, points, "x or y")
    return sizes, sizes * m // n


def _subsets(rows: Matrix, sizes: Sizes, rng: np.random.RandomState) -> Iterator[Gaussian]:
    for size in sizes:
        yield gaussian_from_rows(rows[np.sort(rng.permutation(len(rows))[:size])])
