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
_FEWEST = 50  # distances that say where chance ends
_BY_CHANCE = 0.05  # pairs expected below the limit
_ROUNDING = 1e-5  # of the median distance; a smaller one is that of exact copies
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
    limit : float
        Chance rarely brings two images closer than this; 0 if nothing says so.
    searched, of : int
        The nearest one of so many images was looked for, of so many images in all.
    """

    pairs: tuple[Pair, ...]
    typical: float
    limit: float
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
    given = {name: rows for name, rows in zip(_NAMES, sides, strict=False) if rows is not None}
    names = ["ab"] * (len(given) == 2) + [name * 2 for name in given]
    found = {name: _Search.run(given[name[0]], given[name[1]], same=name[0] == name[1]) for name in names}
    own = found.get("bb", found[names[-1]])  # the real images say how close chance brings two of them
    return {name: search.result(own) for name, search in found.items()}


@dataclass(frozen=True)
class _Search:
    """The nearest one of `among` images for each of the `asked` ones."""

    asked: NDArray[np.intp]
    nearest: NDArray[np.intp]
    distances: NDArray[np.float64]
    every: int
    among: int
    same: bool

    @classmethod
    def run(cls, rows: Rows, others: Rows, *, same: bool) -> "_Search":
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
                indices = np.take_along_axis(indices, place, axis=1)
                squared = np.take_along_axis(squared, place, axis=1)
        return cls(asked, indices[:, 0], np.sqrt(squared[:, 0]), len(rows), len(others), same)

    def result(self, own: "_Search") -> Closest:
        """Return the closest pairs, and the limit by the distances within one side."""
        pairs: dict[tuple[int, int], float] = {}
        for i in np.argsort(self.distances, kind="stable"):
            one, other = int(self.asked[i]), int(self.nearest[i])
            rows = (min(one, other), max(one, other)) if self.same else (one, other)
            pairs.setdefault(rows, float(self.distances[i]))
            if len(pairs) == _PAIRS:
                break
        listed = tuple(Pair(rows, distance) for rows, distance in pairs.items())
        typical = float(np.median(self.distances))
        return Closest(listed, typical, own.limit(len(self.asked) * self.among), len(self.asked), self.every)

    def limit(self, pairs: int) -> float:
        """Return the distance below which chance brings 1 in 20 searches of so many pairs of images.

        Near 0, the share of images with a neighbour at most so far away grows as a power of the distance. The power is
        that between the 5th and the 50th percentile. Nearer than them it is rather larger, and the limit too small.
        """
        apart = self.distances[self.distances > _ROUNDING * np.median(self.distances)]
        if len(apart) < _FEWEST:
            return 0.0
        low, middle = np.quantile(apart, [0.05, 0.5])
        share = _BY_CHANCE * self.among / pairs
        return float(low * (share / 0.05) ** (np.log(middle / low) / np.log(10))) if share < 0.05 else float(low)
