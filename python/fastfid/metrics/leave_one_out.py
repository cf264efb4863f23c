"""What a Fréchet distance loses with each row: exact leave-one-out distances of all rows from one matrix product.

Let S1 = L1 L1ᵀ, S2 = L2 L2ᵀ and L1ᵀ L2 = A s Bᵀ. With P = L2 B s^-½ and Q = L1 A s^-½, the rows a = Pᵀ(x - m1) and
b = Qᵀ(y - m2) both have the covariance diag(s). P Pᵀ is the map T of the optimal transport from the first Gaussian to
the second, Q Qᵀ is its inverse, and tr sqrt(S1 S2) is the sum of s.

Without the row x, the covariance of the others is k² (S1 - r (x - m1)(x - m1)ᵀ), where r = n / (n - 1)² and
k² = (n - 1) / (n - 2). For the root of a matrix that changes by a product of rank one,

    tr sqrt(M - r w wᵀ) = tr sqrt(M) + (1 / π) ∫ log(1 - r p(t)) dt,   p(t) = wᵀ (M + t²)⁻¹ w,   t from 0 to infinity,

since sqrt(e) = (1 / π) ∫ log(1 + e / t²) dt for each eigenvalue e, and by the determinant lemma. Here M = diag(s²) and
w = sqrt(s) a. In u = log t, the integrand is analytic for |Im u| < π / 2 and falls as exp(-|u|), so the trapezoidal
rule converges as exp(-π² / step) (Trefethen & Weideman 2014, "The exponentially convergent trapezoidal rule"). What
lies outside the nodes is added from the limits of the integrand. The derivative by r gives the map T without the row.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_STEP = 0.4  # error of the trapezoidal rule: 4e-11
_REACH = 14.0  # how far the nodes go beyond the singular values, in powers of e: the rest is 1e-6, and is added
_SINGULAR = 1e-9  # a covariance that keeps less of itself without a row is singular without it


@dataclass(frozen=True)
class Transport:
    """The coordinates in which two covariances are the same diagonal matrix."""

    s: Matrix  # (d,), the singular values
    to_x: Matrix  # P
    to_y: Matrix  # Q

    @classmethod
    def between(cls, s1: Matrix, s2: Matrix) -> Self | None:
        """Return the coordinates, or None if a covariance is not definite in float64."""
        try:
            l1, l2 = np.linalg.cholesky(s1), np.linalg.cholesky(s2)
        except np.linalg.LinAlgError:
            return None
        a, s, bt = np.linalg.svd(l1.T @ l2)
        if not s[-1] > 1e-13 * len(s) * s[0]:
            return None
        root = np.sqrt(s)
        return cls(s, l2 @ bt.T / root, l1 @ a / root)


@dataclass(frozen=True)
class Side:
    """The moments that the values of a side's rows depend on, and its own map."""

    n: int
    mean: Matrix
    trace: float
    difference: Matrix  # of its mean to the other side's
    own: Matrix  # P or Q
    s: Matrix


@dataclass(frozen=True)
class Values:
    """Three values of each row.

    `influence` is the first-order share: the Kantorovich potential of the two Gaussians, centred. `change` is the
    distance without the row, minus the distance. `held_out` is the influence by the two Gaussians without the row.
    """

    influence: Matrix
    change: Matrix
    held_out: Matrix

    @classmethod
    def empty(cls, n: int) -> Self:
        """Return values to be filled in."""
        return cls(np.empty(n), np.empty(n), np.empty(n))


class Singular(Exception):  # noqa: N818 - a finding about the data, not an error
    """Without one row, a covariance is singular."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


class Sweep:
    """Computes the values of one side, block by block."""

    def __init__(self, side: Side) -> None:
        self._side = side
        first, last = np.log(side.s[-1]) - _REACH, np.log(side.s[0]) + _REACH
        u = np.linspace(first, last, int((last - first) / _STEP) + 2)
        self._t = np.exp(u)
        self._weights = self._t * (u[1] - u[0]) / np.pi
        self._weights[[0, -1]] /= 2
        self._resolvent = side.s[:, None] / (self._t**2 + side.s[:, None] ** 2)  # of a², since w² = s a²

    def fill(self, values: Values, first: int, rows: Matrix) -> None:
        """Compute the values of rows (k, d), which begin at row `first` of the side; raise `Singular`."""
        side, n = self._side, self._side.n
        x = rows - side.mean
        squares = np.square(x @ side.own)
        length = np.einsum("ij,ij->i", x, x)
        along = x @ side.difference
        total, r, k = float(side.s.sum()), n / (n - 1) ** 2, np.sqrt((n - 1) / (n - 2))
        p = squares @ self._resolvent
        kept = 1 - r * p
        if (kept[:, 0] < _SINGULAR).any():
            raise Singular(first + int(np.argmin(kept[:, 0])))
        root = k * (total + self._integral(np.log1p(-r * p), -r * squares @ side.s))
        mapped = 2 / k * (n / (n - 1)) ** 2 * self._integral(p / kept, squares @ side.s)
        trace = side.trace * (n - 1) / (n - 2) - n / ((n - 1) * (n - 2)) * length
        here, f = slice(first, first + len(rows)), n / (n - 1)
        values.influence[here] = 2 * along + length - squares.sum(axis=1) - (side.trace - total) * (n - 1) / n
        values.change[here] = length / (n - 1) ** 2 - 2 * along / (n - 1) + trace - side.trace - 2 * (root - total)
        values.held_out[here] = 2 * f * (along - length / (n - 1)) + f * f * length - mapped - trace + root

    def _integral(self, integrand: Matrix, end: Matrix) -> Matrix:
        """Integrate over t, with what the nodes leave out; the integrand is `end` / t² for large t."""
        inner: Matrix = integrand @ self._weights
        return inner + (integrand[:, 0] * self._t[0] + end / self._t[-1]) / np.pi
