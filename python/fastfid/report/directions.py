"""The leading directions of the difference of two sets, and the images at both ends of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..metrics.displacement import displacement, root_of
from ..metrics.feature_blocks import Given

SHARES = 20  # directions whose share is shown
_DIRECTIONS = 3  # that are shown with images
_OUTERMOST = 3  # images of each side at each end
_BINS = 24
_AT_AN_END = 0.05  # of the images
_NORMAL = 2000  # places of the normal law that stands for a side without rows

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """An image that the report shows, by its row, with the value that it is shown for."""

    row: int
    value: float


@dataclass(frozen=True)
class End:
    """One end of a direction.

    Attributes
    ----------
    of_a : float
        The share of A in the outermost twentieth of the images, as if both sides had equally many.
    outermost : tuple of tuple of Shown
        The outermost images of each side, with their places; none of a side without rows.
    """

    of_a: float
    outermost: tuple[tuple[Shown, ...], ...]


@dataclass(frozen=True)
class Direction:
    """One direction of the features. Places along it count from the mean of B, in standard deviations of `unit`.

    Attributes
    ----------
    share : float
        Of the FID.
    shift : float
        The place of the mean of A. It is never negative: A is on the right.
    spread : float
        The standard deviation of A.
    edges : tuple of float
        Of the bins of the histograms.
    counts : tuple of tuple of float
        The share of the images in each bin, of each side.
    normal : str
        The sides without rows, "a" or "b", whose counts are those of the normal law with their mean and deviation.
    left, right : End
    unit : {"B", "A"}
        "A" if B does not vary along the direction.
    """

    share: float
    shift: float
    spread: float
    edges: tuple[float, ...]
    counts: tuple[tuple[float, ...], ...]
    normal: str
    left: End
    right: End
    unit: str


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
    scale = np.where(deviations[1] > 0, deviations[1], np.where(deviations[0] > 0, deviations[0], 1.0))
    shifts, spreads = (means - means[1]) / scale, deviations / scale
    along = [
        _normal(shift, spread) if side.fixed else (_along(side, axes) - means[1]) / scale
        for side, shift, spread in zip(sides, shifts, spreads, strict=True)
    ]
    fixed = tuple(side.fixed for side in sides)
    normal = "".join(name for name, is_fixed in zip("ab", fixed, strict=True) if is_fixed)
    shown = []
    for k in range(len(axes)):
        places = [each[:, k] for each in along]
        edges, counts = _histograms(places)
        facts = {"share": float(found.shares[k]), "shift": float(shifts[0, k]), "spread": float(spreads[0, k])}
        left, right = (_end(places, fixed, towards) for towards in (-1, 1))
        unit = "B" if deviations[1, k] > 0 else "A"
        shown.append(Direction(**facts, edges=edges, counts=counts, normal=normal, left=left, right=right, unit=unit))
    return tuple(found.shares[:SHARES].tolist()), tuple(shown)


def _along(side: Given, axes: Matrix) -> Matrix:
    return np.concatenate([rows @ axes.T for _, rows in side.blocks()])


def _normal(means: Matrix, deviations: Matrix) -> Matrix:
    law = NormalDist()
    places = np.array([law.inv_cdf((k + 0.5) / _NORMAL) for k in range(_NORMAL)])
    return means + places[:, None] * deviations


def _histograms(along: Sequence[Matrix]) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    edges = np.linspace(min(v.min() for v in along), max(v.max() for v in along), _BINS + 1)
    return tuple(edges.tolist()), tuple(tuple((np.histogram(v, edges)[0] / len(v)).tolist()) for v in along)


def _end(along: Sequence[Matrix], fixed: tuple[bool, ...], towards: int) -> End:
    """Return the left end (-1) or the right one (1)."""
    outward = [towards * values for values in along]
    pooled = np.concatenate(outward)
    weights = np.concatenate([np.full(len(v), 1 / len(v)) for v in outward])
    order = np.argsort(-pooled, kind="stable")
    last = int(np.searchsorted(np.cumsum(weights[order]), _AT_AN_END * len(along)))
    weighed = weights[order[: last + 1]]
    of_a = float(weighed[order[: last + 1] < len(along[0])].sum() / weighed.sum())
    return End(of_a, tuple(() if no else _outermost(v, towards) for v, no in zip(along, fixed, strict=True)))


def _outermost(values: Matrix, towards: int) -> tuple[Shown, ...]:
    order = np.argsort(-towards * values, kind="stable")[:_OUTERMOST]
    return tuple(Shown(int(row), float(values[row])) for row in order)
