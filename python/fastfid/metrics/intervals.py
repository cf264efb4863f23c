"""How far a FID is from settled: confidence intervals, and the value for unlimited images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from ..checks import finite_array, seed_number, shown, whole_number
from ..errors import InputError
from .frechet import Gaussian, checked_features, distance, gaussian_from_rows, gaussian_of
from .moments import Statistics

LEVEL = 0.95
_MOST_REPLICATES = 1_000_000
_Z = 1.959963984540054  # two-sided normal quantile of LEVEL
BLOCKS = 20  # groups of rows a side for the jackknife


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a FID at its own number of images.

    Attributes
    ----------
    low, high : float
        Bounds at `level`; never below 0.
    level : float
        0.95.
    standard_error : float
    method : str
        "bootstrap" (rows resampled) or "jackknife" (one block of rows left out at a time).
    replicates : int
        Distances computed for it.
    fixed : tuple of str
        Sides whose images were not at hand and count as known: "a", "b".
    """

    low: float
    high: float
    level: float
    standard_error: float
    method: str
    replicates: int
    fixed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse bounds that are not numbers: 0 as the least bound would hide them."""
        if not np.isfinite([self.low, self.high, self.standard_error]).all():
            raise InputError("the interval overflows: the distances are too large for float64")


class Blocks:
    """The rows of one side dealt to a fixed number of groups in turn, each as its own moments."""

    def __init__(self, dims: int) -> None:
        self._groups = [_core.Moments(dims) for _ in range(BLOCKS)]
        self._seen = 0

    def update(self, rows: NDArray[np.float32]) -> None:
        """Deal rows (k, dims) to the groups."""
        for first in range(min(len(rows), BLOCKS)):
            self._groups[(self._seen + first) % BLOCKS].update(np.ascontiguousarray(rows[first::BLOCKS]))
        self._seen += len(rows)

    def left_out(self) -> Iterator[Gaussian]:
        """Yield the Gaussian of all rows but those of one group, for each group that has rows."""
        if self._seen < 3:
            raise InputError(f"a jackknife needs at least 3 images a side, got {self._seen}")
        groups = [group for group in self._groups if group.count]
        return _left_out(groups, _core.Moments(groups[0].dims))


def _left_out(groups: list[_core.Moments], rest: _core.Moments) -> Iterator[Gaussian]:
    """Halve the groups until one is left: each half is merged once for all that leave it in, in log2(groups) memory."""
    if len(groups) == 1:
        yield gaussian_of(rest)
        return
    middle = len(groups) // 2
    for kept, split in ((groups[middle:], groups[:middle]), (groups[:middle], groups[middle:])):
        joined = _core.Moments(rest.dims)
        for part in (rest, *kept):
            joined.merge(part)
        yield from _left_out(split, joined)


def check_replicates(replicates: int) -> None:
    """Raise `InputError` for a number of replicates that no interval can be made of."""
    count = whole_number("bootstrap", replicates, 0)
    if 0 < count < 20:
        raise InputError(f"bootstrap must be 0 or at least 20 replicates, got {replicates}")
    if count > _MOST_REPLICATES:
        raise InputError(f"bootstrap must be at most {_MOST_REPLICATES} replicates, got {shown(replicates)}")


def interval_of(
    sides: Sequence[Gaussian], blocks: Sequence[Blocks | None], value: float, replicates: int, seed: int
) -> Interval:
    """Interval by the bootstrap where every side that has images still has its rows, else by the jackknife."""
    streamed = [side for side, dealt in zip(sides, blocks, strict=True) if dealt is not None]
    if all(side.rows is not None for side in streamed) and any(side.rows is not None for side in sides):
        return bootstrap(sides, value, replicates, seed)
    if not streamed:
        raise InputError("bootstrap needs images, or statistics that still hold their rows, on one side at least")
    return jackknife(sides, blocks, value)


def bootstrap(sides: Sequence[Gaussian], value: float, replicates: int, seed: int) -> Interval:
    """Interval from resampled rows; a side without rows is taken as known.

    A resample holds each row several times or not at all, which raises its FID; so only the spread of the replicates
    about their own mean is used, not their level: value - (q - mean), the basic interval recentred (Davison & Hinkley
    1997, section 2.4). Cost: one distance a replicate.
    """
    rng = np.random.RandomState(seed)
    a, b = sides
    fids = np.array([distance(_resampled(a, rng), _resampled(b, rng)).value for _ in range(replicates)])
    with np.errstate(over="ignore", invalid="ignore"):  # an interval that is not finite is refused
        spread = np.quantile(fids - fids.mean(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        error = float(fids.std(ddof=1))
    fixed = tuple(name for name, side in zip("ab", sides, strict=True) if side.rows is None)
    return Interval(
        low=max(0.0, value - float(spread[1])),
        high=value - float(spread[0]),
        level=LEVEL,
        standard_error=error,
        method="bootstrap",
        replicates=replicates,
        fixed=fixed,
    )


def _resampled(side: Gaussian, rng: np.random.RandomState) -> Gaussian:
    if side.rows is None:
        return side
    rows = side.rows[rng.randint(0, len(side.rows), len(side.rows))]
    return Gaussian(rows.mean(axis=0), rows=rows)


def jackknife(sides: Sequence[Gaussian], blocks: Sequence[Blocks | None], value: float) -> Interval:
    """Interval from leaving one group of rows out at a time; a side without groups is taken as known.

    var = sum over the sides of (g - 1) / g * sum((fid without a group - their mean)²) (Efron 1982, "The jackknife, the
    bootstrap and other resampling plans", for groups of rows). Cost: one distance a group and side; memory: d² numbers
    a group.
    """
    variance, replicates = 0.0, 0
    for i, dealt in enumerate(blocks):
        if dealt is None:
            continue
        other = sides[1 - i]
        fids = np.array([distance(part, other).value for part in dealt.left_out()])
        g = len(fids)
        with np.errstate(over="ignore", invalid="ignore"):  # an interval that is not finite is refused
            variance += (g - 1) / g * float(np.square(fids - fids.mean()).sum())
        replicates += g
    error = float(np.sqrt(variance))
    fixed = tuple(name for name, dealt in zip("ab", blocks, strict=True) if dealt is None)
    return Interval(max(0.0, value - _Z * error), value + _Z * error, LEVEL, error, "jackknife", replicates, fixed)


@dataclass(frozen=True)
class Extrapolation:
    """A FID extrapolated to unlimited images.

    Attributes
    ----------
    fid : float
        Intercept of the line FID(n) = fid + slope / n.
    slope : float
    residual : float
        Root mean square distance of the points from the line, in units of the FID.
    sizes : tuple of int
        Numbers of images of the points.
    fids : tuple of float
        Their FIDs.
    """

    fid: float
    slope: float
    residual: float
    sizes: tuple[int, ...]
    fids: tuple[float, ...]


def fid_infinity(x: ArrayLike, y: ArrayLike | Statistics, *, points: int = 15, seed: int = 0) -> Extrapolation:
    """FID of unlimited images, from the FIDs of growing random subsets.

    The bias of a FID falls with 1 / n; a least-squares line in 1 / n through the FIDs of `points` subsets of `x`, of
    regularly spaced sizes, is read off at 1 / n = 0 [1]_. `y` is the reference and is used whole.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Features of the generated images, all in memory.
    y : array_like, shape (m, d), or Statistics
        Features of the reference, or its statistics.
    points : int
        Number of subsets, at least 3. The smallest has n / 10 rows, at least 2, or 5000 where n is above 10,000.
    seed : int
        Of the subsets.

    Returns
    -------
    Extrapolation

    Raises
    ------
    InputError
        Where `points` is below 3, or `x` has too few rows for that many sizes.

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
    >>> both[0].fid < both[1]  # the truth is 0, and the FID of so many rows is above it
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
