"""Where a Fréchet distance comes from: the directions of the features along which the two sets differ.

The cheapest way to move the Gaussian N(m1, S1) onto N(m2, S2) moves rows by z, and the distance is E|z|². Let
S1 = F1 F1ᵀ, S2 = F2 F2ᵀ, with the singular value decomposition F1ᵀ F2 = U s Vᵀ. The second moments of z are

    M = (m1 - m2)(m1 - m2)ᵀ + S1 + S2 - C - Cᵀ,   C = F1 U Vᵀ F2ᵀ,

since C is the covariance of a row with its target (Givens and Shortt 1984). The trace of M is the distance, so its
eigenvectors divide the distance into parts that add up. This holds for covariances of any rank.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from .frechet import Gaussian

Matrix = NDArray[np.float64]

_NOTHING = 1e-9  # of the traces; a smaller distance is rounding


@dataclass(frozen=True, eq=False)
class Displacement:
    """The parts of a distance, the largest first.

    Attributes
    ----------
    distance : float
        The sum of the parts.
    shares : ndarray, shape (k,)
        The share of the distance along each direction; they sum to 1.
    directions : ndarray, shape (k, d)
        Row k is a unit vector of features. The mean of the first set is the larger one along it.
    """

    distance: float
    shares: Matrix
    directions: Matrix


def displacement(a: Gaussian, b: Gaussian) -> Displacement | None:
    """Divide the distance of two Gaussians among orthogonal directions; None if the two are the same.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = (Gaussian(np.array([mean, 0.0]), np.diag([1.0, deviation**2])) for mean, deviation in ((3, 2), (0, 1)))
    >>> found = displacement(a, b)  # the distance is 3² + (2 - 1)²
    >>> round(found.distance, 12), found.shares.round(12), found.directions[0].round(12)
    (10.0, array([0.9, 0.1]), array([1., 0.]))
    """
    exponent = int(np.frexp(max(np.abs(g.mu).max() for g in (a, b)) + sum(g.trace() ** 0.5 for g in (a, b)))[1])
    roots = [np.ldexp(root_of(g), -exponent) for g in (a, b)]  # so that no product overflows
    shift, basis = np.ldexp(a.mu - b.mu, -exponent), None
    if roots[0].shape[1] + roots[1].shape[1] + 1 < a.mu.size:  # few rows: the problem is that of the space they span
        basis, inside = np.linalg.qr(np.column_stack([*roots, shift]))
        roots = [inside[:, : roots[0].shape[1]], inside[:, roots[0].shape[1] : -1]]
        shift = inside[:, -1]
    u, _, vt = np.linalg.svd(roots[0].T @ roots[1], full_matrices=False)
    coupled = roots[0] @ u @ vt @ roots[1].T
    own = sum(root @ root.T for root in roots)
    moments = np.outer(shift, shift) + own - coupled - coupled.T
    if not np.trace(moments) > _NOTHING * np.trace(own):
        return None
    values, vectors = np.linalg.eigh(moments)
    shares, directions = np.maximum(values[::-1], 0), vectors.T[::-1]
    along = directions @ shift
    directions = directions * np.where(along < 0, -1.0, 1.0)[:, None]
    if basis is not None:
        directions = directions @ basis.T
    return Displacement(float(np.ldexp(shares.sum(), 2 * exponent)), shares / shares.sum(), directions)


def root_of(gaussian: Gaussian) -> Matrix:
    """Return F with F Fᵀ = S."""
    if gaussian.rows is not None:
        centred: Matrix = (gaussian.rows - gaussian.mu) / (len(gaussian.rows) - 1) ** 0.5
        return centred.T
    covariance = gaussian.covariance
    try:
        return cast(Matrix, np.linalg.cholesky(covariance))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        return cast(Matrix, vectors * np.maximum(values, 0) ** 0.5)
