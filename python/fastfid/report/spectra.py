"""The eigenvalues of the covariances: how much the images of each side vary along their own main directions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics.displacement import root_of
from ..metrics.feature_blocks import Given
from ..metrics.frechet import Gaussian

_POINTS = 60
_LEAST = 1e-6  # of the largest eigenvalue; what is below is nearly constant, or rounding


@dataclass(frozen=True)
class Spectrum:
    """The eigenvalues of one covariance, the largest first.

    Attributes
    ----------
    places : tuple of int
        Which ones are here, counted from 1: all of the first, fewer of the later ones.
    values : tuple of float
    total : float
        The sum of all: the variance.
    """

    places: tuple[int, ...]
    values: tuple[float, ...]
    total: float


def spectra(sides: Sequence[Given]) -> tuple[Spectrum, ...]:
    """Return the spectrum of each side."""
    return tuple(_spectrum(side.gaussian) for side in sides)


def _spectrum(gaussian: Gaussian) -> Spectrum:
    if gaussian.rows is None:
        values = np.linalg.eigvalsh(gaussian.covariance)[::-1]
    else:
        values = np.linalg.svd(root_of(gaussian), compute_uv=False) ** 2
    kept = values[values > _LEAST * values[0]]
    places = np.unique(np.geomspace(1, max(len(kept), 1), _POINTS).round().astype(int))[: len(kept)]
    return Spectrum(tuple(places.tolist()), tuple(kept[places - 1].tolist()), gaussian.trace())
