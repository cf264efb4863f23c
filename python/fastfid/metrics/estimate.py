"""The mean and covariance of rows, either computed by the core or given by the caller."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import InputError
from ..files.reading import failures
from .feature_rows import count_of_rows
from .frechet import Gaussian, gaussian_from_moments

STATE_OF_MOMENTS = ("dims", "folded", "shift", "offset", "m2", "pending")  # the keys of the core's Moments.state()


class Estimate:
    """A mean and covariance to which rows can be added; not thread-safe.

    Parameters
    ----------
    dims : int

    Attributes
    ----------
    n : int or None
        Number of rows; None if mean and covariance were given without it.
    """

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self.n: int | None = 0
        self._moments: _core.Moments | None = _core.Moments(dims)
        self._mu: NDArray[np.float64] | None = None  # the last one computed or given; None when out of date
        self._sigma: NDArray[np.float64] | None = None
        self._given = False  # True if a caller or a file gave both; those of the moments may differ by rounding

    @classmethod
    def of(cls, given: Gaussian, n: int | None, moments: _core.Moments | None = None) -> "Estimate":
        """Return the estimate of a checked mean and covariance, and of the `moments` of their rows if those are known.

        Without `n`, no rows can be added.
        """
        result = cls(given.mu.size)
        result.n, result._moments = None if n is None else count_of_rows(n), moments
        result._give(given)
        return result

    @property
    def mu(self) -> NDArray[np.float64]:
        """Mean, shape (dims,), read-only."""
        if self._mu is None:
            self._require_rows(1)
            self._mu = _frozen(self.moments().mean())
        return self._mu

    @property
    def sigma(self) -> NDArray[np.float64]:
        """Covariance with ddof 1, shape (dims, dims), read-only."""
        if self._sigma is None:
            self._require_rows(2)
            self._sigma = _frozen(self.moments().covariance())
        return self._sigma

    @property
    def rows(self) -> NDArray[np.float32] | NDArray[np.float64] | None:
        """The rows themselves (n, dims) while n ≤ dims, else None."""
        return self._moments.rows() if self._moments is not None and self.n else None

    def gaussian(self) -> Gaussian:
        """Return the Gaussian for the distance, with the rows while they are kept, else with the covariance."""
        self._require_rows(2)
        rows = self.rows
        if rows is None:
            return Gaussian(self.mu, self.sigma)
        return Gaussian(self.mu, rows=np.asarray(rows, dtype=np.float64))

    def moments(self) -> _core.Moments:
        """Return the moments. If they are made from a given mean and covariance, they are not stored."""
        if self._moments is not None:
            return self._moments
        if self.n is None:
            raise InputError("these statistics have no n, the number of rows: nothing can be added to them")
        return _core.Moments.from_moments(self.n, self.mu, self.sigma)

    def require_room(self, more: int) -> None:
        """Raise `InputError` if n is not known, or would become too large with this number of additional rows."""
        count_of_rows(self.moments().count + more, least=0)

    def add(self, rows: NDArray[np.float32] | NDArray[np.float64]) -> None:
        """Add checked rows (k, dims)."""
        self._moments = self.moments()
        try:
            self._moments.update(rows)
        finally:
            self._changed(self._moments)

    def merge(self, other: _core.Moments) -> None:
        """Add the rows of other moments, as if they came next."""
        self._moments = self.moments()
        try:
            self._moments.merge(other)
        finally:
            self._changed(self._moments)

    def settle(self) -> None:
        """Update n after a fork, if the core had added rows for a thread that no longer exists."""
        if self._moments is not None and self._moments.count != self.n:
            self._changed(self._moments)

    def state(self) -> dict[str, Any]:
        """Return the exact state as plain values and arrays, without those that are not known or not kept."""
        state: dict[str, Any] = {"dims": self.dims, "n": self.n}
        if self._moments is not None and self.n:
            state |= self._moments.state()
        if self._given:
            state |= {"mu": self._mu, "sigma": self._sigma}
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Estimate":
        """Restore an estimate from a state; raise `InputError` if the state is damaged."""
        with failures("this state of a mean and covariance is damaged"):
            result = cls(state["dims"])
            result.n = None if state["n"] is None else count_of_rows(state["n"], least=0)
            if "sigma" in state:
                result._give(gaussian_from_moments(state["mu"], state["sigma"], ""))
                result._moments = None
            if "m2" in state:
                result._moments = _core.Moments.from_state(**{name: state[name] for name in STATE_OF_MOMENTS})
            result._require_whole()
        return result

    def _require_whole(self) -> None:
        if self._mu is not None and self._mu.size != self.dims:
            raise ValueError(f"its mean has {self._mu.size} dims, not {self.dims}")
        if self._moments is not None and self._moments.count != self.n:
            raise ValueError(f"it holds {self._moments.count} rows, not {self.n}")

    def _give(self, known: Gaussian) -> None:
        self._mu, self._sigma, self._given = _frozen(known.mu), _frozen(known.covariance), True

    def _changed(self, moments: _core.Moments) -> None:
        self.n, self._mu, self._sigma, self._given = moments.count, None, None, False

    def _require_rows(self, least: int) -> None:
        if self.n is not None and self.n < least:
            raise InputError(f"these statistics need at least {least} rows, they have {self.n}")


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.setflags(write=False)
    return array
