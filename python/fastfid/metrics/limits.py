"""Confidence limits for a quantity that cannot be negative, from an estimate that can be."""

from collections.abc import Callable
from statistics import NormalDist

_NORMAL = NormalDist()


def limits(estimate: float, error: float, level: float, p_value: float) -> tuple[float, float]:
    """Return the limits for a value of at least 0, given an estimate of it with a normal error.

    These are the unified limits of Feldman and Cousins (1998, "Unified approach to the classical statistical analysis
    of small signals"). Far from 0 they are the usual estimate ± z error. Near 0 they keep the level where cutting the
    usual limits at 0 would exceed it, and they are never empty.

    Whether the value can be 0 is decided by a p-value, which need not suppose a normal error. If it says no where the
    estimate would allow 0, the lower limit is the one that belongs to the p-value, and at most that of z errors.
    """
    x, far = estimate / error, _NORMAL.inv_cdf((1 + level) / 2)
    high = x + far if x >= 0 else _root(lambda t: _lower(t, _upper(t, level)) - x, 0.0, far)
    if 1 - p_value <= level:
        return 0.0, error * high
    if x <= _NORMAL.inv_cdf(level):
        x = min(far, -_NORMAL.inv_cdf(p_value)) if p_value > 0 else far
    low = x - far if x >= 2 * far else _root(lambda t: _upper(t, level) - x, 0.0, x)
    return error * max(0.0, min(low, high)), error * high


def limits_of_distance(
    estimate: float, second: float, first: float, level: float, p_value: float
) -> tuple[float, float]:
    """Return the limits for a distance, whose variance grows with its true value t as ``second + first t``.

    ``2 / first (sqrt(second + first t) - sqrt(second))`` has variance 1 at any t (Bartlett 1947, "The use of
    transformations"), and its limits are transformed back. With the variance at the estimate for all t instead,
    estimates that are too small would also seem too precise, and their upper limits would miss.
    """
    root = second**0.5
    growth = (1 + first * max(estimate, 0.0) / second) ** 0.5  # of the error, from t = 0 to the estimate
    scaled = 2 * max(estimate, 0.0) / (root * (1 + growth)) + min(estimate, 0.0) / root
    scaled += first / (4 * root * growth)  # the transformation is concave, so it lowers the mean
    low, high = limits(scaled, 1.0, level, p_value)
    return low * (root + first * low / 4), high * (root + first * high / 4)


def limits_of(
    score: Callable[[float], float], error: Callable[[float], float], level: float, estimate: float
) -> tuple[float, float]:
    """Return the same limits if the error depends on the value and need not be normal.

    ``score(v)`` is the estimate as a quantile of the standard normal distribution if the value is v, and ``error(v)``
    is its standard error then. A value is within the limits if the score is within those of Feldman and Cousins for
    a value of v / error(v). So 0 is, exactly if the p-value of 0 is at least 1 - `level`.
    """
    unit = error(0.0)

    def above(v: float) -> float:  # grows with v; below 0 while the estimate is too large for v
        t = v * unit / error(v * unit)
        return _upper(t, level) - t - score(v * unit)

    def below(v: float) -> float:  # grows with v; above 0 once the estimate is too small for v
        t = v * unit / error(v * unit)
        return _lower(t, _upper(t, level)) - t - score(v * unit)

    top = 1 + max(0.0, estimate / unit)
    while below(top) < 0:
        top *= 2
    high = _root(below, 0.0, top)
    return unit * (0.0 if above(0.0) >= 0 else _root(above, 0.0, high)), unit * high


def _lower(t: float, upper: float) -> float:
    """Return the estimate whose likelihood ratio for the value t is that of `upper`, on the other side of t."""
    if upper <= 2 * t:
        return 2 * t - upper
    return upper - upper * upper / (2 * t) if t > 0 else -float("inf")


def _upper(t: float, level: float) -> float:
    """Return the largest estimate that is accepted for the value t."""
    return _root(lambda x: _NORMAL.cdf(x - t) - _NORMAL.cdf(_lower(t, x) - t) - level, t, t + 40)


def _root(increasing: Callable[[float], float], low: float, high: float) -> float:
    while high - low > 1e-13 * max(1.0, high):
        middle = (low + high) / 2
        low, high = (middle, high) if increasing(middle) < 0 else (low, middle)
    return high
