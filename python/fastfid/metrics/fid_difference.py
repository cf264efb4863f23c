"""The difference of two FIDs to one reference: its standard error, and how it falls with the number of images.

The variance follows the same rule as that of one FID (`fid_certainty.Parts.error`), applied to the row values of the
difference: those of each generator, and on the reference the values by one generator minus those by the other. For
generators made from the same seeds, the values of the two images of a seed are subtracted as well.

The second-order part that the rule subtracts is that of the difference. Near "same population" a FID is
|mean of f over A - mean of f over R|² (`same_population`), so in the difference of two

    |f(A)|² - |f(B)|² - 2 f(R)·(f(A) - f(B))

the square of the reference cancels. With C the covariance of f, what is left for A varies by
2 tr C² (1/n² + 2 / (n m)); a FID alone has 2 tr C² (1/n + 1/m)². For paired images the covariances of the two terms,
the mean of k(a_i, a_j) k(b_i, b_j) and of k(a_i, r_j) k(b_i, r_j), are subtracted twice. They are measured on drawn
pairs of rows, the same for all generators.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .feature_blocks import Given
from .fid_certainty import Pair, Parts
from .leave_one_out import Values
from .same_population import Kernel

Matrix = NDArray[np.float64]
_DRAWS = 4096  # pairs of rows
_POWER = NormalDist().inv_cdf(0.8)  # of the chance of 80 % to tell a difference
_LEAST_SHARE = 0.07  # of the first-order variance in difference times second-order deviation
_MOST_IMAGES = 10**8  # more than this count as "no number of images would tell"


@dataclass(frozen=True)
class Measured:
    """A generator's FID, and what its differences to others need: no features, only numbers per row or pair of rows.

    `n` and `m` count the rows of the generator and of the reference, infinitely many if it is exactly known. `among`
    and `across` are the kernels of drawn pairs of the generator's rows, and of its rows with the reference's.
    """

    n: float
    m: float
    parts: Parts
    among: Matrix
    across: Matrix

    @classmethod
    def of(cls, generated: Given, real: Given, *, paired: bool, parts: Parts | None = None) -> "Self | str":
        """Measure a generator, of which `parts` may be known, or return the reason why that is not possible."""
        found = parts or Pair(generated, real).parts()
        if isinstance(found, str):
            return found
        if found.values[0] is None:
            return "it is statistics without the images' features, so that nothing says how much it varies"
        among = across = np.zeros(0)
        if paired:
            among, across = _kernels(*(side.scaled(found.exponent) for side in (generated, real)))
        return cls(generated.count, real.count, found, among, across)

    def values(self, exponent: int) -> list[Values | None]:
        """Return the values of both sides, in units of 4**`exponent`."""
        by = 2 * (self.parts.exponent - exponent)
        return [
            None if v is None else Values(*(np.ldexp(column, by) for column in (v.influence, v.change, v.held_out)))
            for v in self.parts.values
        ]

    def second_order(self, exponent: int) -> tuple[float, float]:
        """Return its part of the second-order variance: of its own rows, and of those with the reference's."""
        whole = float(np.ldexp(self.parts.second_order, 4 * (self.parts.exponent - exponent)))
        share = whole / (1 / self.n + 1 / self.m) ** 2
        return share / self.n**2, 2 * share / (self.n * self.m)


def _kernels(generated: Given, real: Given) -> tuple[Matrix, Matrix]:
    """Return the kernels of drawn pairs: of the generator's rows, and of its rows with the reference's."""
    kernel = Kernel.of_both([generated.count, real.count], [generated.gaussian, real.gaussian])
    draw, n = np.random.RandomState(0).randint, int(generated.count)
    first, later, across = draw(n, size=_DRAWS), draw(1, n, size=_DRAWS), draw(n, size=_DRAWS)
    own = _centred(generated, kernel, first), _centred(generated, kernel, (first + later) % n)
    weights = 1 / np.add.outer(kernel.eigenvalues, kernel.eigenvalues)
    covariances = [kernel.vectors.T @ side.gaussian.covariance @ kernel.vectors for side in (generated, real)]
    among = _of_pairs(weights, own, (covariances[0], covariances[0]))
    if real.fixed:
        return among, np.zeros(0)
    both = _centred(generated, kernel, across), _centred(real, kernel, draw(int(real.count), size=_DRAWS))
    return among, _of_pairs(weights, both, (covariances[0], covariances[1]))


def _centred(side: Given, kernel: Kernel, rows: NDArray[np.intp]) -> Matrix:
    """Return rows about the mean of their own side, in the eigenbasis of the kernel."""
    z: Matrix = (side.taken(rows) - side.gaussian.mu) @ kernel.vectors
    return z


def _of_pairs(weights: Matrix, rows: Sequence[Matrix], covariances: Sequence[Matrix]) -> Matrix:
    """Return z·z' + ½ Σ_ij (z_i z_j - S_ij)(z'_i z'_j - S'_ij) W_ij: the kernel, with each side centred at its own."""
    (z, other), (s, s_other) = rows, covariances
    h = z * other
    lost = (z @ (s_other * weights) * z + other @ (s * weights) * other).sum(axis=1)
    value: Matrix = h.sum(axis=1) + ((h @ weights * h).sum(axis=1) - lost + np.sum(s * s_other * weights)) / 2
    return value


@dataclass(frozen=True)
class Difference:
    """A difference of two corrected FIDs, with the first- and the second-order part of its variance."""

    value: float
    first: float
    second: float

    @classmethod
    def of(cls, a: Measured, b: Measured, *, paired: bool) -> Self:
        """Return the FID of `a` minus that of `b`; both have the same reference."""
        exponent = max(a.parts.exponent, b.parts.exponent)
        (own_a, ref_a), (own_b, ref_b) = a.values(exponent), b.values(exponent)
        assert own_a is not None
        assert own_b is not None
        values = [_minus(own_a, own_b)] if paired else [own_a, own_b]
        if ref_a is not None and ref_b is not None:
            values.append(_minus(ref_a, ref_b))
        (alone_a, with_a), (alone_b, with_b) = a.second_order(exponent), b.second_order(exponent)
        second = alone_a + with_a + alone_b + with_b
        if paired:
            second -= 2 * (alone_a * alone_b) ** 0.5 * _cosine(a.among, b.among)
            second -= 2 * (with_a * with_b) ** 0.5 * _cosine(a.across, b.across)
        shown = sum(value.variance(len(value.change)) for value in values)
        # In a difference less is inflated than in a FID; between that and nothing is close (bench/rank.py).
        inflation = ((a.parts.inflation + b.parts.inflation) / 2) ** 0.5
        excess = max(0.0, shown - 2 * second * inflation)
        second *= inflation**0.5
        corrected = [np.ldexp(one.parts.corrected, 2 * (one.parts.exponent - exponent)) for one in (a, b)]
        found = [corrected[0] - corrected[1], excess, second]
        with np.errstate(over="ignore"):
            value, first, second = np.ldexp(found, [2 * exponent, 4 * exponent, 4 * exponent])
        if not np.isfinite([value, first, second]).all():
            raise InputError("the variance of a difference overflows: the features are too large for float64")
        return cls(float(value), float(first), float(second))

    @property
    def error(self) -> float:
        """The standard error."""
        return float((self.first + self.second) ** 0.5)

    def growth_to_tell(self, z: float) -> float:
        """Return how many times as many images would exceed `z` standard errors with a chance of 80 %; or infinity."""
        wanted = (self.value / (z + _POWER)) ** 2
        if not wanted > 0:
            return inf
        # A true difference has a first-order part, even where the second hides it (bench/rank.py --shares).
        first = max(self.first, _LEAST_SHARE * abs(self.value) * self.second**0.5)
        # first / t + second / t² = wanted, for t times as many images
        return float((first + (first**2 + 4 * wanted * self.second) ** 0.5) / (2 * wanted))


def images_to_tell(difference: Difference, z: float, n: float) -> int | None:
    """Return how many images would tell a difference that `n` do not; None if they do, or if no number would."""
    growth = difference.growth_to_tell(z)
    if abs(difference.value) > z * difference.error or growth * n > _MOST_IMAGES:
        return None
    return ceil(growth * n)


def _minus(one: Values, other: Values) -> Values:
    return Values(one.influence - other.influence, one.change - other.change, one.held_out - other.held_out)


def _cosine(one: Matrix, other: Matrix) -> float:
    """Return the correlation of two kernels over the same pairs; 0 if there are none."""
    return float(one @ other / ((one @ one) * (other @ other)) ** 0.5) if one.any() and other.any() else 0.0
