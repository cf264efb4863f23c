"""Rows of features, read in blocks several times."""

from collections.abc import Iterator
from copy import copy
from math import inf
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import numbers, require_finite
from ..errors import InputError
from ..fit import Fit
from .frechet import Gaussian, gaussian_of
from .moments import MOMENTS, Statistics
from .rows import ROWS, Rows

_BLOCK = 64 << 20  # bytes in float64

Matrix = NDArray[np.float64]


class Given:
    """One side, as a caller gave it: a Gaussian, and the rows that it was fitted to unless the side is `fixed`.

    Attributes
    ----------
    n : int or None
        Number of rows, as far as it is known.
    count : float
        Number of rows that the side varies with: infinity if it is fixed.
    """

    def __init__(self, name: str, gaussian: Gaussian, n: int | None, matrix: "NDArray[Any] | None") -> None:
        self.name, self.gaussian, self.n, self._matrix = name, gaussian, n, matrix
        self.dims, self.fixed, self._exponent = gaussian.mu.size, matrix is None, 0

    @classmethod
    def of(cls, value: Any, name: str) -> Self:
        """Check a side; its moments are computed unless it is a `Fit` that has them."""
        if isinstance(value, Fit):
            rows, statistics = value.get(ROWS), value.get(MOMENTS)
            value = rows if isinstance(rows, Rows) else statistics
            if isinstance(rows, Rows) and isinstance(statistics, Statistics):
                return cls(name, statistics.gaussian(), len(rows.matrix), rows.matrix)
            if value is None:
                raise InputError(f"{name} is a Fit without features; a Fit of metrics=['fid', 'kid'] has them")
        if isinstance(value, Statistics):
            return cls(name, value.gaussian(), value.n, value.rows)
        matrix = value.matrix if isinstance(value, Rows) else numbers(value, name)
        if matrix.ndim != 2 or not matrix.size:
            raise InputError(f"{name} must have 2 dimensions and rows, got shape {matrix.shape}")
        if len(matrix) < 2:
            raise InputError(f"{name} needs at least 2 rows, got {len(matrix)}")
        moments = _core.Moments(matrix.shape[1])
        for first, block in _blocks(matrix):
            require_finite(block, f"{name} from row {first} on" if first else name)
            moments.update(block)
        return cls(name, gaussian_of(moments), len(matrix), matrix)

    @property
    def bits(self) -> tuple[int | None, bytes, float]:
        """What is equal for two sides of the same rows in the same order: to read a set twice gives the same bits."""
        return self.n, self.gaussian.mu.tobytes(), self.gaussian.trace()

    def is_coarse(self) -> bool:
        """Whether the rows have other variances than the moments, which were taken before the rows were rounded."""
        if self._matrix is None or self._matrix.dtype != np.float32:
            return False
        squares = np.zeros(self.dims)
        with np.errstate(over="ignore", invalid="ignore"):
            for _, rows in self.blocks():
                squares += np.square(rows - self.gaussian.mu).sum(axis=0)
        variances = np.diagonal(self.gaussian.covariance)
        return not np.allclose(squares / (self.count - 1), variances, rtol=1e-5, atol=0)

    @property
    def count(self) -> float:
        """The number of rows, or infinity."""
        return inf if self._matrix is None else len(self._matrix)

    def scaled(self, exponent: int) -> Self:
        """Return the side with its rows divided by 2**exponent."""
        result = copy(self)
        result._exponent = exponent
        g = self.gaussian
        result.gaussian = Gaussian(np.ldexp(g.mu, -exponent), np.ldexp(g.covariance, -2 * exponent))
        return result

    def blocks(self) -> Iterator[tuple[int, Matrix]]:
        """Yield the index of the first row, and rows in float64."""
        assert self._matrix is not None
        for first, rows in _blocks(self._matrix):
            yield first, self._float64(rows)

    def taken(self, where: NDArray[np.intp]) -> Matrix:
        """Return some rows."""
        assert self._matrix is not None
        return self._float64(self._matrix[where])

    def _float64(self, rows: "NDArray[Any]") -> Matrix:
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        return np.ldexp(rows, -self._exponent) if self._exponent else rows


def rows_at_once(dims: int) -> int:
    """Return how many rows of a block fit the memory for it."""
    return max(1, _BLOCK // (8 * dims))


def _blocks(matrix: "NDArray[Any]") -> Iterator[tuple[int, Matrix]]:
    step = rows_at_once(matrix.shape[1])
    for first in range(0, len(matrix), step):
        yield first, np.ascontiguousarray(matrix[first : first + step], dtype=np.float64)
