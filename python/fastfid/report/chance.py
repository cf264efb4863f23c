"""What chance alone would show: the directions of two sets that were dealt at random from all images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .. import _core
from ..errors import InputError
from ..metrics.displacement import displacement
from ..metrics.feature_blocks import Given
from ..metrics.frechet import Gaussian, gaussian_of
from .directions import SHARES

_DEALS = 19  # the largest of so many is exceeded by chance in 1 of 20 cases
_WORK = 2e11  # multiplications, about
_SEED = 580_231_947  # not one that a caller may have mixed the rows with
_DOUBLE = 2.0  # what chance does not exceed if there is time for fewer deals


@dataclass(frozen=True)
class Chance:
    """The directions of two sets of these sizes, dealt at random from all images of both sides.

    Attributes
    ----------
    shares : tuple of float
        What the leading directions hold on average over the deals, as shares of the real FID.
    limit : float
        A direction with a larger share stands out from chance.
    deals : int
    """

    shares: tuple[float, ...]
    limit: float
    deals: int


def chance(x: Given, y: Given, fid: float) -> Chance:
    """Deal the rows of both sides anew and return the shares of the directions.

    Raises
    ------
    InputError
        If a side has no rows, or there is no distance to compare with.
    """
    if not fid > 0:
        raise InputError("the FID is 0")
    for side in (x, y):
        if side.fixed:
            raise InputError(f"{side.name} is statistics without its images, which cannot be mixed with the others")
    rows, rank = x.count + y.count, min(x.count + y.count, x.dims)
    deals = int(np.clip(_WORK / (rows * x.dims * rank + 30.0 * rank**3), 1, _DEALS))
    found = [displacement(*pair) for pair in _dealt(x, y, deals)]
    parts = [each.distance / fid * each.shares[:SHARES] for each in found if each is not None]
    if not parts:
        raise InputError("all images have the same features")
    largest = max(float(each[0]) for each in parts)
    limit = largest if deals == _DEALS else _DOUBLE * largest
    return Chance(tuple(np.mean(parts, axis=0).tolist()), limit, deals)


def _dealt(x: Given, y: Given, deals: int) -> Iterator[tuple[Gaussian, Gaussian]]:
    rng, n, total = np.random.RandomState(_SEED), int(x.count), int(x.count + y.count)
    for _ in range(deals):
        first = rng.permutation(total) < n
        one, other = _core.Moments(x.dims), _core.Moments(x.dims)
        for side, start in ((x, 0), (y, n)):
            for at, rows in side.blocks():
                chosen = first[start + at : start + at + len(rows)]
                one.update(rows[chosen])
                other.update(rows[~chosen])
        yield gaussian_of(one), gaussian_of(other)
