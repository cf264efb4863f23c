"""The Fréchet distance between two Gaussians, from moments or from features."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from ..checks import finite_array, one_of, real_array, require_finite, shown
from ..errors import InputError
from ..messages import warn

METHODS = ("auto", "schur")


@dataclass(frozen=True)
class Gaussian:
    """One side of a distance: its mean, and either its rows or its covariance."""

    mu: NDArray[np.float64]
    sigma: NDArray[np.float64] | None = None
    rows: NDArray[np.float64] | None = None

    @property
    def covariance(self) -> NDArray[np.float64]:
        """The covariance (d, d), computed from the rows if it was not given."""
        if self.sigma is not None:
            return self.sigma
        assert self.rows is not None
        moments = _core.Moments(self.mu.size)
        moments.update(self.rows)
        return moments.covariance()

    def trace(self) -> float:
        """Return the trace of the covariance."""
        if self.rows is not None:
            return float(np.square(self.rows - self.mu).sum() / (len(self.rows) - 1))
        assert self.sigma is not None
        return float(np.trace(self.sigma))


@dataclass(frozen=True)
class Distance:
    """A Fréchet distance with its terms and its error estimate."""

    value: float
    mean_term: float
    trace_term: float
    error_estimate: float
    rank: tuple[int, int] | None
    offset: float = 0.0  # added to both diagonals by "schur"

    def parts(self) -> dict[str, Any]:
        """Return what a score states beside the value."""
        names = ("mean_term", "trace_term", "error_estimate", "rank")
        return {name: getattr(self, name) for name in names}


def check_method(method: str) -> None:
    """Raise `InputError` if there is no such method."""
    one_of("method", method, METHODS)


def distance(a: Gaussian, b: Gaussian, *, method: str = "auto", eps: float = 1e-6) -> Distance:
    """Return the distance between two checked Gaussians of the same dims; see `frechet_distance`."""
    check_method(method)
    x, y = (g.sigma if g.rows is None else g.rows for g in (a, b))
    assert x is not None
    assert y is not None
    schur = method == "schur"
    value, mean_term, trace_term, error, rank1, rank2, offset = _core.frechet_distance(
        a.mu, x, a.rows is not None, b.mu, y, b.rows is not None, schur, eps
    )
    return Distance(value, mean_term, trace_term, error, None if schur else (rank1, rank2), offset)


def gaussian_from_moments(
    mu: ArrayLike, sigma: ArrayLike, suffix: str, *, tell: Callable[[str], object] = warn, force: bool = False
) -> Gaussian:
    """Check a mean and a covariance given by a caller; scalars are one-dimensional."""
    m = finite_array(mu, f"mu{suffix}", 1)
    s = real_array(sigma, f"sigma{suffix}", 2)
    if s.shape != (m.size, m.size):
        raise InputError(f"sigma{suffix} must have shape ({m.size}, {m.size}) to fit mu{suffix}, got {s.shape}")
    return Gaussian(m, symmetric(s, f"sigma{suffix}", tell, force=force))


def symmetric(
    sigma: NDArray[np.float64], name: str, tell: Callable[[str], object] = warn, *, force: bool = False
) -> NDArray[np.float64]:
    """Return the covariance, made symmetric to the last bit.

    With sums in float32, an entry and its mirror differ by up to 3e-5 of the product of the two standard deviations
    (measured on 50,000 rows whose means are 300 times the deviation). Up to 1e-3 is accepted with a warning, more only
    with `force`.

    Raises
    ------
    InputError
        If a value is not finite, a diagonal value is negative, or the matrix is not symmetric.
    """
    finite, asymmetry, scale = _core.look_at(sigma)
    if not finite:
        require_finite(sigma, name)
    if asymmetry > 1e-6 * scale:
        text = f"{name} is not symmetric: entries differ from their mirror by up to {asymmetry:.3g}"
        deviations = np.sqrt(np.maximum(np.diagonal(sigma), 0))
        explained = bool((np.abs(sigma / 2 - sigma.T / 2) <= 5e-4 * np.outer(deviations, deviations)).all())
        if not (explained or force):
            raise InputError(f"{text}, more than rounding can explain; ({name} + {name}.T) / 2 is symmetric")
        why = "as after sums in float32" if explained else "accepted because of force"
        tell(f"{text}, {why}; the mean of the two is used")
    result = sigma if asymmetry == 0 else sigma / 2 + sigma.T / 2
    if (np.diagonal(result) < 0).any():
        i = int(np.argmin(np.diagonal(result)))
        raise InputError(f"{name} is not a covariance: entry {i} of its diagonal is {result[i, i]:.6g}")
    return result


def checked_features(value: ArrayLike, name: str) -> NDArray[np.float64]:
    """Check a set of features given by a caller: finite, of shape (n, d), with n at least 2."""
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
    """Return the Gaussian of the moments, with the rows while they are kept, else with the covariance."""
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
        Covariances, symmetric, of any rank; computed in float64. If one is asymmetric by no more than sums in float32
        can explain, it is made symmetric, with a warning.
    eps : float
        Added to both diagonals by ``method="schur"`` if the first square root is unusable. Ignored by "auto".
    method : {"auto", "schur"}
        "auto" uses singular values. It is exact for every rank and does not depend on the order of the two sides.
        "schur" takes the square root of sigma1 sigma2 as pytorch-fid does on SciPy 1.17.1. If the root is not finite,
        it is taken again with `eps` added to both diagonals. If its diagonal has an imaginary part above 1e-3,
        pytorch-fid stops. Here `eps` is added in that case too, and then ten times as much each time, up to 1e-5 of the
        largest variance.

    Returns
    -------
    float
        The distance, in squared units of the features.

    Raises
    ------
    InputError
        If shapes do not match, a value is not finite, a covariance is not symmetric or has negative eigenvalues, or
        the distance is too large for float64.
    LinAlgError
        If ``method="schur"`` finds no usable square root, with any of these offsets.

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
    eps = _offset(eps)
    a, b = gaussian_from_moments(mu1, sigma1, "1"), gaussian_from_moments(mu2, sigma2, "2")
    if a.mu.shape != b.mu.shape:
        raise InputError(f"mu1 and mu2 must have the same length, got {a.mu.size} and {b.mu.size}")
    return distance(a, b, method=method, eps=eps).value


def _offset(eps: float) -> float:
    try:
        value = float(eps) if isinstance(eps, int | float | np.number) else float("nan")
    except OverflowError:
        value = float("inf")
    if not 0 <= value < float("inf"):
        raise InputError(f"eps must be a finite number of at least 0, got {shown(eps)}")
    return value


def frechet_distance_from_features(x: ArrayLike, y: ArrayLike, *, method: str = "auto") -> float:
    """Fréchet distance between the Gaussians fitted to two sets of features.

    Mean and unbiased covariance (ddof 1) are computed in float64. If a set has no more rows than dims, its covariance
    is never formed: the trace term is a sum of singular values computed from the rows.

    Parameters
    ----------
    x, y : array_like, shape (n, d) and (m, d)
        Features, one row per image; n and m at least 2.
    method : {"auto", "schur"}
        As in `frechet_distance`.

    Returns
    -------
    float
        The distance, in squared units of the features.

    Raises
    ------
    InputError
        If shapes do not match, a set has fewer than 2 rows, or a value is not finite.

    Examples
    --------
    >>> import fastfid
    >>> round(fastfid.frechet_distance_from_features([[0.0], [2.0]], [[1.0], [3.0]]), 12)
    1.0
    """
    rows = [checked_features(value, name) for value, name in ((x, "x"), (y, "y"))]
    if rows[0].shape[1] != rows[1].shape[1]:
        raise InputError(f"x and y must have the same dims, got {rows[0].shape[1]} and {rows[1].shape[1]}")
    a, b = map(gaussian_from_rows, rows)
    return distance(a, b, method=method).value
