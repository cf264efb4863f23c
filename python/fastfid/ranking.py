"""The result of `rank`: generators from the best to the worst, and which of them can be told apart."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from operator import index
from typing import Any

from ._core import __version__
from .errors import InputError
from .fit import Side
from .metrics.fid_difference import Measured
from .numbers_shown import decimals, markdown, rounded_up
from .provenance import Provenance
from .standings import BEST, SAME, UNSURE, WORSE, Gap, Standing, shared_level
from .terminal import printable

_ROUND_OFF = 1e-6  # of a standard error; that of a difference which is 0 apart from rounding is below
_GROWING = (
    "The other sets have to grow as much, the real one too.",
    "The other generators' sets have to grow as much.",
)


@dataclass(frozen=True)
class Ranking:
    """Generators by their FID to the same real images, the best first.

    Attributes
    ----------
    standings : tuple of Standing
        By `corrected`; then those for which it is not known, by `fid`.
    real : Side
        Name and number of images of the real side.
    level : float
        Confidence level of all limits, and 1 minus the largest chance that the best generator is called worse.
    paired : bool
        Whether the generators were compared image by image.
    fixed : bool
        True if the real side has no images and counts as exactly known: the verdicts are then about the distance to
        that very mean and covariance, not to what the real images were drawn from.
    provenance : Provenance or None
        How the features were made; None if no side says.
    warnings, notes : tuple of str
        Messages issued during the run.
    """

    standings: tuple[Standing, ...]
    real: Side
    level: float
    paired: bool
    fixed: bool
    provenance: Provenance | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    _measured: tuple[Measured | str, ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        return "\n".join([self.table(), *self.conclusion, self.citation])

    @property
    def best(self) -> Standing:
        """The first standing."""
        return self.standings[0]

    @property
    def citation(self) -> str:
        """What to state beside the numbers: version, numbers of images, weights."""
        made = self.provenance
        counts = [_count(one.n) for one in self.standings]
        counts = counts[:1] if len(set(counts)) == 1 else counts
        facts = [
            f"fastfid {__version__}",
            f"n {', '.join(counts)} against {'exact statistics' if self.fixed else _count(self.real.n)}",
            "paired by image" if self.paired else "",
            *(made.cited() if made else ()),
        ]
        return "; ".join(fact for fact in facts if fact)

    def table(self) -> str:
        """Return a Markdown table: one line for each generator, the best first."""
        return "\n".join(_rows(self))

    def difference(self, i: int, j: int) -> Gap:
        """Return the difference of the generators in rows `i` and `j` of the table, counted from 0.

        Any two may be asked for, so the limits are corrected for the number of all pairs, k (k - 1) / 2. With three
        generators or more they are wider than those in the table, which is about the best only.

        Raises
        ------
        InputError
            If there is no such row, or nothing is known about one of them.

        Examples
        --------
        >>> import numpy as np
        >>> import fastfid
        >>> rows = np.random.RandomState(0).randn(4, 300, 8) + [[[0]], [[0.1]], [[0.5]], [[1.5]]]
        >>> result = fastfid.rank(*rows, features=True)
        >>> gap = result.difference(1, 2)
        >>> gap.a, gap.b, gap.verdict
        ('generator 2 (ndarray)', 'generator 3 (ndarray)', 'better')
        """
        if not all(0 <= index(place) < len(self.standings) for place in (i, j)):
            raise InputError(f"the rows are 0 to {len(self.standings) - 1}, got {i} and {j}")
        (a, own), (b, other) = ((self.standings[place], self._measured[place]) for place in (i, j))
        for one in (a, b):
            if one.reason:
                raise InputError(f"nothing is known about {one.name}: {one.reason}")
        if own is other:
            return Gap(a.name, b.name, 0.0, 0.0, 0.0, 0.0, SAME)
        assert isinstance(own, Measured)
        assert isinstance(other, Measured)
        k = sum(not (one.reason or one.same_as) for one in self.standings)
        return Gap.of(a, b, (own, other), shared_level(self.level, k * (k - 1) // 2), self.paired)

    def pairs(self) -> tuple[Gap, ...]:
        """Return the difference of every two generators that have a verdict, in the order of the table."""
        places = [i for i, one in enumerate(self.standings) if not (one.reason or one.same_as)]
        return tuple(self.difference(i, j) for i, j in combinations(places, 2))

    def table_of_pairs(self) -> str:
        """Return a Markdown table of `pairs`."""
        return "\n".join(_rows_of_pairs(self.pairs(), self.level))

    @property
    def conclusion(self) -> tuple[str, ...]:
        """What the table says, in sentences."""
        return tuple(map(printable, _sentences(self)))

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain data for JSON."""
        return {
            "standings": [asdict(one) for one in self.standings],
            "conclusion": list(self.conclusion),
            "real": self.real.as_dict(),
            "level": self.level,
            "paired": self.paired,
            "fixed": self.fixed,
            "citation": self.citation,
            "provenance": asdict(self.provenance) if self.provenance else None,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


def _rows(result: Ranking) -> Iterator[str]:
    percent = f"{100 * result.level:g} %"
    columns = ["generator", "images", "FID", "without bias", f"{percent} limits", "above the best by", "limits of that"]
    yield markdown([*columns, "verdict", "images to tell"])
    yield markdown(["---", "---:", "---:", "---:", "---:", "---:", "---:", "---", "---:"])
    digits = _digits([e for one in result.standings for e in (one.standard_error, one.difference_error) if e])
    for one in result.standings:
        cells = [one.name, _count(one.n), f"{one.fid:.{digits}f}", _number(one.corrected, digits)]
        cells += [_limits(one.low, one.high, digits), _number(one.difference or None, digits)]
        cells += [_limits(one.difference_low, one.difference_high, digits)]
        verdict = f"{SAME} as {one.same_as}" if one.same_as else one.verdict
        yield markdown([*cells, verdict, _images(one.images_to_tell)])


def _rows_of_pairs(pairs: Sequence[Gap], level: float) -> Iterator[str]:
    yield markdown(["generator", "other", "difference", f"{100 * level:g} % limits", "verdict", "images to tell"])
    yield markdown(["---", "---", "---:", "---:", "---", "---:"])
    digits = _digits([gap.standard_error for gap in pairs if gap.standard_error])
    for gap in pairs:
        numbers = [_number(gap.difference, digits), _limits(gap.low, gap.high, digits)]
        yield markdown([gap.a, gap.b, *numbers, gap.verdict, _images(gap.images_to_tell)])


def _digits(errors: Sequence[float]) -> int:
    """Return the decimals for a whole table, so that its lines can be compared; what is round-off has no part in it."""
    return decimals(min((e for e in errors if e > _ROUND_OFF * max(errors)), default=0.0))


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _limits(low: float | None, high: float | None, digits: int) -> str:
    return "" if low is None else f"{_number(low, digits)} to {_number(high, digits)}"


def _images(n: int | None) -> str:
    return "" if n is None else str(rounded_up(n))


def _count(n: int | None) -> str:
    return "unknown" if n is None else str(n)


def _sentences(result: Ranking) -> Iterator[str]:
    best, known = result.best, [one for one in result.standings if not (one.reason or one.same_as)]
    unsure = [one.name for one in known[1:] if one.verdict == UNSURE]
    if best.verdict == BEST:
        yield f"{best.name} is better than {'the other' if len(known) == 2 else 'all others'}."
    elif unsure:
        yield f"{best.name} has the lowest FID without bias, but cannot be told from {', '.join(unsure)}."
    elif len(known) > 1:
        yield f"{best.name} has the lowest FID without bias, of those for which it is known."
    elif known:
        yield f"{best.name} is the only one whose FID without bias is known: there is nothing to compare it with."
    else:
        yield (
            "No FID without bias is known, so none is judged. The table is sorted by the FID itself, which is the "
            "higher the fewer images there are: do not compare those of different numbers of images."
        )
    for one in result.standings:
        if one.same_as:
            twin = "more than once" if one.name == one.same_as else f"with the same images as {one.same_as}"
            yield f"{one.name} was given {twin}, and counts once."
    if worse := [one.name for one in known if one.verdict == WORSE]:
        yield f"Worse than {best.name}: {', '.join(worse)}."
    unjudged = [one for one in result.standings if one.reason and not one.same_as]
    for reason in dict.fromkeys(one.reason for one in unjudged):
        yield f"No verdict about {', '.join(one.name for one in unjudged if one.reason == reason)}: {reason}."
    if len(known) > 1:
        yield (
            f"The chance that the best generator is called worse is at most {100 * (1 - result.level):.2g} %. This is "
            "about these images: training again changes a FID more than drawing images again."
        )
    if any(one.images_to_tell for one in known):
        yield (
            "Images to tell: with so many, a true difference of this size would be told with a chance of 80 %. "
            f"{_GROWING[result.fixed]}"
        )
    if result.fixed:
        yield f"{result.real.name} has no images and counts as exactly known."
    else:
        yield f"{result.real.name} counts as a sample of {_count(result.real.n)} images."
