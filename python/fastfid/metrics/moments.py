"""Statistics: the mean and covariance of a set of features, growing, mergeable, on disk."""

import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core, provenance
from ..checks import numbers, whole_number
from ..errors import InputError, StatisticsMismatch
from ..files.reading import failures
from ..messages import warn
from ..provenance import Provenance
from . import statistics_file
from .feature_rows import SNAPSHOT, require_same, snapshots
from .frechet import Gaussian, gaussian_from_moments

MOST_DIMS = 2**31 - 1  # as LAPACK counts
MOST_ROWS = 2**53 - 1  # as float64 counts


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.setflags(write=False)
    return array


def _count_of_rows(n: Any, least: int = 2) -> int:
    if whole_number("n", n, least) > MOST_ROWS:
        raise InputError(f"n must be below 2^53, got {n}")
    return int(n)


class Statistics:
    """Mean and unbiased covariance of feature rows, in one pass.

    While there are no more rows than dims the rows themselves are kept, beyond that the mean and the centred second
    moment (Chan, Golub & LeVeque 1979): memory does not grow with n. The result does not depend on how the rows were
    batched, to the last bit.

    Parameters
    ----------
    dims : int
        Length of a feature vector.
    provenance : Provenance, optional
        What makes the features; it is saved, and compared before two statistics are.

    Attributes
    ----------
    n : int or None
        Number of rows; None where a foreign file does not say.
    mu : ndarray, shape (dims,), float64
    sigma : ndarray, shape (dims, dims), float64
        Covariance, ddof 1.
    provenance : Provenance or None

    Examples
    --------
    >>> import numpy as np
    >>> from fastfid import Statistics
    >>> s = Statistics(2).update(np.array([[0.0, 1.0], [2.0, 3.0]])).update(np.array([[4.0, 5.0]]))
    >>> s.n, s.mu, s.sigma
    (3, array([2., 3.]), array([[4., 4.],
           [4., 4.]]))
    """

    __module__ = "fastfid"  # the name that pickles hold: the public one, wherever the class lives

    def __init__(self, dims: int, provenance: Provenance | None = None) -> None:
        self.dims = whole_number("dims", dims, 1, MOST_DIMS)
        if provenance is not None and provenance.dims != self.dims:
            raise InputError(f"a provenance of {provenance.dims} dims does not fit statistics of {self.dims}")
        self.provenance = provenance
        self._lock = threading.RLock()  # the core drops the GIL while it works on the moments
        _all.add(self)
        self._moments: _core.Moments | None = _core.Moments(self.dims)
        self._n: int | None = 0
        self._mu: NDArray[np.float64] | None = None  # as computed or loaded last; None once outdated
        self._sigma: NDArray[np.float64] | None = None

    @classmethod
    def from_moments(
        cls, mu: ArrayLike, sigma: ArrayLike, n: int | None = None, provenance: Provenance | None = None
    ) -> "Statistics":
        """Make statistics of a known mean (d,) and covariance (d, d); without `n` they cannot be updated or merged."""
        # Copied first: the caller may go on with these.
        known = gaussian_from_moments(numbers(mu, "mu").copy(), numbers(sigma, "sigma").copy(), "")
        return cls._of(known, n, provenance)

    @classmethod
    def _of(cls, known: Gaussian, n: int | None, made_by: Provenance | None) -> "Statistics":
        result = cls(known.mu.size, made_by)
        result._moments, result._n = None, None if n is None else _count_of_rows(n)
        result._mu, result._sigma = _frozen(known.mu), _frozen(known.covariance)
        return result

    def __repr__(self) -> str:
        made_by = f", {self.provenance.model}, {self.provenance.mode}" if self.provenance else ""
        return f"Statistics(n={self.n}, dims={self.dims}{made_by})"

    @property
    def n(self) -> int | None:
        """Number of rows."""
        return self._n

    @property
    def mu(self) -> NDArray[np.float64]:
        """Mean, shape (dims,), read-only."""
        with self._lock:
            if self._mu is None:
                self._require_rows(1)
                self._mu = _frozen(self._writable().mean())
            return self._mu

    @property
    def sigma(self) -> NDArray[np.float64]:
        """Covariance with ddof 1, shape (dims, dims), read-only."""
        with self._lock:
            if self._sigma is None:
                self._require_rows(2)
                self._sigma = _frozen(self._writable().covariance())
            return self._sigma

    @property
    def rows(self) -> NDArray[np.float32] | NDArray[np.float64] | None:
        """The rows themselves (n, dims) while n ≤ dims, else None."""
        with self._lock:
            return self._moments.rows() if self._moments is not None and self._n else None

    def update(self, features: ArrayLike) -> "Statistics":
        """Add rows.

        They are copied first: what another thread writes into the array meanwhile is not seen. An array of more than
        64 MB is checked first, and then copied block by block: it must not change before `update` returns.

        Parameters
        ----------
        features : array_like, shape (k, dims)
            float32 and float64 are kept as they are; other real types become float64. k may be 0.

        Returns
        -------
        Statistics
            self

        Raises
        ------
        InputError
            Where the shape does not fit or a value is not finite; nothing is added then. Only where an array of more
            than 64 MB changed after it was checked, the blocks before the bad one stay.
        """
        rows = numbers(features, "features")
        if rows.ndim != 2 or rows.shape[1] != self.dims:
            raise InputError(f"features must have shape (n, {self.dims}), got {rows.shape}")
        if rows.nbytes > SNAPSHOT:
            for _ in snapshots(rows):  # all are finite before any is added
                pass
        with self._lock:
            moments = self._writable()
            _count_of_rows(moments.count + len(rows), least=0)
            for part in snapshots(rows):
                try:
                    moments.update(part)
                finally:
                    self._changed(moments.count)
        return self

    def merge(self, other: "Statistics") -> "Statistics":
        """Add the rows behind another statistics, as if they had followed.

        Exact to rounding for any split of the rows, deterministic for a given order. Where one of the two has no
        provenance, neither has the result. Where device, precision or versions differ there is a warning, and the
        result's provenance has both.

        Returns
        -------
        Statistics
            self

        Raises
        ------
        StatisticsMismatch
            Where dims differ, or the two were made by different models or modes; nothing is changed then.
        InputError
            Where one of them does not know its n; nothing is changed then.
        """
        if not isinstance(other, Statistics):
            raise InputError(f"merge takes another Statistics, got a {type(other).__name__}")
        if self.dims != other.dims:
            raise StatisticsMismatch(f"cannot merge statistics of {self.dims} and {other.dims} dims")
        first, second = sorted((self, other), key=id)  # the same order in every thread: no deadlock
        with first._lock, second._lock:
            made_by, news = self._joined_provenance(other)
            moments, others = self._writable(), other._writable()
            _count_of_rows(moments.count + others.count, least=0)
            if news:
                warn(f"merged statistics were made differently: {news}")
            try:
                moments.merge(others)
            finally:
                self._changed(moments.count)
            self.provenance = made_by
        return self

    def _joined_provenance(self, other: "Statistics") -> tuple[Provenance | None, str]:
        mine, theirs = self.provenance, other.provenance
        both, news = provenance.merged(mine, theirs) if mine and theirs else (None, "")
        if other._n == 0:
            return mine, ""
        if self._n == 0:
            return theirs, ""
        return both, news

    def gaussian(self) -> Gaussian:
        """Return what the distance works on: the rows while they are kept, else the covariance."""
        with self._lock:
            self._require_rows(2)
            rows = self.rows
            if rows is None:
                return Gaussian(self.mu, self.sigma)
            return Gaussian(self.mu, rows=np.asarray(rows, dtype=np.float64))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
        """Write a ``.npz`` that pytorch-fid, TTUR and clean-fid read too.

        The ending is appended where it is missing. Holds ``mu``, ``sigma``, ``n``, the provenance as JSON in
        ``fastfid``, and ``rows`` while n ≤ dims. Atomic: the file is there whole or not at all.

        Parameters
        ----------
        path : path
        overwrite : bool
            Whether a file that exists is replaced; where it is not, the first of several writers wins.

        Returns
        -------
        Path
            The file written.

        Raises
        ------
        InputError
            Where the file cannot be written, or exists and is not to be replaced; above 16384 dims.
        """
        target = statistics_file.statistics_path(path)
        if self.dims > statistics_file.MOST_DIMS:  # nothing would read it
            raise InputError(f"statistics of {self.dims} dims cannot be saved; files have {statistics_file.MOST_DIMS}")
        with self._lock:
            arrays: statistics_file.Arrays = {"mu": self.mu, "sigma": self.sigma}
            if self.n is not None:
                arrays["n"] = np.array(self.n, dtype=np.int64)
            if self.provenance is not None:
                arrays["fastfid"] = np.array(self.provenance.to_json())
            rows = self.rows
            if rows is not None:
                arrays["rows"] = rows
        statistics_file.write(target, arrays, overwrite=overwrite)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Statistics":
        """Read a statistics file: ours, pytorch-fid's, TTUR's, clean-fid's or ADM's.

        A ``sigma`` that is asymmetric by no more than sums in float32 explain is made symmetric, with a warning.

        Raises
        ------
        InputError
            Where the file is missing or damaged, lacks ``mu`` or ``sigma``, or holds values that are no statistics.
        """
        return cls._load(path, warn, force=False)

    @classmethod
    def _load(cls, path: str | os.PathLike[str], tell: Callable[[str], object], *, force: bool) -> "Statistics":
        """Read a file; what there is to warn of goes to `tell`, and `force` takes a sigma that is not symmetric."""
        name = statistics_file.path_name(path)
        arrays = statistics_file.read(path)
        with failures(name):
            text = str(arrays["fastfid"]) if "fastfid" in arrays else None
        made_by = None if text is None else Provenance.from_json(text, name)
        try:
            with failures("they are no statistics"):
                known = gaussian_from_moments(
                    arrays["mu"], arrays["sigma"], "", tell=lambda text: tell(f"{name}: {text}"), force=force
                )
                return cls._from_arrays(known, arrays, made_by)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error

    @classmethod
    def _from_arrays(cls, known: Gaussian, arrays: statistics_file.Arrays, made_by: Provenance | None) -> "Statistics":
        n = arrays["n"].item() if "n" in arrays else None
        result = cls._of(known, n, made_by)
        rows = arrays.get("rows")
        if rows is not None:
            if rows.shape != (n, result.dims):
                raise InputError(f"rows must have shape ({n}, {result.dims}), got {rows.shape}")
            moments = cls(result.dims).update(rows)._writable()
            require_same(rows.astype(np.float64), moments, known)
            result._moments = moments
        return result

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            rows = self.rows
            known = (None, None) if rows is not None or self._n == 0 else (self.mu, self.sigma)
            return {"dims": self.dims, "provenance": self.provenance, "n": self._n, "rows": rows, "known": known}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["dims"], state["provenance"])  # type: ignore[misc]
        if state["rows"] is not None:
            self.update(state["rows"])
        elif state["n"] != 0:
            mu, sigma = state["known"]
            self._moments, self._n, self._mu, self._sigma = None, state["n"], _frozen(mu), _frozen(sigma)

    def _forked(self) -> None:
        """In a fork, go on without the thread that held the lock: the core had ended its work."""
        self._lock = threading.RLock()
        if self._moments is not None and self._moments.count != self._n:
            self._changed(self._moments.count)

    def _changed(self, n: int) -> None:
        self._n, self._mu, self._sigma = n, None, None

    def _require_rows(self, least: int) -> None:
        if self._n is not None and self._n < least:
            raise InputError(f"these statistics need at least {least} rows, they have {self._n}")

    def _writable(self) -> _core.Moments:
        if self._moments is None:
            if self._n is None:
                raise InputError("these statistics do not say how many rows they stand for (no n): cannot add to them")
            self._moments = _core.Moments.from_moments(self._n, self.mu, self.sigma)
        return self._moments


_all: "weakref.WeakSet[Statistics]" = weakref.WeakSet()


def _after_fork() -> None:
    for statistics in list(_all):
        statistics._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
