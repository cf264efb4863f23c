"""Statistics: the mean and covariance of a set of features, growing, mergeable, on disk."""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .checks import whole_number
from .errors import InputError, StatisticsMismatch
from .files import atomic_write
from .frechet import Gaussian, gaussian_from_moments
from .linalg import require_finite
from .provenance import Provenance


def statistics_path(path: str | os.PathLike[str]) -> Path:
    """Return the file that `Statistics.save` writes for `path`: the ending .npz is appended where it is missing."""
    name = os.fspath(path)
    target = Path(name if name.endswith(".npz") else f"{name}.npz")
    if not name or name.endswith(("/", os.sep)) or target.is_dir():
        raise InputError(f"{name!r} is not the name of a file to write statistics to")
    return target


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.setflags(write=False)
    return array


def _require_same(rows: NDArray[np.float64], known: "Statistics") -> None:
    """Refuse rows that are not those behind the mean and covariance beside them."""
    scale = np.abs(rows).max(initial=0.0)
    variances = rows.var(axis=0, ddof=1)
    if not (
        np.allclose(rows.mean(axis=0), known.mu, rtol=0, atol=1e-6 * scale)
        and np.allclose(variances, known.sigma.diagonal(), rtol=0, atol=1e-6 * max(scale**2, variances.max()))
    ):
        raise InputError("rows do not have the mean mu and the variances in sigma")


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
        self.dims = whole_number("dims", dims, 1)
        self.provenance = provenance
        self._lock = threading.RLock()  # the core drops the GIL while it works on the moments
        self._moments: _core.Moments | None = _core.Moments(self.dims)
        self._n: int | None = 0
        self._mu: NDArray[np.float64] | None = None  # as computed or loaded last; None once outdated
        self._sigma: NDArray[np.float64] | None = None

    @classmethod
    def from_moments(
        cls, mu: ArrayLike, sigma: ArrayLike, n: int | None = None, provenance: Provenance | None = None
    ) -> "Statistics":
        """Make statistics of a known mean (d,) and covariance (d, d); without `n` they cannot be updated or merged."""
        known = gaussian_from_moments(np.array(mu), np.array(sigma), "")  # copies: the caller may go on with these
        result = cls(known.mu.size, provenance)
        result._moments, result._n = None, None if n is None else whole_number("n", n, 2)
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
            Where the shape does not fit or a value is not finite; nothing is added then.
        """
        rows = np.asarray(features)
        if rows.dtype.kind not in "fiu":
            raise InputError(f"features must be real numbers, got dtype {rows.dtype}")
        if rows.ndim != 2 or rows.shape[1] != self.dims:
            raise InputError(f"features must have shape (n, {self.dims}), got {rows.shape}")
        rows = np.ascontiguousarray(rows, dtype=np.float32 if rows.dtype == np.float32 else np.float64)
        require_finite(rows, "features")
        with self._lock:
            moments = self._writable()
            moments.update(rows)
            self._changed(moments.count)
        return self

    def merge(self, other: "Statistics") -> "Statistics":
        """Add the rows behind another statistics, as if they had followed.

        Exact to rounding for any split of the rows, deterministic for a given order. Where one of the two has no
        provenance, neither has the result.

        Returns
        -------
        Statistics
            self

        Raises
        ------
        StatisticsMismatch
            Where dims differ, or the two were made by different models or modes.
        InputError
            Where one of them does not know its n.
        """
        if self.dims != other.dims:
            raise StatisticsMismatch(f"cannot merge statistics of {self.dims} and {other.dims} dims")
        mine, theirs = self.provenance, other.provenance
        if mine and theirs and (mine.sha256, mine.mode) != (theirs.sha256, theirs.mode):
            raise StatisticsMismatch(
                f"cannot merge statistics of {mine.model} ({mine.sha256[:12]}), mode {mine.mode} "
                f"and {theirs.model} ({theirs.sha256[:12]}), mode {theirs.mode}"
            )
        first, second = sorted((self, other), key=id)  # the same order in every thread: no deadlock
        with first._lock, second._lock:
            moments = self._writable()
            if other._n != 0:
                self.provenance = theirs if self._n == 0 or theirs is None else mine
            moments.merge(other._writable())
            self._changed(moments.count)
        return self

    def gaussian(self) -> Gaussian:
        """Return what the distance works on: the rows while they are kept, else the covariance."""
        with self._lock:
            self._require_rows(2)
            rows = self.rows
            if rows is None:
                return Gaussian(self.mu, self.sigma)
            return Gaussian(self.mu, rows=np.asarray(rows, dtype=np.float64))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a ``.npz`` that pytorch-fid, TTUR and clean-fid read too.

        The ending is appended where it is missing. Holds ``mu``, ``sigma``, ``n``, the provenance as JSON in
        ``fastfid``, and ``rows`` while n ≤ dims. Atomic: the file is there whole or not at all.

        Returns
        -------
        Path
            The file written.

        Raises
        ------
        InputError
            Where the file cannot be written.
        """
        target = statistics_path(path)
        with self._lock:
            arrays: dict[str, NDArray[Any]] = {"mu": self.mu, "sigma": self.sigma}
            if self.n is not None:
                arrays["n"] = np.array(self.n, dtype=np.int64)
            if self.provenance is not None:
                arrays["fastfid"] = np.array(self.provenance.to_json())
            rows = self.rows
            if rows is not None:
                arrays["rows"] = rows
        try:
            with atomic_write(target) as file:
                savez: Any = np.savez  # its keywords are the names of the arrays
                savez(file, **arrays)
        except OSError as error:
            raise InputError(f"cannot write {target}: {error.strerror or error}") from error
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Statistics":
        """Read a statistics file: ours, pytorch-fid's, TTUR's, clean-fid's or ADM's.

        Raises
        ------
        InputError
            Where the file is missing or damaged, lacks ``mu`` or ``sigma``, or holds values that are no statistics.
        """
        name = os.fspath(path)
        try:
            with Path(path).open("rb") as handle:  # opened here: NumPy leaves a damaged zip open
                file = np.load(handle, allow_pickle=False)
                if isinstance(file, np.ndarray):
                    raise InputError(f"{name} is no statistics file: it needs mu and sigma, it has a single array")
                if not {"mu", "sigma"} <= set(file):
                    raise InputError(f"{name} is no statistics file: it needs mu and sigma, it has {', '.join(file)}")
                arrays = {key: file[key] for key in ("mu", "sigma", "n", "fastfid", "rows") if key in file}
        except InputError:
            raise
        except FileNotFoundError:
            raise InputError(f"{name} does not exist") from None
        except Exception as error:  # of a damaged file, zipfile, zlib and NumPy's header parser raise a dozen kinds
            raise InputError(f"{name} cannot be read as a statistics file: {error}") from error
        return cls._from_arrays(arrays, name)

    @classmethod
    def _from_arrays(cls, arrays: dict[str, NDArray[Any]], name: str) -> "Statistics":
        provenance = Provenance.from_json(str(arrays["fastfid"]), name) if "fastfid" in arrays else None
        try:
            n = arrays["n"].item() if "n" in arrays else None
            result = cls.from_moments(arrays["mu"], arrays["sigma"], n, provenance)
            rows = arrays.get("rows")
            if rows is not None and rows.shape != (n, result.dims):
                raise InputError(f"rows must have shape ({n}, {result.dims}), got {rows.shape}")
            if rows is not None:
                result._moments = cls(result.dims).update(rows)._moments
                _require_same(rows.astype(np.float64), result)
        except (InputError, TypeError, ValueError) as error:
            raise InputError(f"{name}: {error}") from error
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
