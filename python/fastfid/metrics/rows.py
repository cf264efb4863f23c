"""An accumulator that keeps the feature rows themselves."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Accumulator, check_version


class Rows(Accumulator):
    """All rows, in order, as float32: 8 KiB per image at 2048 dims.

    Parameters
    ----------
    dims : int
        Length of a row.
    """

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self._parts: list[NDArray[np.float32]] = []

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The rows, shape (n, dims)."""
        if len(self._parts) != 1:
            self._parts = [np.concatenate([np.empty((0, self.dims), np.float32), *self._parts])]
        return self._parts[0]

    def update(self, rows: NDArray[np.float32], /) -> "Rows":
        """Add rows (k, dims)."""
        self._parts.append(np.array(rows, dtype=np.float32))
        return self

    def merge(self, other: "Rows", /) -> "Rows":
        """Add the rows of another."""
        self._parts += other._parts
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {"version": self.version, "dims": self.dims, "rows": self.matrix}

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(self, state)
        self.dims, self._parts = state["dims"], [state["rows"]]
