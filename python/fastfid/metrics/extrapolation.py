"""The FID for an infinite number of images, extrapolated from subsets of increasing size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..checks import finite_array, seed_number, whole_number
from ..errors import InputError
from .frechet import checked_features, distance, gaussian_from_rows
from .moments import Statistics


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
    """

    fid: float
    slope: float
    residual: float
    sizes: tuple[int, ...]
    fids: tuple[float, ...]


def fid_infinity(x: ArrayLike, y: ArrayLike | Statistics, *, points: int = 15, seed: int = 0) -> Extrapolation:
    """FID for an infinite number of images, extrapolated from random subsets of increasing size.

    The bias of the FID is proportional to 1 / n. A least-squares line in 1 / n is fitted to the FIDs of `points` random
    subsets of `x`, with evenly spaced sizes, and evaluated at 1 / n = 0 [1]_. `y` is the reference; all of it is used.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Features of the generated images, all in memory.
    y : array_like, shape (m, d), or Statistics
        Features of the reference, or its statistics.
    points : int
        Number of subsets, at least 3. The smallest has n / 10 rows but at least 2, or 5000 rows if n is above 10,000.
    seed : int
        Seed of the random subsets.

    Returns
    -------
    Extrapolation

    Raises
    ------
    InputError
        If `points` is below 3, or `x` has too few rows for that many different sizes.

    References
    ----------
    .. [1] M. Chong and D. Forsyth (2020), "Effectively unbiased FID and Inception Score and where to find them".

    Examples
    --------
    >>> import numpy as np
    >>> import fastfid
    >>> rng = np.random.RandomState(0)
    >>> x, y = rng.standard_normal((2, 4000, 8))
    >>> both = fastfid.fid_infinity(x, y, seed=1), fastfid.frechet_distance_from_features(x, y)
    >>> both[0].fid < both[1]  # the true distance is 0; the FID of 4000 rows is above it
    True
    """
    rows = finite_array(x, "x", 2)
    n = len(rows)
    whole_number("points", points, 3)
    reference = y.gaussian() if isinstance(y, Statistics) else gaussian_from_rows(checked_features(y, "y"))
    if reference.mu.size != rows.shape[1]:
        raise InputError(f"x and y must have the same dims, got {rows.shape[1]} and {reference.mu.size}")
    smallest = 5000 if n > 10_000 else max(2, n // 10)
    if points > n or len(sizes := np.unique(np.linspace(smallest, n, points).astype(int))) < points:
        raise InputError(f"x has {n} rows: too few for {points} subsets of different sizes")
    rng = np.random.RandomState(seed_number(seed))
    subsets = (np.sort(rng.permutation(n)[:size]) for size in sizes)
    fids = np.array([distance(gaussian_from_rows(rows[chosen]), reference).value for chosen in subsets])
    with np.errstate(over="ignore", invalid="ignore"):
        slope, intercept = np.polyfit(1 / sizes, fids, 1)
        residual = float(np.sqrt(np.mean(np.square(fids - (intercept + slope / sizes)))))
    if not np.isfinite([slope, intercept, residual]).all():
        raise InputError("the extrapolation overflows: the distances are too large for float64")
    return Extrapolation(float(intercept), float(slope), residual, tuple(sizes.tolist()), tuple(fids.tolist()))
