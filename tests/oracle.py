"""The distance in arithmetic of 50 digits, and a grid of cases for it: dims, ranks, scales, conditions."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from mpmath import mp, mpf, workdps

from fastfid.metrics.frechet import Gaussian, gaussian_from_moments, gaussian_from_rows

DIGITS = 50


def matrix(values: Any) -> Any:
    """Return a float64 array as it is."""
    return mp.matrix(np.asarray(values, dtype=np.float64).tolist())


@dataclass
class Exact:
    """One side: its mean, the trace of its covariance, and a factor F of it, S = F F^T."""

    mean: list[Any]
    trace: Any
    factor: Any


@workdps(DIGITS)
def exact_rows(rows: Any) -> Exact:
    """Return the Gaussian of rows, as given."""
    x = matrix(rows)
    n, d = x.rows, x.cols
    mean = [mp.fsum(x[i, j] for i in range(n)) / n for j in range(d)]
    root = mp.sqrt(n - 1)
    factor = mp.matrix([[(x[i, j] - mean[j]) / root for i in range(n)] for j in range(d)])
    return Exact(mean, mp.fsum(v**2 for v in factor), factor)


@workdps(DIGITS)
def exact_moments(mu: Any, sigma: Any) -> Exact:
    """Return the Gaussian with these moments. Eigenvalues below zero are rounding: a covariance cannot mean them."""
    s = matrix(sigma)
    d = s.rows
    scale = max(abs(s[i, i]) for i in range(d)) or mpf(1)
    try:
        factor = mp.cholesky(s / scale)
    except ValueError:  # not definite
        w, q = mp.eigsy(s / scale)
        factor = q * mp.diag([mp.sqrt(max(x, mpf(0))) for x in w])
    return Exact(list(matrix(mu)), mp.fsum(s[i, i] for i in range(d)), factor * mp.sqrt(scale))


@workdps(DIGITS)
def exact_distance(a: Exact, b: Exact) -> Any:
    """|mu1 - mu2|² + tr S1 + tr S2 - 2 tr sqrt(S1 S2): the last is the sum of the singular values of F1^T F2."""
    cross = a.factor.T * b.factor
    gram = cross * cross.T if cross.rows <= cross.cols else cross.T * cross
    scale = max(abs(gram[i, i]) for i in range(gram.rows)) or mpf(1)
    values = mp.eigsy(gram / scale, eigvals_only=True)
    root = mp.sqrt(scale) * mp.fsum(mp.sqrt(max(x, mpf(0))) for x in values)
    means = mp.fsum((x - y) ** 2 for x, y in zip(a.mean, b.mean, strict=True))
    return means + a.trace + b.trace - 2 * root


@workdps(DIGITS)
def error_of(value: float, true: Any) -> float:
    """Return the absolute error of a value."""
    return float(abs(mpf(value) - true))


DIMS = (1, 2, 3, 5, 8, 16, 32)
KINDS = ("rows", "covariances", "rows and a covariance")
RANKS = ("full", "half", "one")
DECADES = (0, 4, 8, 12, 16)
SCALES = (1e-150, 1e-75, 1.0, 1e75, 1e150)


@dataclass(frozen=True)
class Cell:
    """A place of the grid: what the sides are, their ranks, the decades of eigenvalues, the scale of a deviation."""

    dims: int
    kind: str
    rank: str
    decades: int
    scale: float

    def draw(self, rng: np.random.RandomState) -> list[tuple[Gaussian, Exact]]:
        """Draw two sides: their bases equal or not, their spectra alike or reversed, their means apart or not."""
        d = self.dims
        bases = [_basis(d, rng)] * 2 if rng.randint(2) else [_basis(d, rng), _basis(d, rng)]
        spectra = [self._spectrum(rng) for _ in bases]
        if rng.randint(2):
            spectra[1] = spectra[1][::-1]
        rows = [self.kind == "rows", self.kind != "covariances"]
        return [
            self._side(q, w, rng, rows=r) for q, w, r in zip(bases, spectra, rows[:: rng.choice([1, -1])], strict=True)
        ]

    def _spectrum(self, rng: np.random.RandomState) -> Any:
        """Eigenvalues from 1 down over all the decades, then zeros below full rank."""
        d = self.dims
        rank = {"full": d, "half": (d + 1) // 2, "one": 1}[self.rank]
        w = np.zeros(d)
        w[:rank] = 10.0 ** (-self.decades * np.sort(np.concatenate([[0.0, 1.0], rng.random_sample(rank)]))[:rank])
        w[rank - 1] = 10.0**-self.decades if rank > 1 else 1.0
        return w

    def _side(self, q: Any, w: Any, rng: np.random.RandomState, *, rows: bool) -> tuple[Gaussian, Exact]:
        d = self.dims
        mu = rng.standard_normal(d) * rng.choice([0, 1, 100]) * self.scale
        if not rows:
            sigma = (q * w) @ q.T
            sigma = (sigma + sigma.T) / 2 * self.scale**2
            return gaussian_from_moments(mu, sigma, ""), exact_moments(mu, sigma)
        rank = int(np.count_nonzero(w))
        n = max(2, rank + 1 if rank < d else rng.choice([d, 2 * d + 1]))  # no more rows than dims, or more
        x = (rng.standard_normal((n, d)) * np.sqrt(w)) @ q.T * self.scale + mu
        return gaussian_from_rows(x), exact_rows(x)


def _basis(d: int, rng: np.random.RandomState) -> Any:
    return np.linalg.qr(rng.standard_normal((d, d)))[0] if rng.randint(4) else np.eye(d)


def cells() -> Iterator[Cell]:
    """Every cell of the grid."""
    for values in product(DIMS, KINDS, RANKS, DECADES, SCALES):
        yield Cell(*values)
