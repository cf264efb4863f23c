"""What a Fréchet distance loses with each row: exact leave-one-out distances of all rows from one matrix product.

Let S1 = L1 L1ᵀ, S2 = L2 L2ᵀ and L1ᵀ L2 = A s Bᵀ. With P = L2 B s^-½ and Q = L1 A s^-½, the rows a = Pᵀ(x - m1) and
b = Qᵀ(y - m2) both have the covariance diag(s). P Pᵀ is the map T of the optimal transport from the first Gaussian to
the second, Q Qᵀ is its inverse, and tr sqrt(S1 S2) is the sum of s.

Without the row x, the covariance of the others is k² (S1 - r (x - m1)(x - m1)ᵀ), where r = n / (n - 1)² and
k² = (n - 1) / (n - 2). For the root of a matrix that changes by a product of rank one,

    tr sqrt(M - r w wᵀ) = tr sqrt(M) + (1 / π) ∫ log(1 - r p(t)) dt,   p(t) = wᵀ (M + t²)⁻¹ w,   t from 0 to infinity,

since sqrt(e) = (1 / π) ∫ log(1 + e / t²) dt for each eigenvalue e, and by the determinant lemma. Here M = diag(s²) and
w = sqrt(s) a. In u = log t, the integrand is analytic for |Im u| < π / 2 and falls as exp(-|u|), so the trapezoidal
rule converges as exp(-π² / step) (Trefethen & Weideman 2014, "The exponentially convergent trapezoidal rule"). Outside
the nodes its terms are a geometric series, which is in the weights of the first and the last node. The derivative by r
gives the map T without the row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .frechet import Gaussian

Matrix = NDArray[np.float64]

_STEP = 0.4  # error of the trapezoidal rule: 4e-11
_REACH = 14.0  # how far the nodes go beyond the singular values, in powers of e
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
class Values:
    """Three values of each row.

    `influence` is the first-order share: the Kantorovich potential of the two Gaussians, centred. `change` is the
    distance without the row, minus the distance. `held_out` is the influence by the two Gaussians without the row.
    """

    influence: Matrix
    change: Matrix
    held_out: Matrix

    def variance(self, n: float) -> float:
        """Return the variance that n such rows give the distance; its second-order part is in it twice.

        It is the mean of the jackknife's (Efron & Stein 1981) and that of the held-out influences. With few rows per
        dim, the first is too small for sides that differ, and the second too large for sides that do not.
        """
        return float((n - 1) ** 2 * self.change.var(ddof=1) + self.held_out.var(ddof=1)) / (2 * n)

    @classmethod
    def joined(cls, parts: "Sequence[Values]") -> Self:
        """Return the values of several blocks of rows."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


class Singular(Exception):  # noqa: N818 - a finding about the data, not an error
    """Without one row, the covariance of a side (0 or 1) is singular."""

    def __init__(self, side: int, row: int) -> None:
        super().__init__(side, row)
        self.side, self.row = side, row


class Blocks(Protocol):
    """The rows of a side, in blocks, each with the index of its first row."""

    @property
    def count(self) -> float:
        """Their number."""

    def blocks(self) -> Iterator[tuple[int, Matrix]]:
        """Yield all rows."""


def swept(sides: Sequence[Blocks | None], gaussians: Sequence[Gaussian], transport: Transport) -> list[Values | None]:
    """Return the values of all rows of both sides, which have these Gaussians; raise `Singular`.

    A side without rows is None, and so are its values.
    """
    found: list[Values | None] = []
    for i, side in enumerate(sides):
        if side is None:
            found.append(None)
            continue
        sweep = Sweep.of(i, int(side.count), gaussians, transport)
        found.append(Values.joined([sweep.values(i, first, rows) for first, rows in side.blocks()]))
    return found


class Sweep:
    """Computes the values of one side's rows."""

    def __init__(self, n: int, gaussian: Gaussian, difference: Matrix, own: Matrix, s: Matrix) -> None:
        self._n, self._mean, self._difference, self._s = n, gaussian.mu, difference, s
        self._directions = np.ascontiguousarray(own.T)
        self._trace = float(np.trace(gaussian.covariance))
        first, last = np.log(s[-1]) - _REACH, np.log(s[0]) + _REACH
        u = np.linspace(first, last, int((last - first) / _STEP) + 2)
        self._t = np.exp(u)
        step = u[1] - u[0]
        self._weights = self._t * step / np.pi
        self._weights[[0, -1]] /= -np.expm1(-step)
        resolvent = s / (self._t[:, None] ** 2 + s**2)  # of a², since w² = s a²
        self._table = np.concatenate([resolvent, np.ones((1, len(s)))])

    @classmethod
    def of(cls, side: int, n: int, gaussians: Sequence[Gaussian], transport: Transport) -> Self:
        """Return the sweep of one of two sides, of n rows."""
        difference = gaussians[side].mu - gaussians[1 - side].mu
        return cls(n, gaussians[side], difference, (transport.to_x, transport.to_y)[side], transport.s)

    def values(self, side: int, first: int, rows: Matrix) -> Values:
        """Return the values of rows (k, d) from row `first` of the side on."""
        n, trace, total = self._n, self._trace, float(self._s.sum())
        f, r, k = n / (n - 1), n / (n - 1) ** 2, ((n - 1) / (n - 2)) ** 0.5
        x = rows - self._mean
        length, along = np.square(x).sum(axis=1), x @ self._difference
        sums = _core.squares_of_coordinates(rows, self._mean, self._directions, self._table)
        p, mapped = sums[:, :-1], sums[:, -1]
        left = 1 - r * p[:, 0]  # of the covariance in the direction of the row
        if left.min() < _SINGULAR:
            raise Singular(side, first + int(np.argmin(left)))
        root = k * (total + np.log1p(-r * p) @ self._weights)  # of the other rows, and so are those below
        others = trace * (n - 1) / (n - 2) - n / ((n - 1) * (n - 2)) * length
        mapped_by_others = 2 / k * f * f * ((p / (1 - r * p)) @ self._weights)
        influence = 2 * along + length - mapped - (trace - total) / f
        change = length / (n - 1) ** 2 - 2 * along / (n - 1) + others - trace - 2 * (root - total)
        held_out = 2 * f * (along - length / (n - 1)) + f * f * length - mapped_by_others - others + root
        return Values(influence, change, held_out)
