"""Whether two sets of rows come from one population, and what their distance would be if they did.

If S1 = S2 = S, with eigenvalues l, the Fréchet distance is to second order

    |m1 - m2|² + ½ Σ_ij (S1 - S2)_ij² / (l_i + l_j)   in the eigenbasis of S:

a squared maximum mean discrepancy |mean of f(x) - mean of f(y)|² (Gretton et al. 2012, "A kernel two-sample test") with
the kernel k(z, z') = f(z)·f(z') = z·z' + ½ Σ_ij (z_i z_j - S_ij)(z'_i z'_j - S_ij) / (l_i + l_j). With h = z ∘ z' the
second term is ½ (hᵀ W h - ½ |z|² - ½ |z'|² + ½ tr S), W_ij = 1 / (l_i + l_j). Since 1 / l = ∫ exp(-t l) dt over t > 0,

    hᵀ W h = ∫ (Σ_i h_i exp(-t l_i))² dt,

which takes as many sums as the integral has nodes, not d. In u = log t, the integrand is analytic for |Im u| < π / 2,
so the trapezoidal rule converges exponentially. It falls as exp(u) to the left, where the terms outside the nodes are a
geometric series, and faster than any exponential to the right.

S and the mean are those of all rows together, so that a permutation of the labels leaves k as it is. Under "same
population" all labellings are equally likely, so the mean of the statistic is exactly (1/n + 1/m) Σ k(z, z) / (N - 1).
Its variance is 2 (1/n + 1/m)² tr C² and its third central moment 8 (1/n + 1/m)³ tr C³, C the covariance of f: it is a
sum of weighted chi-squares. tr C² is the mean of k(z, z')², tr C³ that of k(z, z') k(z', z'') k(z'', z). Rows are drawn
with weights k(z, z): then the terms are powers of cosines, which no heavy tail can make noisy. A chi-square with these
three moments gives the p-value (Pearson 1959, "Note on an approximation to the distribution of non-central χ²").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from statistics import NormalDist
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .frechet import Gaussian

Matrix = NDArray[np.float64]
Indices = NDArray[np.intp]
_DRAWS = 4096  # rows drawn for the moments
_SHIFTS = 8  # pairs per drawn row
_STEP = 0.35  # error of the trapezoidal rule: 2e-11
_REACH = 14.0  # how far the nodes go below the largest eigenvalue, in powers of e
_MOST_SKEW = 8**0.5  # of a chi-square with one degree of freedom


@dataclass(frozen=True)
class Kernel:
    """The kernel of all rows together."""

    mean: Matrix
    eigenvalues: Matrix
    vectors: Matrix

    @classmethod
    def of_both(cls, ns: Sequence[float], sides: Sequence[Gaussian]) -> Self:
        """Return the kernel of all rows of two sides of full rank; an exactly known side has infinitely many."""
        shares = [float(n == inf) for n in ns] if inf in ns else [n / sum(ns) for n in ns]
        apart = sides[0].mu - sides[1].mu
        covariance = shares[0] * shares[1] * np.outer(apart, apart)
        for n, share, side in zip(ns, shares, sides, strict=True):
            covariance += share * (1 - 1 / n) * side.covariance
        return cls(shares[0] * sides[0].mu + shares[1] * sides[1].mu, *np.linalg.eigh(covariance))

    @cached_property
    def _nodes(self) -> tuple[Matrix, Matrix]:
        """The exponentials (nodes, d) of the integral, and the weights of its nodes."""
        least, largest = self.eigenvalues[[0, -1]]
        u = np.arange(-np.log(2 * largest) - _REACH, np.log(16 / least) + _STEP, _STEP)
        weights = np.exp(u) * _STEP
        weights[0] /= -np.expm1(-_STEP)
        return np.exp(-np.exp(u)[:, None] * self.eigenvalues), weights

    def coordinates(self, rows: Matrix) -> Matrix:
        """Return rows (k, d) in the eigenbasis."""
        z: Matrix = (rows - self.mean) @ self.vectors
        return z

    def of_pairs(self, z: Matrix, other: Matrix) -> Matrix:
        """Return the kernel of each row with the same row of `other`, both in the eigenbasis."""
        h = z * other
        lengths = np.square(z).sum(axis=1) + np.square(other).sum(axis=1)
        exponentials, weights = self._nodes
        return self._of(h.sum(axis=1), lengths, np.square(h @ exponentials.T) @ weights)

    def diagonal(self, rows: Matrix) -> Matrix:
        """Return k(z, z) of each row."""
        exponentials, weights = self._nodes
        table = np.concatenate([exponentials, np.ones((1, len(self.eigenvalues)))])
        sums = _core.squares_of_coordinates(rows, self.mean, np.ascontiguousarray(self.vectors.T), table)
        length = sums[:, -1]
        return np.maximum(self._of(length, 2 * length, np.square(sums[:, :-1]) @ weights), 0.0)

    def _of(self, product: Matrix, lengths: Matrix, form: Matrix) -> Matrix:
        value: Matrix = product + form / 2 - lengths / 4 + self.eigenvalues.sum() / 4
        return value

    def statistic(self, ns: Sequence[float], sides: Sequence[Gaussian]) -> float:
        """Return the second-order distance of two sides."""
        seconds = []  # moments about the common mean
        for n, side in zip(ns, sides, strict=True):
            shift = side.mu - self.mean
            seconds.append((1 - 1 / n) * side.covariance + np.outer(shift, shift))
        apart = sides[0].mu - sides[1].mu
        difference = self.vectors.T @ (seconds[0] - seconds[1]) @ self.vectors
        weights = 1 / np.add.outer(self.eigenvalues, self.eigenvalues)
        return float(apart @ apart + np.sum(np.square(difference) * weights) / 2)


class Pairwise(Protocol):
    """A kernel, centred in the population of all rows together."""

    def coordinates(self, rows: Matrix) -> Matrix:
        """Return rows in the form that `of_pairs` takes."""

    def of_pairs(self, z: Matrix, other: Matrix) -> Matrix:
        """Return the kernel of each row with the same row of `other`."""


@dataclass(frozen=True)
class _Weights:
    """Means of powers of a row's weight w in the statistic Σ_ij w_i w_j k(z_i, z_j), and of v, by which w² varies.

    With the statistic's terms i = j, v_i k(z_i, z_i), and the others, w_i w_j k(z_i, z_j), its third power has products
    with a mean that is not zero: v³, v² w² w, v w² w, w² w² w² and w³ w³ (each for different rows).
    """

    square: float  # w²
    cube: float  # w³, which is also v w
    own_square: float  # v²
    own_cube: float  # v³
    both: float  # v w²

    @classmethod
    def of(cls, counts: Sequence[float], *, pooled: bool) -> Self:
        """Return those of all ways to label the rows, or the one that a row has beside a known side.

        Beside a known side v is left out: it would vary with the rows, and a set with a few rows far out has both a
        larger statistic and a larger estimate of that (bench/coverage.py --second inf).
        """
        if not pooled:
            return cls(1 / min(counts) ** 2, 0.0, 0.0, 0.0, 0.0)
        w, shares = np.array([1, -1]) / counts, np.array(counts) / sum(counts)
        square = shares @ w**2
        v = w**2 - square
        return cls(*(float(shares @ power) for power in (w**2, w**3, v**2, v**3, v * w**2)))


@dataclass(frozen=True)
class Law:
    """The first three moments of the statistic if both sides come from one population."""

    mean: float
    variance: float
    skewness: float

    @classmethod
    def of(
        cls,
        kernel: Pairwise,
        diagonal: Matrix,
        order: Indices,
        take: Callable[[Indices], Matrix],
        counts: Sequence[float],
        *,
        pooled: bool = True,
        unbiased: bool = False,
    ) -> Self:
        """Return the law; `diagonal` is k(z, z) of all rows, `take` returns rows by their indices.

        `order` is an order of the rows that does not depend on the order in which they were given. `pooled` says that
        the kernel's mean and covariance are those of these rows; otherwise they are those of an exactly known side.
        An `unbiased` statistic leaves out the pairs of a row with itself.
        """
        n, average = len(diagonal), float(diagonal.mean())
        own = diagonal - average
        rng = np.random.RandomState(0)
        chosen = order[rng.choice(n, _DRAWS, p=diagonal[order] / diagonal.sum())]
        z, length = kernel.coordinates(take(chosen)), np.sqrt(diagonal[chosen])
        cosines, pairs, share = {}, [], own[chosen] / length
        for shift in range(1, _SHIFTS + 1):
            other = np.roll(length, -shift)
            cosine = kernel.of_pairs(z, np.roll(z, -shift, axis=0)) / (length * other)
            cosines[shift] = c = np.where(chosen == np.roll(chosen, -shift), 0.0, cosine)
            pairs.append([c**2, c**3 * length * other, c**2 * own[chosen], c * share * np.roll(share, -shift)])
        square, cube, with_own, of_own = np.mean(pairs, axis=(0, 2))
        cycle = np.mean([np.mean(cosines[k] * np.roll(cosines[k], -k) * cosines[2 * k]) for k in range(1, 5)])
        w = _Weights.of(counts, pooled=pooled)
        total = n * average
        variance = 2 * (w.square * total) ** 2 * square
        third = 8 * (w.square * total) ** 3 * cycle + 4 * (w.cube * total) ** 2 * cube
        if unbiased:
            return cls(0.0, float(variance), float(third / variance**1.5))
        variance += w.own_square * n * np.square(own).mean()
        third += w.own_cube * n * (own**3).mean() + 6 * (w.cube * total) ** 2 * of_own
        third += 12 * w.both * w.square * total**2 * with_own
        mean = w.square * total * (n / (n - 1) if pooled else 1)
        return cls(mean, float(variance), float(third / variance**1.5))

    def apart(self, value: float, slope: float) -> "Law":
        """Return the law if the populations are `value` apart and the variance grows by `slope` times as much.

        The estimate is |u|² less its mean under one population, where u has the mean D with |D|² = `value` and the
        covariance M. Its variance is 2 tr M² + 4 D·MD, so D·MD is value slope / 4, and its third central moment is
        8 tr M³ + 24 |MD|². Of the last term this takes the least that D·MD allows, 24 (D·MD)² / |D|².
        """
        variance = self.variance + slope * value
        third = self.skewness * self.variance**1.5 + 1.5 * slope**2 * value
        return Law(self.mean + value, variance, third / variance**1.5)

    def p_value(self, value: float) -> float:
        """Return the probability of a statistic of at least `value`."""
        return NormalDist().cdf(-self.score(value))

    def score(self, value: float) -> float:
        """Return the quantile of the standard normal distribution that corresponds to `value`.

        It is minus infinity for a value that the chi-square does not reach.
        """
        z = (value - self.mean) / float(self.variance**0.5)
        skewness = min(self.skewness, _MOST_SKEW)
        if skewness > 0.01:  # cube roots of chi-squares are nearly normal (Wilson & Hilferty 1931)
            degrees = 8 / skewness**2
            root = float(max(0.0, 1 + z * (2 / degrees) ** 0.5) ** (1 / 3))
            if not root:
                return -inf
            z = (root - 1 + 2 / (9 * degrees)) / (2 / (9 * degrees)) ** 0.5
        return z
