"""How sure a FID is: its noise, its bias, and whether it differs from that of one population."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import real_number, shown
from ..errors import InputError
from ..fit import Fit
from .feature_blocks import Given, Relabelled
from .frechet import Gaussian, distance, gaussian_of
from .leave_one_out import Singular, Transport, Values, swept
from .limits import limits
from .rows import Rows
from .same_population import Kernel, Law

ROWS_PER_DIM = 3  # below this the corrections fail

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Certainty:
    """A FID with its bias, its noise and what they mean.

    Attributes
    ----------
    fid : float
        The FID of the two sets, as `frechet_distance_from_features` computes it.
    n : tuple of int
        Number of images of each side.
    dims : int
    level : float
        Of the limits.
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
        Confidence limits of the FID of infinitely many images. `low` is 0 exactly if `p_value` is at least 1 - `level`.
    p_value : float or None
        Probability of two sets at least as different if both came from one population. It compares means and
        covariances only.
    influence_x, influence_y : ndarray or None, shape (n,) and (m,)
        The first-order share of each image: how fast the FID grows with its weight. They sum to 0 over a side. Images
        with the largest values make the FID worse; without image i of x, it falls by about ``influence_x[i] / n``.
    reason : str
        Why the fields from `bias` on are None; "" if they are known.
    """

    fid: float
    n: tuple[int, int]
    dims: int
    level: float
    bias: float | None = None
    corrected: float | None = None
    noise_floor: float | None = None
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    influence_x: Matrix | None = field(default=None, repr=False)
    influence_y: Matrix | None = field(default=None, repr=False)
    reason: str = ""


def certainty(x: "ArrayLike | Rows | Fit", y: "ArrayLike | Rows | Fit", *, level: float = 0.95) -> Certainty:
    """How sure the FID of two sets of features is.

    The bias and the standard error come from the distances without one row [1]_, exact for each row and all computed
    at once, and from each row's influence under the Gaussians of the other rows. The second-order part of the variance
    counts twice in both, and is subtracted once. What the bias misses is measured on a new labelling of the same rows,
    where the true distance is 0. The confidence limits are those of Feldman and Cousins [2]_, which hold their level
    although a distance cannot be negative.

    The p-value and the noise floor come from the moments of the second-order distance over all ways to divide the same
    rows into two sides [3]_. Rows are drawn with a fixed seed; the order in which they are given has no effect.

    Parameters
    ----------
    x, y : array_like, shape (n, d) and (m, d), or Rows, or Fit
        Features, one row per image; a `Fit` must hold its rows. Memory maps are read in blocks, several times.
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
    if not 0.5 < (1 + (checked := real_number(level))) / 2 < 1:
        raise InputError(f"level must be a number between 0 and 1, got {shown(level)}")
    return _Pair(Given(x, "x"), Given(y, "y")).certainty(checked)


class _Pair:
    """Both sides. Rows are scaled by a power of two, so that powers of them stay in float64's range."""

    def __init__(self, x: Given, y: Given) -> None:
        if x.dims != y.dims:
            raise InputError(f"x and y must have the same dims, got {x.dims} and {y.dims}")
        self.sides = (x, y)
        gaussians = [gaussian_of(side.moments) for side in self.sides]
        self.distance = distance(*gaussians)
        self.exponent = 0
        if self._enough():
            self.exponent = int(np.frexp(max(g.covariance.max() for g in gaussians))[1]) // 2
            x.exponent = y.exponent = self.exponent
            self.scaled = [_scaled(g, self.exponent) for g in gaussians]

    def _enough(self) -> bool:
        return all(side.n >= ROWS_PER_DIM * side.dims for side in self.sides)

    def certainty(self, level: float) -> Certainty:
        x, y = self.sides
        facts = (self.distance.value, (x.n, y.n), x.dims, level)
        values = self.values()
        if isinstance(values, str):
            return Certainty(*facts, reason=values)
        alike = self.one_population([value.influence for value in values])
        if isinstance(alike, str):
            return Certainty(*facts, reason=alike)
        law, observed, floor, unseen = alike
        p_value = law.p_value(observed)
        bias = _jackknife_bias(values) + unseen
        error = _variance(values, law.variance) ** 0.5
        corrected = float(np.ldexp(self.distance.value, -2 * self.exponent)) - bias
        low, high = limits(corrected, error, level, p_value)
        scaled = np.ldexp([bias, corrected, floor, error, low, high], 2 * self.exponent)
        if not np.isfinite(scaled).all():
            raise InputError("the certainty overflows: the features are too large for float64")
        bias, corrected, floor, error, low, high = map(float, scaled)
        return Certainty(
            *facts,
            bias=bias,
            corrected=corrected,
            noise_floor=floor,
            standard_error=error,
            low=low,
            high=high,
            p_value=p_value,
            influence_x=np.ldexp(values[0].influence, 2 * self.exponent),
            influence_y=np.ldexp(values[1].influence, 2 * self.exponent),
        )

    def values(self) -> list[Values] | str:
        """Return the values of the rows of both sides, or the reason why there are none."""
        dims = self.sides[0].dims
        if not self._enough():
            side = min(self.sides, key=lambda side: side.n)
            return (
                f"{side.name} has {side.n} rows of {dims} dims, and the corrections need at least "
                f"{ROWS_PER_DIM * dims}; compare(bootstrap=...) works for any number of images"
            )
        for side, gaussian in zip(self.sides, self.scaled, strict=True):
            if constant := int(np.count_nonzero(np.diagonal(gaussian.covariance) == 0)):
                return f"{constant} of the {dims} dims of {side.name} are constant; leave them out"
        for side, rank in zip(self.sides, self.distance.rank or (dims, dims), strict=True):
            if rank < dims:
                return f"the covariance of {side.name} has rank {rank} of {dims}: some dims depend on others"
        transport = Transport.between(*(g.covariance for g in self.scaled))
        if transport is None:
            return "the covariances are singular apart from rounding: some dims depend on others"
        try:
            return swept(self.sides, self.scaled, transport)
        except Singular as error:
            return f"without row {error.row} of {self.sides[error.side].name} its covariance is singular"

    def one_population(self, influences: list[Matrix]) -> tuple[Law, float, float, float] | str:
        """Return what holds if both sides come from one population, or the reason why that is not known.

        These are the law of the second-order distance, its value here, the noise floor, and the part of the noise floor
        that the jackknife does not see.

        The mean over all labellings is known exactly of the second-order distance only. Its difference to the Fréchet
        distance varies little, and is taken from one new labelling. So is what the jackknife misses.
        """
        x, y = self.sides
        kernel = Kernel.of_both((x.n, y.n), self.scaled)
        order = np.argsort(np.concatenate(influences))  # the same for any order of the given rows
        relabelled = Relabelled.of(self.sides, order)
        diagonal = np.concatenate([kernel.diagonal(rows) for side in self.sides for _, rows in side.blocks()])
        law = Law.of(kernel, diagonal, order, self._taken, 1 / x.n + 1 / y.n)
        again = [gaussian_of(side.moments) for side in relabelled]
        floor = law.mean + distance(*again).value - kernel.statistic([side.n for side in relabelled], again)
        transport = Transport.between(*(g.covariance for g in again))
        if transport is None:
            return "a covariance is nearly singular if the rows of both sides are dealt anew"
        try:
            unseen = floor - _jackknife_bias(swept(relabelled, again, transport))
        except Singular:
            return "a covariance is singular without one row if the rows of both sides are dealt anew"
        return law, kernel.statistic((x.n, y.n), self.scaled), floor, unseen

    def _taken(self, indices: NDArray[np.intp]) -> Matrix:
        """Return some of all rows, those of x first."""
        x, y = self.sides
        rows = np.empty((len(indices), x.dims))
        of_x = indices < x.n
        rows[of_x] = x.taken(indices[of_x])
        rows[~of_x] = y.taken(indices[~of_x] - x.n)
        return rows


def _scaled(gaussian: Gaussian, exponent: int) -> Gaussian:
    return Gaussian(np.ldexp(gaussian.mu, -exponent), np.ldexp(gaussian.covariance, -2 * exponent))


def _jackknife_bias(values: list[Values]) -> float:
    return sum((len(value.change) - 1) * float(value.change.mean()) for value in values)


def _variance(values: list[Values], second_order: float) -> float:
    """Return the variance of the corrected distance.

    Both the jackknife's variance and that of the held-out influences hold the second-order part twice (Efron & Stein
    1981), so it is subtracted once, and at least that part is left. With few rows per dim, the first is too small for
    sides that differ, and the second too large for sides that do not (bench/coverage_fid.py): their mean is taken.
    """
    both = 0.0
    for value in values:
        n = len(value.change)
        both += float((n - 1) ** 2 * value.change.var(ddof=1) + value.held_out.var(ddof=1)) / (2 * n)
    return max(both - second_order, min(both, second_order))
