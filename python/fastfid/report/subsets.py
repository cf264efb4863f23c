"""The FID of growing random subsets of the images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .. import _core
from ..errors import InputError
from ..metrics.feature_blocks import Given, rows_at_once
from ..metrics.frechet import Gaussian, distance, gaussian_of

_SHARES = (0.1, 0.15, 0.22, 0.32, 0.47, 0.68)  # about equally far apart on a scale of ratios
_FEWEST = 20  # images, of which a tenth are a subset of two


@dataclass(frozen=True)
class Subset:
    """The FID of some of the images. A side that is exactly known is used whole, and its number is None."""

    n: tuple[int | None, ...]
    fid: float


def subsets(x: Given, y: Given, whole: float) -> tuple[Subset, ...]:
    """Return the FIDs of growing random subsets of both sides, the same share of each, and `whole` of all images.

    A larger subset holds the smaller ones, so each row is read once.

    Raises
    ------
    InputError
        If no side has enough rows.
    """
    if x.fixed and y.fixed:
        raise InputError("both sides are statistics without their images, so that there are no subsets")
    if (fewest := min(x, y, key=lambda side: side.count)).count < _FEWEST:
        raise InputError(f"{fewest.name} has {fewest.n} images, and subsets need at least {_FEWEST}")
    found = [
        Subset((None if x.fixed else n, None if y.fixed else m), distance(a, b).value)
        for (n, a), (m, b) in zip(_growing(x), _growing(y), strict=True)
    ]
    return (*found, Subset(tuple(None if side.fixed else side.n for side in (x, y)), whole))


def _growing(side: Given) -> Iterator[tuple[int, Gaussian]]:
    if side.fixed:
        for _ in _SHARES:
            yield 0, side.gaussian
        return
    total = int(side.count)
    order, moments, done = np.random.RandomState(0).permutation(total), _core.Moments(side.dims), 0
    step = rows_at_once(side.dims)
    for share in _SHARES:
        size = max(2, round(share * total))
        for first in range(done, size, step):
            moments.update(side.taken(np.sort(order[first : min(first + step, size)])))
        done = size
        yield size, gaussian_of(moments)
