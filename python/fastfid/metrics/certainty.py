"""How sure a FID is: its noise, its bias, and whether it differs from that of one population."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from ..checks import numbers, real_number, require_finite, shown
from ..errors import InputError
from ..fit import Fit
from .base import Need
from .frechet import distance, gaussian_of
from .leave_one_out import Side, Singular, Sweep, Transport, Values
from .limits import limits
from .rows import Rows
from .same_population import Kernel, Law

ROWS = Need("features", Rows)
ROWS_PER_DIM = 3  # below this the corrections fail
_BLOCK = 16 << 20  # bytes of float64 rows that are computed at a time

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Certainty:
    """A FID with its bias, its noise and what they mean.

    Attributes
    ----------
    fid : float
        The FID of the two sets, as `frechet_distance_from_features` computes it.
    bias : float or None
        How much of it is expected to come from the finite number of images.
    corrected : float or None
        ``fid - bias``, an estimate for infinitely many images. It can be below 0, and is on half of all pairs of sets
        from one population.
    noise_floor : float or None
        The expected FID of two sets of these sizes from one population.
    standard_error : float or None
        Of `corrected`.
    low, high : float or None
        Confidence limits of the FID of infinitely many images; never below 0.
    p_value : float or None
        Probability of two sets at least as different if both came from one population. It compares means and
        covariances only.
    influence_x, influence_y : ndarray or None, shape (n,) and (m,)
        The first-order share of each image: how fast the FID grows with its weight. They sum to 0 over a side. Images
        with the largest values make the FID worse; without image i of x, it falls by about ``influence_x[i] / n``.
    n : tuple of int
        Number of images of each side.
    dims : int
    level : float
        Of the limits.
    reason : str
        Why the fields after `fid` are None; "" if they are known.
    """

    fid: float
    bias: float | None
    corrected: float | None
    noise_floor: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    p_value: float | None
    influence_x: Matrix | None = field(repr=False)
    influence_y: Matrix | None = field(repr=False)
    n: tuple[int, int]
    dims: int
    level: float
    reason: str = ""


def certainty(x: "ArrayLike | Rows | Fit", y: "ArrayLike | Rows | Fit", *, level: float = 0.95) -> Certainty:
    """How sure the FID of two sets of features is.

    The bias and the standard error come from the distances without one row, exact for each row and all computed at
    once [1]_. The standard error uses each row's influence under the Gaussians of the other rows, so that no row is
    judged by a fit to itself, and its second-order part is subtracted, which counts twice otherwise. The confidence
    limits are those of Feldman and Cousins [2]_: they hold their level although a distance cannot be negative. They
    include 0 if the p-value is at least ``1 - level``.

    The p-value and the noise floor come from the moments of the second-order distance over all ways to divide the same
    rows into two sides [3]_. Both use a few thousand rows drawn with a fixed seed. The order of the rows has no effect.

    Parameters
    ----------
    x, y : array_like, shape (n, d) and (m, d), or Rows, or Fit
        Features, one row per image; a `Fit` must hold its rows. Memory maps are read in blocks, three times.
    level : float
        Confidence level of `low` and `high`, between 0 and 1.

    Returns
    -------
    Certainty
        With fewer than 3 d rows on a side, or a covariance without full rank, only the FID and the `reason` are given.

    Raises
    ------
    InputError
        If shapes do not match, a set has fewer than 2 rows, or a value is not finite.

    See Also
    --------
    compare : ``bootstrap=`` gives an interval for any number of images.

    Notes
    -----
    All limits are about the images given. To train a model again changes a FID more than to draw images again.

    References
    ----------
    .. [1] B. Efron and C. Stein (1981), "The jackknife estimate of variance".
    .. [2] G. Feldman and R. Cousins (1998), "Unified approach to the classical statistical analysis of small signals".
    .. [3] A. Gretton et al. (2012), "A kernel two-sample test".

    Examples
    --------
    >>> import numpy as np
    >>> import fastfid
    >>> x, y = np.random.RandomState(0).standard_normal((2, 4000, 8))
    >>> sure = fastfid.certainty(x, y)  # the true distance is 0
    >>> sure.fid > 0, sure.low == 0, sure.p_value > 0.05
    (True, True, True)
    >>> sure.corrected < sure.fid
    True
    """
    if not 0 < (checked := real_number(level)) < 1:
        raise InputError(f"level must be a number between 0 and 1, got {shown(level)}")
    return _Pair(_Read(x, "x"), _Read(y, "y")).certainty(checked)


class _Read:
    """The rows of a side, read in blocks."""

    def __init__(self, value: Any, name: str) -> None:
        self.name = name
        if isinstance(value, Fit):
            value = self._kept(value)
        self.matrix = value.matrix if isinstance(value, Rows) else numbers(value, name)
        if self.matrix.ndim != 2:
            raise InputError(f"{name} must have 2 dimensions, got shape {self.matrix.shape}")
        self.n, self.dims = self.matrix.shape
        if not self.dims:
            raise InputError(f"{name} is empty (shape {self.matrix.shape})")
        if self.n < 2:
            raise InputError(f"{name} needs at least 2 rows, got {self.n}")
        self.moments = _core.Moments(self.dims)
        for first, rows in self.blocks():
            require_finite(rows, f"{name} from row {first} on" if first else name)
            self.moments.update(rows)

    def _kept(self, fit: Fit) -> Rows:
        rows = fit.get(ROWS)
        if not isinstance(rows, Rows):
            raise InputError(f"{self.name} is a Fit without its rows; keep them with metrics=['fid', 'kid']")
        return rows

    def blocks(self, exponent: int = 0) -> Iterator[tuple[int, Matrix]]:
        """Yield the index of the first row and rows in float64, divided by 2**exponent."""
        step = max(1, _BLOCK // (8 * self.dims))
        for first in range(0, self.n, step):
            yield first, self._taken(slice(first, first + step), exponent)

    def taken(self, indices: NDArray[np.intp], exponent: int) -> Matrix:
        """Return some rows."""
        return self._taken(indices, exponent)

    def _taken(self, where: Any, exponent: int) -> Matrix:
        rows = np.ascontiguousarray(self.matrix[where], dtype=np.float64)
        return np.ldexp(rows, -exponent) if exponent else rows


class _Pair:
    """Both sides. Rows are scaled by a power of two, so that powers of them stay in float64's range."""

    def __init__(self, x: _Read, y: _Read) -> None:
        if x.dims != y.dims:
            raise InputError(f"x and y must have the same dims, got {x.dims} and {y.dims}")
        self._sides = (x, y)
        a, b = gaussian_of(x.moments), gaussian_of(y.moments)
        self._distance = distance(a, b)
        self._ratio = 1 / x.n + 1 / y.n
        self._exponent = 0
        if self._enough():
            largest = max(float(np.diagonal(side.covariance).max()) for side in (a, b))
            self._exponent = int(np.frexp(largest)[1]) // 2
            e = self._exponent
            self._means = [np.ldexp(side.mu, -e) for side in (a, b)]
            self._covariances = [np.ldexp(side.covariance, -2 * e) for side in (a, b)]

    def _enough(self) -> bool:
        return min(side.n for side in self._sides) >= ROWS_PER_DIM * self._sides[0].dims

    def certainty(self, level: float) -> Certainty:
        values = self._values()
        if isinstance(values, str):
            return self._without(level, values)
        sides = list(zip(self._sides, values, strict=True))
        bias = sum((side.n - 1) * float(value.change.mean()) for side, value in sides)
        law, observed, floor = self._one_population([value.influence for value in values])
        p_value = law.p_value(observed)
        held_out = sum(float(value.held_out.var(ddof=1)) / side.n for side, value in sides)
        # The held-out variance holds the second-order part twice. What is left is at least the half of it.
        error = max(held_out - law.variance, held_out / 2) ** 0.5
        fid = float(np.ldexp(self._distance.value, -2 * self._exponent))
        low, high = limits(fid - bias, error, level)
        scaled = [fid, bias, fid - bias, floor, error, 0.0 if p_value >= 1 - level else low, high]
        found = [float(value) for value in np.ldexp(scaled, 2 * self._exponent)]
        if not np.isfinite(found).all():
            raise InputError("the certainty overflows: the features are too large for float64")
        influences = [np.ldexp(value.influence, 2 * self._exponent) for value in values]
        return Certainty(self._distance.value, *found[1:], p_value, *influences, *self._facts(level))

    def _facts(self, level: float) -> tuple[tuple[int, int], int, float]:
        x, y = self._sides
        return (x.n, y.n), x.dims, level

    def _without(self, level: float, reason: str) -> Certainty:
        return Certainty(self._distance.value, *[None] * 9, *self._facts(level), reason)

    def _values(self) -> list[Values] | str:
        """Return the values of the rows of both sides, or the reason why there are none."""
        dims = self._sides[0].dims
        if not self._enough():
            side = min(self._sides, key=lambda side: side.n)
            return (
                f"{side.name} has {side.n} rows of {dims} dims, and the corrections need at least "
                f"{ROWS_PER_DIM * dims}; compare(bootstrap=...) works for any number of images"
            )
        for side, covariance in zip(self._sides, self._covariances, strict=True):
            if constant := int(np.count_nonzero(np.diagonal(covariance) == 0)):
                return f"{constant} of the {dims} dims of {side.name} are constant; leave them out"
        for side, rank in zip(self._sides, self._distance.rank or (dims, dims), strict=True):
            if rank < dims:
                return f"the covariance of {side.name} has rank {rank} of {dims}; some dims depend on others"
        transport = Transport.between(*self._covariances)
        if transport is None:
            return "the covariances are too close to singular; some dims depend on others, apart from rounding"
        apart = self._means[0] - self._means[1]
        found = []
        for i, own in enumerate((transport.to_x, transport.to_y)):
            side, trace = self._sides[i], float(np.trace(self._covariances[i]))
            sweep = Sweep(Side(side.n, self._means[i], trace, apart if i == 0 else -apart, own, transport.s))
            values = Values.empty(side.n)
            try:
                for first, rows in side.blocks(self._exponent):
                    sweep.fill(values, first, rows)
            except Singular as error:
                return f"without row {error.row} of {side.name} its covariance is singular: a dim varies there only"
            found.append(values)
        return found

    def _one_population(self, influences: list[Matrix]) -> tuple[Law, float, float]:
        """Return the law of the second-order distance under one population, its value, and the noise floor."""
        x, y = self._sides
        total = x.n + y.n
        seconds = [c * ((s.n - 1) / s.n) for c, s in zip(self._covariances, self._sides, strict=True)]
        apart = self._means[0] - self._means[1]
        mean = (self._means[0] * x.n + self._means[1] * y.n) / total
        pooled = (seconds[0] * x.n + seconds[1] * y.n) / total + np.outer(apart, apart) * (x.n * y.n / total**2)
        kernel = Kernel.of(mean, pooled)
        order = np.argsort(np.concatenate(influences))
        # New labels, the smaller side first, so that neither the order of the rows nor that of the sides has an effect.
        smaller = np.zeros(total, dtype=bool)
        smaller[order[np.random.RandomState(0).permutation(total)[: min(x.n, y.n)]]] = True
        diagonal, parts, done = np.empty(total), (_core.Moments(x.dims), _core.Moments(x.dims)), 0
        for side in self._sides:
            for _, rows in side.blocks(self._exponent):
                here = slice(done, done + len(rows))
                z = kernel.coordinates(rows)
                diagonal[here] = kernel.of_pairs(z, z)
                for part, chosen in zip(parts, (smaller[here], ~smaller[here]), strict=True):
                    part.update(np.ascontiguousarray(rows[chosen]))
                done += len(rows)
        law = Law.of(kernel, np.maximum(diagonal, 0), order, self._take, self._ratio)
        observed = kernel.statistic(*zip(self._means, seconds, strict=True))
        a, b = map(gaussian_of, parts)
        relabelled = kernel.statistic(*((g.mu, g.covariance * (1 - 1 / p.count)) for g, p in zip((a, b), parts, strict=True)))
        # The mean over all labellings is known of the second-order distance only; one labelling gives the difference.
        return law, observed, law.mean + distance(a, b).value - relabelled

    def _take(self, indices: NDArray[np.intp]) -> Matrix:
        x, y = self._sides
        rows = np.empty((len(indices), x.dims))
        of_x = indices < x.n
        rows[of_x] = x.taken(indices[of_x], self._exponent)
        rows[~of_x] = y.taken(indices[~of_x] - x.n, self._exponent)
        return rows
