"""`Statistics`: the mean and covariance of a set of features, which can be updated and merged."""

import copy
import os
import sys
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import provenance
from ..checks import numbers, type_of, whole_number
from ..errors import InputError, StatisticsMismatch
from ..images.observed import Tally, known
from ..messages import log, warn
from ..provenance import Provenance
from . import image_facts, statistics_file
from .base import Accumulator, Need, check_version
from .estimate import Estimate
from .feature_rows import SNAPSHOT, snapshots
from .frechet import Gaussian, gaussian_from_moments

MOST_DIMS = 2**31 - 1  # the largest size that LAPACK can index


class Statistics(Accumulator):
    """Mean and unbiased covariance of feature rows, in one pass.

    While there are no more rows than dims, the rows themselves are kept. Beyond that only the mean and the centred
    second moment are kept (Chan, Golub & LeVeque 1979), so memory does not grow with n. The result does not depend on
    how the rows were batched, to the last bit. A pickle holds the exact state, so that anything added or merged
    afterwards gives the same bits.

    Parameters
    ----------
    dims : int
        Length of a feature vector.
    provenance : Provenance, optional
        How the features were made. It is saved, and must match when two statistics are compared.

    Attributes
    ----------
    n : int or None
        Number of rows; None if a foreign file does not say it.
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

    __module__ = "fastfid"  # pickles hold this public name, so the class can move to another module
    version: ClassVar[int] = 2

    def __init__(self, dims: int, provenance: Provenance | None = None) -> None:
        self.dims = whole_number("dims", dims, 1, MOST_DIMS)
        statistics_file.require_fits(provenance, self.dims)
        self.provenance = provenance
        self._seen: Tally | None = None
        self._lock = threading.RLock()  # the core releases the GIL while it changes the moments
        self._estimate = Estimate(self.dims)
        _all.add(self)

    @classmethod
    def from_moments(
        cls, mu: ArrayLike, sigma: ArrayLike, n: int | None = None, provenance: Provenance | None = None
    ) -> "Statistics":
        """Make statistics of a known mean (d,) and covariance (d, d); without `n` they cannot be updated or merged."""
        # Copied first, because the caller may change these arrays later.
        known = gaussian_from_moments(numbers(mu, "mu").copy(), numbers(sigma, "sigma").copy(), "")
        return cls._of(Estimate.of(known, n), provenance)

    @classmethod
    def _of(cls, estimate: Estimate, made_by: Provenance | None) -> Self:
        result = cls(estimate.dims, made_by)
        result._estimate = estimate
        return result

    def __repr__(self) -> str:
        made_by = f", {self.provenance.model}, {self.provenance.mode}" if self.provenance else ""
        return f"Statistics(n={self.n}, dims={self.dims}{made_by})"

    @property
    def n(self) -> int | None:
        """Number of rows."""
        return self._estimate.n

    @property
    def mu(self) -> NDArray[np.float64]:
        """Mean, shape (dims,), read-only."""
        with self._lock:
            return self._estimate.mu

    @property
    def sigma(self) -> NDArray[np.float64]:
        """Covariance with ddof 1, shape (dims, dims), read-only."""
        with self._lock:
            return self._estimate.sigma

    @property
    def rows(self) -> NDArray[np.float32] | NDArray[np.float64] | None:
        """The rows themselves (n, dims) while n ≤ dims, else None."""
        with self._lock:
            return self._estimate.rows

    def _observed(self) -> Tally | None:
        """Return what was observed of the images; None if that is not known of all rows."""
        with self._lock:
            return known(self._seen, self.n)

    def update(self, features: ArrayLike) -> Self:
        """Add rows.

        They are copied first, so another thread may write into the array meanwhile. An array of more than 64 MB is
        checked first and then copied in blocks; it must not change before `update` returns.

        Parameters
        ----------
        features : array_like, shape (k, dims)
            float32 and float64 are kept; other real types become float64. k may be 0.

        Returns
        -------
        Statistics
            self

        Raises
        ------
        InputError
            If the shape does not match or a value is not finite; then nothing is added. If an array of more than 64 MB
            changed after it was checked, the blocks before the bad one have been added.
        """
        rows = numbers(features, "features")
        if rows.ndim != 2 or rows.shape[1] != self.dims:
            raise InputError(f"features must have shape (n, {self.dims}), got {rows.shape}")
        if rows.nbytes > SNAPSHOT:
            for _ in snapshots(rows):  # all are finite before any is added
                pass
        with self._lock:
            self._estimate.require_room(len(rows))
            for part in snapshots(rows):
                self._estimate.add(part)
        return self

    def merge(self, other: "Statistics") -> Self:
        """Add the rows of other statistics, as if they came next.

        The result is exact to rounding for any split of the rows, and deterministic for a given order. If one of the
        two has no provenance, the result has none. If device, precision or versions differ, a warning is issued and the
        provenance of the result lists both.

        Returns
        -------
        Statistics
            self

        Raises
        ------
        StatisticsMismatch
            If dims differ, or the two were made with different models or modes; then nothing is changed.
        InputError
            If one of them has no n; then nothing is changed.
        """
        if not isinstance(other, Statistics):
            raise InputError(f"merge takes another Statistics, got {type_of(other)}")
        if self.dims != other.dims:
            raise StatisticsMismatch(f"cannot merge statistics of {self.dims} and {other.dims} dims")
        first, second = sorted((self._lock, other._lock), key=id)  # the same order in every thread, against deadlocks
        with first, second:
            made_by, news = self._joined_provenance(other)
            others, seen = other._estimate.moments(), self._joined_observations(other)
            self._estimate.require_room(others.count)
            if news:
                warn(f"merged statistics were made differently: {news}")
            self._estimate.merge(others)
            self.provenance, self._seen = made_by, seen
        return self

    def _joined_observations(self, other: "Statistics") -> Tally | None:
        mine, theirs = self._observed(), other._observed()
        if self.n == 0 or other.n == 0:
            return theirs if self.n == 0 else mine
        return copy.deepcopy(mine).merge(theirs) if mine and theirs else None

    def _joined_provenance(self, other: "Statistics") -> tuple[Provenance | None, str]:
        mine, theirs = self.provenance, other.provenance
        both, news = provenance.merged(mine, theirs) if mine and theirs else (None, "")
        if other.n == 0:
            return mine, ""
        if self.n == 0:
            return theirs, ""
        return both, news

    def gaussian(self) -> Gaussian:
        """Return the Gaussian for the distance, with the rows while they are kept, else with the covariance."""
        with self._lock:
            return self._estimate.gaussian()

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = True,
        format: str = "fastfid",  # noqa: A002 - as the flag is called
    ) -> Path:
        """Write a ``.npz`` that pytorch-fid, TTUR, EDM and clean-fid read too.

        The ending is appended if it is missing. The file holds ``mu``, ``sigma``, ``n``, the provenance as JSON in
        ``fastfid``, what was observed of the images (formats, sizes, copies, names of files that were left out), and
        ``rows`` while n ≤ dims. The write is atomic: an error leaves no partial file.

        Parameters
        ----------
        path : path
        overwrite : bool
            Whether to replace an existing file. If False, the first of several writers wins and the others raise.
        format : {"fastfid", "torch-fidelity-fork", "imf", "edm2"}
            For the tools that do not read the file above: "torch-fidelity-fork" has ``mu`` in float32, as MAR and JiT
            want it; "imf" has ``ref_mu`` and ``ref_sigma``; "edm2" is a ``.pkl`` with the entry ``fd_dinov2`` for
            1024 dims and ``fid`` otherwise. `load` reads all of them.

        Returns
        -------
        Path
            The file written.

        Raises
        ------
        InputError
            If the file cannot be written, or exists and `overwrite` is False, or there are more than 16384
            dims, or there is no such format.
        """
        return self._save(path, overwrite=overwrite, form=format, more={})

    def _save(
        self, path: str | os.PathLike[str], *, overwrite: bool, form: str, more: Mapping[str, NDArray[Any]]
    ) -> Path:
        target = statistics_file.statistics_path(path, form)
        if self.dims > statistics_file.MOST_DIMS:  # `load` would refuse the file
            raise InputError(
                f"statistics of {self.dims} dims cannot be saved; files have at most {statistics_file.MOST_DIMS}"
            )
        with self._lock:
            values = self.mu, self.sigma, self.n, self.provenance, self.rows
            more = {**image_facts.arrays_of(self._seen, self.n), **more}
        statistics_file.write(target, *values, overwrite=overwrite, form=form, more=more)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, entry: str | None = None) -> "Statistics":
        """Read a statistics file of fastfid or of another tool; nothing is unpickled.

        The tools are pytorch-fid, TTUR, clean-fid (also its ``_kid.npz``), ADM, EDM, EDM2, the fork of torch-fidelity
        of MAR and JiT, iMF, StyleGAN and fadtk. If ``sigma`` is asymmetric by no more than sums in float32 can explain,
        it is made symmetric, with a warning.

        Parameters
        ----------
        path : path
        entry : str, optional
            Which statistics to take from a file of EDM2 ("fid", "fd_dinov2") or fadtk (the model's name); by default
            the only ones, or "fid". ``FILE#ENTRY`` as the path is the same.

        Raises
        ------
        InputError
            If the file is missing or damaged, lacks ``mu`` or ``sigma``, has no such entry, or holds values that are
            not statistics.
        """
        stored = statistics_file.load(path, warn, force=False, entry=entry)
        for text in stored.notes:
            log.info(text)
        return cls._of_file(stored)

    @classmethod
    def _of_file(cls, stored: statistics_file.Stored) -> "Statistics":
        result = cls._of(Estimate.of(stored.known, stored.n, stored.moments), stored.provenance)
        result._seen = stored.seen
        return result

    def __getstate__(self) -> dict[str, Any]:
        """Return the exact state as plain values and arrays, without those that are not known or not kept."""
        with self._lock:
            seen = {} if self._seen is None else {"seen": copy.deepcopy(self._seen)}
            return {"version": self.version, "provenance": self.provenance, **seen, **self._estimate.state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(self, state)
        Statistics.__init__(self, state["dims"], state["provenance"])
        self._seen = state.get("seen")
        self._estimate = Estimate.from_state(state) if "version" in state else _from_0_1_0(state)

    def _forked(self) -> None:
        """Replace the lock after a fork, since its holder may not exist here; a fork waits until the core is idle."""
        self._lock = threading.RLock()
        self._estimate.settle()


def _from_0_1_0(state: Mapping[str, Any]) -> Estimate:
    if state["n"] != 0 and state["rows"] is None:
        mu, sigma = state["known"]
        return Estimate.of(gaussian_from_moments(mu, sigma, ""), state["n"])
    result = Estimate(state["dims"])
    if state["rows"] is not None:
        result.add(state["rows"])
    return result


MOMENTS = Need("features", Statistics)

_all: "weakref.WeakSet[Statistics]" = weakref.WeakSet()


def _after_fork() -> None:
    for statistics in list(_all):
        statistics._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

# `fastfid.statistics` is a function; pickles written by 0.1.0 look for `Statistics` in a module of that name.
sys.modules["fastfid.statistics"] = sys.modules[__name__]
