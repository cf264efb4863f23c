"""How sure a FID is: its noise, its bias, and whether it differs from that of one population."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import spelled
from ..checks import level_number
from ..errors import InputError
from ..fit import Fit
from .certainty import LEVEL, Certainty
from .feature_blocks import Given
from .frechet import distance
from .leave_one_out import Singular, Transport, Values, swept
from .limits import limits_of_distance
from .moments import Statistics
from .relabelling import Alike, one_population
from .rows import Rows

ROWS_PER_DIM = 3  # below this the corrections fail
LEAST_ROWS = 30
_SURELY_TWO = 1e-3  # p-value
_CONTRADICTED = 1.5  # of twice the second-order variance, which the rows would show for one population


def certainty(
    x: "ArrayLike | Rows | Fit | Statistics", y: "ArrayLike | Rows | Fit | Statistics", *, level: float = LEVEL
) -> Certainty:
    """How sure the FID of two sets of features is.

    The bias and the standard error come from the distances without one row [1]_, exact for each row and all computed
    at once, and from each row's influence under the Gaussians of the other rows. What the bias misses, and what the
    variance counts twice, is measured on a new labelling of the same rows, where the true distance is 0. The confidence
    limits are those of Feldman and Cousins [2]_, which hold their level although a distance cannot be negative, on a
    scale where the error does not depend on the distance.

    The p-value and the noise floor come from the moments of the second-order distance over all ways to divide the same
    rows into two sides [3]_. Rows are drawn with a fixed seed; the order in which they are given has no effect.

    Parameters
    ----------
    x, y : array_like, shape (n, d) and (m, d), or Rows, Fit or Statistics
        Features, one row per image. Memory maps are read in blocks, several times. A side without rows, as
        `Statistics` are, counts as exactly known, and its FIDs are then about that very mean and covariance.
    level : float
        Confidence level of `low` and `high`, from 0.5 to 0.9999.

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
    compare : ``certainty=True`` does the same from images; ``bootstrap=`` gives an interval for any number of images.

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
    level = level_number(level)
    return certainty_of(Given.of(x, "x"), Given.of(y, "y"), level)


def certainty_of(x: Given, y: Given, level: float) -> Certainty:
    """Return the record of two sides."""
    pair = Pair(x, y)
    parts = pair.parts()
    fixed = tuple(name for name, side in zip("ab", pair.sides, strict=True) if side.fixed)
    facts = (pair.distance.value, (x.n, y.n), level, "leave-one-out", fixed)
    if isinstance(parts, str):
        return Certainty(*facts, reason=parts)
    found = [parts.bias, parts.corrected, parts.floor, parts.error]
    found += parts.limits(level)
    bias, corrected, floor, error, low, high = map(float, np.ldexp(found, 2 * parts.exponent))
    if not np.isfinite([bias, corrected, floor, error, low, high]).all():
        raise InputError("the certainty overflows: the features are too large for float64")
    of_x, of_y = (None if v is None else np.ldexp(v.influence, 2 * parts.exponent) for v in parts.values)
    return Certainty(
        *facts,
        bias=bias,
        corrected=corrected,
        noise_floor=None if fixed else floor,
        standard_error=error,
        low=low,
        high=high,
        p_value=parts.p_value,
        influence_x=of_x,
        influence_y=of_y,
        _parts=parts,
    )


@dataclass(frozen=True)
class Parts:
    """What is known about a distance. All of it is divided by 4**`exponent`, so that powers of it stay in range.

    `values` are those of the rows of each side, None for a side that is exactly known. `second_order` is the variance
    that the second-order distance would have if both sides came from one population, and `inflation` how many times as
    large as twice that the variance by the rows would be.
    """

    distance: float
    bias: float
    floor: float
    p_value: float
    second_order: float
    inflation: float
    values: Sequence[Values | None]
    exponent: int

    @property
    def corrected(self) -> float:
        """The distance without its bias."""
        return self.distance - self.bias

    @property
    def null_variance(self) -> float:
        """The variance of the distance if both sides came from one population.

        With few rows per dim, the second-order distance varies less than the distance, and the rows show more. The
        geometric mean of the two is close (bench/coverage.py).
        """
        return float(self.second_order * self.inflation**0.5)

    @property
    def _excess(self) -> float:
        """What the rows show beyond what they would show if both sides came from one population."""
        return float(_shown(self.values) - 2 * self.second_order * self.inflation)

    @property
    def error(self) -> float:
        """The standard error of the corrected distance."""
        return float((self.null_variance + max(self._excess, 0.0)) ** 0.5)

    def limits(self, level: float) -> tuple[float, float]:
        """Return the confidence limits."""
        second, corrected = self.null_variance, max(self.corrected, 0.0)
        # The excess is proportional to the true distance. Half a standard error keeps the quotient in bounds near 0.
        first = max(self._excess + second / 2, second / 4) / (corrected + second**0.5 / 2)
        return limits_of_distance(self.corrected, second, first, level, self.p_value)


class Pair:
    """Both sides. Rows are scaled by a power of two, so that powers of them stay in float64's range."""

    def __init__(self, x: Given, y: Given) -> None:
        if x.dims != y.dims:
            raise InputError(f"x and y must have the same dims, got {x.dims} and {y.dims}")
        self.sides = (x, y)
        self.distance = distance(x.gaussian, y.gaussian)

    def parts(self) -> Parts | str:
        """Return what is known, or the reason why nothing is."""
        dims = self.sides[0].dims
        if all(side.fixed for side in self.sides):
            return (
                "both sides are statistics without their images, so that nothing says how much they vary; give the "
                "images of a side"
            )
        fewest, least = min(self.sides, key=lambda side: side.count), max(ROWS_PER_DIM * dims, LEAST_ROWS)
        if fewest.count < least:
            return (
                f"{fewest.name} has {fewest.n} rows of {dims} dims, and the corrections need at least {least}; "
                f"a comparison with {spelled('bootstrap', 100)} has an interval of the FID for any number of images"
            )
        for side in self.sides:
            if side.is_coarse():
                return (
                    f"the features of {side.name} were kept as float32, which is too coarse for their mean or scale; "
                    "give certainty() the matrices"
                )
        for side in self.sides:
            if constant := int(np.count_nonzero(np.diagonal(side.gaussian.covariance) == 0)):
                return f"{constant} of the {dims} dims of {side.name} are constant; leave them out"
        for side, rank in zip(self.sides, self.distance.rank or (dims, dims), strict=True):
            if rank < dims:
                return f"the covariance of {side.name} has rank {rank} of {dims}: some dims depend on others"
        largest = max(side.gaussian.covariance.max() for side in self.sides)
        return self._scaled(int(np.frexp(largest)[1]) // 2)

    def _scaled(self, exponent: int) -> Parts | str:
        sides = [side.scaled(exponent) for side in self.sides]
        gaussians = [side.gaussian for side in sides]
        transport = Transport.between(*(gaussian.covariance for gaussian in gaussians))
        if transport is None:
            return "the covariances are singular apart from rounding: some dims depend on others"
        try:
            values = swept([None if side.fixed else side for side in sides], gaussians, transport)
        except Singular as error:
            return f"without row {error.row} of {self.sides[error.side].name} its covariance is singular"
        alike = one_population(sides, [v.influence for v in values if v is not None])
        if isinstance(alike, str):
            return alike
        value = float(np.ldexp(self.distance.value, -2 * exponent))
        bias = _jackknife_bias(values) + alike.unseen
        variance, inflation = _second_order(alike, values)
        return Parts(value, bias, alike.floor, alike.p_value, variance, inflation, values, exponent)


def _second_order(alike: Alike, values: Sequence[Values | None]) -> tuple[float, float]:
    """Return the variance of the second-order distance and its inflation, as `Parts` has them.

    They suppose one population. If the sides are surely of two, they may say more than all that the rows vary: beside a
    known side, rows far out in its small directions do. Then the variance is that of the rows, hardly any of it of
    second order (bench/coverage_far.py).
    """
    shown = _shown(values)
    if alike.p_value < _SURELY_TWO and shown < _CONTRADICTED * alike.variance * alike.inflation:
        return shown / 8, 0.5  # of which the rows hold half of twice as much
    return alike.variance, alike.inflation


def _shown(values: Sequence[Values | None]) -> float:
    """Return the variance of the distance by the rows."""
    return sum(v.variance(len(v.change)) for v in values if v is not None)


def _jackknife_bias(values: Sequence[Values | None]) -> float:
    return sum((len(v.change) - 1) * float(v.change.mean()) for v in values if v is not None)
