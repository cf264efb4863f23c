"""What tells one set of images from another, whatever it is called and wherever it is kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from .fit import Side
from .images.observed import Tally
from .images.observed_data import digest_of_images
from .messages import Messages
from .metrics.moments import MOMENTS, Statistics

_SAME = 1e-12  # relative; a trace by rows and one by a covariance differ in the last bits
_ALIKE = 1e-5  # relative: between devices, features differ by 1e-6 of the largest


@dataclass(frozen=True)
class Identity:
    """The identity of a set of images, as far as it is known.

    Attributes
    ----------
    images : str
        SHA-256 of the hashes of its images, in any order; "" for statistics and features.
    mean, trace : float or None
        Squared length of the mean of the features, and trace of their covariance; None if they were not computed.
    """

    images: str = ""
    mean: float | None = None
    trace: float | None = None

    @classmethod
    def of(cls, side: Side) -> Self:
        """Return the identity of a side that has been read."""
        if (statistics := _statistics(side)) is None:
            return cls(digest_of_images(side.seen))
        with np.errstate(over="ignore"):
            return cls.of_moments(side.seen, statistics.mu, statistics.gaussian().trace())

    @classmethod
    def of_moments(cls, seen: Tally | None, mu: NDArray[np.float64], trace: float) -> Self:
        """Return the identity of images that were observed, from the mean and the total variance of their features."""
        images = digest_of_images(seen)
        with np.errstate(over="ignore"):
            numbers = float(mu @ mu), float(trace)
        return cls(images, *numbers) if all(map(isfinite, numbers)) else cls(images)

    @classmethod
    def read(cls, plain: Any) -> Self:
        """Return what `as_dict` made plain, or nothing known for None; raise `ValueError` for anything else."""
        found = cls(**{} if plain is None else plain)
        numbers = [number for number in (found.mean, found.trace) if number is not None]
        if not isinstance(found.images, str) or not all(type(each) is float and isfinite(each) for each in numbers):
            raise ValueError(f"an identity is {plain!r:.80}")
        return found

    def __str__(self) -> str:
        if self.images:
            return f"SHA-256 {self.images[:12]}"
        return "not known" if self.trace is None else f"features with a variance of {self.trace:.9g}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    def same(self, other: "Identity", *, one_network: bool) -> bool | None:
        """Return whether both are one set of images as far as a score shows, None if that is not known.

        Features are compared if the same network made them. Those of files that only have another format are equal, and
        one image more or less in many thousands does not show.
        """
        found = []
        if self.images and other.images:
            found.append(self.images == other.images)
        if one_network and None not in (self.mean, self.trace, other.mean, other.trace):
            mine, theirs = np.array([self.mean, self.trace]), np.array([other.mean, other.trace])
            found.append(bool(np.abs(mine - theirs).max() <= _ALIKE * np.abs(mine).sum()))
        return any(found) if found else None


def result_of(side: Side) -> Side:
    """Return a side without the fields that only the run needs, with its identity."""
    return replace(side.result(), identity=Identity.of(side))


def tell_of_same(sides: Sequence[Side], messages: Messages) -> None:
    """Warn if two sides are one set, unless their files have shown that already."""
    told = any(text.startswith("same-images:") for text in messages.warnings)
    if len(sides) == 2 and not told and same_set(*sides):
        names = " and ".join(side.name for side in sides)
        messages.warn(f"same-images: {names} are the same images, so that the score says nothing")


def same_set(one: Side, other: Side) -> bool:
    """Return whether two sides that were read in one run are surely the same images."""
    if one.seen and other.seen and one.seen.digests and one.seen.digests == other.seen.digests:
        return True
    first, second = _statistics(one), _statistics(other)
    if first is None or second is None or first.n != second.n or not np.array_equal(first.mu, second.mu):
        return False
    with np.errstate(over="ignore"):
        return bool(np.isclose(first.gaussian().trace(), second.gaussian().trace(), rtol=_SAME, atol=0))


def _statistics(side: Side) -> Statistics | None:
    return cast(Statistics | None, side.fit.get(MOMENTS)) if side.fit else None
