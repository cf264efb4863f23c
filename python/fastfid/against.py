"""The baseline of a comparison: other generated images, and the difference of both FIDs to the same real images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from .engines.base import Engine
from .errors import InputError, UsageError
from .fit import Facts, Side
from .following import Following
from .identity import same_set
from .messages import Messages, tell_of_sides
from .metrics.base import Metric, Need, Score
from .metrics.certainty import LEVEL, Certainty
from .metrics.feature_blocks import Given
from .metrics.fid import FID
from .metrics.fid_certainty import LEAST_ROWS, ROWS_PER_DIM
from .metrics.fid_difference import Difference, Measured
from .metrics.frechet import distance
from .metrics.rows import ROWS
from .networks.roles import FEATURES
from .options import Options
from .pairing import check_images, check_names, image_names
from .sides import check_sides, fitted, glanced, open_side, resumable, roles_of, tell_of_unknown

_WITH_ROWS = FID(certainty=True).needs


@dataclass(frozen=True)
class Against:
    """A comparison's FID against that of other generated images, the baseline. What is not known is None.

    Attributes
    ----------
    name : str
        The baseline.
    n : int or None
        Its number of images.
    fid : float
        Its FID to the same real images.
    paired : bool
        Whether image i of both was made from the same seed.
    level : float
        Of the limits.
    difference : float or None
        FID without bias of the comparison, minus that of the baseline: above 0 if the baseline is better.
    standard_error, low, high : float or None
        Of the difference. What is particular to the real images drawn is in both FIDs, and cancels.
    reason : str
        Why the difference is not known; "" if it is.
    """

    name: str
    n: int | None
    fid: float
    paired: bool
    level: float = LEVEL
    difference: float | None = None
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    @classmethod
    def of(
        cls, side: Side, other: Side, real: Side, *, paired: bool, level: float, sure: Certainty | None = None
    ) -> "Against":
        """Compare a side that has been read, and whose FID is known, with another, both beside the same real one."""
        reference, own = Given.of(real.fit, real.name), Given.of(other.fit, other.name)
        known = ((Given.of(side.fit, side.name), sure._parts if sure else None), (own, None))
        found = [Measured.of(one, reference, paired=paired, parts=parts) for one, parts in known]
        if reasons := [one for one in found if isinstance(one, str)]:
            value = distance(own.gaussian, reference.gaussian).value
            return cls(other.name, other.n, value, paired, level, reason=reasons[0])
        of_side, of_other = (one for one in found if not isinstance(one, str))
        value = float(np.ldexp(of_other.parts.distance, 2 * of_other.parts.exponent))
        difference = Difference.of(of_side, of_other, paired=paired)
        half = NormalDist().inv_cdf((1 + level) / 2) * difference.error
        low, high = difference.value - half, difference.value + half
        facts = (difference.value, difference.error, low, high)
        return cls(other.name, other.n, value, paired, level, *facts)


class Baseline:
    """The baseline of a run at each of its stages, if there is one."""

    def __init__(self, options: Options, asked: Sequence[Metric], messages: Messages) -> None:
        self._options, self._messages = options, messages
        self.sides: list[Side] = []
        self.needs: tuple[Need, ...] = ()  # of each side of the comparison, for the difference
        if options.baseline is None:
            if options.paired:
                raise UsageError("paired is about the baseline: give one, or leave paired out")
            return
        if not any(isinstance(metric, FID) for metric in asked):
            raise UsageError(f"a baseline is about the FID, and the metrics are {', '.join(one.name for one in asked)}")
        self.needs = _WITH_ROWS

    def open(self, sides: Sequence[Side], following: Following) -> None:
        """Open the baseline, and check that its images are those of the first side if they are paired."""
        options = self._options
        if options.baseline is None:
            return
        other = open_side(options.baseline, "the baseline", _WITH_ROWS, options, self._messages, "c")
        self.sides = [following.choosing(other)]
        if options.paired:
            pair = (sides[0], *self.sides)
            check_names(pair, [image_names(side) for side in pair], self._messages)

    def check(self, sides: Sequence[Side], facts: Facts) -> None:
        """Check the baseline against both sides, and glance at its images."""
        if not self.sides:
            return
        (first, real), force = sides, self._options.force
        (other, _), _ = check_sides([*self.sides, real], facts, force, self._messages, tell_unknown=False)
        if other.provenance is None:
            tell_of_unknown([first, other, real], [other.name], self._messages)
        if first.provenance and other.provenance:
            check_sides([first, other], facts, force, self._messages)
        for side, may_be_fixed in ((first, False), (other, False), (real, True)):
            _require_rows(side, facts, may_be_fixed=may_be_fixed)
        other = glanced(resumable(other, facts, self._options, self._messages))
        tell_of_sides([other, real], facts, self._messages)
        self.sides = [other]

    def read(
        self, sides: Sequence[Side], engine: Engine | None, facts: Facts, scores: Mapping[str, Score]
    ) -> Against | None:
        """Read the baseline, and compare the first side with it; `scores` are those of the first side."""
        if not self.sides:
            return None
        (first, real), options = sides, self._options
        other = fitted(self.sides[0], engine, facts, options, self._messages)
        tell_of_sides([other, real], facts, self._messages)
        if options.paired:
            check_images(first, other, image_names(first))
        if same_set(first, other):
            self._messages.warn(f"baseline: {other.name} has the very images of {first.name}: they cannot differ")
        sure = scores["fid"].certainty if "fid" in scores else None
        return Against.of(first, other, real, paired=options.paired, level=float(options.level), sure=sure)


def _require_rows(side: Side, facts: Facts, *, may_be_fixed: bool) -> None:
    """Raise `InputError` if it is clear before anything is read that nothing says how much a side varies."""
    way_out = "compare it as it is: gate the FID itself, without a baseline"
    dims = facts.roles.get(FEATURES, 0)
    if side.source is None and side.fit is not None:
        dims = roles_of(side.fit).get(FEATURES, dims)
        if side.fit.get(ROWS) is None:
            if may_be_fixed:
                return
            raise InputError(
                f"the difference to a baseline needs the images' features, and {side.name} is statistics without them: "
                f"save it with --with kid, or {way_out}"
            )
    least = max(ROWS_PER_DIM * dims, LEAST_ROWS)
    if side.n is not None and side.n < least:
        raise InputError(
            f"the difference to a baseline needs {least} images of each side, {ROWS_PER_DIM} for each dim, and "
            f"{side.name} has {side.n}; {way_out}"
        )
