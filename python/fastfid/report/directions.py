"""The leading directions of the difference of two sets, and the images that lie farthest along them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..metrics.displacement import displacement, root_of
from ..metrics.feature_blocks import Given

SHARES = 20  # directions whose share is shown
_DIRECTIONS = 3  # that are shown with images
_FARTHEST = 6  # images of each side
_BINS = 24

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """An image that the report shows, by its row, with the value that it is shown for."""

    row: int
    value: float


@dataclass(frozen=True)
class Direction:
    """One direction of the features.

    Attributes
    ----------
    share : float
        Of the FID.
    means, deviations : tuple of float
        Of the two sides along the direction.
    edges : tuple of float
        Of the bins of the histograms.
    counts : tuple of tuple of float
        The share of the images in each bin, of each side; empty for a side without rows.
    farthest : tuple of tuple of Shown
        The images of each side that lie farthest from the mean of the other one, in standard deviations of the other.
    """

    share: float
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    edges: tuple[float, ...]
    counts: tuple[tuple[float, ...], ...]
    farthest: tuple[tuple[Shown, ...], ...]


def directions(sides: Sequence[Given]) -> tuple[tuple[float, ...], tuple[Direction, ...]]:
    """Return the shares of the leading directions of the difference, and the first of these directions.

    Raises
    ------
    InputError
        If the two sides have the same mean and covariance.
    """
    gaussians = [side.gaussian for side in sides]
    found = displacement(*gaussians)
    if found is None:
        raise InputError("the two sides have the same mean and covariance, apart from rounding")
    axes = found.directions[:_DIRECTIONS]
    means = np.array([axes @ g.mu for g in gaussians])
    deviations = np.array([np.linalg.norm(axes @ root_of(g), axis=1) for g in gaussians])
    along = [None if side.fixed else _along(side, axes) for side in sides]
    shown = [
        _direction(float(found.shares[k]), means[:, k], deviations[:, k], [a if a is None else a[:, k] for a in along])
        for k in range(len(axes))
    ]
    return tuple(found.shares[:SHARES].tolist()), tuple(shown)


def _along(side: Given, axes: Matrix) -> Matrix:
    return np.concatenate([rows @ axes.T for _, rows in side.blocks()])


def _direction(share: float, means: Matrix, deviations: Matrix, along: Sequence[Matrix | None]) -> Direction:
    there = [values for values in along if values is not None]
    edges = np.zeros(0)
    if there:
        edges = np.linspace(min(v.min() for v in there), max(v.max() for v in there), _BINS + 1)
    return Direction(
        share,
        tuple(means.tolist()),
        tuple(deviations.tolist()),
        tuple(edges.tolist()),
        tuple(() if v is None else tuple((np.histogram(v, edges)[0] / len(v)).tolist()) for v in along),
        tuple(() if v is None else _farthest(v, means[1 - i], deviations[1 - i]) for i, v in enumerate(along)),
    )


def _farthest(values: Matrix, mean: float, deviation: float) -> tuple[Shown, ...]:
    far = (values - mean) / (deviation or 1.0)
    order = np.argsort(-np.abs(far), kind="stable")[:_FARTHEST]
    return tuple(Shown(int(row), float(far[row])) for row in order)
