"""Rows of features, read in blocks several times."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import numbers, require_finite
from ..errors import InputError
from ..fit import Fit
from .base import Need
from .rows import Rows

ROWS = Need("features", Rows)
_BLOCK = 16 << 20  # bytes in float64

Matrix = NDArray[np.float64]


class Given:
    """The rows of one side, as a caller gave them; its moments are computed at once.

    Rows are returned in float64, divided by 2**exponent.
    """

    def __init__(self, value: Any, name: str) -> None:
        self.name, self.exponent = name, 0
        if isinstance(value, Fit):
            value = _kept(value, name)
        self._matrix = value.matrix if isinstance(value, Rows) else numbers(value, name)
        if self._matrix.ndim != 2 or not self._matrix.size:
            raise InputError(f"{name} must have 2 dimensions and rows, got shape {self._matrix.shape}")
        self.n, self.dims = self._matrix.shape
        if self.n < 2:
            raise InputError(f"{name} needs at least 2 rows, got {self.n}")
        self.moments = _core.Moments(self.dims)
        for first, rows in self.blocks():
            require_finite(rows, f"{name} from row {first} on" if first else name)
            self.moments.update(rows)

    def blocks(self) -> Iterator[tuple[int, Matrix]]:
        """Yield the index of the first row, and rows."""
        step = max(1, _BLOCK // (8 * self.dims))
        for first in range(0, self.n, step):
            yield first, self.taken(slice(first, first + step))

    def taken(self, where: "slice | NDArray[np.intp]") -> Matrix:
        """Return some rows."""
        rows = np.ascontiguousarray(self._matrix[where], dtype=np.float64)
        return np.ldexp(rows, -self.exponent) if self.exponent else rows


def _kept(fit: Fit, name: str) -> Rows:
    rows = fit.get(ROWS)
    if not isinstance(rows, Rows):
        raise InputError(f"{name} is a Fit without its rows; a Fit of metrics=['fid', 'kid'] has them")
    return rows


class Relabelled:
    """The rows of both sides that a new labelling gives to one side."""

    def __init__(self, sides: Sequence[Given], chosen: NDArray[np.bool_]) -> None:
        self._sides, self._chosen = sides, chosen
        self.n = int(chosen.sum())
        self.moments = _core.Moments(sides[0].dims)
        for _, rows in self.blocks():
            self.moments.update(rows)

    @classmethod
    def of(cls, sides: Sequence[Given], order: NDArray[np.intp]) -> "tuple[Relabelled, Relabelled]":
        """Deal the rows of both sides at random, with a fixed seed; the smaller side comes first.

        `order` is an order of all rows. What each new side gets depends on it alone.
        """
        smaller = np.zeros(len(order), dtype=bool)
        dealt = np.random.RandomState(0).permutation(len(order))[: min(side.n for side in sides)]
        smaller[order[dealt]] = True
        return cls(sides, smaller), cls(sides, ~smaller)

    def blocks(self) -> Iterator[tuple[int, Matrix]]:
        """Yield the index of the first row, and rows."""
        seen = done = 0
        for side in self._sides:
            for _, rows in side.blocks():
                found = np.ascontiguousarray(rows[self._chosen[seen : seen + len(rows)]])
                yield done, found
                seen, done = seen + len(rows), done + len(found)
