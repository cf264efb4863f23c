"""Confidence intervals of the FID."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import shown, whole_number
from ..errors import InputError
from ..files.reading import failures
from .base import Accumulator, check_version
from .estimate import STATE_OF_MOMENTS
from .frechet import Gaussian, distance, gaussian_of

LEVEL = 0.95
_MOST_REPLICATES = 1_000_000
_Z = 1.959963984540054  # two-sided normal quantile of LEVEL
BLOCKS = 20  # groups of rows per side for the jackknife


@dataclass(frozen=True)
class Interval:
    """A confidence interval of the FID at the given number of images, its bias included.

    It contains the mean FID of such sets, not that of infinitely many images, which is lower: `Certainty` has limits
    of that one.

    Attributes
    ----------
    low, high : float
        Bounds at `level`. `low` is never below 0.
    level : float
        Confidence level, 0.95.
    standard_error : float
    method : str
        "bootstrap" (rows are resampled) or "jackknife" (one group of rows is left out at a time).
    replicates : int
        Number of distances computed.
    fixed : tuple of str
        Sides without images, "a" or "b", which count as exactly known.
    """

    low: float
    high: float
    level: float
    standard_error: float
    method: str
    replicates: int
    fixed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise `InputError` if a bound is not finite; the lower limit of 0 would hide it."""
        if not np.isfinite([self.low, self.high, self.standard_error]).all():
            raise InputError("the interval overflows: the distances are too large for float64")


class Blocks(Accumulator):
    """The rows of one side in 20 groups, each with its own moments.

    Row i of a side belongs to group i mod 20. The groups do not depend on the pieces that the side is cut into.
    """

    def __init__(self, dims: int) -> None:
        self._groups = [_core.Moments(dims) for _ in range(BLOCKS)]
        self._seen = 0

    @property
    def n(self) -> int:
        """Number of rows."""
        return self._seen

    @property
    def dims(self) -> int:
        """Length of a row."""
        return self._groups[0].dims

    def update(self, rows: NDArray[np.float32]) -> Self:
        """Distribute rows (k, dims) over the groups; return self."""
        for first in range(min(len(rows), BLOCKS)):
            self._next(first).update(np.ascontiguousarray(rows[first::BLOCKS]))
        self._seen += len(rows)
        return self

    def merge(self, other: "Blocks") -> Self:
        """Add the groups of another side, as if its rows came next; return self."""
        if other is self:
            other = copy.deepcopy(other)
        for first, group in enumerate(other._groups):
            self._next(first).merge(group)
        self._seen += other._seen
        return self

    def _next(self, first: int) -> _core.Moments:
        """Return the group of the row that comes after `first` more rows."""
        return self._groups[(self._seen + first) % BLOCKS]

    def __getstate__(self) -> dict[str, Any]:
        groups = enumerate(self._groups)
        values = {f"{name}_{i}": value for i, group in groups for name, value in group.state().items()}
        return {"version": self.version, "seen": self._seen, **values}

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_version(self, state)
        with failures("this state of groups of rows is damaged"):
            states = [{name: state[f"{name}_{i}"] for name in STATE_OF_MOMENTS} for i in range(BLOCKS)]
            self._groups = [_core.Moments.from_state(**values) for values in states]
            self._seen = whole_number("seen", state["seen"], 0)
            held = [group.count for group in self._groups]
            if held != [len(range(i, self._seen, BLOCKS)) for i in range(BLOCKS)]:
                raise ValueError(f"{self._seen} rows are not {held} in turn")
            if len({group.dims for group in self._groups}) > 1:
                raise ValueError("its groups have different dims")

    def left_out(self) -> Iterator[Gaussian]:
        """Yield, for each group that has rows, the Gaussian of all other rows."""
        if self._seen < 3:
            raise InputError(f"a jackknife needs at least 3 images per side, got {self._seen}")
        groups = [group for group in self._groups if group.count]
        return _left_out(groups, _core.Moments(groups[0].dims))


def _left_out(groups: list[_core.Moments], rest: _core.Moments) -> Iterator[Gaussian]:
    """Yield the Gaussian of `rest` and all groups except one, for each group.

    The groups are halved until one is left. Each half is merged only once for all results that include it, and memory
    grows with the logarithm of the number of groups.
    """
    if len(groups) == 1:
        yield gaussian_of(rest)
        return
    middle = len(groups) // 2
    for kept, split in ((groups[middle:], groups[:middle]), (groups[:middle], groups[middle:])):
        joined = _core.Moments(rest.dims)
        for part in (rest, *kept):
            joined.merge(part)
        yield from _left_out(split, joined)


def check_replicates(replicates: int) -> None:
    """Raise `InputError` if the number of replicates is neither 0 nor from 20 to 1,000,000."""
    count = whole_number("bootstrap", replicates, 0)
    if 0 < count < 20:
        raise InputError(f"bootstrap must be 0 or at least 20 replicates, got {replicates}")
    if count > _MOST_REPLICATES:
        raise InputError(f"bootstrap must be at most {_MOST_REPLICATES} replicates, got {shown(replicates)}")


def interval_of(
    sides: Sequence[Gaussian], blocks: Sequence[Blocks | None], value: float, replicates: int, seed: int
) -> Interval:
    """Return the interval: by the bootstrap if every side with images still has its rows, else by the jackknife."""
    streamed = [side for side, dealt in zip(sides, blocks, strict=True) if dealt is not None]
    if all(side.rows is not None for side in streamed) and any(side.rows is not None for side in sides):
        return bootstrap(sides, value, replicates, seed)
    if not streamed:
        raise InputError("bootstrap needs images, or statistics that still hold their rows, on at least one side")
    return jackknife(sides, blocks, value)


def bootstrap(sides: Sequence[Gaussian], value: float, replicates: int, seed: int) -> Interval:
    """Return the interval from resampled rows; a side without rows counts as exactly known.

    A resample contains some rows several times and others not at all, which raises its FID. So only the spread of the
    replicates about their own mean is used, not their level. The bounds are value - (q - mean), the basic interval
    recentred (Davison & Hinkley 1997, section 2.4). The cost is one distance per replicate.
    """
    rng = np.random.RandomState(seed)
    a, b = sides
    fids = np.array([distance(_resampled(a, rng), _resampled(b, rng)).value for _ in range(replicates)])
    with np.errstate(over="ignore", invalid="ignore"):  # `Interval` refuses bounds that are not finite
        spread = np.quantile(fids - fids.mean(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        error = float(fids.std(ddof=1))
    fixed = tuple(name for name, side in zip("ab", sides, strict=True) if side.rows is None)
    return Interval(
        low=max(0.0, value - float(spread[1])),
        high=value - float(spread[0]),
        level=LEVEL,
        standard_error=error,
        method="bootstrap",
        replicates=replicates,
        fixed=fixed,
    )


def _resampled(side: Gaussian, rng: np.random.RandomState) -> Gaussian:
    if side.rows is None:
        return side
    rows = side.rows[rng.randint(0, len(side.rows), len(side.rows))]
    return Gaussian(rows.mean(axis=0), rows=rows)


def jackknife(sides: Sequence[Gaussian], blocks: Sequence[Blocks | None], value: float) -> Interval:
    """Return the interval from leaving out one group of rows at a time; a side without groups counts as exactly known.

    var = sum over the sides of (g - 1) / g * sum((fid without a group - their mean)²) (Efron 1982, "The jackknife, the
    bootstrap and other resampling plans", for groups of rows). The cost is one distance per group and side, and memory
    for d² numbers per group.
    """
    variance, replicates = 0.0, 0
    for i, dealt in enumerate(blocks):
        if dealt is None:
            continue
        other = sides[1 - i]
        fids = np.array([distance(part, other).value for part in dealt.left_out()])
        g = len(fids)
        with np.errstate(over="ignore", invalid="ignore"):  # `Interval` refuses bounds that are not finite
            variance += (g - 1) / g * float(np.square(fids - fids.mean()).sum())
        replicates += g
    error = float(np.sqrt(variance))
    fixed = tuple(name for name, dealt in zip("ab", blocks, strict=True) if dealt is None)
    return Interval(max(0.0, value - _Z * error), value + _Z * error, LEVEL, error, "jackknife", replicates, fixed)
