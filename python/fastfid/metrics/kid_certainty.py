"""How sure a KID is: its noise, its limits, and whether it differs from that of one population."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .certainty import Certainty
from .limits import limits_of
from .mmd import LEAST_FOR_VARIANCE, Matrix, PairSums
from .same_population import Law

_SIGNIFICANT = 0.02
_LARGEST = 1e90  # of the kernel; its third powers are in the law

Vector = NDArray[np.float64]


def certainty_of(x: Matrix, y: Matrix, sums: PairSums, level: float) -> Certainty:
    """Return the record of two sides with these sums over pairs.

    If both sides come from one population, the law is that of a sum of weighted chi-squares (`Law`), and the unbiased
    estimate of the variance is often far off, or negative: it falls and rises with the KID itself. So the standard
    error is that law's unless p is below 0.02. The limits do not use it. They use the law at each possible KID.
    """
    n, m = len(x), len(y)
    value, facts = sums.value, ((n, m), level, "U-statistic")
    if min(n, m) < LEAST_FOR_VARIANCE:
        why = f"a side has {min(n, m)} images, and the standard error needs at least {LEAST_FOR_VARIANCE}"
        return Certainty(value, *facts, reason=why)
    influences = (
        _centred(sums.xx.rows / (n - 1) - sums.xy.rows / m),
        _centred(sums.yy.rows / (m - 1) - sums.xy.columns / n),
    )
    kernel, diagonal = _Centred.of(x, y, sums)
    if not diagonal.any():
        return Certainty(value, *facts, reason="all images have the same features")
    if diagonal.max() > _LARGEST:
        return Certainty(value, *facts, reason="the features are so large that powers of the variance overflow float64")
    g = 1 / n + 1 / m
    law = Law.of(kernel, diagonal, np.argsort(np.concatenate(influences)), kernel.taken, (n, m), unbiased=True)
    p_value, slope = law.p_value(value), _slope(law, value, influences, g * float(diagonal.mean()))
    low, high = limits_of(
        lambda apart: law.apart(apart, slope).score(value),
        lambda apart: law.apart(apart, slope).variance ** 0.5,
        level,
        value,
    )
    variance = law.variance if p_value >= _SIGNIFICANT else max(law.variance, sums.variance)
    return Certainty(
        value,
        *facts,
        bias=0.0,
        corrected=value,
        noise_floor=0.0,
        standard_error=float(variance**0.5),
        low=low,
        high=high,
        p_value=p_value,
        influence_x=influences[0],
        influence_y=influences[1],
    )


def _centred(half: Vector) -> Vector:
    centred: Vector = 2 * (half - half.mean())
    return centred


def _slope(law: Law, value: float, influences: tuple[Vector, Vector], noise: float) -> float:
    """Return how fast the variance grows with the distance of the populations.

    The variance of the influences over the KID is stable, but pulled towards the null's ratio by the noise. Without
    the noise's share it is not, but too variable near 0, where it is drawn to the null's slope as by a ridge regression
    with the weight `law.variance`. The larger of the two covers (bench/standard_errors.py).
    """
    first_order = sum(float(values.var(ddof=1)) / len(values) for values in influences)
    null = law.skewness * law.variance**0.5  # the slope of the first order against the value, over draws
    drawn = (value * (first_order - 2 * law.variance) + law.variance * null) / (value**2 + law.variance)
    return float(max(first_order / max(value + noise, noise / 2), min(drawn, (8 * law.variance) ** 0.5)))


@dataclass(frozen=True)
class _Centred:
    """The cubic kernel, centred by its means over all rows of both sides.

    A row's form is the row and its mean kernel with all rows, less half of the mean of all.
    """

    x: Matrix
    y: Matrix
    means: Vector

    @classmethod
    def of(cls, x: Matrix, y: Matrix, sums: PairSums) -> "tuple[_Centred, Vector]":
        """Return the kernel, and its value of each row with itself."""
        own = np.concatenate([_with_itself(rows) for rows in (x, y)])
        means = np.concatenate([sums.xx.rows + sums.xy.rows, sums.yy.rows + sums.xy.columns])
        means = (means + own) / len(own)
        means -= means.mean() / 2
        return cls(x, y, means), np.maximum(own - 2 * means, 0.0)

    def taken(self, indices: NDArray[np.intp]) -> Vector:
        """Return the forms of some of all rows, those of the first side first."""
        found, first = np.empty((len(indices), self.x.shape[1] + 1)), indices < len(self.x)
        found[first, :-1] = self.x[indices[first]]
        found[~first, :-1] = self.y[indices[~first] - len(self.x)]
        found[:, -1] = self.means[indices]
        return found

    def coordinates(self, rows: Vector) -> Vector:
        """Return the forms as they are."""
        return rows

    def of_pairs(self, z: Vector, other: Vector) -> Vector:
        """Return the kernel of each row with the same row of `other`."""
        products = np.einsum("ij,ij->i", z[:, :-1], other[:, :-1])
        values: Vector = (products / self.x.shape[1] + 1) ** 3 - z[:, -1] - other[:, -1]
        return values


def _with_itself(rows: Matrix, block: int = 4096) -> Vector:
    parts = [rows[first : first + block].astype(np.float64) for first in range(0, len(rows), block)]
    return np.concatenate([(np.einsum("ij,ij->i", part, part) / rows.shape[1] + 1) ** 3 for part in parts])
