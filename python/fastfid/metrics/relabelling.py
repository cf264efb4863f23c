"""What a distance would be if both sides came from one population, from the same rows with other labels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .feature_blocks import Given, rows_at_once
from .frechet import Gaussian, distance, gaussian_of
from .leave_one_out import Singular, Sweep, Transport, swept
from .same_population import Kernel, Law

_INFLATIONS = 0.25, 16.0  # beyond them a labelling is an accident
_SAMPLE = 4096  # rows of each new side whose exact distances are computed

Matrix = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Alike:
    """What holds if both sides come from one population.

    `variance` is that of the second-order distance, and `floor` the mean of the distance; `unseen` is the part of
    `floor` that the jackknife misses. `inflation` is how many times as large as twice `variance` the variance is that
    the rows show on a new labelling.
    """

    p_value: float
    variance: float
    floor: float
    unseen: float = 0.0
    inflation: float = 1.0


def one_population(sides: Sequence[Given], influences: Sequence[Matrix]) -> Alike | str:
    """Return what holds if both sides come from one population, or the reason why that is not known.

    The mean over all labellings is known exactly of the second-order distance only. Its difference to the Fréchet
    distance varies little, and is taken from one new labelling. So is what the jackknife misses.

    If one side is exactly known, the law is that of the other's rows about it. As many normal rows with the known mean
    and covariance take the place of a new labelling.
    """
    gaussians, drawn = [side.gaussian for side in sides], [side for side in sides if not side.fixed]
    counts = [side.count for side in sides]
    kernel = Kernel.of_both(counts, gaussians)
    order = np.argsort(np.concatenate(influences))  # the same for any order of the given rows
    diagonal = np.concatenate([kernel.diagonal(rows) for side in drawn for _, rows in side.blocks()])
    take = partial(_taken, drawn)
    law = Law.of(kernel, diagonal, order, take, counts, pooled=len(drawn) > 1)
    p_value = law.p_value(kernel.statistic(counts, gaussians))
    if len(drawn) < 2:
        return _beside_a_known_side(sides, kernel, law, p_value)
    dealt = _dealt(order[np.argsort(diagonal[order], kind="stable")], int(min(counts)))
    new = np.sort(dealt[0]), np.sort(dealt[1])
    again = _relabelled(drawn, new[0], len(order))
    dealt_distance = distance(*again).value
    floor = law.mean + dealt_distance - kernel.statistic([len(rows) for rows in new], again)
    transport = Transport.between(*(g.covariance for g in again))
    if transport is None:
        return "a covariance is nearly singular if the rows of both sides are dealt anew"
    try:
        seen = [_seen(i, again, transport, new[i], dealt[i][:_SAMPLE], diagonal, take) for i in (0, 1)]
    except Singular:
        return "a covariance is singular without one row if the rows of both sides are dealt anew"
    bias, variance = (sum(each) for each in zip(*seen, strict=True))
    # The variance is proportional to the distance, which is not the mean one on this labelling.
    usual = max(floor, 0.0) / dealt_distance if dealt_distance > 0 else 1.0
    inflation = float(np.clip(variance * usual / (2 * law.variance), *_INFLATIONS))
    return Alike(p_value, law.variance, floor, floor - bias, inflation)


def _dealt(ordered: Indices, smaller: int) -> tuple[Indices, Indices]:
    """Deal rows to two sides, one of every few neighbours in this order to the smaller side; both are shuffled.

    In the order of k(z, z), both sides have the same share of the rows far out, as over all labellings.
    """
    rng, bounds = np.random.RandomState(0), np.arange(smaller + 1) * len(ordered) // smaller
    chosen = bounds[:-1] + (rng.random_sample(smaller) * np.diff(bounds)).astype(np.intp)
    return rng.permutation(ordered[chosen]), rng.permutation(np.delete(ordered, chosen))


class _NormalRows:
    """Normal rows with a mean and a covariance, in blocks; the same ones each time."""

    def __init__(self, gaussian: Gaussian, count: int) -> None:
        self.count, self._mean, self._factor = count, gaussian.mu, np.linalg.cholesky(gaussian.covariance).T

    def blocks(self) -> Iterator[tuple[int, Matrix]]:
        """Yield the index of the first row, and rows."""
        rng, step = np.random.RandomState(0), rows_at_once(len(self._mean))
        for first in range(0, self.count, step):
            noise = rng.standard_normal((min(step, self.count - first), len(self._mean)))
            yield first, self._mean + noise @ self._factor


def _beside_a_known_side(sides: Sequence[Given], kernel: Kernel, law: Law, p_value: float) -> Alike | str:
    """Return the same if one side is exactly known."""
    gaussians, known = [side.gaussian for side in sides], int(sides[1].fixed)
    rows = _NormalRows(gaussians[known], int(sides[1 - known].count))
    moments, diagonal = _core.Moments(sides[0].dims), []
    for _, block in rows.blocks():
        moments.update(block)
        diagonal.append(kernel.diagonal(block))
    gaussians[1 - known] = gaussian_of(moments)
    transport = Transport.between(*(g.covariance for g in gaussians))
    if transport is None:
        return "the covariance of the known side is nearly singular"
    try:
        found = swept([None if side.fixed else rows for side in sides], gaussians, transport)[1 - known]
    except Singular:
        return "the covariance of the known side is nearly singular"
    assert found is not None
    beyond = distance(*gaussians).value - kernel.statistic([side.count for side in sides], gaussians)
    # The kernel's own mean over these rows, not over all normal rows, varies as what the jackknife finds.
    own = float(np.concatenate(diagonal).mean())
    unseen = own / rows.count + beyond - (rows.count - 1) * float(found.change.mean())
    return Alike(p_value, law.variance, law.mean + beyond, unseen)


def _relabelled(sides: Sequence[Given], first: Indices, total: int) -> tuple[Gaussian, Gaussian]:
    """Return the Gaussians of the rows `first`, by their indices, and by subtraction of all others."""
    counts = [int(side.count) for side in sides]
    weighted = [n * side.gaussian.mu for n, side in zip(counts, sides, strict=True)]
    mean: Matrix = np.sum(weighted, axis=0) / total
    moments, start = _core.Moments(sides[0].dims), 0
    for side in sides:
        for at, rows in side.blocks():
            low, high = np.searchsorted(first, [start + at, start + at + len(rows)])
            moments.update(rows[first[low:high] - start - at])
        start += int(side.count)
    own, n, m = gaussian_of(moments), len(first), total - len(first)
    mu = mean + (mean - own.mu) * n / m
    left = -_scatter(own, n, mean) - m * np.outer(mu - mean, mu - mean)
    for count, side in zip(counts, sides, strict=True):
        left += _scatter(side.gaussian, count, mean)
    return own, Gaussian(mu, left / (m - 1))


def _scatter(g: Gaussian, n: int, mean: Matrix) -> Matrix:
    scatter: Matrix = (n - 1) * g.covariance + n * np.outer(g.mu - mean, g.mu - mean)
    return scatter


def _seen(
    side: int,
    gaussians: Sequence[Gaussian],
    transport: Transport,
    rows: Indices,
    sample: Indices,
    diagonal: Matrix,
    take: Callable[[Indices], Matrix],
) -> tuple[float, float]:
    """Return the jackknife's estimate of the bias of a side and the variance, from a sample of its rows.

    Two things make the bias precise: the influences of all its rows have the mean 0, and the second-order share of a
    row is nearly proportional to the kernel k(z, z), whose mean over all labellings is that of the rows of both sides.
    """
    found = Sweep.of(side, len(rows), gaussians, transport).values(side, 0, take(sample))
    shares = (len(rows) - 1) * found.change + found.influence
    known = diagonal[sample]
    slope = np.cov(shares, known)[0, 1] / known.var(ddof=1)
    bias = shares.mean() + slope * (diagonal.mean() - known.mean())
    return float(bias), found.variance(len(rows))


def _taken(sides: Sequence[Given], indices: Indices) -> Matrix:
    """Return some of all rows, those of the first side first."""
    rows, first = np.empty((len(indices), sides[0].dims)), 0
    for side in sides:
        last = first + int(side.count)
        own = (indices >= first) & (indices < last)
        rows[own] = side.taken(indices[own] - first)
        first = last
    return rows
