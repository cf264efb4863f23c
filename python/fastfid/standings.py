"""What is known about one generator of several, and about the difference of two."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

from .metrics.fid_difference import Difference, Measured, images_to_tell

BEST, LOWEST, BETTER, WORSE = "best", "lowest", "better", "worse"
UNSURE, SAME, NONE = "cannot tell", "same images", "no verdict"


@dataclass(frozen=True)
class Standing:
    """One generator's FID, and its difference to the best. What is not known is None.

    Attributes
    ----------
    name : str
    n : int or None
        Number of images.
    fid : float
        As `score` gives it. With different numbers of images, these are not comparable.
    corrected, bias, standard_error, low, high : float or None
        ``fid - bias``, the part of the FID that comes from the finite number of images, and the standard error and
        limits of `corrected`, as in `Certainty`.
    difference : float or None
        `corrected` minus that of the best generator, whose own is 0.
    difference_error, difference_low, difference_high : float or None
        Standard error and limits of `difference`; None for the best. The limits are corrected for the number of
        generators.
    verdict : {"best", "lowest", "worse", "cannot tell", "same images", "no verdict"}
        Of the first: "best" if all others are worse, else "lowest". Of the others: "worse" than the first if
        `difference_low` is above 0, else "cannot tell". "no verdict" for the `reason`, or if there is no other to
        compare with.
    images_to_tell : int or None
        With how many images of this generator, and as many times more of every other set, a true difference as large
        as the one seen would be told with a chance of 80 %. None if it is told already, or 100 million do not suffice.
    reason : str
        Why the fields from `corrected` on are None; "" if they are known.
    same_as : str
        Name of a generator listed before that has the same images; "" if there is none. It is counted once.
    """

    name: str
    n: int | None
    fid: float
    corrected: float | None = None
    bias: float | None = None
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_error: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    verdict: str = NONE
    images_to_tell: int | None = None
    reason: str = ""
    same_as: str = ""


@dataclass(frozen=True)
class Gap:
    """The difference of two generators.

    Attributes
    ----------
    a, b : str
        Names of the two.
    difference, standard_error, low, high : float
        The FID without bias of `a` minus that of `b`, with its standard error and limits.
    verdict : {"better", "worse", "cannot tell", "same images"}
        About `a`: "worse" if `low` is above 0, "better" if `high` is below 0.
    images_to_tell : int or None
        As in `Standing`, of `a`.
    """

    a: str
    b: str
    difference: float
    standard_error: float
    low: float
    high: float
    verdict: str
    images_to_tell: int | None = None

    @classmethod
    def of(cls, a: Standing, b: Standing, measured: tuple[Measured, Measured], level: float, paired: bool) -> Self:
        """Judge the difference of two generators with limits of a level."""
        z = NormalDist().inv_cdf((1 + level) / 2)
        found = Difference.of(*measured, paired=paired)
        value, error = found.value, found.error
        low, high = value - z * error, value + z * error
        verdict = WORSE if low > 0 else BETTER if high < 0 else UNSURE
        return cls(a.name, b.name, value, error, low, high, verdict, images_to_tell(found, z, a.n or 0))


def shared_level(level: float, count: int) -> float:
    """Return the level of each of several limits that all hold together with the probability `level` (Bonferroni)."""
    return 1 - (1 - level) / max(1, count)
