"""Unbiased estimates of a squared maximum mean discrepancy with the cubic kernel, and of the estimate's variance."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .. import _core

LEAST_FOR_VARIANCE = 4  # rows a side; the variance is estimated from groups of four different ones

Matrix = NDArray[np.float32] | NDArray[np.float64]
Vector = NDArray[np.float64]


class _Sums(NamedTuple):
    """Sums over a matrix of kernel values: of each row, of each column, and of the squares."""

    rows: Vector
    columns: Vector
    squares: float


class PairSums(NamedTuple):
    """The sums over all pairs of two sets of rows: within each, without pairs of a row with itself, and across."""

    xx: _Sums
    yy: _Sums
    xy: _Sums

    @classmethod
    def of(cls, x: Matrix, y: Matrix) -> Self:
        """Return the sums of two sets, (n, d) and (m, d), both float32 or both float64."""
        return cls(_sums(x, x, same=True), _sums(y, y, same=True), _sums(x, y))

    @property
    def value(self) -> float:
        """The squared maximum mean discrepancy, unbiased; it may be negative."""
        n, m = len(self.xx.rows), len(self.yy.rows)
        of_x, of_y = self.xx.rows.sum() / (n * (n - 1)), self.yy.rows.sum() / (m * (m - 1))
        return float(of_x + of_y - 2 * (self.xy.rows.sum() / (n * m)))

    @property
    def variance(self) -> float:
        """The variance of `value`, unbiased, so that it may be negative; NaN below 4 rows a side."""
        xx, yy, xy = self
        n, m = len(xx.rows), len(yy.rows)
        if min(n, m) < LEAST_FOR_VARIANCE:
            return float("nan")
        first = 4 * _first_order(xx, xy.rows, xy, m) / n + 4 * _first_order(yy, xy.columns, xy, n) / m
        second = 2 * _second_order(xx) / (n * (n - 1)) + 2 * _second_order(yy) / (m * (m - 1))
        return float(first + second + 4 * _second_order_across(xy) / (n * m))


def mmd(x: Matrix, y: Matrix) -> tuple[float, float]:
    """Unbiased estimate of the squared maximum mean discrepancy, and of the variance of that estimate.

    Parameters
    ----------
    x, y : ndarray, shape (n, d) and (m, d), both float32 or both float64
        C-contiguous, n and m at least 2; may be memory-mapped and read-only.

    Returns
    -------
    value : float
        May be negative.
    variance : float
        Unbiased, so it may be negative; NaN below 4 rows a side.
    """
    sums = PairSums.of(x, y)
    return sums.value, sums.variance


def _sums(x: Matrix, y: Matrix, *, same: bool = False) -> _Sums:
    """Sum the kernel over all pairs, without those of an image with itself if both sets are the same."""
    return _Sums(*_core.polynomial_sums(x, y, same))


# Below, h(x) is the mean of k(x, .) under one distribution; products of means are estimated over different images, so
# that each estimate is unbiased.


def _first_order(own: _Sums, across: Vector, xy: _Sums, m: int) -> float:
    """Variance over x of h(x) under x's distribution minus h(x) under the other's; m images in the other set."""
    n, s, t = len(own.rows), own.rows.sum(), across.sum()
    other = xy.columns if across is xy.rows else xy.rows
    both = own.rows @ across
    squared = (own.rows @ own.rows - own.squares) / (n * (n - 1) * (n - 2))
    squared += (across @ across - xy.squares) / (n * m * (m - 1)) - 2 * both / (n * (n - 1) * m)
    mean = (s**2 - 4 * own.rows @ own.rows + 2 * own.squares) / (n * (n - 1) * (n - 2) * (n - 3))
    mean += (t**2 - across @ across - other @ other + xy.squares) / (n * (n - 1) * m * (m - 1))
    mean -= 2 * (s * t - 2 * both) / (n * (n - 1) * (n - 2) * m)
    return float(squared - mean)


def _second_order(own: _Sums) -> float:
    """Variance of k(x, x') that neither x nor x' explains."""
    n, s, of_rows = len(own.rows), own.rows.sum(), own.rows @ own.rows
    one = own.squares / (n * (n - 1)) - 2 * (of_rows - own.squares) / (n * (n - 1) * (n - 2))
    return float(one + (s**2 - 4 * of_rows + 2 * own.squares) / (n * (n - 1) * (n - 2) * (n - 3)))


def _second_order_across(xy: _Sums) -> float:
    """Variance of k(x, y) that neither x nor y explains."""
    n, m, s = len(xy.rows), len(xy.columns), xy.rows.sum()
    of_rows, of_columns = xy.rows @ xy.rows, xy.columns @ xy.columns
    one = xy.squares / (n * m) - (of_rows - xy.squares) / (n * m * (m - 1))
    one -= (of_columns - xy.squares) / (n * (n - 1) * m)
    return float(one + (s**2 - of_rows - of_columns + xy.squares) / (n * (n - 1) * m * (m - 1)))
