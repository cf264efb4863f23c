"""The Fréchet distance between two Gaussians, from moments or from features."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from .errors import InputError
from .linalg import finite_array

METHODS = ("auto", "schur")


@dataclass(frozen=True)
class Gaussian:
    """One side of a distance: its mean, and the rows behind it or its covariance."""

    mu: NDArray[np.float64]
    sigma: NDArray[np.float64] | None = None
    rows: NDArray[np.float64] | None = None

    @property
    def covariance(self) -> NDArray[np.float64]:
        """The covariance (d, d), computed from the rows where it is not known."""
        if self.sigma is not None:
            return self.sigma
        assert self.rows is not None
        moments = _core.Moments(self.mu.size)
        moments.update(self.rows)
        return moments.covariance()

    @property
    def trace(self) -> float:
        """Trace of the covariance."""
        if self.rows is not None:
            return float(np.square(self.rows - self.mu).sum() / (len(self.rows) - 1))
        assert self.sigma is not None
        return float(np.trace(self.sigma))


@dataclass(frozen=True)
class Distance:
    """A Fréchet distance and what is known of it."""

    value: float
    mean_term: float
    trace_term: float
    error_estimate: float
    rank: tuple[int, int] | None
    offset_used: bool = False


def check_method(method: str) -> None:
    """Raise `InputError` for a method that does not exist."""
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}; got {method!r}")


def distance(a: Gaussian, b: Gaussian, *, method: str = "auto", eps: float = 1e-6) -> Distance:
    """Return the distance between two checked Gaussians of the same dims; see `frechet_distance`."""
    check_method(method)
    with np.errstate(over="ignore", invalid="ignore"):
        return _distance(a, b, method, eps)


def _distance(a: Gaussian, b: Gaussian, method: str, eps: float) -> Distance:
    diff = a.mu - b.mu
    mean_term = float(diff @ diff)
    traces = a.trace + b.trace
    if not np.isfinite(mean_term + traces):
        raise InputError("the distance overflows: the means or covariances are too large for float64")
    rank: tuple[int, int] | None = None
    offset_used = False
    if method == "auto":
        x, y = (g.sigma if g.rows is None else g.rows for g in (a, b))
        assert x is not None
        assert y is not None
        root, error, rank1, rank2 = _core.trace_root(x, a.rows is not None, y, b.rows is not None)
        rank = (rank1, rank2)
    else:
        root, offset_used = _core.trace_root_schur(a.covariance, b.covariance, eps)
        error = float("nan")  # this route has no error estimate of its own
    trace_term = traces - 2 * root
    rounding = 2 * error + 8 * np.finfo(float).eps * (traces + mean_term)
    value = mean_term + trace_term
    if -rounding <= value < 0:  # zero but for rounding
        value = 0.0
    return Distance(value, mean_term, trace_term, float(rounding), rank, offset_used)


def gaussian_from_moments(mu: ArrayLike, sigma: ArrayLike, suffix: str) -> Gaussian:
    """Check a mean and a covariance as a caller gave them; scalars stand for one dimension."""
    m = finite_array(np.atleast_1d(np.asarray(mu)), f"mu{suffix}", 1)
    s = finite_array(np.atleast_2d(np.asarray(sigma)), f"sigma{suffix}", 2)
    if s.shape != (m.size, m.size):
        raise InputError(f"sigma{suffix} must have shape ({m.size}, {m.size}) to fit mu{suffix}, got {s.shape}")
    return Gaussian(m, symmetric(s, f"sigma{suffix}"))


def symmetric(sigma: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Return a covariance that is symmetric to the last bit; refuse one that is not one at all."""
    if (sigma == sigma.T).all():
        result = sigma
    else:
        asymmetry, scale = float(np.abs(sigma - sigma.T).max()), float(np.abs(sigma).max())
        if asymmetry > 1e-6 * scale:
            raise InputError(f"{name} is not symmetric: entries differ from their mirror by up to {asymmetry:.3g}")
        result = (sigma + sigma.T) / 2
    if (np.diagonal(result) < 0).any():
        i = int(np.argmin(np.diagonal(result)))
        raise InputError(f"{name} is not a covariance: its diagonal is {result[i, i]:.6g} at {i}")
    return result


def features(value: ArrayLike, name: str) -> NDArray[np.float64]:
    """Check a set of features as a caller gave it: finite, (n, d), n at least 2."""
    rows = finite_array(value, name, 2)
    if len(rows) < 2:
        raise InputError(f"{name} needs at least 2 rows, got {len(rows)}")
    return rows


def gaussian_from_rows(rows: NDArray[np.float64]) -> Gaussian:
    """Fit a Gaussian to a set of features."""
    moments = _core.Moments(rows.shape[1])
    moments.update(rows)
    return gaussian_of(moments)


def gaussian_of(moments: _core.Moments) -> Gaussian:
    """Take the rows behind the moments while they are kept, else the covariance."""
    rows = moments.rows()
    if rows is None:
        return Gaussian(moments.mean(), moments.covariance())
    return Gaussian(moments.mean(), rows=np.asarray(rows, dtype=np.float64))


def frechet_distance(
    mu1: ArrayLike, sigma1: ArrayLike, mu2: ArrayLike, sigma2: ArrayLike, eps: float = 1e-6, *, method: str = "auto"
) -> float:
    """Fréchet distance between two Gaussians.

    ``|mu1 - mu2|² + tr(sigma1) + tr(sigma2) - 2 tr(sqrt(sigma1 sigma2))`` [1]_, the formula of the FID [2]_.

    Parameters
    ----------
    mu1, mu2 : array_like, shape (d,)
        Means.
    sigma1, sigma2 : array_like, shape (d, d)
        Covariances, symmetric, of any rank; computed in float64.
    eps : float
        Added to both diagonals by ``method="schur"`` where the first square root is not finite; no part of "auto".
    method : {"auto", "schur"}
        "auto" works with singular values and is exact on every rank. "schur" takes the square root of the product as
        the published tools do, with their decisions.

    Returns
    -------
    float
        The distance, in squared units of the features.

    Raises
    ------
    InputError
        Where shapes do not fit, a value is not finite, or a covariance is not symmetric.
    LinAlgError
        ``method="schur"``: no finite square root even with `eps`, or one with an imaginary diagonal above 1e-3.

    References
    ----------
    .. [1] D. Dowson and B. Landau (1982), "The Fréchet distance between multivariate normal distributions".
    .. [2] M. Heusel et al. (2017), "GANs trained by a two time-scale update rule converge to a local Nash equilibrium".

    Examples
    --------
    >>> import fastfid
    >>> round(fastfid.frechet_distance([0.0, 0.0], [[1, 0], [0, 4]], [1.0, 0.0], [[4, 0], [0, 1]]), 12)
    3.0
    """
    if not (isinstance(eps, int | float) and 0 <= eps < float("inf")):
        raise InputError(f"eps must be a number of at least 0, got {eps!r}")
    a, b = gaussian_from_moments(mu1, sigma1, "1"), gaussian_from_moments(mu2, sigma2, "2")
    if a.mu.shape != b.mu.shape:
        raise InputError(f"mu1 and mu2 must have the same length, got {a.mu.size} and {b.mu.size}")
    return distance(a, b, method=method, eps=eps).value


def frechet_distance_from_features(x: ArrayLike, y: ArrayLike, *, method: str = "auto") -> float:
    """Fréchet distance between the Gaussians fitted to two sets of features.

    Mean and unbiased covariance (ddof 1) in float64. Where a set has no more rows than dims, its covariance is never
    formed: the trace term is a sum of singular values of the rows themselves.

    Parameters
    ----------
    x, y : array_like, shape (n, d) and (m, d)
        Activations, one row an image; n and m at least 2.
    method : {"auto", "schur"}
        As in `frechet_distance`.

    Returns
    -------
    float
        The distance, in squared units of the features.

    Raises
    ------
    InputError
        Where shapes do not fit, a set has fewer than 2 rows, or a value is not finite.

    Examples
    --------
    >>> import fastfid
    >>> round(fastfid.frechet_distance_from_features([[0.0], [2.0]], [[1.0], [3.0]]), 12)
    1.0
    """
    rows = [features(value, name) for value, name in ((x, "x"), (y, "y"))]
    if rows[0].shape[1] != rows[1].shape[1]:
        raise InputError(f"x and y must have the same dims, got {rows[0].shape[1]} and {rows[1].shape[1]}")
    a, b = map(gaussian_from_rows, rows)
    return distance(a, b, method=method).value
