"""The pairs of images with the most alike features, of two sides and within each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import InputError

_PAIRS = 6
_WORK = 2e11  # products at most in one search, some seconds on one core
_NAMES = "ab"

Rows = NDArray[Any]


@dataclass(frozen=True)
class Pair:
    """Two images, by their rows, and the distance of their features."""

    rows: tuple[int, int]
    distance: float


@dataclass(frozen=True)
class Closest:
    """The closest pairs that a search has found.

    Attributes
    ----------
    pairs : tuple of Pair
        The closest first; each pair once.
    typical : float
        The median distance of an image to the nearest one.
    searched, of : int
        The nearest one of so many images was looked for, of so many images in all.
    """

    pairs: tuple[Pair, ...]
    typical: float
    searched: int
    of: int


def closest(sides: Sequence[Rows | None]) -> dict[str, Closest]:
    """Return the closest pairs of the two sides, and within each; of large sets, among a random part of the images.

    Raises
    ------
    InputError
        If no side has rows, or rows are too far apart for the search.
    """
    if all(rows is None for rows in sides):
        raise InputError("no metric that was asked for keeps the features of the images")
    found = {}
    if len(sides) == 2 and sides[0] is not None and sides[1] is not None:
        found["ab"] = _closest(sides[0], sides[1], same=False)
    for name, rows in zip(_NAMES, sides, strict=False):
        if rows is not None:
            found[name * 2] = _closest(rows, rows, same=True)
    return found


def _closest(rows: Rows, others: Rows, *, same: bool) -> Closest:
    most = max(1, int(_WORK / (len(others) * rows.shape[1])))
    asked = np.arange(len(rows))
    if most < len(rows):
        asked = np.sort(np.random.RandomState(0).permutation(len(rows))[:most])
    if len(asked) == len(rows):
        indices, squared = _core.nearest(rows, others, 1, same)
    else:
        indices, squared = _core.nearest(rows[asked], others, 1 + same, False)
        if same:  # one of the two is not the image itself
            place = (indices[:, 0] == asked).astype(int)[:, None]
            indices, squared = np.take_along_axis(indices, place, axis=1), np.take_along_axis(squared, place, axis=1)
    nearest, distances = indices[:, 0], np.sqrt(squared[:, 0])
    pairs: dict[tuple[int, int], float] = {}
    for i in np.argsort(distances, kind="stable"):
        one, other = int(asked[i]), int(nearest[i])
        pairs.setdefault((min(one, other), max(one, other)) if same else (one, other), float(distances[i]))
        if len(pairs) == _PAIRS:
            break
    listed = tuple(Pair(rows, distance) for rows, distance in pairs.items())
    return Closest(listed, float(np.median(distances)), len(asked), len(rows))
